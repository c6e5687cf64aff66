//! The newest tick of every (symbol, source), without reading all ticks.
//!
//! A source's newest tick is the newest of three: its newest at or above the watermark; its newest in its newest
//! dirty hour, for a mark stands for a tick in that hour; and the close of its last day's row, which has every tick
//! of clean hours. Whichever ticks those are, they exist, so too many candidates do no harm.

use std::collections::{BTreeMap, BTreeSet};

use chrono_domain::{OrderKey, StoredTick, Symbol};
use rusqlite::{Connection, Row, params};

use super::candles::watermark;
use super::codec::{self, TICK_COLUMNS, whole};
use super::fault::Fault;
use super::rows::{self, ALL_SOURCES};

const SYMBOLS: &str = "SELECT id, name FROM symbols";
const SINCE: &str = "SELECT timestamp, arrival, source_id FROM price_ticks \
    WHERE symbol_id = ?1 AND timestamp >= ?2 ORDER BY timestamp DESC, arrival DESC";
const DIRTY: &str =
    "SELECT source_id, max(hour) FROM candle_dirty WHERE symbol_id = ?1 GROUP BY source_id";
const IN_HOUR: &str = "SELECT timestamp, arrival FROM price_ticks \
    WHERE symbol_id = ?1 AND timestamp >= ?2 AND timestamp < ?2 + 3600000000 AND source_id = ?3 \
    ORDER BY timestamp DESC, arrival DESC LIMIT 1";
const LAST_CLOSE: &str = "SELECT close_at, close_arrival FROM candles \
    WHERE symbol_id = ?1 AND source_id = ?2 AND interval = '1d' ORDER BY bucket DESC LIMIT 1";

/// The newest known tick by source.
type Newest = BTreeMap<i64, OrderKey>;

/// Reads the newest tick of every (symbol, source).
pub(super) fn newest(snapshot: &Connection) -> Result<Vec<StoredTick>, Fault> {
    let mut symbols = snapshot.prepare_cached(SYMBOLS)?;
    let mut rows = symbols.query([])?;
    let mut ticks = Vec::new();
    while let Some(row) = rows.next()? {
        let symbol_id = row.get(0)?;
        let symbol = codec::text(row, 1)?.parse()?;
        let mut newest = Newest::new();
        add_since_watermark(snapshot, symbol_id, &mut newest)?;
        add_dirty(snapshot, symbol_id, &mut newest)?;
        add_stored(snapshot, symbol_id, &mut newest)?;
        for key in newest.into_values() {
            ticks.push(read_tick(snapshot, symbol_id, symbol, key)?);
        }
    }
    Ok(ticks)
}

fn add_since_watermark(
    snapshot: &Connection,
    symbol_id: i64,
    newest: &mut Newest,
) -> Result<(), Fault> {
    let mut statement = snapshot.prepare_cached(SINCE)?;
    let mut rows = statement.query([symbol_id, watermark(snapshot, symbol_id)?])?;
    let mut seen = BTreeSet::new();
    while let Some(row) = rows.next()? {
        let source_id: i64 = row.get(2)?;
        // The first of a source is its newest.
        if seen.insert(source_id) {
            add(newest, source_id, codec::order_key(row, 0)?);
        }
    }
    Ok(())
}

fn add_dirty(snapshot: &Connection, symbol_id: i64, newest: &mut Newest) -> Result<(), Fault> {
    let mut statement = snapshot.prepare_cached(DIRTY)?;
    let mut rows = statement.query([symbol_id])?;
    while let Some(row) = rows.next()? {
        let (source_id, hour): (i64, i64) = (row.get(0)?, row.get(1)?);
        if let Some(key) = find_key(snapshot, IN_HOUR, &[symbol_id, hour, source_id])? {
            add(newest, source_id, key);
        }
    }
    Ok(())
}

fn add_stored(snapshot: &Connection, symbol_id: i64, newest: &mut Newest) -> Result<(), Fault> {
    let sources = rows::sources(snapshot, symbol_id)?.into_iter();
    for source_id in sources.filter(|source_id| *source_id != ALL_SOURCES) {
        if let Some(key) = find_key(snapshot, LAST_CLOSE, &[symbol_id, source_id])? {
            add(newest, source_id, key);
        }
    }
    Ok(())
}

fn find_key(
    snapshot: &Connection,
    sql: &str,
    parameters: &[i64],
) -> Result<Option<OrderKey>, Fault> {
    let mut statement = snapshot.prepare_cached(sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(parameters))?;
    rows.next()?.map(|row| codec::order_key(row, 0)).transpose()
}

fn read_tick(
    snapshot: &Connection,
    symbol_id: i64,
    symbol: Symbol,
    key: OrderKey,
) -> Result<StoredTick, Fault> {
    let sql = format!(
        "SELECT {TICK_COLUMNS}, NULL FROM price_ticks WHERE symbol_id = ?1 AND timestamp = ?2 AND arrival = ?3"
    );
    let mut statement = snapshot.prepare_cached(&sql)?;
    let mut rows =
        statement.query(params![symbol_id, key.timestamp.micros(), whole(key.arrival.0)])?;
    let found = rows.next()?.map(|row: &Row<'_>| codec::tick(row, symbol)).transpose()?;
    found.ok_or_else(|| Fault::Damaged("a candle closes with a tick that is not stored".into()))
}

fn add(newest: &mut Newest, source_id: i64, key: OrderKey) {
    newest.entry(source_id).and_modify(|held| *held = key.max(*held)).or_insert(key);
}
