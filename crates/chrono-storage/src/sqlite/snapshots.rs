//! Consensus snapshots and their revisions.

use chrono_domain::{Source, Symbol, Timestamp};
use rusqlite::{Connection, params};

use super::codec::{self, whole};
use super::fault::Fault;
use crate::Snapshot;

const NEWEST: &str = "SELECT revision, price, status, median, mean, std_dev, sources, num_feeds, computed_at \
    FROM aggregated_prices WHERE symbol = ?1 AND timestamp = ?2 ORDER BY revision DESC LIMIT 1";
const ADD: &str = "INSERT INTO aggregated_prices (symbol, timestamp, revision, price, status, median, mean, std_dev, \
    sources, num_feeds, computed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const TIMES: &str = "SELECT DISTINCT timestamp FROM aggregated_prices \
    WHERE symbol = ?1 AND timestamp BETWEEN ?2 AND ?3 ORDER BY timestamp LIMIT ?4";

/// Stores what is new or says something else; tells how many were.
pub(super) fn put(connection: &Connection, snapshots: Vec<Snapshot>) -> Result<u64, Fault> {
    let mut changes = 0;
    for snapshot in snapshots {
        let held = newest(connection, snapshot.symbol, snapshot.at)?;
        let revision = held.as_ref().map_or(0, |held| held.revision.saturating_add(1));
        if held.is_some_and(|held| says_the_same(&held, &snapshot)) {
            continue;
        }
        add(connection, &Snapshot { revision, ..snapshot })?;
        changes += 1;
    }
    Ok(changes)
}

/// Reads the newest revision of a time.
pub(super) fn newest(
    connection: &Connection,
    symbol: Symbol,
    at: Timestamp,
) -> Result<Option<Snapshot>, Fault> {
    let mut statement = connection.prepare_cached(NEWEST)?;
    let mut rows = statement.query(params![symbol.as_str(), at.micros()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let sources: Vec<String> = serde_json::from_str(codec::text(row, 6)?)?;
    let sources = sources.iter().map(|name| Source::try_new(name));
    Ok(Some(Snapshot {
        symbol,
        at,
        revision: row.get(0)?,
        price: row.get(1)?,
        status: row.get(2)?,
        median: row.get(3)?,
        mean: row.get(4)?,
        std_dev: row.get(5)?,
        sources: sources.collect::<Result<_, _>>()?,
        num_feeds: codec::count(row, 7)?,
        computed_at: codec::time(row, 8)?,
    }))
}

/// Reads which times are stored.
pub(super) fn times(
    connection: &Connection,
    symbol: Symbol,
    (from, to): (Timestamp, Timestamp),
    limit: usize,
) -> Result<Vec<Timestamp>, Fault> {
    let mut statement = connection.prepare_cached(TIMES)?;
    let mut rows =
        statement.query(params![symbol.as_str(), from.micros(), to.micros(), whole(limit)])?;
    let mut times = Vec::new();
    while let Some(row) = rows.next()? {
        times.push(codec::time(row, 0)?);
    }
    Ok(times)
}

fn add(connection: &Connection, snapshot: &Snapshot) -> Result<(), Fault> {
    let sources: Vec<&str> = snapshot.sources.iter().map(Source::as_str).collect();
    connection.prepare_cached(ADD)?.execute(params![
        snapshot.symbol.as_str(),
        snapshot.at.micros(),
        snapshot.revision,
        snapshot.price,
        snapshot.status,
        snapshot.median,
        snapshot.mean,
        snapshot.std_dev,
        serde_json::to_string(&sources)?,
        whole(snapshot.num_feeds),
        snapshot.computed_at.micros(),
    ])?;
    Ok(())
}

fn says_the_same(held: &Snapshot, new: &Snapshot) -> bool {
    let as_held =
        Snapshot { revision: held.revision, computed_at: held.computed_at, ..new.clone() };
    *held == as_held
}
