//! The embedded store: one SQLite file, one thread that writes, some that read, and one that reads for cycles.
//!
//! A commit is one row of a log, and what it says is kept in memory too. Cycles seal what is in memory into pages, each
//! a blob with some of a symbol's ticks, or candles, in order; a read joins the pages with memory. The file is in WAL
//! mode with `synchronous = FULL`: a commit that was answered is on the disk, and readers never wait for it. Opening
//! gives the store and its [`Lanes`]; somebody must run each on a thread of its own.
//!
//! ```
//! # use chrono_storage::{TickStore, sqlite::{Settings, SqliteStore}};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let clock = chrono_domain::SystemClock::new();
//! let (store, lanes) = SqliteStore::open(Settings::new(dir.path().join("chrono.db")), &clock)?;
//! std::thread::scope(|scope| {
//!     scope.spawn(|| lanes.writer.run());
//!     lanes.readers.iter().chain([&lanes.upkeep]).for_each(|lane| drop(scope.spawn(|| lane.run())));
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
use std::time::Duration;

use chrono_domain::{Clock, StoredTick, Symbol, Timestamp};
use rusqlite::{Connection, Transaction};
use tokio::time::{sleep, timeout};

use crate::{
    Appended, Bucket, CandleRange, CandleStore, Delegation, DelegationOutcome, DelegationRange,
    DelegationStore, KeyStore, Names, NewBatch, Progress, Recount, Snapshot, SnapshotStore,
    StoreError, StoreStats, StoredDelegation, StoredKey, TickRange, TickStore, WindowRange,
    WindowRead,
};

mod append;
mod candles;
mod carry;
mod codec;
mod connection;
mod counters;
mod cycle;
mod delegations;
mod fault;
#[doc(hidden)]
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
#[cfg(feature = "gauge")]
pub mod gauge;
mod generation;
mod idempotency;
mod keys;
mod lane;
mod leap;
mod levels;
mod memory;
mod migrate;
mod names;
mod newest;
mod open;
mod packed;
mod pages;
mod recount;
mod replay;
mod snapshots;
mod stats;
mod ticks;
mod view;
mod visit;
mod window;

#[cfg(test)]
mod tests;

use connection::{Health, Reader, WalLength, Writer};
use cycle::Cycle;
use fault::Fault;
use lane::{Calls, Jobs};
use memory::Memory;
use open::StoreFile;

#[cfg(feature = "failpoints")]
use crate::failpoint::hit;
pub use lane::{ReaderLane, WriterLane};
pub use migrate::Schema;
#[cfg(feature = "failpoints")]
pub use open::Synchronous;
pub use open::{Access, CycleSettings, MemoryLimits, OpenError, Settings, check};
pub use visit::{Moment, Visit, VisitedTick};

/// Marks a place where a test build may end the process.
#[cfg(not(feature = "failpoints"))]
const fn hit(_place: &str) {}

/// All that memory may hold, in the parts that its fullness is told in.
const FULL: u32 = 1_000;
/// From here on cycles hurry.
const HALF_FULL: u32 = FULL / 2;
/// From here on appends slow down. Too early, and those are put off whom a cycle that hurries makes room for in time; too
/// late, and they have to wait at once.
const NEARLY_FULL: u32 = FULL / 4 * 3;
/// How long an append is put off just before memory is full. Too short, and it fills up; too long, and workers whose
/// ticks there is room for wait.
const SLOWEST_APPEND: Duration = Duration::from_millis(200);

/// A store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Calls<Writer>,
    reader: Calls<Reader>,
    upkeep: Calls<Reader>,
    memory: Arc<Memory>,
    health: Arc<Health>,
    wal: Arc<WalLength>,
    cycle: Cycle,
    settings: Settings,
    wal_path: PathBuf,
}

/// The loops that do a store's work, one thread each.
#[derive(Debug)]
pub struct Lanes {
    /// The one that writes.
    pub writer: WriterLane,
    /// Those that read; which of them serves a call is open.
    pub readers: Vec<ReaderLane>,
    /// The one that reads, packs and frees for cycles. It may run at a lower priority: once appends wait for cycles, they
    /// go to a reader.
    pub upkeep: ReaderLane,
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
        let (upkeep, upkeep_jobs) = lane::queue(0);
        let file = Arc::new(StoreFile::open(settings, clock)?);
        let store = Self {
            writer,
            reader,
            upkeep,
            memory: Arc::clone(&file.memory),
            health: Arc::clone(&file.health),
            wal: Arc::clone(&file.wal),
            cycle: Cycle::new(),
            settings: file.settings.clone(),
            wal_path: file.beside("-wal"),
        };
        let count = file.settings.readers.get();
        let (ended, ends) = crossbeam_channel::bounded(count + 1);
        let lane = |jobs: &Jobs<_>| {
            let (jobs, file) = (jobs.clone(), Arc::clone(&file));
            ReaderLane { jobs, file, ended: ended.clone() }
        };
        let readers = std::iter::repeat_with(|| lane(&read_jobs)).take(count).collect();
        let upkeep = lane(&upkeep_jobs);
        let writer = WriterLane { jobs: write_jobs, file, readers: ends };
        Ok((store, Lanes { writer, readers, upkeep }))
    }

    /// Takes no more calls; the lanes finish what waits and return, the writer last.
    ///
    /// Then the database alone holds everything, as [`WriterLane::run`] says. The empty `.lock` file stays.
    pub fn close(&self) {
        self.writer.close();
        self.reader.close();
        self.upkeep.close();
        self.memory.tell();
    }

    /// Waits until a sync has failed: nothing is written any more, and only a new process, which reads what is there, can
    /// go on.
    pub async fn sync_failed(&self) {
        self.health.failed().await;
    }

    /// Tells whether no sync has failed, that of the end of [`WriterLane::run`] among them.
    pub fn is_synced(&self) -> bool {
        self.health.check().is_ok()
    }

    /// Writes in one transaction.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let write =
            |writer: &mut Writer| writer.transact(|connection, _names, _memory| work(connection));
        self.writer.call(write).await
    }

    /// Reads one moment of the file.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.look(move |reader| work(&reader.snapshot()?)).await
    }

    /// Reads the whole store.
    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (work, _caller) = watched(work);
        self.reader.call(work).await.map_err(Fault::of_read)
    }

    /// Runs a part of a cycle that does not write: where no read waits for it, unless appends wait for the cycle.
    async fn on_upkeep<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let lane = if self.is_behind() { &self.reader } else { &self.upkeep };
        let (work, _caller) = watched(work);
        lane.call_of_cycle(work).await
    }

    /// Refuses what only the owner of the file does: others have no part in its memory.
    fn owned(&self) -> Result<(), Fault> {
        if self.settings.access == Access::Server { Ok(()) } else { Err(Fault::Visitor) }
    }

    /// Slows appends down while cycles are behind, the more the less room is left, so that nobody brings in more than
    /// they can seal; waits when none is left, and refuses after a while.
    async fn have_room(&self) -> Result<(), Fault> {
        let fullness = self.fullness();
        if fullness <= NEARLY_FULL {
            return Ok(());
        }
        let over = fullness.min(FULL) - NEARLY_FULL;
        sleep(SLOWEST_APPEND * over / (FULL - NEARLY_FULL)).await;
        let less = async {
            loop {
                let told = self.memory.less();
                if self.fullness() < FULL || self.writer.is_closed() {
                    break;
                }
                told.await;
            }
        };
        timeout(self.settings.memory.patience, less).await.map_err(|_elapsed| Fault::Full)
    }

    /// Tells whether cycles must hurry, lest appends wait for them.
    fn is_behind(&self) -> bool {
        self.fullness() > HALF_FULL
    }

    /// Tells how much of what memory may hold it does hold, in parts of [`FULL`]; a bit more than half counts as more.
    fn fullness(&self) -> u32 {
        let (load, limits) = (self.memory.load(), self.settings.memory);
        let part = |held: u64, limit: u64| {
            let parts = held.saturating_mul(u64::from(FULL)).div_ceil(limit.max(1));
            u32::try_from(parts).unwrap_or(u32::MAX)
        };
        part(load.ticks, limits.ticks).max(part(load.bytes, limits.bytes))
    }
}

/// Makes work for a lane that reads, which is stopped soon once its caller has dropped what comes with it, so that it
/// does not hold up those who wait for the lane.
fn watched<T>(
    work: impl FnOnce(&Reader) -> Result<T, Fault> + Send + 'static,
) -> (impl FnOnce(&mut Reader) -> Result<T, Fault> + Send + 'static, Arc<()>) {
    let caller = Arc::new(());
    let wanted_by = Arc::downgrade(&caller);
    let look = move |reader: &mut Reader| {
        reader.serve(wanted_by)?;
        work(reader)
    };
    (look, caller)
}

#[async_trait::async_trait]
impl TickStore for SqliteStore {
    async fn append(
        &self,
        batches: Vec<Arc<NewBatch>>,
    ) -> Result<Vec<Result<Appended, StoreError>>, StoreError> {
        self.owned()?;
        self.have_room().await?;
        Ok(self.writer.call(move |writer| append::append(writer, &batches)).await?)
    }

    async fn ticks(&self, range: &TickRange) -> Result<Vec<StoredTick>, StoreError> {
        let range = range.clone();
        self.look(move |reader| ticks::page(reader, &range)).await
    }

    async fn window(&self, range: &WindowRange) -> Result<WindowRead, StoreError> {
        let range = *range;
        self.look(move |reader| window::window(reader, &range)).await
    }

    async fn newest(&self) -> Result<Vec<StoredTick>, StoreError> {
        self.look(newest::newest).await
    }

    async fn names(&self) -> Result<Names, StoreError> {
        self.read(|snapshot| ticks::names(snapshot)).await
    }

    /// A store that writes no more since a sync failed has no figures: readiness asks for them.
    async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.health.check()?;
        let wal = self.wal_path.clone();
        let (stats, _caller) = watched(move |reader: &Reader| stats::stats(reader, &wal));
        self.reader.call_first(stats).await.map_err(Fault::of_read)
    }

    async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.owned()?;
        let forget = move |writer: &mut Writer| idempotency::forget(writer, before);
        self.writer.call(forget).await.map_err(Fault::of_read)
    }
}

#[async_trait::async_trait]
impl CandleStore for SqliteStore {
    async fn candles(&self, range: &CandleRange) -> Result<Vec<Bucket>, StoreError> {
        let range = range.clone();
        self.look(move |reader| candles::page(reader, &range)).await
    }

    /// One step of the cycle; it seals all that is in memory, whatever its time. `up_to` tells only the age of commits.
    async fn materialise(&self, up_to: Timestamp) -> Result<Progress, StoreError> {
        self.owned()?;
        cycle::step(self, self.settings.cycle, up_to).await.map_err(Fault::of_read)
    }

    async fn recount(&self, turn: u64) -> Result<Recount, StoreError> {
        self.look(move |reader| recount::recount(reader, turn)).await
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
    async fn put_keys(&self, keys: Vec<StoredKey>) -> Result<(), StoreError> {
        self.write(move |transaction| keys::put(transaction, &keys)).await?;
        hit("keys_after_commit");
        Ok(())
    }

    async fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        self.read(|snapshot| keys::all(snapshot)).await
    }

    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<bool, StoreError> {
        let id = id.to_owned();
        Ok(self.write(move |transaction| keys::revoke(transaction, &id, at)).await?)
    }
}
