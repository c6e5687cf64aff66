//! A store on a file with its lanes on threads, and ticks in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use bytes::Bytes;
use chrono_domain::{
    Metadata, Price, Source, Symbol, SystemClock, Tick, Timestamp, Volume, WorkerId,
};
use chrono_sql::{Archive, Format, ReadError};
use chrono_storage::sqlite::{CycleSettings, Settings, SqliteStore};
use chrono_storage::{CandleStore, NewBatch, Progress, TickStore};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// 2025-10-09T12:34:56.789Z.
pub(crate) const NOW: i64 = 1_760_013_296_789_000;

pub(crate) struct Server {
    pub(crate) store: Arc<SqliteStore>,
    threads: Vec<JoinHandle<()>>,
    runtime: Runtime,
    dir: TempDir,
}

impl Server {
    /// Opens a new store, whose cycles begin with the first tick and whose pages are soon full.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let default = Settings::new(dir.path().join("chrono.db"));
        let cycle = CycleSettings { ticks: 1, page_rows: 3, slice: 4, cleared: 8, ..default.cycle };
        let settings = Settings { cycle, ..default };
        let (store, lanes) = SqliteStore::open(settings, &SystemClock::new()).unwrap();
        let mut threads = vec![Builder::new().spawn(move || lanes.writer.run()).unwrap()];
        let serve =
            |lane: chrono_storage::sqlite::ReaderLane| Builder::new().spawn(move || lane.run());
        threads.extend(
            lanes.readers.into_iter().chain([lanes.upkeep]).map(|lane| serve(lane).unwrap()),
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { store: Arc::new(store), threads, runtime, dir }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("chrono.db")
    }

    pub(crate) fn append(&self, ticks: Vec<Tick>) {
        let outcomes = self.runtime.block_on(self.store.append(vec![batch(ticks)])).unwrap();
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }

    /// Brings all ticks so far into pages.
    pub(crate) fn seal(&self) {
        let now = Timestamp::MAX;
        while self.runtime.block_on(self.store.materialise(now)).unwrap() != Progress::Idle {}
    }

    pub(crate) fn archive(&self) -> Archive {
        open(&self.path()).unwrap()
    }

    pub(crate) fn query(&self, sql: &str) -> Result<String, ReadError> {
        let mut out = Vec::new();
        self.archive().query(sql, Format::Csv, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    /// Gives the rows of a statement with one column, without its name.
    pub(crate) fn column(&self, sql: &str) -> Vec<String> {
        self.query(sql).unwrap().lines().skip(1).map(str::to_owned).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.store.close();
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

pub(crate) fn open(path: &Path) -> Result<Archive, ReadError> {
    Archive::open(path, &SystemClock::new())
}

pub(crate) fn batch(ticks: Vec<Tick>) -> Arc<NewBatch> {
    Arc::new(NewBatch {
        worker: WorkerId::try_new("w-1").unwrap(),
        idempotency: None,
        ticks,
        receipt: Bytes::from_static(b"receipt"),
        received_at: Timestamp::from_micros(NOW).unwrap(),
    })
}

pub(crate) fn tick(symbol: &str, source: &str, at: i64, price: &str) -> Tick {
    let metadata =
        (at % 2 == 0).then(|| Metadata::from_canonical(format!(r#"{{"at":{at},"q":"a\"b"}}"#)));
    let volume = (at % 3 == 0).then(|| Volume::try_new("0.10").unwrap());
    Tick::try_new(
        Symbol::try_new(symbol).unwrap(),
        Source::try_new(source).unwrap(),
        Price::try_new(price).unwrap(),
        volume,
        Timestamp::from_micros(at).unwrap(),
    )
    .unwrap()
    .with_metadata(metadata)
}
