//! The recorder: what is stored equals what is computed, and late ticks revise it.

use std::time::Duration;

use chrono_domain::{Clock, Symbol, Timestamp};
use chrono_query::{ConsensusQuery, Explain};
use chrono_storage::model::{Fault, ReadFault};
use chrono_storage::{Progress, Snapshot, SnapshotStore};
use metrics_exporter_prometheus::PrometheusBuilder;
use proptest::prelude::*;

use crate::house::{House, at, block_on, symbol, tick, tick_of};

const NOW: &str = "2025-10-09T12:34:56.789Z";

async fn stored_times(house: &House, symbol: Symbol) -> Vec<String> {
    let times = house.store.snapshot_times(symbol, Timestamp::MIN, Timestamp::MAX, 100).await;
    times.unwrap().iter().map(|at| at.bucket_text().to_string()).collect()
}

async fn stored(house: &House, time: &str) -> Option<Snapshot> {
    house.store.snapshot(symbol("BTC/USD"), at(time)).await.unwrap()
}

#[tokio::test]
async fn stores_an_answer_at_every_interval_while_ticks_come_in() {
    let house = House::new(NOW);
    // A tick of the very moment belongs to that moment's answer and to no later one.
    house.post(tick("a", at("2025-10-09T12:34:55Z"), "1")).await;
    house.record().await;
    assert_eq!(stored_times(&house, symbol("BTC/USD")).await, [""; 0], "not settled yet");
    house.advance_ms(210);
    house.record().await;
    assert_eq!(house.clock.now(), at("2025-10-09T12:34:56.999Z"));
    assert_eq!(stored_times(&house, symbol("BTC/USD")).await, [""; 0]);
    house.advance_ms(1);
    house.record().await;
    assert_eq!(stored_times(&house, symbol("BTC/USD")).await, ["2025-10-09T12:34:55Z"]);
    house.post(tick_of("ETH/USD", "a", at("2025-10-09T12:34:56Z"), "1", None)).await;
    house.advance_ms(5_000);
    house.record().await;
    assert_eq!(stored_times(&house, symbol("BTC/USD")).await, ["2025-10-09T12:34:55Z"]);
    assert_eq!(stored_times(&house, symbol("ETH/USD")).await, ["2025-10-09T12:35:00Z"]);
}

#[tokio::test]
async fn a_feed_that_lags_has_an_answer_at_every_interval() {
    let house = House::new("2025-10-09T12:34:57Z");
    for _ in 0..4 {
        for source in ["a", "b"] {
            let time = house.clock.now().minus(Duration::from_secs(10));
            house.post(tick(source, time, "1")).await;
        }
        house.record().await;
        house.advance_ms(5_000);
    }
    house.record().await;
    let times = stored_times(&house, symbol("BTC/USD")).await;
    let last = ["2025-10-09T12:35:05Z", "2025-10-09T12:35:10Z", "2025-10-09T12:35:15Z"];
    assert_eq!(times[..2], ["2025-10-09T12:34:55Z", "2025-10-09T12:35:00Z"]);
    assert_eq!(times[2..], last);
    house.advance_ms(5_000);
    house.record().await;
    assert_eq!(stored_times(&house, symbol("BTC/USD")).await.len(), 5, "nothing came in");
}

#[tokio::test]
async fn a_late_tick_in_a_stored_window_adds_a_revision() {
    let house = House::new(NOW);
    house.post(tick("a", at("2025-10-09T12:34:53Z"), "1")).await;
    house.advance_ms(1_000);
    house.record().await;
    let time = "2025-10-09T12:34:55Z";
    assert_eq!(stored(&house, time).await.unwrap().num_feeds, 1);

    house.post(tick("b", at("2025-10-09T12:34:55.001Z"), "2")).await;
    house.record().await;
    assert_eq!(stored(&house, time).await.unwrap().revision, 0, "after the window");
    for (revision, late) in [(1, "2025-10-09T12:34:55Z"), (2, "2025-10-09T12:29:55Z")] {
        house.post(tick("b", at(late), "3")).await;
        house.record().await;
        let found = stored(&house, time).await.unwrap();
        assert_eq!((found.revision, found.num_feeds), (revision, 1 + u64::from(revision)));
    }
    house.post(tick("b", at("2025-10-09T12:29:54.999Z"), "3")).await;
    house.record().await;
    assert_eq!(stored(&house, time).await.unwrap().revision, 2, "before the window");
}

#[tokio::test]
async fn a_failed_step_is_done_again() {
    let house = House::new(NOW);
    house.post(tick("a", at("2025-10-09T12:34:53Z"), "1")).await;
    house.advance_ms(1_000);
    house.store.next_read(ReadFault::Unavailable);
    assert!(house.recorder.step(house.clock.now()).await.is_err());
    house.store.next_commit(Fault::Unavailable);
    assert!(house.recorder.step(house.clock.now()).await.is_err());
    house.record().await;
    let time = "2025-10-09T12:34:55Z";
    assert_eq!(stored(&house, time).await.unwrap().num_feeds, 1);

    house.post(tick("b", at("2025-10-09T12:34:54Z"), "2")).await;
    house.store.next_commit(Fault::Unavailable);
    assert!(house.recorder.step(house.clock.now()).await.is_err());
    house.record().await;
    assert_eq!(stored(&house, time).await.unwrap().revision, 1);
}

/// Lets the recorder run by itself until an answer stands at a revision.
async fn run_until(house: &House, time: &str, revision: u32) {
    let reached = async {
        while stored(house, time).await.is_none_or(|found| found.revision < revision) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            house.advance_ms(100);
        }
    };
    tokio::select! {
        // The recorder first: a fault of the next read is meant for it.
        biased;
        () = house.recorder.run() => panic!("the recorder ended"),
        reached = tokio::time::timeout(Duration::from_mins(1), reached) => reached.unwrap(),
    }
}

#[tokio::test(start_paused = true)]
async fn it_runs_by_itself_and_survives_a_store_that_is_away() {
    let house = House::new(NOW);
    house.post(tick("a", at("2025-10-09T12:34:56Z"), "1")).await;
    house.store.next_read(ReadFault::Unavailable);
    run_until(&house, "2025-10-09T12:35:00Z", 0).await;
    house.post(tick("b", at("2025-10-09T12:34:57Z"), "1")).await;
    run_until(&house, "2025-10-09T12:35:00Z", 1).await;
}

#[tokio::test(start_paused = true)]
async fn it_rests_four_times_as_long_as_a_slow_step_took_and_counts_the_times_left_out() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let house = House::new(NOW);
    house.post(tick("a", at("2025-10-09T12:34:49Z"), "1")).await;
    // The step ends at 12:35:06.8, and the next one may begin at 12:35:46.8.
    house.store.next_read(ReadFault::Late(Duration::from_secs(10)));
    let posts = async {
        // The next tick comes in an interval that is left out.
        while house.clock.now() < at("2025-10-09T12:35:12Z") {
            tokio::time::sleep(Duration::from_millis(100)).await;
            house.advance_ms(100);
        }
        house.post(tick("b", house.clock.now(), "1")).await;
        let last = Timestamp::MAX;
        let stored = async || {
            house.store.snapshot_times(symbol("BTC/USD"), Timestamp::MIN, last, 100).await.unwrap()
        };
        while stored().await.len() < 2 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            house.advance_ms(100);
        }
    };
    tokio::select! {
        biased;
        () = house.recorder.run() => panic!("the recorder ended"),
        reached = tokio::time::timeout(Duration::from_mins(3), posts) => reached.unwrap(),
    }
    let times = stored_times(&house, symbol("BTC/USD")).await;
    assert_eq!(times[0], "2025-10-09T12:34:50Z");
    assert!(times[1].as_str() >= "2025-10-09T12:35:40Z", "{times:?}");
    let skipped = at(&times[1]).since(at(&times[0])).as_secs() / 5 - 1;
    let counted = format!("\nconsensus_times_skipped_total {skipped}\n");
    let page = recorder.handle().render();
    assert!(page.contains(&counted), "{counted} is not in {page}");
}

#[tokio::test(start_paused = true)]
async fn a_late_tick_that_a_crash_left_undone_is_found_at_the_start() {
    let house = House::new(NOW);
    house.post(tick("a", at("2025-10-09T12:34:53Z"), "1")).await;
    house.advance_ms(1_000);
    house.record().await;
    house.store_only(tick("b", at("2025-10-09T12:34:50Z"), "2"), |_, _| {}).await;
    house.record().await;
    assert_eq!(stored(&house, "2025-10-09T12:34:55Z").await.unwrap().revision, 0);
    run_until(&house, "2025-10-09T12:34:55Z", 1).await;
}

#[tokio::test]
async fn a_long_backfill_is_worked_off_in_steps() {
    let house = House::new(NOW);
    for _ in 0..700 {
        let now = house.clock.now();
        house.post(tick("a", now, "1")).await;
        house.advance_ms(5_000);
        house.record().await;
    }
    let last = house.clock.now().minus(Duration::from_mins(10));
    for minute in 0..48 {
        let time = Timestamp::from_micros(at(NOW).micros() + minute * 60_000_000).unwrap();
        assert!(time < last);
        house.post(tick("b", time, "2")).await;
    }
    house.record().await;
    let symbol = symbol("BTC/USD");
    let times = house.store.snapshot_times(symbol, at(NOW), last, 1_000).await.unwrap();
    assert!(times.len() > 500);
    for time in times {
        let found = house.store.snapshot(symbol, time).await.unwrap().unwrap();
        assert_eq!(found.revision, 1, "{time}");
    }
}

#[tokio::test]
async fn a_late_tick_that_is_worked_off_in_steps_reaches_no_further() {
    let house = House::new(NOW);
    let late = at("2025-10-09T12:00:00Z");
    let after = |ms| late.plus(Duration::from_millis(ms));
    house.post(tick("a", after(1_000), "2")).await;
    house.record().await;
    let other = |at| Snapshot {
        symbol: symbol("BTC/USD"),
        at,
        revision: 0,
        price: None,
        status: "disputed".into(),
        median: "7".into(),
        mean: "8".into(),
        std_dev: None,
        sources: Vec::new(),
        num_feeds: 9,
        computed_at: at,
    };
    // The window is five minutes, and the last of these lies beyond it.
    let times = (0..=600).map(|half| after(half * 500)).chain([after(300_001)]);
    let stored: Vec<Snapshot> = times.map(other).collect();
    house.store.put_snapshots(stored.clone()).await.unwrap();
    house.post(tick("a", late, "1")).await;
    assert_eq!(house.recorder.step(house.clock.now()).await.unwrap(), Progress::More);
    let pending = |at: Timestamp| {
        house.book.late().is_pending(&symbol("BTC/USD"), at.minus(Duration::from_mins(5)), at)
    };
    assert!(!pending(after(249_500)) && pending(after(250_000)) && pending(after(300_000)));
    assert!(!pending(after(300_001)), "beyond the reach");
    house.record().await;
    for before in stored {
        let found = house.store.snapshot(before.symbol, before.at).await.unwrap().unwrap();
        assert_eq!(found.revision, u32::from(before.at <= after(300_000)), "{}", before.at);
    }
}

/// A tick that comes in after some time: milliseconds to wait, its age in milliseconds, its source and price.
type Row = (u64, i64, u8, u32);

async fn stored_equals_computed(rows: Vec<Row>) -> Result<(), TestCaseError> {
    let house = House::new(NOW);
    for (wait_ms, age_ms, source, price) in rows {
        house.advance_ms(wait_ms);
        let time = Timestamp::from_micros(house.clock.now().micros() - age_ms * 1_000).unwrap();
        house.post(tick(["a", "b", "c", "d"][usize::from(source)], time, &price.to_string())).await;
        if price % 2 == 0 {
            house.record().await;
        }
    }
    house.record().await;
    let btc = symbol("BTC/USD");
    let times = house.store.snapshot_times(btc, Timestamp::MIN, Timestamp::MAX, 1_000).await;
    for time in times.unwrap() {
        let (symbols, at) = (vec![btc], Some(time));
        let stored = ConsensusQuery { symbols, at, min_sources: None, explain: Explain::Figures };
        let computed = ConsensusQuery { explain: Explain::Votes, ..stored.clone() };
        let mut stored = house.fresh.consensus(&stored).await.unwrap();
        let mut computed = house.fresh.consensus(&computed).await.unwrap();
        prop_assert!(stored.prices[0].revision.take().is_some());
        computed.prices[0].votes = None;
        prop_assert_eq!(stored, computed);
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_stored_equals_what_is_computed(
        rows in prop::collection::vec((0_u64..7_000, -4_000_i64..400_000, 0_u8..4, 90_u32..110), 1..60)
    ) {
        block_on(stored_equals_computed(rows))?;
    }
}
