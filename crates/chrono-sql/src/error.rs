//! Why nothing, or not everything, could be read.

use std::io;
use std::path::PathBuf;

use chrono_domain::Timestamp;
use chrono_storage::StoreError;
use chrono_storage::sqlite::OpenError;

/// Says what is wrong with a statement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// Not SQL, or of tables and columns that are not there.
    #[error("{0}")]
    Sql(String),
    /// It writes, or reads what is nobody's business.
    #[error("only SELECT is taken, and never of api_keys: {0}")]
    Forbidden(String),
    /// More than one statement, or none.
    #[error("expected one statement, such as SELECT * FROM price_feeds LIMIT 10")]
    NotOne,
}

/// Says why reading failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The statement is at fault.
    #[error("the statement cannot be run")]
    Usage(#[source] UsageError),
    /// The first moment that is asked for is after the last.
    #[error(
        "nothing can be from {from} on and up to {to}: expected a first moment that is not after the last"
    )]
    Reversed {
        /// The first.
        from: Timestamp,
        /// The last.
        to: Timestamp,
    },
    /// There is no such file.
    #[error("there is no store {0}")]
    Missing(PathBuf),
    /// The file cannot be opened.
    #[error("the store cannot be opened")]
    Open(#[from] OpenError),
    /// No tick has this name.
    #[error("no tick of {0} is stored")]
    Unknown(String),
    /// The store cannot be read; what was written before is right, but not all.
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
    /// A statement broke off; what was written before is right, but not all.
    #[error("the statement broke off: {0}")]
    Broken(String),
    /// SQLite failed before the statement began.
    #[error("sqlite failed")]
    Sqlite(#[from] rusqlite::Error),
    /// Nobody takes what is written, or there is no room for it.
    #[error("the answer cannot be written")]
    Output(#[from] io::Error),
}

impl ReadError {
    /// Tells whether whoever reads has closed the pipe, as `head` does; then there is nothing to say.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
