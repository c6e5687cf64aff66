//! Migrations: which are applied, which are to come, and applying them.

use std::path::Path;

use chrono_domain::Clock;
use chrono_migrations::{Migration, SQLITE};
use rusqlite::{Connection, TransactionBehavior, params};

use super::open::{OpenError, Settings};
use super::{carry, hit};

const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
const APPLIED: &str = "SELECT version, name, checksum FROM schema_migrations ORDER BY version";
const CREATE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at TEXT NOT NULL
) STRICT";
const RECORD: &str =
    "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (?1, ?2, ?3, ?4)";

/// The migration that takes the rows away once they are in pages.
const AFTER_CARRYING_OVER: &str = "rows_to_pages";

/// How far a file's schema has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The version it has; 0 for none.
    pub version: u32,
    /// Names of the migrations to come, in order.
    pub pending: Vec<&'static str>,
}

impl Schema {
    /// Describes a file that does not exist yet.
    pub(super) fn none() -> Self {
        Self::at(0)
    }

    fn at(version: u32) -> Self {
        let pending = SQLITE.iter().filter(|migration| migration.version > version);
        Self { version, pending: pending.map(|migration| migration.name).collect() }
    }
}

/// Compares what was applied with what this program brings.
pub(super) fn inspect(connection: &Connection, path: &Path) -> Result<Schema, OpenError> {
    let tables = connection
        .prepare(TABLES)?
        .query_map([], |row| row.get(0))?
        .collect::<Result<Vec<String>, _>>()?;
    if !tables.iter().any(|table| table == "schema_migrations") {
        let empty = tables.is_empty();
        return if empty { Ok(Schema::none()) } else { Err(OpenError::Foreign(path.to_owned())) };
    }
    let mut applied = connection.prepare(APPLIED)?;
    let mut rows = applied.query([])?;
    let mut version = 0;
    while let Some(row) = rows.next()? {
        version = row.get(0)?;
        let Some(known) = SQLITE.iter().find(|migration| migration.version == version) else {
            let known = SQLITE.last().map_or(0, |migration| migration.version);
            return Err(OpenError::Newer { found: version, known });
        };
        if row.get::<_, String>(2)? != checksum(known) {
            return Err(OpenError::Changed { version, name: row.get(1)? });
        }
    }
    Ok(Schema::at(version))
}

/// Applies what is to come, each migration in a transaction of its own.
pub(super) fn apply(
    connection: &mut Connection,
    settings: &Settings,
    clock: &dyn Clock,
) -> Result<(), OpenError> {
    let path = &settings.path;
    for migration in SQLITE {
        if migration.name == AFTER_CARRYING_OVER
            && inspect(connection, path)?.version < migration.version
        {
            carry::carry_over(connection, settings.cycle).map_err(OpenError::content(path))?;
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Looked at again under the lock: another process may have been faster.
        if inspect(&transaction, path)?.version >= migration.version {
            continue;
        }
        transaction.execute_batch(CREATE)?;
        transaction.execute_batch(migration.sql)?;
        let at = clock.now().to_string();
        transaction
            .execute(RECORD, params![migration.version, migration.name, checksum(migration), at])?;
        hit("migrate_before_commit");
        transaction.commit()?;
        hit("migrate_after_commit");
        tracing::info!(version = migration.version, name = migration.name, "schema migrated");
    }
    Ok(())
}

fn checksum(migration: &Migration) -> String {
    format!("{:016x}", migration.checksum)
}
