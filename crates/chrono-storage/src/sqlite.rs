//! The embedded store: one SQLite file, one thread that writes, some that read.
//!
//! A plain row per tick, clustered by (symbol, timestamp, arrival), and candles behind a watermark per symbol. The
//! file is in WAL mode with `synchronous = FULL`: a commit that was answered is on the disk, and readers never wait
//! for the writer. Opening gives the store and its [`Lanes`]; somebody must run each on a thread of its own.
//!
//! ```
//! # use chrono_storage::{TickStore, sqlite::{Settings, SqliteStore}};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let clock = chrono_domain::SystemClock::new();
//! let (store, lanes) = SqliteStore::open(Settings::new(dir.path().join("chrono.db")), &clock)?;
//! std::thread::scope(|scope| {
//!     scope.spawn(|| lanes.writer.run());
//!     lanes.readers.iter().for_each(|lane| drop(scope.spawn(|| lane.run())));
//!     let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//!     let stats = runtime.block_on(store.stats())?;
//!     store.close();
//!     assert_eq!(stats.ticks, 0);
//!     Ok(())
//! })
//! # }
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use chrono_domain::{Clock, StoredTick, Symbol, Timestamp};
use rusqlite::{Connection, Transaction};

use crate::{
    Appended, Bucket, CandleRange, CandleStore, Delegation, DelegationOutcome, DelegationRange,
    DelegationStore, KeyStore, Names, NewBatch, Progress, Recount, Snapshot, SnapshotStore,
    StoreError, StoreStats, StoredDelegation, StoredKey, TickRange, TickStore,
};

mod append;
mod candles;
mod codec;
mod connection;
mod delegations;
mod fault;
#[doc(hidden)]
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
#[cfg(feature = "gauge")]
pub mod gauge;
mod keys;
mod lane;
mod materialise;
mod memory;
mod migrate;
mod newest;
mod open;
#[cfg_attr(not(test), expect(dead_code, reason = "the row layout gives way to it next"))]
mod packed;
mod recount;
mod rows;
mod snapshots;
mod ticks;

#[cfg(test)]
mod tests;

use connection::{Reader, Writer};
use fault::Fault;
use lane::Calls;
use open::StoreFile;

pub use lane::{ReaderLane, WriterLane};
pub use migrate::Schema;
#[cfg(feature = "failpoints")]
pub use open::Synchronous;
pub use open::{Access, OpenError, Settings, check};

#[cfg(feature = "failpoints")]
use crate::failpoint::hit;

/// Marks a place where a test build may end the process.
#[cfg(not(feature = "failpoints"))]
const fn hit(_place: &str) {}

/// A store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Calls<Writer>,
    reader: Calls<Reader>,
    wal: PathBuf,
}

/// The loops that do a store's work, one thread each.
#[derive(Debug)]
pub struct Lanes {
    /// The one that writes.
    pub writer: WriterLane,
    /// Those that read; which of them serves a call is open.
    pub readers: Vec<ReaderLane>,
}

impl SqliteStore {
    /// Opens or creates a store and brings its schema up to date.
    ///
    /// Calls wait until the lanes run.
    ///
    /// # Errors
    /// [`OpenError`], which says what to do.
    pub fn open(settings: Settings, clock: &dyn Clock) -> Result<(Self, Lanes), OpenError> {
        let (writer, write_jobs) = lane::queue(settings.writes_waiting_max);
        let (reader, read_jobs) = lane::queue(settings.reads_waiting_max);
        let file = Arc::new(StoreFile::open(settings, clock)?);
        let store = Self { writer, reader, wal: file.beside("-wal") };
        let reader_lane = || ReaderLane { jobs: read_jobs.clone(), file: Arc::clone(&file) };
        let readers =
            std::iter::repeat_with(reader_lane).take(file.settings.readers.get()).collect();
        Ok((store, Lanes { writer: WriterLane { jobs: write_jobs, file }, readers }))
    }

    /// Takes no more calls; the lanes finish what waits and return.
    pub fn close(&self) {
        self.writer.close();
        self.reader.close();
    }

    /// Writes in one transaction.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        self.writer.call(|writer| writer.transact(|transaction, _memory| work(transaction))).await
    }

    /// Reads one moment of the store.
    ///
    /// # Cancel safety
    /// Work whose caller has gone is stopped soon, so that it does not hold up those who wait for the reader.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        // It lives for as long as this future does.
        let caller = Arc::new(());
        let wanted_by = Arc::downgrade(&caller);
        let read = |reader: &mut Reader| work(&reader.snapshot(wanted_by)?);
        self.reader.call(read).await.map_err(Fault::of_read)
    }
}

#[async_trait::async_trait]
impl TickStore for SqliteStore {
    async fn append(
        &self,
        batches: Vec<Arc<NewBatch>>,
    ) -> Result<Vec<Result<Appended, StoreError>>, StoreError> {
        Ok(self.writer.call(move |writer| append::append(writer, &batches)).await?)
    }

    async fn ticks(&self, range: &TickRange) -> Result<Vec<StoredTick>, StoreError> {
        let range = range.clone();
        self.read(move |snapshot| ticks::page(snapshot, &range)).await
    }

    async fn newest(&self) -> Result<Vec<StoredTick>, StoreError> {
        self.read(|snapshot| newest::newest(snapshot)).await
    }

    async fn names(&self) -> Result<Names, StoreError> {
        self.read(|snapshot| ticks::names(snapshot)).await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        let wal = self.wal.clone();
        self.read(move |snapshot| ticks::stats(snapshot, &wal)).await
    }

    async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        let forget = move |transaction: &Connection| append::forget_keys(transaction, before);
        self.write(forget).await.map_err(Fault::of_read)
    }
}

#[async_trait::async_trait]
impl CandleStore for SqliteStore {
    async fn candles(&self, range: &CandleRange) -> Result<Vec<Bucket>, StoreError> {
        let range = range.clone();
        self.read(move |snapshot| candles::page(snapshot, &range)).await
    }

    async fn materialise(&self, up_to: Timestamp) -> Result<Progress, StoreError> {
        let step = move |writer: &mut Writer| materialise::step(writer, up_to);
        self.writer.call(step).await.map_err(Fault::of_read)
    }

    async fn recount(&self, turn: u64) -> Result<Recount, StoreError> {
        self.read(move |snapshot| recount::recount(snapshot, turn)).await
    }
}

#[async_trait::async_trait]
impl SnapshotStore for SqliteStore {
    async fn put_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<u64, StoreError> {
        Ok(self.write(move |transaction| snapshots::put(transaction, snapshots)).await?)
    }

    async fn snapshot(
        &self,
        symbol: Symbol,
        at: Timestamp,
    ) -> Result<Option<Snapshot>, StoreError> {
        self.read(move |snapshot| snapshots::newest(snapshot, symbol, at)).await
    }

    async fn snapshot_times(
        &self,
        symbol: Symbol,
        from: Timestamp,
        to: Timestamp,
        limit: usize,
    ) -> Result<Vec<Timestamp>, StoreError> {
        self.read(move |snapshot| snapshots::times(snapshot, symbol, (from, to), limit)).await
    }
}

#[async_trait::async_trait]
impl DelegationStore for SqliteStore {
    async fn append_delegations(
        &self,
        delegations: Vec<Delegation>,
    ) -> Result<Vec<DelegationOutcome>, StoreError> {
        Ok(self.write(move |transaction| delegations::append(transaction, &delegations)).await?)
    }

    async fn delegations(
        &self,
        range: &DelegationRange,
    ) -> Result<Vec<StoredDelegation>, StoreError> {
        let range = range.clone();
        self.read(move |snapshot| delegations::page(snapshot, &range)).await
    }
}

#[async_trait::async_trait]
impl KeyStore for SqliteStore {
    async fn put_key(&self, key: StoredKey) -> Result<(), StoreError> {
        Ok(self.write(move |transaction| keys::put(transaction, &key)).await?)
    }

    async fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        self.read(|snapshot| keys::all(snapshot)).await
    }

    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<bool, StoreError> {
        let id = id.to_owned();
        Ok(self.write(move |transaction| keys::revoke(transaction, &id, at)).await?)
    }
}
