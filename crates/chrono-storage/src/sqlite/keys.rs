//! API keys in their table.

use chrono_domain::Timestamp;
use rusqlite::{Connection, params};

use super::codec;
use super::fault::Fault;
use super::hit;
use crate::StoredKey;

const ADD: &str = "INSERT INTO api_keys (id, hash, role, tier, client, created_at, not_after, revoked_at) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const ALL: &str = "SELECT id, hash, role, tier, client, created_at, not_after, revoked_at \
    FROM api_keys ORDER BY created_at, rowid";
const REVOKE: &str = "UPDATE api_keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";

/// Stores keys.
pub(super) fn put(connection: &Connection, keys: &[StoredKey]) -> Result<(), Fault> {
    let mut add = connection.prepare_cached(ADD)?;
    for key in keys {
        add.execute(params![
            key.id,
            key.hash,
            key.role,
            key.tier,
            key.client,
            key.created_at.micros(),
            key.not_after.map(Timestamp::micros),
            key.revoked_at.map(Timestamp::micros),
        ])?;
    }
    hit("keys_before_commit");
    Ok(())
}

/// Reads every key.
pub(super) fn all(connection: &Connection) -> Result<Vec<StoredKey>, Fault> {
    let mut statement = connection.prepare_cached(ALL)?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(StoredKey {
            id: row.get(0)?,
            hash: row.get(1)?,
            role: row.get(2)?,
            tier: row.get(3)?,
            client: row.get(4)?,
            created_at: codec::time(row, 5)?,
            not_after: codec::time_or_none(row, 6)?,
            revoked_at: codec::time_or_none(row, 7)?,
        });
    }
    Ok(keys)
}

/// Revokes a key; tells whether it was live.
pub(super) fn revoke(connection: &Connection, id: &str, at: Timestamp) -> Result<bool, Fault> {
    Ok(connection.prepare_cached(REVOKE)?.execute(params![id, at.micros()])? == 1)
}
