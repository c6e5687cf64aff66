//! Appending: all batches of a call in one transaction, each whole or not at all.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use chrono_domain::{Arrival, Metadata, Timestamp, WorkerId};
use rusqlite::{Connection, OptionalExtension, params};

use super::connection::Writer;
use super::fault::Fault;
use super::hit;
use super::memory::Memory;
use crate::{Appended, Idempotency, NewBatch, StoreError};

/// Most idempotency keys forgotten in one call.
const FORGOTTEN_MAX: i64 = 4_096;
/// Microseconds in an hour.
const HOUR: i64 = 3_600_000_000;

const NEXT_ARRIVAL: &str = "SELECT next FROM counters WHERE name = 'arrival'";
const SET_NEXT_ARRIVAL: &str = "UPDATE counters SET next = ?1 WHERE name = 'arrival'";
const ADD_TICK: &str = "INSERT INTO price_ticks (symbol_id, timestamp, arrival, source_id, worker_id, price, volume, \
    metadata, ingested_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const MARK_DIRTY: &str =
    "INSERT OR IGNORE INTO candle_dirty (symbol_id, hour, source_id) VALUES (?1, ?2, ?3)";
const FIND_KEY: &str =
    "SELECT fingerprint, receipt FROM idempotency WHERE worker_id = ?1 AND key = ?2";
const ADD_KEY: &str = "INSERT INTO idempotency (worker_id, key, fingerprint, receipt, received_at) \
    VALUES (?1, ?2, ?3, ?4, ?5)";
const OLD_KEYS: &str = "SELECT worker_id, key FROM idempotency WHERE received_at < ?1 \
    ORDER BY received_at LIMIT ?2";
const FORGET_KEY: &str = "DELETE FROM idempotency WHERE worker_id = ?1 AND key = ?2";

/// What became of one batch of a call.
type Outcome = Result<Appended, StoreError>;

/// Stores batches in one commit.
pub(super) fn append(
    writer: &mut Writer,
    batches: &[Arc<NewBatch>],
) -> Result<Vec<Outcome>, Fault> {
    hit("before_begin");
    let outcomes = writer.transact(|transaction, memory| {
        let memory = Memory::fresh(memory, transaction)?;
        let mut next = transaction.prepare_cached(NEXT_ARRIVAL)?.query_one([], |row| row.get(0))?;
        let outcomes =
            batches.iter().map(|batch| store_whole(transaction, memory, batch, &mut next));
        let outcomes = outcomes.collect::<Result<_, _>>()?;
        hit("after_insert");
        transaction.prepare_cached(SET_NEXT_ARRIVAL)?.execute([next])?;
        hit("before_commit");
        Ok(outcomes)
    })?;
    hit("after_commit");
    Ok(outcomes)
}

/// Forgets idempotency keys taken in before a time.
///
/// One by one: SQLite finds no index for a `DELETE` by a list of pairs.
pub(super) fn forget_keys(connection: &Connection, before: Timestamp) -> Result<u64, Fault> {
    let old = connection
        .prepare_cached(OLD_KEYS)?
        .query_map([before.micros(), FORGOTTEN_MAX], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(i64, String)>, _>>()?;
    let mut forget = connection.prepare_cached(FORGET_KEY)?;
    for (worker_id, key) in &old {
        forget.execute(params![worker_id, key])?;
    }
    Ok(old.len() as u64)
}

/// Stores one batch, or takes back what it began and lets the others be.
fn store_whole(
    connection: &Connection,
    memory: &mut Memory,
    batch: &NewBatch,
    next: &mut i64,
) -> Result<Outcome, Fault> {
    let run = |sql| connection.prepare_cached(sql)?.execute([]);
    let first = *next;
    run("SAVEPOINT batch")?;
    let outcome = match store(connection, memory, batch, next) {
        Ok(appended) => Ok(appended),
        Err(fault) if fault.is_refusal() => {
            run("ROLLBACK TO batch")?;
            // Names and arrival numbers given to it are free again.
            *memory = Memory::load(connection)?;
            *next = first;
            Err(fault.into())
        }
        Err(fault) => return Err(fault),
    };
    run("RELEASE batch")?;
    Ok(outcome)
}

fn store(
    connection: &Connection,
    memory: &mut Memory,
    batch: &NewBatch,
    next: &mut i64,
) -> Result<Appended, Fault> {
    if let Some(idempotency) = &batch.idempotency
        && let Some(answer) = find_repeat(connection, memory, batch.worker, idempotency)?
    {
        return Ok(answer);
    }
    let worker_id = memory.workers.id(connection, batch.worker)?;
    if let Some(Idempotency { key, fingerprint }) = &batch.idempotency {
        connection.prepare_cached(ADD_KEY)?.execute(params![
            worker_id,
            key.as_str(),
            fingerprint,
            &batch.receipt[..],
            batch.received_at.micros()
        ])?;
    }
    let first = Arrival(u64::try_from(*next)?);
    store_ticks(connection, memory, batch, worker_id, next)?;
    Ok(Appended::Stored(first))
}

fn store_ticks(
    connection: &Connection,
    memory: &mut Memory,
    batch: &NewBatch,
    worker_id: i64,
    next: &mut i64,
) -> Result<(), Fault> {
    let mut insert = connection.prepare_cached(ADD_TICK)?;
    let mut late = BTreeSet::new();
    let (mut price, mut volume) = (String::new(), String::new());
    for tick in &batch.ticks {
        let at = tick.timestamp.micros();
        let source_id = memory.sources.id(connection, tick.source)?;
        let (symbol_id, series) = memory.symbol(connection, tick.symbol, batch.received_at)?;
        if at < series.watermark {
            late.insert((symbol_id, at - at % HOUR, source_id));
        } else {
            series.note(at);
        }
        let metadata = tick.metadata.as_ref().map(Metadata::as_str);
        insert.execute(params![
            symbol_id,
            at,
            *next,
            source_id,
            worker_id,
            printed(&mut price, tick.price),
            tick.volume.map(|size| printed(&mut volume, size)),
            metadata,
            batch.received_at.micros(),
        ])?;
        *next += 1;
    }
    let mut mark = connection.prepare_cached(MARK_DIRTY)?;
    for (symbol_id, hour, source_id) in late {
        mark.execute([symbol_id, hour, source_id])?;
    }
    Ok(())
}

/// Answers a batch whose key is stored already.
fn find_repeat(
    connection: &Connection,
    memory: &Memory,
    worker: WorkerId,
    idempotency: &Idempotency,
) -> Result<Option<Appended>, Fault> {
    let Some(worker_id) = memory.workers.find(worker) else { return Ok(None) };
    let stored = connection
        .prepare_cached(FIND_KEY)?
        .query_one(params![worker_id, idempotency.key.as_str()], |row| {
            Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, Vec<u8>>(1)?))
        })
        .optional()?;
    Ok(stored.map(|(fingerprint, receipt)| {
        if fingerprint == idempotency.fingerprint {
            Appended::Repeated(Bytes::from(receipt))
        } else {
            Appended::KeyClash
        }
    }))
}

/// Prints into a buffer that is used again for each tick.
fn printed(buffer: &mut String, value: impl std::fmt::Display) -> &str {
    buffer.clear();
    // Writing to a string does not fail.
    write!(buffer, "{value}").unwrap_or_default();
    buffer
}

#[cfg(test)]
mod tests {
    use chrono_domain::{ManualClock, Price, Source, Symbol, Tick};

    use super::super::open::{Settings, StoreFile};
    use super::*;

    fn batch(ticks: i64) -> Vec<Arc<NewBatch>> {
        let tick = |nth| {
            let (symbol, source) = (Symbol::try_new("A/B").unwrap(), Source::try_new("s").unwrap());
            let at = Timestamp::from_micros(nth).unwrap();
            Tick::try_new(symbol, source, Price::try_new("1").unwrap(), None, at).unwrap()
        };
        vec![Arc::new(NewBatch {
            worker: WorkerId::try_new("w").unwrap(),
            idempotency: None,
            ticks: (0..ticks).map(tick).collect(),
            receipt: Bytes::new(),
            received_at: Timestamp::MIN,
        })]
    }

    #[test]
    fn a_full_disk_stores_nothing_and_a_writer_opened_anew_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Timestamp::MIN);
        let file = StoreFile::open(Settings::new(dir.path().join("chrono.db")), &clock).unwrap();
        let mut writer = Writer::open(&file).unwrap();
        append(&mut writer, &batch(3)).unwrap();
        writer.connection.pragma_update(None, "max_page_count", 1).unwrap();
        let fault = append(&mut writer, &batch(10_000)).unwrap_err();
        assert!(matches!(StoreError::from(fault), StoreError::Unavailable(_)));
        drop(writer);
        let mut writer = Writer::open(&file).unwrap();
        let outcomes = append(&mut writer, &batch(1)).unwrap();
        assert!(matches!(&outcomes[..], [Ok(Appended::Stored(Arrival(4)))]));
        let count = "SELECT count(*) FROM price_ticks";
        assert_eq!(writer.connection.query_one(count, [], |row| row.get(0)), Ok(4));
    }
}
