//! Bringing memory up to date from the log.

use chrono_domain::Timestamp;
use rusqlite::Connection;

use super::codec::whole;
use super::counters::Published;
use super::fault::Fault;
use super::generation::Generation;
use super::memory::Memory;
use super::packed::log;

const COMMITS: &str = "SELECT number, body FROM log WHERE number > ?1 ORDER BY number";
const FORGOTTEN: &str = "SELECT number, before FROM forgotten WHERE number > ?1 ORDER BY number";

/// Takes in whatever the file has and memory has not: all of it at the start, what an error left behind later.
pub(super) fn catch_up(connection: &Connection, memory: &Memory) -> Result<(), Fault> {
    let published = Published::load(connection)?;
    let known = memory.reconcile(published.sealed, published.next_arrival);
    let mut forgotten = connection.prepare_cached(FORGOTTEN)?;
    let mut forgotten = forgotten
        .query_map([whole(known)], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(i64, i64)>, _>>()?
        .into_iter()
        .peekable();
    each_commit(connection, known, |number, commit| {
        while let Some((at, before)) = forgotten.next_if(|(at, _)| *at < whole(number)) {
            memory.forget(u64::try_from(at)?, Timestamp::from_micros(before)?);
        }
        memory.fold(number, commit);
        Ok(())
    })?;
    for (at, before) in forgotten {
        memory.forget(u64::try_from(at)?, Timestamp::from_micros(before)?);
    }
    Ok(())
}

/// Takes the commits after its last into a generation.
pub(super) fn extend(connection: &Connection, generation: &mut Generation) -> Result<(), Fault> {
    each_commit(connection, generation.last, |number, commit| {
        generation.fold(number, commit);
        Ok(())
    })
}

fn each_commit(
    connection: &Connection,
    known: u64,
    mut take: impl FnMut(u64, log::LoggedCommit) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(COMMITS)?;
    let mut rows = statement.query([whole(known)])?;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        let body = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        let commit = log::decode(body).map_err(Fault::damage("log", number))?;
        take(u64::try_from(number)?, commit)?;
    }
    Ok(())
}
