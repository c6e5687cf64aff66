//! Connections as the lanes hold them.

use std::ffi::c_int;
use std::sync::Weak;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::fault::{Fault, commit_fault};
use super::memory::Memory;
use super::open::StoreFile;

/// Steps of SQLite's machine between two looks at whether a read is still wanted: well under a millisecond.
const STEPS_UNASKED: c_int = 1_000;

/// The connection that writes, with what it remembers.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) connection: Connection,
    memory: Option<Memory>,
}

/// A connection that reads.
#[derive(Debug)]
pub(super) struct Reader {
    connection: Connection,
}

impl Writer {
    pub(super) fn open(file: &StoreFile) -> Result<Self, Fault> {
        Ok(Self { connection: file.connect_writer()?, memory: None })
    }

    /// Writes in one transaction, committed and synced before this answers.
    ///
    /// After an error the lane drops the writer, and with it what was remembered of a transaction that never was.
    pub(super) fn transact<T>(
        &mut self,
        work: impl FnOnce(&Connection, &mut Option<Memory>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let answer = work(&transaction, &mut self.memory)?;
        transaction.commit().map_err(commit_fault)?;
        Ok(answer)
    }
}

impl Reader {
    pub(super) fn open(file: &StoreFile) -> Result<Self, Fault> {
        Ok(Self { connection: file.connect_reader()? })
    }

    /// Gives one moment of the store, which commits of meanwhile do not change.
    ///
    /// It must be short: the log file grows for as long as it is held. Once nobody holds what `wanted_by` points to,
    /// its statements fail as interrupted.
    pub(super) fn snapshot(&mut self, wanted_by: Weak<()>) -> Result<Transaction<'_>, Fault> {
        let is_unwanted = move || wanted_by.strong_count() == 0;
        self.connection.progress_handler(STEPS_UNASKED, Some(is_unwanted))?;
        Ok(self.connection.transaction()?)
    }
}
