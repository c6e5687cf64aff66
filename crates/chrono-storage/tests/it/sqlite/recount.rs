//! Recounting beside busy symbols: it takes a bounded amount of memory and of time, and comes to every minute.

use std::fs;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono_domain::Timestamp;
use chrono_storage::sqlite::{CycleSettings, Settings, SqliteStore};
use chrono_storage::{CandleStore, Progress, TickStore};
use chrono_testkit::resident_kib;
use rusqlite::Connection;

use super::append::{batch, tick};
use super::running::{Running, fresh_file, run_to_its_end, tiny};

const HOUR: i64 = 3_600_000_000;
/// Ticks of an hour of one symbol, evenly spread.
const BUSY: i64 = 150_000;
/// What recounting them may take: the pages that it has at hand, and the page cache of the lane.
const TAKEN_KIB: u64 = 24 << 10;
/// The file that tells the process to recount.
const PLAN: &str = "recount";

async fn fill(store: &SqliteStore, ticks: i64) {
    let all: Vec<i64> = (0..ticks).collect();
    for part in all.chunks(5_000) {
        let part = part.iter().map(|nth| tick("A/B", "s", nth * HOUR / ticks, "1", None));
        store.append(vec![batch("w", None, part.collect())]).await.unwrap();
    }
    while store.materialise(Timestamp::MAX).await.unwrap() != Progress::Idle {}
}

#[test]
fn the_process_that_recounts() {
    if !fs::exists(PLAN).unwrap() {
        return;
    }
    let running = Running::with(Settings::new(Path::new("chrono.db")));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(running.store.stats()).unwrap();
    let before = resident_kib(process::id()).unwrap();
    let is_done = AtomicBool::new(false);
    let most = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !is_done.load(Ordering::SeqCst) {
                most = resident_kib(process::id()).unwrap().max(most);
            }
            most
        });
        let recount = runtime.block_on(running.store.recount(0));
        is_done.store(true, Ordering::SeqCst);
        let recount = recount.unwrap();
        assert!(recount.mismatches == 0 && recount.checked > 0, "{recount:?}");
        watch.join().unwrap()
    });
    let taken = most.saturating_sub(before);
    println!("{taken} KiB taken");
    assert!(taken <= TAKEN_KIB, "{taken} KiB taken");
}

#[tokio::test]
async fn recounting_a_busy_hour_takes_little_memory() {
    let (dir, path) = fresh_file();
    {
        let default = Settings::new(&path);
        let cycle = CycleSettings { ticks: 1, slice: 256, ..default.cycle };
        let running = Running::with(Settings { cycle, ..default });
        fill(&running.store, BUSY).await;
    }
    fs::write(dir.path().join(PLAN), "").unwrap();
    let ended = run_to_its_end(dir.path(), "sqlite::recount::the_process_that_recounts");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
async fn an_hour_of_many_pages_is_recounted_part_by_part() {
    let (_dir, path) = fresh_file();
    let running = Running::with(tiny(&path));
    // Twenty a minute, three a page.
    fill(&running.store, 1_200).await;
    let store = &running.store;
    let mut checked = Vec::new();
    for turn in 0..60 {
        let recount = store.recount(turn).await.unwrap();
        assert_eq!(recount.mismatches, 0);
        checked.push(recount.checked);
    }
    // Each of the source and of all: an hour, a day, and first the 38 minutes that fit into 256 pages, last the last one.
    assert_eq!((checked[0], checked[59]), (4 + 2 * 38, 4 + 2));
    // The candles of the last minute have ticks that are not there.
    let shell = Connection::open(&path).unwrap();
    let lost = "DELETE FROM pages WHERE id = (SELECT id FROM pages WHERE family = 1 ORDER BY start DESC LIMIT 1)";
    assert_eq!(shell.execute(lost, []).unwrap(), 1);
    let mut found = 0;
    for turn in 0..60 {
        found += store.recount(turn).await.unwrap().mismatches;
    }
    assert!(found > 0);
    assert_eq!(store.recount(0).await.unwrap().mismatches, 0, "all of the hour was folded");
}
