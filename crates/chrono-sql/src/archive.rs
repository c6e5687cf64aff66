//! The file, opened for reading, and statements on it.

use std::io::Write;
use std::path::{Path, PathBuf};

use chrono_domain::Clock;
use chrono_storage::sqlite::Visit;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error as SqliteError, ErrorCode, OpenFlags, Statement};

use crate::error::{ReadError, UsageError};
use crate::feeds;
use crate::form::{Cell, Format};

/// The plain tables of the store, beside `price_feeds`.
const ATTACH: &str = "ATTACH ?1 AS store";
/// Hashes of keys are nobody's business.
const HIDDEN: &str = "api_keys";

/// An embedded store's file, to read from.
#[derive(Debug)]
pub struct Archive {
    pub(crate) visit: Visit,
    path: PathBuf,
}

impl Archive {
    /// Opens a file that is there; its schema is brought up to date if no gateway has it open.
    ///
    /// # Errors
    /// [`ReadError::Missing`], [`ReadError::Open`].
    pub fn open(path: &Path, clock: &dyn Clock) -> Result<Self, ReadError> {
        if !path.exists() {
            return Err(ReadError::Missing(path.to_owned()));
        }
        Ok(Self { visit: Visit::open(path, clock)?, path: path.to_owned() })
    }

    /// Runs one reading statement and writes its rows.
    ///
    /// `price_feeds` is read in short moments, of each chunk of rows one: ticks that come meanwhile may show. Other
    /// tables are of one moment, and keep the gateway's log file from shrinking until the statement ends.
    ///
    /// # Errors
    /// [`ReadError::Usage`] before anything is written; all others at any time.
    pub fn query(self, sql: &str, format: Format, out: &mut dyn Write) -> Result<(), ReadError> {
        let mut connection = connect(&self.path)?;
        feeds::register(&connection, self.visit)?;
        connection.authorizer(Some(authorize))?;
        let mut statement = connection.prepare(sql).map_err(usage)?;
        if statement.column_count() == 0 || !statement.readonly() {
            return Err(ReadError::Usage(UsageError::NotOne));
        }
        run(&mut statement, format, out)
    }
}

/// Nothing can be written through it: it has no file of its own, and what is attached is as read-only as it is.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_in_memory_with_flags(flags)?;
    connection.execute(ATTACH, [path.to_string_lossy()])?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

fn authorize(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Read { table_name, .. } if table_name.eq_ignore_ascii_case(HIDDEN) => {
            Authorization::Deny
        }
        // It is switched off besides; so it is refused before anything runs.
        AuthAction::Function { function_name: "load_extension" } => Authorization::Deny,
        AuthAction::Select
        | AuthAction::Recursive
        | AuthAction::Read { .. }
        | AuthAction::Function { .. } => Authorization::Allow,
        _ => Authorization::Deny,
    }
}

fn run(
    statement: &mut Statement<'_>,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), ReadError> {
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut form = format.begin(&names, out)?;
    let mut rows = statement.query([]).map_err(|error| broken(&error))?;
    while let Some(row) = rows.next().map_err(|error| broken(&error))? {
        let cells = (0..names.len()).map(|column| row.get_ref(column).map(cell));
        form.row(&cells.collect::<Result<Vec<_>, _>>()?)?;
    }
    Ok(form.finish()?)
}

fn cell(value: ValueRef<'_>) -> Cell<'_> {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(bytes) => Cell::Text(String::from_utf8_lossy(bytes)),
        ValueRef::Blob(bytes) => Cell::Blob(bytes),
    }
}

fn usage(error: SqliteError) -> ReadError {
    let text = error.to_string();
    let usage = match error {
        SqliteError::MultipleStatement => UsageError::NotOne,
        SqliteError::SqlInputError { .. } => UsageError::Sql(text),
        _ => match error.sqlite_error_code() {
            Some(ErrorCode::AuthorizationForStatementDenied) => UsageError::Forbidden(text),
            Some(ErrorCode::Unknown) => UsageError::Sql(text),
            _ => return ReadError::Sqlite(error),
        },
    };
    ReadError::Usage(usage)
}

fn broken(error: &SqliteError) -> ReadError {
    ReadError::Broken(error.to_string())
}
