//! How ticks, candles and commits lie in the blobs of the file: pure functions between values and bytes.
//!
//! Every blob begins with a byte for its kind and version and ends with a CRC32 of all before it, little-endian. What
//! a blob says is checked as it is read: bytes that are none of ours are [`Damage`], never a panic, and never an
//! allocation of more than some hundred bytes for each byte of the blob.

use chrono_domain::{OrderKey, Price, Timestamp, Volume};

mod bits;
pub(super) mod candles;
mod column;
mod cursor;
mod kinds;
pub(super) mod log;
pub(super) mod metadata;
pub(super) mod newest;
mod seal;
pub(super) mod sets;
pub(super) mod ticks;
mod values;

pub(super) use seal::bind;

#[cfg(test)]
mod tests;

/// Says how a blob differs from whatever was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Damage(&'static str);

/// A tick as it lies in a page of its symbol, without metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// Its place among the ticks of its symbol.
    pub(super) key: OrderKey,
    pub(super) source_id: u32,
    pub(super) worker_id: u32,
    /// Quote currency per unit of base.
    pub(super) price: Price,
    /// Traded size in base currency.
    pub(super) volume: Option<Volume>,
    /// When the gateway took it in.
    pub(super) ingested_at: Timestamp,
}
