//! What a backfill of hourly closes makes the process take: each of its ticks is alone in its hour, with a candle of its
//! own, the most that a tick can take.
//!
//! The process is this test binary again, running one test in a directory that holds a plan.

use std::fs;
use std::path::Path;

use chrono_domain::Timestamp;
use chrono_storage::sqlite::{CycleSettings, MemoryLimits, Settings, SqliteStore};
use chrono_storage::{CandleStore, Progress, StoreError, TickStore};
use chrono_testkit::resident_kib;
use tokio::task::yield_now;

use super::append::{batch, tick};
use super::running::{Running, fresh_file, run_to_its_end};

const HOUR: i64 = 3_600_000_000;
const SYMBOLS: i64 = 200;
/// Ticks of a commit, and commits of a backfill: twice as many as there is room for.
const TICKS: i64 = 5_000;
const COMMITS: i64 = 20;
/// What memory may hold, an eighth of the default, and what a store takes beside it: page caches, and what a cycle has
/// at hand.
const MEMORY_KIB: u64 = 32 << 10;
const BESIDE_KIB: u64 = 64 << 10;
/// Files that tell the process to fill a store, without cycles and beside them.
const WITHOUT_CYCLES: &str = "without-cycles";
const BESIDE_CYCLES: &str = "beside-cycles";

/// Appends what is left until there is no room, and gives the commits that there was room for.
async fn backfill(store: &SqliteStore, stored: i64) -> i64 {
    for commit in stored..COMMITS {
        let nth_tick = |nth: i64| {
            let (nth, symbol) = (nth / SYMBOLS, format!("S{}/USD", nth % SYMBOLS));
            tick(&symbol, "s", nth * HOUR, "67230.01", Some("0.5"))
        };
        let ticks = (commit * TICKS..(commit + 1) * TICKS).map(nth_tick).collect();
        match store.append(vec![batch("w", None, ticks)]).await {
            Ok(_stored) => {}
            Err(StoreError::Overloaded) => return commit,
            Err(error) => panic!("{error}"),
        }
    }
    COMMITS
}

/// Runs cycles as upkeep does, and looks at what the process takes.
async fn cycles(store: &SqliteStore, most_kib: &mut u64) -> ! {
    loop {
        if store.materialise(Timestamp::MIN).await.unwrap() == Progress::Idle {
            yield_now().await;
        }
        *most_kib = resident_kib(std::process::id()).unwrap().max(*most_kib);
    }
}

#[tokio::test]
async fn the_process_that_is_filled() {
    let with_cycles = fs::exists(BESIDE_CYCLES).unwrap();
    if !with_cycles && !fs::exists(WITHOUT_CYCLES).unwrap() {
        return;
    }
    let default = Settings::new(Path::new("chrono.db"));
    let memory = MemoryLimits { bytes: MEMORY_KIB << 10, ..default.memory };
    // In large steps, for the sake of time.
    let cycle = CycleSettings { slice: 256, ..default.cycle };
    let running = Running::with(Settings { memory, cycle, ..default });
    let mut most_kib = 0;
    let mut stored = 0;
    if with_cycles {
        let all = async {
            // A worker sends again what was refused.
            while stored < COMMITS {
                stored = backfill(&running.store, stored).await;
            }
        };
        tokio::select! {
            () = all => {}
            never = cycles(&running.store, &mut most_kib) => never,
        }
    } else {
        stored = backfill(&running.store, 0).await;
    }
    most_kib = resident_kib(std::process::id()).unwrap().max(most_kib);
    println!("{} ticks stored, {most_kib} KiB taken", stored * TICKS);
    assert!(most_kib <= MEMORY_KIB + BESIDE_KIB, "{most_kib} KiB taken");
    // Alone it is refused, and not long before memory is full; beside cycles there is room again.
    assert_eq!(stored == COMMITS, with_cycles);
    assert!(with_cycles || most_kib >= MEMORY_KIB * 3 / 4, "{most_kib} KiB taken");
}

#[test]
fn a_backfill_of_hourly_closes_takes_no_more_than_memory_may_hold() {
    for plan in [WITHOUT_CYCLES, BESIDE_CYCLES] {
        let (dir, _) = fresh_file();
        fs::write(dir.path().join(plan), "").unwrap();
        let ended = run_to_its_end(dir.path(), "sqlite::memory::the_process_that_is_filled");
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success() && said.contains("1 passed"), "{plan}: {said}");
    }
}
