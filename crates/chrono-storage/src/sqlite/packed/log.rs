//! What a commit took in, row by row: written once, read only after a restart.

use bytes::Bytes;
use chrono_domain::{Metadata, Price, Timestamp, Volume};

use super::cursor::{Cursor, put_sized, put_unsigned};
use super::seal::{self, Format};
use super::{Damage, values};
use crate::{Idempotency, IdempotencyKey};

/// Least bytes of a tick: two ids, time, price of two, volume, metadata.
const TICK_BYTES_MIN: usize = 7;
/// Least bytes of a batch: worker, time of up to eight but at least one, idempotency, number of ticks.
const BATCH_BYTES_MIN: usize = 4;
/// Bytes of a tick, roughly, to make room for.
const TICK_BYTES: usize = 32;

/// All batches of one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct LoggedCommit {
    /// Arrival number of the first tick; the others follow in the order of batches and ticks, without holes.
    pub(in super::super) first_arrival: u64,
    pub(in super::super) batches: Vec<LoggedBatch>,
}

/// A batch that a commit stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct LoggedBatch {
    pub(in super::super) worker_id: u32,
    /// When the gateway took it in.
    pub(in super::super) received_at: Timestamp,
    /// Its name, if the worker gave one, and what a repeat is answered with.
    pub(in super::super) repeatable: Option<(Idempotency, Bytes)>,
    pub(in super::super) ticks: Vec<LoggedTick>,
}

/// A tick of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct LoggedTick {
    pub(in super::super) symbol_id: u32,
    pub(in super::super) source_id: u32,
    /// The source's time.
    pub(in super::super) timestamp: Timestamp,
    pub(in super::super) price: Price,
    pub(in super::super) volume: Option<Volume>,
    pub(in super::super) metadata: Option<Metadata>,
}

/// Writes a commit.
pub(in super::super) fn encode(commit: &LoggedCommit) -> Vec<u8> {
    let ticks: usize = commit.batches.iter().map(|batch| batch.ticks.len()).sum();
    let mut out = seal::begin(Format::Log, TICK_BYTES * (ticks + commit.batches.len() + 1));
    put_unsigned(&mut out, commit.first_arrival);
    put_unsigned(&mut out, commit.batches.len() as u64);
    for batch in &commit.batches {
        put_batch(&mut out, batch);
    }
    seal::finish(out)
}

/// Reads a commit.
///
/// # Errors
/// [`Damage`].
pub(in super::super) fn decode(blob: &[u8]) -> Result<LoggedCommit, Damage> {
    let mut cursor = Cursor::new(seal::open(Format::Log, blob)?);
    let first_arrival = cursor.unsigned()?;
    let count = cursor.count(BATCH_BYTES_MIN)?;
    let batches = (0..count).map(|_| read_batch(&mut cursor)).collect::<Result<_, _>>()?;
    cursor.end()?;
    Ok(LoggedCommit { first_arrival, batches })
}

fn put_batch(out: &mut Vec<u8>, batch: &LoggedBatch) {
    put_unsigned(out, batch.worker_id.into());
    values::put_time(out, batch.received_at, Timestamp::MIN);
    // An idempotency key has one character at least.
    put_sized(out, batch.repeatable.as_ref().map_or("", |(name, _)| name.key.as_str()).as_bytes());
    if let Some((Idempotency { fingerprint, .. }, receipt)) = &batch.repeatable {
        out.extend_from_slice(fingerprint);
        put_sized(out, receipt);
    }
    put_unsigned(out, batch.ticks.len() as u64);
    for tick in &batch.ticks {
        put_tick(out, tick, batch.received_at);
    }
}

fn read_batch(cursor: &mut Cursor<'_>) -> Result<LoggedBatch, Damage> {
    let worker_id = cursor.id()?;
    let received_at = values::read_time(cursor, Timestamp::MIN)?;
    let repeatable = match values::text(cursor.sized()?)? {
        "" => None,
        key => {
            let key = IdempotencyKey::try_new(key)
                .map_err(|_fault| Damage("a text that is no idempotency key"))?;
            let idempotency = Idempotency { key, fingerprint: cursor.array()? };
            Some((idempotency, Bytes::copy_from_slice(cursor.sized()?)))
        }
    };
    let count = cursor.count(TICK_BYTES_MIN)?;
    let ticks = (0..count).map(|_| read_tick(cursor, received_at)).collect::<Result<_, _>>()?;
    Ok(LoggedBatch { worker_id, received_at, repeatable, ticks })
}

fn put_tick(out: &mut Vec<u8>, tick: &LoggedTick, received_at: Timestamp) {
    put_unsigned(out, tick.symbol_id.into());
    put_unsigned(out, tick.source_id.into());
    values::put_time(out, tick.timestamp, received_at);
    values::put_price(out, tick.price);
    values::put_volume(out, tick.volume);
    values::put_metadata(out, tick.metadata.as_ref());
}

fn read_tick(cursor: &mut Cursor<'_>, received_at: Timestamp) -> Result<LoggedTick, Damage> {
    Ok(LoggedTick {
        symbol_id: cursor.id()?,
        source_id: cursor.id()?,
        timestamp: values::read_time(cursor, received_at)?,
        price: values::read_price(cursor)?,
        volume: values::read_volume(cursor)?,
        metadata: values::read_metadata(cursor)?,
    })
}
