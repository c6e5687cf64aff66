//! Deleting what no longer counts, and what never did.

use rusqlite::{Connection, Row, params};

use super::super::codec::whole;
use super::super::counters::Published;
use super::super::fault::Fault;
use super::super::pages::{Family, Place};

/// Rows of a cycle that was cut short, deleted in one transaction.
const REMOVED_MAX: usize = 256;

const LAST_ROWS: &str = "SELECT id, family, symbol_id, start, tie, cycle FROM pages \
    WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
const SUPERSEDED: &str = "DELETE FROM pages WHERE family = ?1 AND symbol_id = ?2 AND start = ?3 AND tie = ?4 \
    AND cycle < ?5";
const UNPUBLISHED: &str = "DELETE FROM pages WHERE id = ?1";
const COVERED_LOG: &str = "DELETE FROM log WHERE number IN \
    (SELECT number FROM log WHERE number <= ?1 ORDER BY number LIMIT ?2)";
const COVERED_FORGOTTEN: &str = "DELETE FROM forgotten WHERE number IN \
    (SELECT number FROM forgotten WHERE number <= ?1 ORDER BY number LIMIT ?2)";

/// A row of the pages, but for its body.
struct Version {
    id: i64,
    family: i64,
    symbol_id: u32,
    place: Place,
    cycle: i64,
}

/// Deletes some of what the published cycle superseded, going back from row `before`, and some of the log that it
/// covers; tells from where to go on, none when all is done.
pub(super) fn slice(
    connection: &Connection,
    before: i64,
    limit: usize,
) -> Result<Option<i64>, Fault> {
    let published = Published::load(connection)?;
    // The rows of a cycle are behind those of earlier ones: ids grow.
    let rows = last_rows(connection, before, limit)?;
    let mut next = before;
    let mut more = rows.len() == limit;
    for row in &rows {
        if row.cycle < published.cycle {
            more = false;
            break;
        }
        // A later cycle's rows do not count yet, and supersede nothing.
        if row.cycle == published.cycle {
            delete_older(connection, row)?;
        }
        next = row.id;
    }
    let limits = [whole(published.sealed), whole(limit)];
    let commits = connection.prepare_cached(COVERED_LOG)?.execute(limits)?;
    let notes = connection.prepare_cached(COVERED_FORGOTTEN)?.execute(limits)?;
    let more = more || commits == limit || notes == limit;
    Ok(more.then_some(next))
}

/// Deletes the rows of a cycle that was not published, before anything else is done with the file.
pub(in super::super) fn remove_unpublished(connection: &mut Connection) -> Result<(), Fault> {
    let published = Published::load(connection)?;
    loop {
        let transaction = connection.transaction()?;
        let rows = last_rows(&transaction, i64::MAX, REMOVED_MAX)?;
        let unpublished: Vec<_> = rows.iter().filter(|row| row.cycle > published.cycle).collect();
        if unpublished.is_empty() {
            return Ok(());
        }
        for row in unpublished {
            transaction.prepare_cached(UNPUBLISHED)?.execute([row.id])?;
        }
        transaction.commit()?;
    }
}

fn last_rows(connection: &Connection, before: i64, limit: usize) -> Result<Vec<Version>, Fault> {
    let version = |row: &Row<'_>| {
        Ok(Version {
            id: row.get(0)?,
            family: row.get(1)?,
            symbol_id: row.get(2)?,
            place: Place { start: row.get(3)?, tie: row.get(4)? },
            cycle: row.get(5)?,
        })
    };
    let mut statement = connection.prepare_cached(LAST_ROWS)?;
    let rows = statement.query_map([before, whole(limit)], version)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Deletes the older versions of a page; with ticks goes their metadata, which the new version may have none of.
fn delete_older(connection: &Connection, row: &Version) -> Result<(), Fault> {
    let mut delete = connection.prepare_cached(SUPERSEDED)?;
    let mut families = vec![row.family];
    if row.family == Family::Ticks as i64 {
        families.push(Family::Metadata as i64);
    }
    let Version { symbol_id, place: Place { start, tie }, cycle, .. } = *row;
    for family in families {
        delete.execute(params![family, symbol_id, start, tie, cycle])?;
    }
    Ok(())
}
