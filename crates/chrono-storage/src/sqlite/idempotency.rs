//! Idempotency keys: in memory with their generation, in their table once it is sealed.

use std::collections::BTreeSet;

use bytes::Bytes;
use chrono_domain::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::codec::whole;
use super::connection::Writer;
use super::fault::Fault;
use super::memory::{KeptKey, KeyName};
use crate::IdempotencyKey;

/// Most idempotency keys forgotten in one call, beside those in memory. Too few, and a call is mostly its transaction; too
/// many, and commits wait for it.
const FORGOTTEN_MAX: i64 = 128;

const FIND: &str = "SELECT fingerprint, receipt FROM idempotency WHERE worker_id = ?1 AND key = ?2";
const PUT: &str = "INSERT OR REPLACE INTO idempotency (worker_id, key, fingerprint, receipt, received_at) \
    VALUES (?1, ?2, ?3, ?4, ?5)";
const OLD: &str = "SELECT worker_id, key FROM idempotency WHERE received_at < ?1 \
    ORDER BY received_at LIMIT ?2";
const FORGET: &str = "DELETE FROM idempotency WHERE worker_id = ?1 AND key = ?2";
const NOTE: &str = "INSERT INTO forgotten (number, before) VALUES (?1, ?2)";

/// Finds what is stored under a key.
pub(super) fn find(
    connection: &Connection,
    (worker_id, key): &KeyName,
) -> Result<Option<([u8; 32], Bytes)>, Fault> {
    let mut statement = connection.prepare_cached(FIND)?;
    let found = statement.query_one(params![worker_id, key.as_str()], |row| {
        Ok((row.get(0)?, Bytes::from(row.get::<_, Vec<u8>>(1)?)))
    });
    Ok(found.optional()?)
}

/// Stores keys of a generation that is being sealed, once more if need be.
pub(super) fn put(connection: &Connection, keys: &[(KeyName, KeptKey)]) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(PUT)?;
    for ((worker_id, key), kept) in keys {
        statement.execute(params![
            worker_id,
            key.as_str(),
            kept.fingerprint,
            &kept.receipt[..],
            kept.received_at.micros()
        ])?;
    }
    Ok(())
}

/// Forgets some keys taken in before a time, and notes it so that a replay of the log does not bring them back.
///
/// It does not wait for the disk. A power cut may bring the keys back, to be forgotten again; but not once one was used
/// again, since the sync of that commit takes along what was written before it.
pub(super) fn forget(writer: &mut Writer, before: Timestamp) -> Result<u64, Fault> {
    let number = writer.memory.position().0 + 1;
    let (noted, stored) = writer.transact_unsynced(|connection, _names, memory| {
        let old = old(connection, before)?;
        // One by one: SQLite finds no index for a `DELETE` by a list of pairs.
        let mut forget = connection.prepare_cached(FORGET)?;
        for (worker_id, key) in &old {
            forget.execute(params![worker_id, key.as_str()])?;
        }
        let noted = memory.may_have_older(before);
        if noted {
            let note = params![whole(number), before.micros()];
            connection.prepare_cached(NOTE)?.execute(note)?;
        }
        Ok((noted, old))
    })?;
    let mut names = stored;
    if noted {
        // A key that a cycle has just written is in both places.
        names.extend(writer.memory.forget(number, before));
    }
    Ok(names.len() as u64)
}

fn old(connection: &Connection, before: Timestamp) -> Result<BTreeSet<KeyName>, Fault> {
    let mut statement = connection.prepare_cached(OLD)?;
    let mut rows = statement.query([before.micros(), FORGOTTEN_MAX])?;
    let mut old = BTreeSet::new();
    while let Some(row) = rows.next()? {
        let key = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        old.insert((row.get(0)?, IdempotencyKey::try_new(key)?));
    }
    Ok(old)
}
