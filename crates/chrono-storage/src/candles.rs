//! The contract for candles: a cache of the ticks that is never wrong.

use chrono_domain::{Candle, Interval, Source, Symbol, Timestamp};

use crate::{Order, StoreError};

#[cfg(feature = "sqlite")]
pub(crate) mod plan;
#[cfg(feature = "sqlite")]
pub(crate) mod span;
#[cfg(feature = "sqlite")]
pub(crate) mod walk;

/// Which candles of a symbol to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandleRange {
    /// The symbol.
    pub symbol: Symbol,
    /// One source, or all together.
    pub source: Option<Source>,
    /// The length of a bucket.
    pub interval: Interval,
    /// First moment, inclusive; it may cut a bucket.
    pub from: Timestamp,
    /// Last moment, inclusive; it may cut a bucket.
    pub to: Timestamp,
    /// Read only buckets after this one in the chosen order; the bucket itself is left out.
    pub after: Option<Timestamp>,
    /// The order of the answer.
    pub order: Order,
    /// Most buckets in the answer.
    pub limit: usize,
}

impl CandleRange {
    /// Asks for every candle of a symbol over all sources, oldest first.
    pub const fn of(symbol: Symbol, interval: Interval) -> Self {
        Self {
            symbol,
            source: None,
            interval,
            from: Timestamp::MIN,
            to: Timestamp::MAX,
            after: None,
            order: Order::OldestFirst,
            limit: usize::MAX,
        }
    }
}

/// A candle and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// The first moment of the bucket, also where the range cuts it.
    pub start: Timestamp,
    /// What its ticks come to.
    pub candle: Candle,
}

/// What one step of the materialiser did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Some work was done and more may wait: call again, soon.
    More,
    /// As [`Progress::More`], and so much waits that commits will: call again at once.
    Behind,
    /// Nothing waits up to the time that was given.
    Idle,
}

/// What a sample of stored candles came to when folded again from the ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recount {
    /// Stored candles looked at.
    pub checked: u64,
    /// Those that differ from their ticks; anything but zero is a bug or a damaged file.
    pub mismatches: u64,
}

/// Reads candles that equal the ticks at every instant.
///
/// Each sentence is a case of the conformance suite:
/// - A candle is the fold of exactly the acknowledged ticks of its bucket whose timestamps lie within `from` and `to`,
///   both inclusive, whatever is materialised, whatever came late, and after a crash between any two steps.
/// - Buckets without such ticks are left out; an unknown symbol or source answers empty.
/// - Pages that start `after` the last bucket of the page before join to the whole.
/// - `materialise` changes no answer, and repeated until [`Progress::Idle`] it ends.
/// - `recount` finds no mismatch.
#[async_trait::async_trait]
pub trait CandleStore: Send + Sync {
    /// Reads a page of candles.
    ///
    /// # Errors
    /// Any [`StoreError`] but `OutcomeUnknown`; reading again is safe.
    async fn candles(&self, range: &CandleRange) -> Result<Vec<Bucket>, StoreError>;

    /// Folds ticks older than `up_to` into stored candles: one short step that lets waiting commits pass.
    ///
    /// # Errors
    /// As [`CandleStore::candles`]; the step is whole or not done.
    async fn materialise(&self, up_to: Timestamp) -> Result<Progress, StoreError>;

    /// Folds some stored candles again from their ticks and compares; `turn` picks which.
    ///
    /// # Errors
    /// As [`CandleStore::candles`].
    async fn recount(&self, turn: u64) -> Result<Recount, StoreError>;
}
