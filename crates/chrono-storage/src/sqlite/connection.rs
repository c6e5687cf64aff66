//! Connections as the lanes hold them.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Weak};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::fault::{Fault, commit_fault};
use super::generation::Generation;
use super::memory::Memory;
use super::names::Names;
use super::open::{Access, StoreFile, synchronous};
use super::packed::log::LoggedCommit;
use super::replay;
use super::view::View;

/// Steps of SQLite's machine between two looks at whether a read is still wanted: well under a millisecond.
const STEPS_UNASKED: c_int = 1_000;
/// Pages of the log file that start a checkpoint. Too few, and a page is written twice for nothing; too many, and it
/// takes long and the log file is large.
const WAL_PAGES_MAX: i32 = 1_000;
/// Pages of the log file at which the writer brings all over by itself, and commits wait for it: nobody steps cycles.
const WAL_PAGES_FULL: i32 = 16_000;

const CHECKPOINT: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// The connection that writes, with what it remembers.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) memory: Arc<Memory>,
    pub(super) names: Names,
    /// The last commit, until it is taken into memory.
    pub(super) fresh: Option<FreshCommit>,
    /// How far a commit must have come.
    synchronous: &'static str,
    wal: Arc<WalLength>,
    health: Arc<Health>,
}

/// A commit that is on the disk: its number, what it says, and its bytes in the log.
pub(super) type FreshCommit = (u64, LoggedCommit, usize);

/// A connection that reads.
#[derive(Debug)]
pub(super) struct Reader {
    connection: Connection,
    file: Arc<StoreFile>,
}

/// How long the log file is, in pages.
#[derive(Debug, Default)]
pub(super) struct WalLength {
    pages: AtomicI32,
    /// How much of it lies in the database already; it is begun anew once that is all and nobody reads it.
    brought: AtomicI32,
}

impl WalLength {
    /// Tells whether enough of it has still to be brought over.
    pub(super) fn is_due(&self) -> bool {
        self.waiting() >= WAL_PAGES_MAX
    }

    fn waiting(&self) -> i32 {
        self.pages.load(Ordering::Relaxed) - self.brought.load(Ordering::Relaxed)
    }

    /// Takes what a commit made it.
    fn note(&self, pages: i32) {
        if pages < self.pages.swap(pages, Ordering::Relaxed) {
            self.brought.store(0, Ordering::Relaxed);
        }
    }

    fn bring_over(&self, connection: &Connection) -> rusqlite::Result<()> {
        let pages = self.pages.load(Ordering::Relaxed);
        connection.query_one(CHECKPOINT, [], |_row| Ok(()))?;
        self.brought.store(pages, Ordering::Relaxed);
        Ok(())
    }
}

/// Whether what is written still reaches the disk.
#[derive(Debug, Default)]
pub(super) struct Health {
    unsynced: AtomicBool,
}

impl Health {
    /// Fails once a sync has failed: the system may have dropped what it could not write, and a later sync says
    /// nothing of it. Only a new process, which reads what is there, can go on.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.unsynced.load(Ordering::SeqCst) { Err(Fault::Unsynced) } else { Ok(()) }
    }

    fn note(&self, fault: Fault) -> Fault {
        if fault.is_failed_sync() && !self.unsynced.swap(true, Ordering::SeqCst) {
            tracing::error!(
                error = &fault as &dyn std::error::Error,
                "the disk failed to sync; nothing is written any more until the gateway is started again"
            );
        }
        fault
    }
}

impl Writer {
    /// Opens a connection and brings memory up to date before anything is written.
    pub(super) fn open(file: &StoreFile) -> Result<Self, Fault> {
        file.health.check()?;
        let mut connection = file.connect_writer()?;
        let wal = Arc::clone(&file.wal);
        // In the place of the automatic checkpoint, whose errors nobody sees.
        connection.wal_hook(Some(move |_wal: &mut rusqlite::hooks::Wal, pages: c_int| {
            wal.note(pages);
            Ok(())
        }))?;
        if file.settings.access == Access::Server {
            replay::catch_up(&connection, &file.memory)?;
        }
        let names = Names::load(&connection)?;
        let (memory, health) = (Arc::clone(&file.memory), Arc::clone(&file.health));
        let synchronous = synchronous(&file.settings);
        let wal = Arc::clone(&file.wal);
        Ok(Self { connection, memory, names, fresh: None, synchronous, wal, health })
    }

    /// Writes in one transaction, committed and synced before this answers.
    ///
    /// After an error the lane drops the writer, and with it what was remembered of a transaction that never was.
    pub(super) fn transact<T>(
        &mut self,
        work: impl FnOnce(&Connection, &mut Names, &Memory) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.health.check()?;
        let transact = || {
            let transaction =
                self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let answer = work(&transaction, &mut self.names, &self.memory)?;
            transaction.commit().map_err(commit_fault)?;
            // The system tells of a page that it could not write once, and a checkpoint may have been told.
            self.health.check().map_err(|_unsynced| Fault::Doubtful)?;
            Ok(answer)
        };
        transact().map_err(|fault| self.health.note(fault))
    }

    /// As [`Writer::transact`], but answers before the sync: for what the log has as well.
    ///
    /// The next commit's sync takes it along, and a power cut before that takes it away whole.
    pub(super) fn transact_unsynced<T>(
        &mut self,
        work: impl FnOnce(&Connection, &mut Names, &Memory) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        // Whatever fails between the two, the lane drops the connection.
        self.connection.pragma_update(None, "synchronous", "normal")?;
        let answer = self.transact(work)?;
        self.connection.pragma_update(None, "synchronous", self.synchronous)?;
        Ok(answer)
    }

    /// Does what can wait until the caller has its answer: takes a commit into memory.
    ///
    /// Reads of meanwhile find it in the log.
    pub(super) fn rest(&mut self) -> Result<(), Fault> {
        if let Some((number, commit, log_bytes)) = self.fresh.take() {
            self.memory.fold(number, commit, log_bytes);
        }
        if self.wal.waiting() < WAL_PAGES_FULL { Ok(()) } else { self.bring_over() }
    }

    /// Brings all of the log file over into the database, so that the next commit begins it anew unless somebody reads.
    pub(super) fn bring_over(&self) -> Result<(), Fault> {
        bring_over(&self.wal, &self.health, &self.connection)
    }
}

fn bring_over(wal: &WalLength, health: &Health, connection: &Connection) -> Result<(), Fault> {
    wal.bring_over(connection).map_err(|error| {
        tracing::warn!(%error, "the log file cannot be brought over into the database");
        health.note(Fault::Sqlite(error))
    })
}

impl Reader {
    pub(super) fn open(file: &Arc<StoreFile>) -> Result<Self, Fault> {
        Ok(Self { connection: file.connect_reader()?, file: Arc::clone(file) })
    }

    /// Brings what there is of the log file over into the database while commits go on and make it longer.
    pub(super) fn bring_over(&self) -> Result<(), Fault> {
        self.file.health.check()?;
        bring_over(&self.file.wal, &self.file.health, &self.file.connect_writer()?)
    }

    /// Stops its statements as interrupted once nobody holds what `wanted_by` points to.
    pub(super) fn serve(&mut self, wanted_by: Weak<()>) -> Result<(), Fault> {
        let is_unwanted = move || wanted_by.strong_count() == 0;
        Ok(self.connection.progress_handler(STEPS_UNASKED, Some(is_unwanted))?)
    }

    /// Gives the connection for look-ups of what never changes, and is not to be in one moment with anything.
    pub(super) const fn lookups(&self) -> &Connection {
        &self.connection
    }

    /// Gives one moment of the file, which commits of meanwhile do not change.
    ///
    /// It must be short: the log file grows for as long as it is held.
    pub(super) fn snapshot(&self) -> Result<Transaction<'_>, Fault> {
        Ok(self.connection.unchecked_transaction()?)
    }

    /// Reads one moment of the whole store, with parts of what is in memory.
    pub(super) fn view<P, T>(
        &self,
        part: impl Fn(&Generation) -> P,
        read: impl FnOnce(View<'_, P>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut snapshot = None;
        let view =
            View::take(&self.file.memory, part, || Ok(&**snapshot.insert(self.snapshot()?)))?;
        read(view)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;
    use crate::StoreError;

    fn failure(code: c_int) -> Fault {
        commit_fault(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
    }

    #[test]
    fn after_a_failed_sync_nothing_is_written_and_after_other_failures_it_is() {
        let health = Health::default();
        for code in [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_FULL, ffi::SQLITE_BUSY] {
            health.note(failure(code));
            assert!(health.check().is_ok());
        }
        let fault = health.note(failure(ffi::SQLITE_IOERR_FSYNC));
        assert!(matches!(StoreError::from(fault), StoreError::OutcomeUnknown(_)));
        let refused = health.check().unwrap_err();
        assert!(matches!(StoreError::from(refused), StoreError::Unavailable(_)));
    }
}
