//! Reading ticks, names and figures.

use std::path::Path;

use chrono_domain::{StoredTick, Symbol, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::codec::{self, TICK_COLUMNS, whole};
use super::fault::Fault;
use crate::{Detail, Names, Order, StoreStats, TickRange};

const FIND_SYMBOL: &str = "SELECT id FROM symbols WHERE name = ?1";
const FIND_SOURCE: &str = "SELECT id FROM sources WHERE name = ?1";
const SYMBOL_NAMES: &str = "SELECT name FROM symbols ORDER BY name";
const SOURCE_NAMES: &str = "SELECT name FROM sources ORDER BY name";
const WORKER_NAMES: &str = "SELECT name FROM workers ORDER BY name";
const FIGURES: &str = "SELECT (SELECT next - 1 FROM counters WHERE name = 'arrival'), \
    (SELECT page_count FROM pragma_page_count), (SELECT page_size FROM pragma_page_size)";

/// Reads a page of a symbol's ticks.
pub(super) fn page(snapshot: &Connection, range: &TickRange) -> Result<Vec<StoredTick>, Fault> {
    let Some(symbol_id) = find_symbol(snapshot, range.symbol)? else { return Ok(Vec::new()) };
    let source_id = match range.source {
        None => None,
        Some(source) => match find_source(snapshot, source.as_str())? {
            None => return Ok(Vec::new()),
            found => found,
        },
    };
    let (after, end) = bounds(range);
    let mut statement = snapshot.prepare_cached(&page_sql(range.order))?;
    let mut rows = statement.query(params![
        symbol_id,
        after.0,
        after.1,
        end.micros(),
        source_id,
        whole(range.limit),
        range.detail == Detail::WithMetadata,
    ])?;
    let mut ticks = Vec::new();
    while let Some(row) = rows.next()? {
        ticks.push(codec::tick(row, range.symbol)?);
    }
    Ok(ticks)
}

/// Reads every name in use.
pub(super) fn names(snapshot: &Connection) -> Result<Names, Fault> {
    Ok(Names {
        symbols: texts(snapshot, SYMBOL_NAMES)?,
        sources: texts(snapshot, SOURCE_NAMES)?,
        workers: texts(snapshot, WORKER_NAMES)?,
    })
}

/// Reads figures about the store; the log file is none of SQLite's pages.
pub(super) fn stats(connection: &Connection, wal: &Path) -> Result<StoreStats, Fault> {
    let (ticks, pages, page_bytes): (i64, i64, i64) = connection
        .prepare_cached(FIGURES)?
        .query_one([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let wal_bytes = match std::fs::metadata(wal) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(Fault::File(error)),
    };
    let bytes = u64::try_from(pages.saturating_mul(page_bytes))?.saturating_add(wal_bytes);
    Ok(StoreStats { ticks: u64::try_from(ticks)?, bytes: Some(bytes) })
}

/// Finds a symbol's id.
pub(super) fn find_symbol(connection: &Connection, symbol: Symbol) -> Result<Option<i64>, Fault> {
    find(connection, FIND_SYMBOL, symbol.as_str())
}

/// Finds a source's id.
pub(super) fn find_source(connection: &Connection, source: &str) -> Result<Option<i64>, Fault> {
    find(connection, FIND_SOURCE, source)
}

fn find(connection: &Connection, sql: &str, name: &str) -> Result<Option<i64>, Fault> {
    Ok(connection.prepare_cached(sql)?.query_one([name], |row| row.get(0)).optional()?)
}

/// Gives the (timestamp, arrival) that the answer comes after in its order, and the last timestamp in it.
///
/// Each end is one bound of the index: with two for an end, SQLite may start from the looser one.
fn bounds(range: &TickRange) -> ((i64, i64), Timestamp) {
    let after = range.after.map(|key| (key.timestamp.micros(), whole(key.arrival.0)));
    match range.order {
        Order::OldestFirst => {
            let start = (range.from.micros(), -1);
            (after.map_or(start, |after| after.max(start)), range.to)
        }
        Order::NewestFirst => {
            let start = (range.to.micros(), i64::MAX);
            (after.map_or(start, |after| after.min(start)), range.from)
        }
    }
}

fn page_sql(order: Order) -> String {
    let (comes_after, ends, direction) = match order {
        Order::OldestFirst => (">", "<=", "ASC"),
        Order::NewestFirst => ("<", ">=", "DESC"),
    };
    format!(
        "SELECT {TICK_COLUMNS}, CASE WHEN ?7 THEN metadata END FROM price_ticks \
         WHERE symbol_id = ?1 AND (timestamp, arrival) {comes_after} (?2, ?3) \
         AND timestamp {ends} ?4 AND (?5 IS NULL OR source_id = ?5) \
         ORDER BY timestamp {direction}, arrival {direction} LIMIT ?6"
    )
}

fn texts<T>(connection: &Connection, sql: &str) -> Result<Vec<T>, Fault>
where
    T: std::str::FromStr<Err = chrono_domain::NameError>,
{
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut texts = Vec::new();
    while let Some(row) = rows.next()? {
        texts.push(codec::text(row, 0)?.parse()?);
    }
    Ok(texts)
}
