//! Consensus answers: their shape, their time, and when a stored one answers.

use std::num::NonZeroUsize;

use chrono_domain::ConsensusStatus;
use chrono_query::{
    ConsensusPrice, ConsensusQuery, ConsensusSettings, ConsensusTexts, Explain, QueryError,
};
use chrono_storage::model::{Fault, ReadFault};
use chrono_storage::{Snapshot, SnapshotStore};

use crate::house::{House, at, json, source, symbol, tick, tick_of};

const NOW: &str = "2025-10-09T12:34:56.789Z";

fn query(time: Option<&str>) -> ConsensusQuery {
    ConsensusQuery {
        symbols: vec![symbol("BTC/USD"), symbol("XRP/USD")],
        at: time.map(at),
        min_sources: None,
        explain: Explain::Figures,
    }
}

async fn house() -> House {
    let house = House::new(NOW);
    house.post(tick("binance", at("2025-10-09T12:29:56.788Z"), "1")).await;
    house.post(tick("binance", at("2025-10-09T12:30:00Z"), "67230.00")).await;
    house.post(tick("kraken", at("2025-10-09T12:31:00Z"), "67231.00")).await;
    house.post(tick("coinbase", at("2025-10-09T12:32:00Z"), "67232.00")).await;
    house
}

#[tokio::test]
async fn writes_the_spec_s_answer_and_more() {
    let body = house().await.kept.consensus_json(&query(Some("2025-10-09T12:35:00Z"))).await;
    assert!(matches!(body, Err(QueryError::Invalid { field: "timestamp", .. })));
    let house = house().await;
    house.advance_ms(3_211);
    let body = house.kept.consensus_json(&query(Some("2025-10-09T12:35:00Z"))).await.unwrap();
    assert_eq!(
        str::from_utf8(&body).unwrap(),
        concat!(
            r#"{"data":[{"symbol":"BTC/USD","price":"67231.00","median":"67231.00","mean":"67231.00","#,
            r#""std_dev":"1.00","num_sources":3,"timestamp":"2025-10-09T12:35:00Z","#,
            r#""sources":["binance","coinbase","kraken"],"status":"ok","num_feeds":3,"revision":null}],"#,
            r#""missing":["XRP/USD"],"latency_ms":0}"#
        )
    );
}

#[tokio::test]
async fn a_time_may_be_now_and_not_a_microsecond_later() {
    let house = house().await;
    let answer = house.kept.consensus(&query(Some(NOW))).await.unwrap();
    assert_eq!((answer.prices[0].at, answer.prices[0].num_feeds), (at(NOW), 3));
    let later = house.kept.consensus(&query(Some("2025-10-09T12:34:56.789001Z"))).await;
    assert!(matches!(later, Err(QueryError::Invalid { field: "timestamp", .. })));
}

#[tokio::test]
async fn explains_every_vote() {
    let query = ConsensusQuery { explain: Explain::Votes, ..query(None) };
    let answer = json(&house().await.kept.consensus_json(&query).await.unwrap());
    let found = &answer["data"][0];
    assert_eq!(found["timestamp"], NOW);
    assert_eq!(found["num_feeds"], 3);
    let vote = &found["votes"][1];
    assert_eq!(vote["source"], "coinbase");
    assert_eq!(vote["group"], "coinbase");
    assert_eq!(vote["price"], "67232.00");
    assert_eq!(vote["timestamp"], "2025-10-09T12:32:00.000Z");
    assert_eq!(vote["age_ms"], 176_789);
    assert_eq!(vote["weight"], 1);
    assert_eq!(vote["verdict"], "counted");
}

#[tokio::test]
async fn a_quorum_may_be_asked_for() {
    let house = house().await;
    let quorum = |min| ConsensusQuery { min_sources: NonZeroUsize::new(min), ..query(None) };
    let answer = house.kept.consensus(&quorum(3)).await.unwrap();
    assert_eq!(answer.prices[0].status, ConsensusStatus::Ok);
    let answer = json(&house.kept.consensus_json(&quorum(4)).await.unwrap());
    let found = &answer["data"][0];
    assert_eq!(
        (&found["status"], &found["price"]),
        (&"no_quorum".into(), &serde_json::Value::Null)
    );
    let refused = house.kept.consensus(&quorum(1_001)).await;
    assert!(matches!(refused, Err(QueryError::Invalid { field: "min_sources", .. })));
}

#[tokio::test]
async fn nobody_asks_below_the_operator_s_quorum() {
    let texts = ConsensusTexts { min_sources: Some("4"), ..ConsensusTexts::default() };
    let house = House::with(NOW, ConsensusSettings::parse(texts).unwrap());
    house.post(tick("binance", at("2025-10-09T12:34:00Z"), "1")).await;
    for min in [1, 3] {
        let query = ConsensusQuery { min_sources: NonZeroUsize::new(min), ..query(None) };
        let Err(QueryError::Invalid { field, received, expected }) =
            house.kept.consensus(&query).await
        else {
            panic!("{min} was taken")
        };
        assert_eq!((field, received), ("min_sources", min.to_string()));
        assert_eq!(expected, "a number from 4, this gateway's quorum, to 1000");
        assert!(house.kept.consensus_json(&query).await.is_err());
    }
    for min in [None, NonZeroUsize::new(4), NonZeroUsize::new(5)] {
        let query = ConsensusQuery { min_sources: min, ..query(None) };
        let answer = house.kept.consensus(&query).await.unwrap();
        assert_eq!(answer.prices[0].status, ConsensusStatus::NoQuorum);
    }
}

#[tokio::test]
async fn nothing_in_the_window_is_not_found() {
    let house = house().await;
    house.advance_ms(600_000);
    let answer = house.kept.consensus_json(&query(None)).await;
    assert!(matches!(answer, Err(QueryError::NotFound { symbols }) if symbols.len() == 2));
}

#[tokio::test]
async fn a_latest_answer_is_kept_for_the_interval_and_ended_by_a_late_tick() {
    let house = house().await;
    house.record().await;
    let num_feeds = async || {
        let answer = json(&house.kept.consensus_json(&query(None)).await.unwrap());
        (answer["data"][0]["num_feeds"].as_u64().unwrap(), answer["data"][0]["timestamp"].clone())
    };
    assert_eq!(num_feeds().await, (3, NOW.into()));
    house.post(tick("kraken", at(NOW), "67231.00")).await;
    house.advance_ms(4_999);
    assert_eq!(num_feeds().await, (3, NOW.into()));
    house.advance_ms(1);
    // One came in, and one fell out of the window.
    assert_eq!(num_feeds().await, (3, "2025-10-09T12:35:01.789Z".into()));
    house.post(tick("kraken", at("2025-10-09T12:32:30Z"), "67231.00")).await;
    assert_eq!(num_feeds().await.0, 4);
}

#[tokio::test]
async fn a_tick_that_is_late_by_seconds_ends_a_latest_answer_too() {
    let house = house().await;
    house.record().await;
    let num_feeds = async || {
        house
            .kept
            .consensus_json(&query(None))
            .await
            .map(|body| json(&body)["data"][0]["num_feeds"].clone())
    };
    assert_eq!(num_feeds().await.unwrap(), 3);
    house.post(tick("kraken", at("2025-10-09T12:34:50.000001Z"), "67231.00")).await;
    assert_eq!(num_feeds().await.unwrap(), 3, "it lies after what is stored");
    house.post(tick("kraken", at("2025-10-09T12:34:50Z"), "67231.00")).await;
    assert_eq!(num_feeds().await.unwrap(), 5);
}

#[tokio::test]
async fn a_tick_that_changes_history_while_the_recorder_lags_ends_a_latest_answer_too() {
    let house = House::new(NOW);
    house.record().await;
    house.advance_ms(600_000);
    for (num_feeds, time) in [(1, "2025-10-09T12:44:00Z"), (2, "2025-10-09T12:42:00Z")] {
        house.post(tick("kraken", at(time), "67231.00")).await;
        let answer = json(&house.kept.consensus_json(&query(None)).await.unwrap());
        assert_eq!(answer["data"][0]["num_feeds"], num_feeds);
    }
}

#[tokio::test]
async fn a_stored_answer_that_is_not_what_the_ticks_say_is_revised_at_the_read() {
    let house = house().await;
    house.record().await;
    let time = at("2025-10-09T12:34:00Z");
    let stored = Snapshot {
        symbol: symbol("BTC/USD"),
        at: time,
        revision: 0,
        price: None,
        status: "disputed".into(),
        median: "7".into(),
        mean: "8".into(),
        std_dev: None,
        sources: vec![source("binance")],
        num_feeds: 1,
        computed_at: time,
    };
    let revised = Snapshot { median: "7.5".into(), ..stored.clone() };
    house.store.put_snapshots(vec![stored, revised]).await.unwrap();
    for _ in 0..2 {
        let query = query(Some("2025-10-09T12:34:00Z"));
        let found = house.fresh.consensus(&query).await.unwrap().prices.remove(0);
        assert_eq!((found.revision, found.status), (Some(2), ConsensusStatus::Ok));
        assert_eq!((found.median.as_str(), found.num_feeds), ("67230.50", 4));
    }

    let beside = query(Some("2025-10-09T12:34:00.000001Z"));
    let computed = house.kept.consensus(&beside).await.unwrap();
    assert_eq!(computed.prices[0].revision, None);
    let figures = query(Some("2025-10-09T12:34:00Z"));
    let explained = ConsensusQuery { explain: Explain::Votes, ..figures.clone() };
    let of_one = ConsensusQuery { min_sources: NonZeroUsize::new(1), ..figures };
    for query in [explained, of_one] {
        let computed = house.kept.consensus(&query).await.unwrap();
        assert_eq!((computed.prices[0].revision, computed.prices[0].num_feeds), (None, 4));
    }
}

#[tokio::test]
async fn a_late_tick_whose_mark_a_crash_lost_revises_the_stored_answer_at_the_read() {
    let house = house().await;
    house.post(tick("kraken", at("2025-10-09T12:34:54Z"), "67231.00")).await;
    house.advance_ms(5_000);
    house.record().await;
    house.store_only(tick("kraken", at("2025-10-09T12:34:30Z"), "67235.00"), |_, _| {}).await;
    let restarted = house.restarted().await;
    let time = at("2025-10-09T12:34:55Z");
    let figures = query(Some("2025-10-09T12:34:55Z"));
    let votes = ConsensusQuery { explain: Explain::Votes, ..figures.clone() };
    let computed = restarted.consensus(&votes).await.unwrap().prices.remove(0);
    let answer = restarted.consensus(&figures).await.unwrap().prices.remove(0);
    assert_eq!((answer.revision, answer.num_feeds), (Some(1), 6));
    assert_eq!(answer, ConsensusPrice { revision: Some(1), votes: None, ..computed });
    let stored = house.store.snapshot(symbol("BTC/USD"), time).await.unwrap().unwrap();
    assert_eq!((stored.revision, stored.num_feeds), (1, 6));
}

#[tokio::test]
async fn an_answer_whose_revision_cannot_be_stored_is_given_without() {
    let house = house().await;
    house.post(tick("kraken", at("2025-10-09T12:34:54Z"), "67231.00")).await;
    house.advance_ms(5_000);
    house.record().await;
    house.store_only(tick("kraken", at("2025-10-09T12:34:30Z"), "67235.00"), |_, _| {}).await;
    house.store.next_commit(Fault::Unavailable);
    let query = query(Some("2025-10-09T12:34:55Z"));
    for revision in [None, Some(1)] {
        let found = house.fresh.consensus(&query).await.unwrap().prices.remove(0);
        assert_eq!((found.revision, found.num_feeds), (revision, 6));
    }
}

#[tokio::test]
async fn a_stored_answer_that_agrees_is_given_without_a_commit() {
    let house = house().await;
    house.post(tick("kraken", at("2025-10-09T12:34:54Z"), "67231.00")).await;
    house.advance_ms(5_000);
    house.record().await;
    house.store.next_commit(Fault::Unavailable);
    let query = query(Some("2025-10-09T12:34:55Z"));
    let found = house.fresh.consensus(&query).await.unwrap().prices.remove(0);
    assert_eq!((found.revision, found.num_feeds), (Some(0), 5));
}

#[tokio::test]
async fn an_answer_that_waits_to_be_revised_is_computed_and_not_kept() {
    let house = house().await;
    house.post(tick("kraken", at("2025-10-09T12:34:54Z"), "67231.00")).await;
    house.advance_ms(5_000);
    house.record().await;
    house.advance_ms(200_000);
    let found = async || {
        let query = query(Some("2025-10-09T12:34:55Z"));
        let answer = json(&house.kept.consensus_json(&query).await.unwrap());
        let found = &answer["data"][0];
        (found["num_feeds"].as_u64().unwrap(), found["revision"].as_u64())
    };
    assert_eq!(found().await, (5, Some(0)));
    let kept = house.shelf.len();
    house.post(tick("kraken", at("2025-10-09T12:34:30Z"), "67231.00")).await;
    assert_eq!(found().await, (6, None));
    house.record().await;
    assert_eq!(found().await, (6, Some(1)));
    assert_eq!(house.shelf.len(), kept);
}

#[tokio::test]
async fn a_window_of_many_ticks_is_read_whole() {
    let house = house().await;
    for _ in 0..16_400 {
        let tick = tick_of("ETH/USD", "a", at("2025-10-09T12:34:00Z"), "5", None);
        house.store_only(tick, |_, _| {}).await;
    }
    let query = ConsensusQuery { symbols: vec![symbol("ETH/USD")], ..query(None) };
    let answer = house.kept.consensus(&query).await.unwrap();
    assert_eq!(answer.prices[0].num_feeds, 16_400);
}

#[tokio::test]
async fn a_third_computation_waits_for_one_of_two() {
    let house = house().await;
    let query = query(None);
    let mut first = Box::pin(house.kept.consensus(&query));
    let mut second = Box::pin(house.kept.consensus(&query));
    let mut third = Box::pin(house.kept.consensus(&query));
    house.store.next_read(ReadFault::Hang);
    house.store.next_read(ReadFault::Hang);
    assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    assert!(poll(third.as_mut()).is_pending(), "both places are taken");
    drop(first);
    let answer = third.await.unwrap();
    assert_eq!(answer.prices[0].num_feeds, 3);
}

#[tokio::test]
async fn a_tick_that_comes_in_during_a_read_leaves_the_stored_answer_to_the_recorder() {
    let house = house().await;
    house.post(tick("kraken", at("2025-10-09T12:34:54Z"), "67231.00")).await;
    house.advance_ms(5_000);
    house.record().await;
    let (latest, past) = (query(None), query(Some("2025-10-09T12:34:55Z")));
    let mut first = Box::pin(house.kept.consensus(&latest));
    let mut second = Box::pin(house.kept.consensus(&latest));
    house.store.next_read(ReadFault::Hang);
    house.store.next_read(ReadFault::Hang);
    assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    let mut third = Box::pin(house.kept.consensus(&past));
    assert!(poll(third.as_mut()).is_pending(), "it has read what is stored, and waits to compute");
    house.post(tick("kraken", at("2025-10-09T12:34:30Z"), "67235.00")).await;
    drop(first);
    let found = third.await.unwrap().prices.remove(0);
    assert_eq!((found.revision, found.num_feeds), (None, 6));
    let time = at("2025-10-09T12:34:55Z");
    let stored = house.store.snapshot(symbol("BTC/USD"), time).await.unwrap().unwrap();
    assert_eq!((stored.revision, stored.num_feeds), (0, 5));
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

#[tokio::test]
async fn a_store_that_is_away_is_said_so() {
    let house = house().await;
    house.store.next_read(ReadFault::Unavailable);
    assert!(matches!(house.kept.consensus(&query(None)).await, Err(QueryError::Store(_))));
}
