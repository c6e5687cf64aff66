//! Connections as the lanes hold them.

use std::ffi::c_int;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::watch;

use super::fault::{Fault, commit_fault};
use super::generation::Generation;
use super::memory::Memory;
use super::names::Names;
use super::open::{Access, StoreFile, synchronous};
use super::packed::log::LoggedCommit;
use super::replay;
use super::view::View;
#[cfg(feature = "failpoints")]
use crate::failpoint::forgives_syncs;

/// Steps of SQLite's machine between two looks at whether a read is still wanted: well under a millisecond.
const STEPS_UNASKED: c_int = 1_000;
/// Pages of the log file that start a checkpoint. Too few, and a page is written twice for nothing; too many, and it
/// takes long and the log file is large.
const WAL_PAGES_MAX: i32 = 1_000;
/// Pages of the log file at which every commit tries to have it begun anew: nobody steps cycles, or somebody always reads.
const WAL_PAGES_LONG: i32 = 8_000;

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

/// A commit that is on the disk: its number, and what it says.
pub(super) type FreshCommit = (u64, LoggedCommit);

/// A connection that reads.
#[derive(Debug)]
pub(super) struct Reader {
    connection: Connection,
    file: Arc<StoreFile>,
}

/// How long the log file is, and how much of it lies in the database already, in pages.
#[derive(Debug, Default)]
pub(super) struct WalLength(Mutex<Length>);

#[derive(Debug, Default)]
struct Length {
    pages: i32,
    /// The file is begun anew once this is all of it, and nobody reads it.
    brought: i32,
    /// How often it was begun anew.
    restarts: u64,
}

impl WalLength {
    /// Tells whether enough of it has still to be brought over.
    pub(super) fn is_due(&self) -> bool {
        let length = self.length();
        length.pages - length.brought >= WAL_PAGES_MAX
    }

    fn is_long(&self) -> bool {
        self.length().pages >= WAL_PAGES_LONG
    }

    /// Takes what a commit made it.
    fn note(&self, pages: i32) {
        let mut length = self.length();
        if pages < length.pages {
            *length = Length { restarts: length.restarts + 1, ..Length::default() };
        }
        length.pages = pages;
    }

    /// Brings over what nobody reads any more.
    fn bring_over(&self, connection: &Connection) -> rusqlite::Result<()> {
        let Length { pages, restarts, .. } = *self.length();
        let done = connection.query_one(CHECKPOINT, [], |row| row.get(2));
        let mut length = self.length();
        if length.restarts == restarts {
            // After a failure it is tried again when there is as much once more.
            length.brought = *done.as_ref().unwrap_or(&pages);
        }
        done.map(drop)
    }

    fn length(&self) -> MutexGuard<'_, Length> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what is written still reaches the disk.
#[derive(Debug, Default)]
pub(super) struct Health {
    unsynced: watch::Sender<bool>,
}

/// Tells whether a test build is to go on after a sync that failed.
#[cfg(not(feature = "failpoints"))]
const fn forgives_syncs() -> bool {
    false
}

impl Health {
    /// Fails once a sync has failed: the system may have dropped what it could not write, and a later sync says
    /// nothing of it. Only a new process, which reads what is there, can go on.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if *self.unsynced.borrow() { Err(Fault::Unsynced) } else { Ok(()) }
    }

    /// Waits until a sync has failed.
    pub(super) async fn failed(&self) {
        // It fails only once the sender is gone, which is borrowed here.
        drop(self.unsynced.subscribe().wait_for(|unsynced| *unsynced).await);
    }

    /// Takes notice of a failed sync, and passes every fault on.
    pub(super) fn note(&self, fault: Fault) -> Fault {
        let counts = fault.is_failed_sync() && !forgives_syncs();
        if counts && !self.unsynced.send_replace(true) {
            tracing::error!(
                error = &fault as &dyn std::error::Error,
                "the disk failed to sync; this process writes nothing any more"
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
            // A checkpoint beside it may have been told of a page of this commit that the system could not write.
            self.health.check().map_err(|_unsynced| Fault::Doubtful)?;
            Ok(answer)
        };
        transact().map_err(|fault| self.health.note(fault))
    }

    /// As [`Writer::transact`], but answers before the sync: for what the log has as well, or what can be done again.
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
    pub(super) fn rest(&mut self) {
        if let Some((number, commit)) = self.fresh.take() {
            self.memory.fold(number, commit);
        }
        if self.wal.is_long() {
            self.bring_over();
        }
    }

    /// Brings the log file over into the database, so that the next commit begins it anew unless somebody reads it.
    pub(super) fn bring_over(&self) {
        bring_over(&self.wal, &self.health, &self.connection);
    }
}

/// Whatever fails, the log file has it all; only a failed sync is more than a nuisance, and is noted.
fn bring_over(wal: &WalLength, health: &Health, connection: &Connection) {
    if let Err(error) = wal.bring_over(connection) {
        tracing::warn!(%error, "the log file cannot be brought over into the database");
        health.note(Fault::Sqlite(error));
    }
}

impl Reader {
    pub(super) fn open(file: &Arc<StoreFile>) -> Result<Self, Fault> {
        Ok(Self { connection: file.connect_reader()?, file: Arc::clone(file) })
    }

    /// Brings what there is of the log file over into the database while commits go on and make it longer.
    pub(super) fn bring_over(&self) -> Result<(), Fault> {
        self.file.health.check()?;
        bring_over(&self.file.wal, &self.file.health, &self.file.connect_writer()?);
        Ok(())
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
    use chrono_domain::{ManualClock, Timestamp};
    use rusqlite::ffi;

    use super::super::open::Settings;
    use super::*;
    use crate::StoreError;

    #[test]
    fn commits_are_synced_again_after_one_that_was_not() {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Timestamp::MIN);
        let file = StoreFile::open(Settings::new(dir.path().join("chrono.db")), &clock).unwrap();
        let mut writer = Writer::open(&file).unwrap();
        let synchronous = |connection: &Connection| {
            Ok(connection.query_one("PRAGMA synchronous", [], |row| row.get::<_, i64>(0))?)
        };
        let (normal, full) = (1, 2);
        let within = writer.transact_unsynced(|connection, _, _| synchronous(connection));
        assert_eq!(within.unwrap(), normal);
        assert_eq!(writer.transact(|connection, _, _| synchronous(connection)).unwrap(), full);
    }

    #[test]
    fn the_log_file_is_due_again_once_it_was_begun_anew_or_brought_over() {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Timestamp::MIN);
        let file = StoreFile::open(Settings::new(dir.path().join("chrono.db")), &clock).unwrap();
        let file = Arc::new(file);
        let writer = Writer::open(&file).unwrap();
        let reader = Reader::open(&file).unwrap();
        let grow = || {
            while !file.wal.is_due() {
                let blob =
                    "CREATE TABLE IF NOT EXISTS t (b); INSERT INTO t VALUES (zeroblob(400000))";
                writer.connection.execute_batch(blob).unwrap();
            }
        };
        grow();
        // A reader pins what comes after its moment: that much stays, and is asked for again.
        let pinned = reader.snapshot().unwrap();
        pinned.query_one("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap();
        grow();
        writer.connection.execute_batch("INSERT INTO t VALUES (zeroblob(8000000))").unwrap();
        reader.bring_over().unwrap();
        assert!(file.wal.is_due());
        drop(pinned);
        reader.bring_over().unwrap();
        writer.bring_over();
        assert!(!file.wal.is_due());
        writer.connection.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        let length = file.wal.length();
        assert!(length.pages < WAL_PAGES_MAX && length.restarts > 0, "{length:?}");
    }

    fn failure(code: c_int) -> Fault {
        commit_fault(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
    }

    #[test]
    fn a_commit_beside_a_sync_that_fails_is_in_doubt() {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Timestamp::MIN);
        let file = StoreFile::open(Settings::new(dir.path().join("chrono.db")), &clock).unwrap();
        let mut writer = Writer::open(&file).unwrap();
        let beside = |_: &Connection, _: &mut Names, _: &Memory| {
            file.health.note(failure(ffi::SQLITE_IOERR_FSYNC));
            Ok(())
        };
        let fault = writer.transact(beside).unwrap_err();
        assert!(matches!(fault, Fault::Doubtful));
        assert!(matches!(StoreError::from(fault), StoreError::OutcomeUnknown(_)));
        let refused = writer.transact(|_, _, _| Ok(())).unwrap_err();
        assert!(matches!(StoreError::from(refused), StoreError::Unavailable(_)));
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
