//! The file: settings, who may own it, and how connections to it are made.

use std::fs::{File, TryLockError};
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono_domain::Clock;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, MAIN_DB, OpenFlags};

use super::connection::{Health, WalLength};
use super::fault::Fault;
use super::memory::Memory;
use super::migrate::{self, Schema};
use super::{cycle, replay};
use crate::StoreError;

/// Most bytes of log file that a checkpoint leaves lying around.
const WAL_BYTES_KEPT: i64 = 64 << 20;
/// Page cache of a connection, in KiB; negative because that is how SQLite tells KiB from pages.
const CACHE_KIB: i64 = -16_384;
/// Prepared statements kept by a connection; more than there are.
const STATEMENTS_KEPT: usize = 64;

/// How long a stop waits for a tool that reads.
const SETTLE_BUSY: Duration = Duration::from_millis(500);

/// Brings all of the log file over into the database, syncs that, and empties the log file.
const BRING_OVER: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
/// As much of that as goes without waiting for anybody.
pub(super) const BRING_SOME_OVER: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// What the opener is going to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Own the file: no second server is let in.
    Server,
    /// Visit the file, beside a server if there is one.
    Tool,
}

/// How far a commit must have come before it is acknowledged; anything but `Full` is a control that must fail.
#[cfg(feature = "failpoints")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronous {
    /// On the disk.
    Full,
    /// With the operating system.
    Off,
}

/// When and how what is in memory is sealed into pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CycleSettings {
    /// Ticks in memory that start a cycle. Too few, and pages are written again and again; too many, and memory and
    /// the replay at the start grow.
    pub ticks: u64,
    /// Bytes held in memory that start a cycle, however few ticks they are; as `ticks`.
    pub bytes: u64,
    /// Age of the oldest commit in memory that starts a cycle; as `ticks`, for a store that takes in little.
    pub age: Duration,
    /// Most ticks of a page, up to 4,096. Too few, and keys and heads cost; too many, and a late tick rewrites much.
    pub page_rows: usize,
    /// Pages that one step writes. Too few, and a step is mostly its transaction; too many, and commits wait for it.
    pub slice: usize,
    /// Rows that one step of clearing looks at; as `slice`.
    pub cleared: usize,
}

/// How much may be in memory before appends wait until cycles have caught up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Ticks: a start reads as many from the log, which takes it a second for each million.
    pub ticks: u64,
    /// Bytes, of ticks with their metadata, candles and idempotency keys: some 100 a tick, and some 600 where each is
    /// alone in its hour. The log of them is shorter.
    pub bytes: u64,
    /// How long an append waits before it is refused. Too short, and bursts are refused; too long, and whoever waits for
    /// the append gives up before it and cannot know what became of it.
    pub patience: Duration,
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The database file; its directory must exist. Beside it lie `-wal`, `-shm` and `.lock` files.
    pub path: PathBuf,
    /// Whether to own the file or to visit it.
    pub access: Access,
    /// Threads that read. Too few, and long reads hold up short ones; too many, and each costs a page cache of 16 MiB.
    pub readers: NonZeroUsize,
    /// Writes that may wait. Too few, and bursts are refused; too many, and they wait longer than anyone listens.
    pub writes_waiting_max: usize,
    /// Reads that may wait; as `writes_waiting_max`.
    pub reads_waiting_max: usize,
    /// How long to wait for a tool's write. Too short, and writes fail beside tools; too long, and they hang.
    pub busy_timeout: Duration,
    /// When memory is sealed into pages.
    pub cycle: CycleSettings,
    /// How much memory may hold.
    pub memory: MemoryLimits,
    /// How far a commit must have come.
    #[cfg(feature = "failpoints")]
    pub synchronous: Synchronous,
}

impl Settings {
    /// Takes the defaults for a file: a server with two readers.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            access: Access::Server,
            readers: NonZeroUsize::MIN.saturating_add(1),
            writes_waiting_max: 64,
            reads_waiting_max: 1_024,
            busy_timeout: Duration::from_secs(5),
            cycle: CycleSettings {
                ticks: 250_000,
                bytes: 96 << 20,
                age: Duration::from_hours(1),
                page_rows: 1_024,
                slice: 16,
                cleared: 64,
            },
            memory: MemoryLimits {
                ticks: 1_000_000,
                bytes: 256 << 20,
                patience: Duration::from_millis(1_500),
            },
            #[cfg(feature = "failpoints")]
            synchronous: Synchronous::Full,
        }
    }
}

/// Says why a store could not be opened, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another server owns the file.
    #[error("another server is using {0}; stop it, or give this one a directory of its own")]
    InUse(PathBuf),
    /// A database, but not one of Chrono's.
    #[error("{0} holds tables that are not Chrono's; give Chrono a file of its own")]
    Foreign(PathBuf),
    /// Migrated by a newer program.
    #[error(
        "the schema has version {found}, this program knows {known}; start the newer program, or restore a backup"
    )]
    Newer {
        /// The version in the file.
        found: u32,
        /// The newest version that this program brings.
        known: u32,
    },
    /// A migration was edited after it was applied.
    #[error(
        "migration {version} ({name}) is not the one that was applied; start the program that applied it"
    )]
    Changed {
        /// The number of the migration.
        version: u32,
        /// Its name.
        name: String,
    },
    /// The file system does not let readers and the writer work side by side.
    #[error("the journal stays in mode {0} instead of wal; put the file on a local disk")]
    Journal(String),
    /// The file lets itself be read and not written.
    #[error("{0} may not be written; give it back to whoever runs the program")]
    ReadOnly(PathBuf),
    /// A file could not be opened or locked.
    #[error("cannot open {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was committed last cannot be brought to the disk.
    #[error("the log file beside {path} cannot be brought over into it; see to the disk")]
    Log {
        /// Which database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// What the file holds cannot be read, or not be brought into the layout of this program.
    #[error("what {path} holds cannot be read; it is left as it is")]
    Content {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// What the file holds is well, and cannot be worked on: a full disk, for example.
    #[error("{path} cannot be worked on; what was begun is begun again by the next start")]
    Unavailable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// SQLite failed.
    #[error("sqlite failed")]
    Sqlite(#[from] rusqlite::Error),
}

impl OpenError {
    /// Says of a file whether its content is at fault, or the disk.
    pub(super) fn content(path: &Path) -> impl FnOnce(Fault) -> Self {
        let path = path.to_owned();
        move |fault| match fault.into() {
            source @ (StoreError::Corrupt(_) | StoreError::Refused(_)) => {
                Self::Content { path, source }
            }
            source => Self::Unavailable { path, source },
        }
    }
}

/// An opened file: what connections need to know of it, and the lock that keeps other servers out.
#[derive(Debug)]
pub(super) struct StoreFile {
    pub(super) settings: Settings,
    pub(super) memory: Arc<Memory>,
    pub(super) health: Arc<Health>,
    pub(super) wal: Arc<WalLength>,
    /// Held for as long as a handle or a lane lives.
    _lock: Option<Lock>,
}

/// The lock file beside the database, locked; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would not do while a child process is being started: it shares the open file until its exec.
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the store's lock file stays locked");
        }
    }
}

impl StoreFile {
    /// Opens or creates the file and brings its schema up to date.
    pub(super) fn open(settings: Settings, clock: &dyn Clock) -> Result<Self, OpenError> {
        let path = &settings.path;
        let lock = match settings.access {
            Access::Server => Some(own(path)?),
            Access::Tool => None,
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        // What may only be read SQLite opens for that, without a word.
        if settings.access == Access::Server && connection.is_readonly(MAIN_DB)? {
            return Err(OpenError::ReadOnly(path.clone()));
        }
        connection.busy_timeout(settings.busy_timeout)?;
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        if mode != "wal" {
            return Err(OpenError::Journal(mode));
        }
        make_durable(&connection, &settings)?;
        let schema = migrate::inspect(&connection, path)?;
        if settings.access == Access::Server {
            bring_over(&connection, path)?;
        }
        if !schema.pending.is_empty() {
            // A tool must not change the schema under a server that runs.
            let _owned = if lock.is_none() { Some(own(path)?) } else { None };
            migrate::apply(&mut connection, &settings, clock)?;
        }
        let memory = Arc::new(Memory::default());
        if settings.access == Access::Server {
            recover(&mut connection, &memory).map_err(OpenError::content(path))?;
        }
        let (health, wal) = (Arc::default(), Arc::default());
        Ok(Self { settings, memory, health, wal, _lock: lock })
    }

    /// Brings the log file over into the database and takes it away, unless others have the database open.
    ///
    /// Nobody of this process may have it open any more.
    pub(super) fn settle(&self) -> Result<(), Fault> {
        self.health.check()?;
        let connection = self.connect_writer()?;
        match self.settings.access {
            Access::Server => {
                connection.busy_timeout(SETTLE_BUSY)?;
                let is_busy: bool = connection.query_one(BRING_OVER, [], |row| row.get(0))?;
                if is_busy {
                    return Err(Fault::Busy);
                }
            }
            Access::Tool => connection.query_one(BRING_SOME_OVER, [], |_row| Ok(()))?,
        }
        // Now there is nothing left whose failure closing would hide.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        connection.close().map_err(|(_connection, error)| Fault::Sqlite(error))
    }

    /// Gives the path of a file that lies beside the database.
    pub(super) fn beside(&self, ending: &str) -> PathBuf {
        beside(&self.settings.path, ending)
    }

    /// Makes the connection that writes.
    pub(super) fn connect_writer(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = self.connect(flags)?;
        make_durable(&connection, &self.settings)?;
        Ok(connection)
    }

    /// Makes a connection that reads.
    pub(super) fn connect_reader(&self) -> rusqlite::Result<Connection> {
        self.connect(OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
    }

    fn connect(&self, flags: OpenFlags) -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(&self.settings.path, flags)?;
        connection.busy_timeout(self.settings.busy_timeout)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        // Else a statement with a bound limit of a range is compiled anew whenever another value is bound.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        // A memory map of a file that shrinks or fails ends the process with a signal.
        connection.pragma_update(None, "mmap_size", 0)?;
        connection.pragma_update(None, "cache_size", CACHE_KIB)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        Ok(connection)
    }
}

/// Tells how a file's schema stands, without changing anything; a file that does not exist yet has all to come.
///
/// # Errors
/// [`OpenError`], the reasons of [`super::SqliteStore::open`] among them.
pub fn check(path: &Path) -> Result<Schema, OpenError> {
    if !path.exists() {
        return Ok(Schema::none());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Settings::new(path).busy_timeout)?;
    migrate::inspect(&connection, path)
}

/// Brings over what an earlier process left in the log file, before anything is built on it.
///
/// If a sync failed for that process, the log file may be right in memory and not on the disk: this one writes it
/// anew, and says so when that fails as well.
fn bring_over(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let is_busy = connection.query_one(BRING_OVER, [], |row| row.get::<_, bool>(0));
    match is_busy {
        Ok(false) => Ok(()),
        Ok(true) => {
            tracing::warn!(path = %path.display(), "somebody reads the file, so that the log file beside it grows");
            Ok(())
        }
        Err(source) => Err(OpenError::Log { path: path.to_owned(), source }),
    }
}

/// Takes away what a cycle left half done, and reads the commits that no page covers.
fn recover(connection: &mut Connection, memory: &Memory) -> Result<(), Fault> {
    cycle::remove_unpublished(connection)?;
    replay::catch_up(connection, memory)
}

/// Makes the acknowledgement of a commit wait for the disk.
fn make_durable(connection: &Connection, settings: &Settings) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", synchronous(settings))?;
    // At the end of a commit and when the last connection closes, SQLite checkpoints without a word about failures: here
    // that is done by name.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // On macOS a plain fsync stops at the drive's cache.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
    // The only references are dictionary ids that the writer itself gives out.
    connection.pragma_update(None, "foreign_keys", false)
}

#[cfg(feature = "failpoints")]
pub(super) const fn synchronous(settings: &Settings) -> &'static str {
    match settings.synchronous {
        Synchronous::Full => "full",
        Synchronous::Off => "off",
    }
}

#[cfg(not(feature = "failpoints"))]
pub(super) const fn synchronous(_settings: &Settings) -> &'static str {
    "full"
}

/// Takes the lock, or says who has it.
fn own(path: &Path) -> Result<Lock, OpenError> {
    let lock_path = beside(path, ".lock");
    let failed = |source| OpenError::File { path: lock_path.clone(), source };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn a_full_disk_is_no_fault_of_what_the_file_holds() {
        let of = |code| {
            let fault = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            OpenError::content(Path::new("chrono.db"))(fault.into())
        };
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_BUSY] {
            assert!(matches!(of(code), OpenError::Unavailable { .. }), "{code}");
        }
        assert!(matches!(of(ffi::SQLITE_CORRUPT), OpenError::Content { .. }));
    }

    #[test]
    fn no_connection_that_writes_checkpoints_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings::new(dir.path().join("chrono.db"));
        let connection = Connection::open(&settings.path).unwrap();
        let mode = connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()));
        mode.unwrap();
        make_durable(&connection, &settings).unwrap();
        // More than what starts an automatic one, which would empty the log file for the next commit.
        let large = "CREATE TABLE t (b); INSERT INTO t VALUES (zeroblob(8000000))";
        connection.execute_batch(large).unwrap();
        let wal = || std::fs::metadata(beside(&settings.path, "-wal")).unwrap().len();
        let before = wal();
        connection.execute_batch("INSERT INTO t VALUES (zeroblob(400000))").unwrap();
        assert!(wal() > before, "{} bytes of log file, and {before} before", wal());
    }
}
