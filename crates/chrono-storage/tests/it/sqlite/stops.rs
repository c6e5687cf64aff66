//! Stops and starts: after a stop the one file holds everything, and a start makes sure of what a crash left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use chrono_domain::{Metadata, Symbol, SystemClock};
use chrono_storage::sqlite::{OpenError, Settings, SqliteStore};
use chrono_storage::{Detail, TickRange, TickStore};
use rusqlite::Connection;
use tokio::task::{JoinSet, yield_now};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};

use super::append::{NOW, batch, tick};
use super::running::{Running, crashed_copy, fresh_file, start};

/// Reads that wait when the store is closed.
const READS: usize = 16;
/// Commits, and ticks of each.
const COMMITS: i64 = 20;
const TICKS: i64 = 50;
/// Room for a file, in the blocks of `ulimit` (512 bytes or 1 KiB): more than shared memory takes, less than the data.
const FILE_BLOCKS: u32 = 128;
/// Bytes of the data that finds no room.
const LARGE: usize = 600_000;
/// The file that the process without room opens.
const PLAN: &str = "no-room";

fn range() -> TickRange {
    TickRange { limit: usize::MAX, ..TickRange::of(Symbol::try_new("A/B").unwrap()) }
}

async fn fill(store: &SqliteStore) {
    for commit in 0..COMMITS {
        let ticks = (0..TICKS).map(|nth| tick("A/B", "s", NOW + commit * TICKS + nth, "1", None));
        store.append(vec![batch("w", None, ticks.collect())]).await.unwrap();
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", path.display()))
}

/// Copies the one file, and counts the ticks in the copy.
async fn ticks_in_copy(path: &Path) -> usize {
    let (_dir, copy) = fresh_file();
    fs::copy(path, &copy).unwrap();
    Running::open(&copy).store.ticks(&range()).await.unwrap().len()
}

#[tokio::test]
async fn after_a_stop_amid_reads_the_one_file_holds_every_acknowledged_tick() {
    let (_dir, path) = fresh_file();
    let (store, threads) = start(Settings::new(&path));
    let store = Arc::new(store);
    fill(&store).await;
    let mut reads = JoinSet::new();
    for _ in 0..READS {
        let store = Arc::clone(&store);
        reads.spawn(async move { store.ticks(&range()).await.unwrap().len() });
    }
    yield_now().await;
    store.close();
    for thread in threads {
        thread.join().unwrap();
    }
    let all = usize::try_from(COMMITS * TICKS).unwrap();
    assert!(reads.join_all().await.into_iter().all(|read| read == all));
    assert!(!beside(&path, "-wal").exists() && !beside(&path, "-shm").exists());
    assert_eq!(ticks_in_copy(&path).await, all);
}

#[tokio::test]
async fn a_store_that_was_only_read_leaves_nothing_beside_its_file() {
    let (_dir, path) = fresh_file();
    drop(Running::open(&path));
    for running in [Running::open, Running::visit] {
        let running = running(&path);
        assert!(running.store.ticks(&range()).await.unwrap().is_empty());
        drop(running);
        assert!(!beside(&path, "-wal").exists() && !beside(&path, "-shm").exists());
    }
}

/// Counts errors that are logged.
struct Errors(Arc<AtomicUsize>);

impl Subscriber for Errors {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, _event: &Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

#[tokio::test]
async fn a_stop_that_somebody_holds_up_ends_and_says_so_and_loses_nothing() {
    let (_dir, path) = fresh_file();
    let (store, lanes) = SqliteStore::open(Settings::new(&path), &SystemClock::new()).unwrap();
    let errors = Arc::new(AtomicUsize::new(0));
    let counting = Errors(Arc::clone(&errors));
    let writer = thread::Builder::new();
    let run = move || tracing::subscriber::with_default(counting, || lanes.writer.run());
    let writer = writer.spawn(run).unwrap();
    drop((lanes.readers, lanes.upkeep));
    fill(&store).await;
    let shell = Connection::open(&path).unwrap();
    shell.execute_batch("BEGIN; SELECT count(*) FROM log").unwrap();
    store.close();
    writer.join().unwrap();
    drop(store);
    assert_eq!(errors.load(Ordering::SeqCst), 1);
    assert!(beside(&path, "-wal").exists());
    let running = Running::open(&path);
    let all = usize::try_from(COMMITS * TICKS).unwrap();
    assert_eq!(running.store.ticks(&range()).await.unwrap().len(), all);
    drop(shell);
    drop(running);
    assert_eq!(ticks_in_copy(&path).await, all);
}

/// Opens a store whose log file does not fit into its database.
#[test]
fn the_process_without_room() {
    let Ok(path) = fs::read_to_string(PLAN) else { return };
    let opened = SqliteStore::open(Settings::new(path), &SystemClock::new());
    assert!(matches!(opened, Err(OpenError::Log { .. })), "{opened:?}");
}

/// A limit on the size of files stands in for a disk that fails.
#[tokio::test]
async fn a_start_that_cannot_bring_the_log_file_over_says_so_and_keeps_it() {
    let (_dir, path) = fresh_file();
    let running = Running::open(&path);
    let text = "x".repeat(LARGE);
    let metadata = Metadata::from_canonical(format!(r#"{{"n":"{text}"}}"#));
    let large = tick("A/B", "s", NOW, "1", None).with_metadata(Some(metadata));
    running.store.append(vec![batch("w", None, vec![large])]).await.unwrap();
    let (dir, copy) = crashed_copy(&path);
    fs::write(dir.path().join(PLAN), copy.to_str().unwrap()).unwrap();
    let limited = Command::new("sh")
        .args(["-c", &format!("trap '' XFSZ; ulimit -f {FILE_BLOCKS}; exec \"$@\""), "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite::stops::the_process_without_room", "--nocapture"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(limited.status.success(), "{}", String::from_utf8_lossy(&limited.stderr));
    let all = TickRange { detail: Detail::WithMetadata, ..range() };
    let found = Running::open(&copy).store.ticks(&all).await.unwrap();
    assert_eq!(found, running.store.ticks(&all).await.unwrap());
}
