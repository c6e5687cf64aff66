//! A store on a file, with its lanes on threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{Builder, JoinHandle};

use chrono_domain::SystemClock;
use chrono_storage::sqlite::{Access, CycleSettings, Settings, SqliteStore};
use tempfile::TempDir;

/// A store whose lanes run until it is dropped.
pub(super) struct Running {
    pub(super) store: SqliteStore,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    pub(super) fn open(path: &Path) -> Self {
        Self::with(Settings::new(path))
    }

    /// Opens a store whose cycles begin with the first tick and take many steps.
    pub(super) fn tiny(path: &Path) -> Self {
        Self::with(tiny(path))
    }

    pub(super) fn visit(path: &Path) -> Self {
        Self::with(Settings { access: Access::Tool, ..Settings::new(path) })
    }

    pub(super) fn with(settings: Settings) -> Self {
        let (store, threads) = start(settings);
        Self { store, threads }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.store.close();
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

/// Settings of a store whose cycles begin with the first tick and take many steps over pages that are soon full.
pub(super) fn tiny(path: &Path) -> Settings {
    let default = Settings::new(path);
    let cycle = CycleSettings { ticks: 1, page_rows: 3, slice: 4, cleared: 8, ..default.cycle };
    Settings { cycle, ..default }
}

/// Opens a store and runs its lanes; they end when it is closed or dropped.
pub(super) fn start(settings: Settings) -> (SqliteStore, Vec<JoinHandle<()>>) {
    let (store, lanes) = SqliteStore::open(settings, &SystemClock::new()).unwrap();
    let mut threads = vec![serve(move || lanes.writer.run())];
    threads.extend(
        lanes.readers.into_iter().chain([lanes.upkeep]).map(|lane| serve(move || lane.run())),
    );
    (store, threads)
}

/// Runs a lane as a supervisor does: again after a panic.
fn serve(lane: impl Fn() + Send + 'static) -> JoinHandle<()> {
    let body = move || while catch_unwind(AssertUnwindSafe(&lane)).is_err() {};
    Builder::new().spawn(body).unwrap()
}

/// Gives a directory that goes away with the value, and a file in it.
pub(super) fn fresh_file() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chrono.db");
    (dir, path)
}

/// Copies the file as a crash would leave it: the log not yet brought over, and no shared memory.
///
/// Nothing may be writing.
pub(super) fn crashed_copy(path: &Path) -> (TempDir, PathBuf) {
    let (dir, copy) = fresh_file();
    for ending in ["", "-wal"] {
        let name = |path: &Path| PathBuf::from(format!("{}{ending}", path.display()));
        if name(path).exists() {
            std::fs::copy(name(path), name(&copy)).unwrap();
        }
    }
    (dir, copy)
}

/// Runs one test of this binary as a process of its own in a directory; it must be one that ends there and then.
pub(super) fn run_to_its_end(dir: &Path, test: &str) -> std::process::Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .current_dir(dir)
        .output()
        .unwrap()
}
