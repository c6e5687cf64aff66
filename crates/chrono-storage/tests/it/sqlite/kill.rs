//! A process that ends in the middle: what it acknowledged is there once, nothing is torn, candles are right.
//!
//! The process is this test binary again, running one test in a directory that holds a plan.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use chrono_domain::{Interval, StoredTick, Symbol, Timestamp};
use chrono_storage::model::ModelStore;
use chrono_storage::{
    Appended, CandleRange, CandleStore, NewBatch, Store, TickRange, TickStore, failpoint,
};

use super::append::{NOW, batch, tick};
use super::running::{Running, run_to_its_end};

const PLACES: [&str; 16] = [
    "before_begin",
    "after_insert",
    "before_commit",
    "after_commit",
    "materialise_before_commit",
    "materialise_after_commit",
    "cycle_frozen",
    "cycle_pages_before_commit",
    "cycle_pages_after_commit",
    "cycle_keys_before_commit",
    "cycle_keys_after_commit",
    "cycle_publish_before_commit",
    "cycle_publish_after_commit",
    "cycle_published",
    "cycle_clear_before_commit",
    "cycle_clear_after_commit",
];
/// Ways to note a batch: when it is acknowledged, or before, as if it had been.
const AS_ACKNOWLEDGED: &str = "as-acknowledged";
const EARLY: &str = "early";
const MINUTE: i64 = 60_000_000;
/// Batches that the process sends if nothing ends it.
const BATCHES: i64 = 30;
/// Ticks in each.
const TICKS: usize = 3;

fn symbol() -> Symbol {
    Symbol::try_new("BTC/USD").unwrap()
}

/// Makes the nth batch: live ticks, but every third is half a day late.
fn nth_batch(nth: i64) -> Arc<NewBatch> {
    let at = NOW + nth * MINUTE - if nth % 3 == 2 { 720 * MINUTE } else { 0 };
    let price = |place: i64| format!("{}.{place}", nth + 1);
    let ticks = (0..)
        .take(TICKS)
        .map(|place: i64| tick("BTC/USD", "kraken", at + place % 2, &price(place), Some("0.10")));
    batch("w", Some((&format!("key-{nth}"), 1)), ticks.collect())
}

/// Sends, notes what was acknowledged, and materialises, until the planned place is reached.
#[tokio::test]
async fn the_process_that_is_ended() {
    let Ok(plan) = fs::read_to_string("plan") else { return };
    let (place, rest) = plan.split_once(' ').unwrap();
    let (hits, noted) = rest.split_once(' ').unwrap();
    failpoint::arm(place, hits.parse().unwrap());
    let running = Running::tiny(Path::new("chrono.db"));
    let mut ledger = fs::File::create("ledger").unwrap();
    for nth in (0..BATCHES).step_by(2) {
        let mut note = || writeln!(ledger, "{nth}\n{}", nth + 1).unwrap();
        if noted == EARLY {
            note();
        }
        running.store.append(vec![nth_batch(nth), nth_batch(nth + 1)]).await.unwrap();
        if noted == AS_ACKNOWLEDGED {
            note();
        }
        // Commits meet cycles at all their stages: one takes more steps than these.
        for _step in 0..7 {
            running.store.materialise(Timestamp::MAX).await.unwrap();
        }
    }
}

/// Runs the process to its end at a place, and gives the batches it saw acknowledged.
fn run_until(dir: &Path, place: &str, hits: u32, noted: &str) -> BTreeSet<i64> {
    fs::write(dir.join("plan"), format!("{place} {hits} {noted}")).unwrap();
    let ended = run_to_its_end(dir, "sqlite::kill::the_process_that_is_ended");
    assert!(!ended.status.success(), "{place} was not reached {hits} times");
    let ledger = fs::read_to_string(dir.join("ledger")).unwrap();
    ledger.lines().map(|line| line.parse().unwrap()).collect()
}

async fn ticks_of(store: &dyn Store, nth: i64) -> usize {
    let all = store.ticks(&TickRange::of(symbol())).await.unwrap();
    let prefix = format!("{}.", nth + 1);
    all.iter().filter(|stored| stored.tick.price.to_string().starts_with(&prefix)).count()
}

async fn candles(store: &dyn Store) -> Vec<String> {
    let mut texts = Vec::new();
    for interval in Interval::ALL {
        let buckets = store.candles(&CandleRange::of(symbol(), interval)).await.unwrap();
        texts.extend(buckets.iter().map(|bucket| format!("{bucket:?}")));
    }
    texts
}

/// Puts the same ticks into a model in the order they arrived, so that they take the same numbers.
async fn model_of(store: &dyn Store) -> ModelStore {
    let mut ticks: Vec<StoredTick> = store.ticks(&TickRange::of(symbol())).await.unwrap();
    ticks.sort_by_key(|stored| stored.arrival);
    let model = ModelStore::default();
    let ticks = ticks.into_iter().map(|stored| stored.tick).collect();
    model.append(vec![batch("w", None, ticks)]).await.unwrap();
    model
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_nothing_is_torn_wherever_the_process_ends() {
    for place in PLACES {
        for hits in [1, 2, 7] {
            let dir = tempfile::tempdir().unwrap();
            let acknowledged = run_until(dir.path(), place, hits, AS_ACKNOWLEDGED);
            let running = Running::tiny(&dir.path().join("chrono.db"));
            let store = &running.store;
            for nth in 0..BATCHES {
                let found = ticks_of(store, nth).await;
                let whole = found == TICKS || (found == 0 && !acknowledged.contains(&nth));
                assert!(whole, "{place} {hits}: {found} ticks of batch {nth}");
            }
            assert_eq!(
                candles(store).await,
                candles(&model_of(store).await).await,
                "{place} {hits}"
            );
            for nth in 0..BATCHES {
                let outcomes = store.append(vec![nth_batch(nth)]).await.unwrap();
                let repeated = matches!(&outcomes[..], [Ok(Appended::Repeated(_))]);
                assert!(
                    repeated || !acknowledged.contains(&nth),
                    "{place} {hits}: batch {nth} again"
                );
                assert_eq!(ticks_of(store, nth).await, TICKS, "{place} {hits}: batch {nth}");
                store.materialise(Timestamp::MAX).await.unwrap();
            }
            assert_eq!(
                candles(store).await,
                candles(&model_of(store).await).await,
                "{place} {hits}"
            );
            for turn in 0..40 {
                assert_eq!(store.recount(turn).await.unwrap().mismatches, 0);
            }
        }
    }
}

#[tokio::test]
async fn an_acknowledgement_before_the_commit_would_be_caught() {
    let dir = tempfile::tempdir().unwrap();
    let noted = run_until(dir.path(), "before_commit", 5, EARLY);
    let running = Running::open(&dir.path().join("chrono.db"));
    let mut lost = Vec::new();
    for nth in noted {
        if ticks_of(&running.store, nth).await == 0 {
            lost.push(nth);
        }
    }
    assert_eq!(lost, [8, 9]);
}
