//! What goes wrong inside the backend, and what the contract makes of it.

use rusqlite::{ErrorCode, ffi};

use super::packed::Damage;
use crate::StoreError;

/// The cause of a value that does not read back.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A failure inside the backend.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The lane's queue is full.
    #[error("the queue is full")]
    Full,
    /// The store was closed, or its lanes are gone.
    #[error("the store is closed")]
    Closed,
    /// The lane broke while it had the call.
    #[error("the lane broke before it answered")]
    Lost,
    /// SQLite refused or failed; whatever the call had written is rolled back.
    #[error("sqlite failed")]
    Sqlite(#[from] rusqlite::Error),
    /// COMMIT failed in a way that may leave the commit in the log file.
    #[error("the commit failed half way")]
    Commit(#[source] rusqlite::Error),
    /// The size of a file could not be read.
    #[error("the file cannot be looked at")]
    File(#[source] std::io::Error),
    /// Somebody still reads, so that the log file cannot be emptied.
    #[error("somebody still reads the file")]
    Busy,
    /// A sync failed before: what this process wrote since may be lost, whatever later syncs say.
    #[error("the disk failed to sync; start the gateway again once the disk is well")]
    Unsynced,
    /// The commit succeeded while another sync of the same file failed: which pages that was about, nobody knows.
    #[error("the disk failed to sync beside the commit")]
    Doubtful,
    /// A visitor wants to write what only the owner of the file writes.
    #[error("only a server writes ticks; this is a tool beside it")]
    Visitor,
    /// A blob is none that was ever written.
    #[error("row {row} of table {table} cannot be read")]
    Blob {
        /// Which table.
        table: &'static str,
        /// Which row, by its key.
        row: i64,
        /// How it differs.
        source: Damage,
    },
    /// A stored value is none that was ever written.
    #[error("a stored value cannot be read")]
    Damaged(#[source] Cause),
}

impl Fault {
    /// Tells whether it is the values' fault, not the store's.
    pub(super) fn is_refusal(&self) -> bool {
        let Self::Sqlite(error) = self else { return false };
        matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
        )
    }

    /// Makes it of damage to a row of a table.
    pub(super) const fn damage(table: &'static str, row: i64) -> impl FnOnce(Damage) -> Self {
        move |source| Self::Blob { table, row, source }
    }

    /// Tells whether the system could not bring to the disk what it had taken.
    pub(super) fn is_failed_sync(&self) -> bool {
        let (Self::Sqlite(error) | Self::Commit(error)) = self else { return false };
        let code = error.sqlite_error().map(|error| error.extended_code);
        matches!(code, Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC))
    }

    /// Makes of it what a caller that changes nothing may see: there is no commit to be unknown.
    pub(super) fn of_read(self) -> StoreError {
        match self.into() {
            StoreError::OutcomeUnknown(cause) => StoreError::Unavailable(cause),
            error => error,
        }
    }
}

/// Sorts a failed COMMIT.
///
/// A full disk or a lock shows before the commit record is complete, so the rollback is certain. An I/O error may come
/// from the sync after the record was written: recovery after a crash would find it, so only the key can tell.
pub(super) fn commit_fault(error: rusqlite::Error) -> Fault {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Fault::Sqlite(error)
        }
        _ => Fault::Commit(error),
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Full => Self::Overloaded,
            Fault::Lost | Fault::Commit(_) | Fault::Doubtful => Self::OutcomeUnknown(fault.into()),
            Fault::Damaged(_) | Fault::Blob { .. } => Self::Corrupt(fault.into()),
            Fault::Visitor => Self::Refused(fault.into()),
            Fault::Sqlite(_) if fault.is_refusal() => Self::Refused(fault.into()),
            Fault::Sqlite(ref error) if is_damage(error) => Self::Corrupt(fault.into()),
            Fault::Closed | Fault::Busy | Fault::Sqlite(_) | Fault::File(_) | Fault::Unsynced => {
                Self::Unavailable(fault.into())
            }
        }
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as E;
    match error {
        E::FromSqlConversionFailure(..)
        | E::IntegralValueOutOfRange(..)
        | E::InvalidColumnType(..)
        | E::Utf8Error(..) => true,
        _ => matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        ),
    }
}

macro_rules! damage {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                Self::Damaged(error.into())
            }
        }
    )+};
}

// Values are checked on their way in, so a failure to read one back is damage.
damage!(
    chrono_domain::DecimalError,
    chrono_domain::NameError,
    chrono_domain::SumError,
    chrono_domain::TickError,
    chrono_domain::TimestampError,
    crate::AccountIdError,
    crate::IdempotencyKeyError,
    serde_json::Error,
    std::num::TryFromIntError,
);

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn a_full_disk_is_unavailable_before_and_at_the_commit() {
        for fault in
            [Fault::from(failure(ffi::SQLITE_FULL)), commit_fault(failure(ffi::SQLITE_FULL))]
        {
            assert!(matches!(StoreError::from(fault), StoreError::Unavailable(_)));
        }
    }

    #[test]
    fn an_io_error_is_unavailable_before_the_commit_and_unknown_at_it() {
        let fault = Fault::from(failure(ffi::SQLITE_IOERR_WRITE));
        assert!(matches!(StoreError::from(fault), StoreError::Unavailable(_)));
        let fault = commit_fault(failure(ffi::SQLITE_IOERR_FSYNC));
        assert!(matches!(StoreError::from(fault), StoreError::OutcomeUnknown(_)));
    }

    #[test]
    fn a_reader_never_hears_of_an_unknown_outcome() {
        assert!(matches!(Fault::Lost.of_read(), StoreError::Unavailable(_)));
        assert!(matches!(Fault::Full.of_read(), StoreError::Overloaded));
    }

    #[test]
    fn damage_and_refusals_are_told_apart() {
        let of = |code| StoreError::from(Fault::from(failure(code)));
        assert!(matches!(of(ffi::SQLITE_CORRUPT), StoreError::Corrupt(_)));
        assert!(matches!(of(ffi::SQLITE_NOTADB), StoreError::Corrupt(_)));
        assert!(matches!(of(ffi::SQLITE_CONSTRAINT_CHECK), StoreError::Refused(_)));
        assert!(matches!(of(ffi::SQLITE_BUSY), StoreError::Unavailable(_)));
    }
}
