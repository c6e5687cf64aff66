//! Kept answers: never other than fresh ones, but for a second near now.

use std::num::NonZeroUsize;
use std::time::Duration;

use chrono_domain::{Clock, Interval, Timestamp};
use chrono_query::{
    ConsensusAnswer, ConsensusPrice, ConsensusQuery, Explain, Gaps, QueryError, RangeQuery, Series,
};
use chrono_storage::model::ReadFault;
use chrono_storage::{Detail, Order};
use proptest::prelude::*;

use crate::house::{House, at, block_on, json, source, symbol, tick, tick_of};

const NOW: &str = "2025-10-09T12:34:56.789Z";

fn settled() -> RangeQuery {
    RangeQuery {
        from: Some(at("2025-10-09T12:00:00Z")),
        to: Some(at("2025-10-09T12:30:00Z")),
        ..RangeQuery::of(symbol("BTC/USD"))
    }
}

const MINUTES: Series = Series::Candles(Interval::M1, Gaps::Skip);

async fn house() -> House {
    let house = House::new(NOW);
    house.post(tick("a", at("2025-10-09T12:10:00Z"), "1.0")).await;
    house.post(tick("a", at("2025-10-09T12:34:56Z"), "2.0")).await;
    house
}

async fn count(house: &House, query: &RangeQuery) -> u64 {
    json(&house.kept.range_json(query, MINUTES).await.unwrap())["count"].as_u64().unwrap()
}

#[tokio::test]
async fn a_settled_answer_is_kept_for_five_minutes() {
    let house = house().await;
    let first = house.kept.range_json(&settled(), MINUTES).await.unwrap();
    house.advance_ms(299_999);
    house.store.next_read(ReadFault::Unavailable);
    assert_eq!(house.kept.range_json(&settled(), MINUTES).await.unwrap(), first);
    house.advance_ms(1);
    let answer = house.kept.range_json(&settled(), MINUTES).await;
    assert!(matches!(answer, Err(QueryError::Store(_))), "{answer:?}");
}

#[tokio::test]
async fn a_late_tick_ends_a_kept_answer() {
    let house = house().await;
    assert_eq!(count(&house, &settled()).await, 1);
    house.post(tick("a", at("2025-10-09T12:20:00Z"), "3.0")).await;
    assert_eq!(count(&house, &settled()).await, 2);
}

#[tokio::test]
async fn a_late_tick_of_another_symbol_does_not() {
    let house = house().await;
    assert_eq!(count(&house, &settled()).await, 1);
    house.post(tick_of("ETH/USD", "a", at("2025-10-09T12:20:00Z"), "3.0", None)).await;
    house.store.next_read(ReadFault::Unavailable);
    assert_eq!(count(&house, &settled()).await, 1);
}

#[tokio::test]
async fn an_answer_near_now_is_at_most_a_second_old() {
    let house = house().await;
    let near = RangeQuery { to: Some(at("2025-10-09T12:34:57Z")), ..settled() };
    assert_eq!(count(&house, &near).await, 2);
    house.post(tick("a", at("2025-10-09T12:33:00Z"), "3.0")).await;
    house.advance_ms(999);
    assert_eq!(count(&house, &near).await, 2);
    house.advance_ms(1);
    assert_eq!(count(&house, &near).await, 3);
}

#[tokio::test]
async fn an_answer_that_ends_within_two_minutes_is_at_most_a_second_old_too() {
    let house = house().await;
    let recent = RangeQuery { to: Some(at("2025-10-09T12:32:56.789Z")), ..settled() };
    assert_eq!(count(&house, &recent).await, 1);
    let not_late = at("2025-10-09T12:32:56.789Z");
    house.post(tick("a", not_late, "3.0")).await;
    house.advance_ms(1_000);
    assert_eq!(count(&house, &recent).await, 2);
}

#[tokio::test]
async fn an_open_bucket_is_not_kept_beyond_its_end() {
    let house = house().await;
    let query = settled();
    let status = async || {
        let hours = Series::Candles(Interval::H1, Gaps::Skip);
        let answer = json(&house.kept.range_json(&query, hours).await.unwrap());
        answer["data"][0]["status"].as_str().unwrap().to_owned()
    };
    house.advance_ms(24 * 60_000);
    assert_eq!(status().await, "open");
    house.advance_ms(63_210);
    assert_eq!(house.clock.now(), at("2025-10-09T12:59:59.999Z"));
    assert_eq!(status().await, "open");
    house.advance_ms(1);
    assert_eq!(status().await, "partial");
}

#[tokio::test]
async fn everything_that_changes_an_answer_is_in_its_key() {
    let house = house().await;
    let query = settled();
    let others = [
        (query.clone(), MINUTES),
        (RangeQuery { source: Some(source("a")), ..query.clone() }, MINUTES),
        (RangeQuery { order: Order::OldestFirst, ..query.clone() }, MINUTES),
        (RangeQuery { limit: Some(7), ..query.clone() }, MINUTES),
        (RangeQuery { from: Some(at("2025-10-09T12:00:01Z")), ..query.clone() }, MINUTES),
        (RangeQuery { to: Some(at("2025-10-09T12:30:01Z")), ..query.clone() }, MINUTES),
        (query.clone(), Series::Candles(Interval::M1, Gaps::Fill)),
        (query.clone(), Series::Candles(Interval::M5, Gaps::Skip)),
        (query.clone(), Series::Ticks(Detail::Plain)),
        (query.clone(), Series::Ticks(Detail::WithMetadata)),
    ];
    for (kept, (query, series)) in others.into_iter().enumerate() {
        house.kept.range_json(&query, series).await.unwrap();
        assert_eq!(house.shelf.len(), kept + 1, "{query:?} {series:?}");
    }
    let of_one = RangeQuery { limit: Some(1), ..query.clone() };
    house.post(tick("a", at("2025-10-09T12:11:00Z"), "1.0")).await;
    let before = house.shelf.len();
    let first = json(&house.kept.range_json(&of_one, MINUTES).await.unwrap());
    let cursor = first["next_cursor"].as_str().map(str::to_owned);
    let second = RangeQuery { cursor, ..of_one };
    let second = json(&house.kept.range_json(&second, MINUTES).await.unwrap());
    assert_ne!(first["data"], second["data"]);
    assert_eq!(house.shelf.len(), before + 2);
}

#[tokio::test]
async fn keys_begin_as_the_spec_s() {
    let house = house().await;
    house.kept.range_json(&settled(), MINUTES).await.unwrap();
    let latest = ConsensusQuery {
        symbols: vec![symbol("BTC/USD")],
        at: None,
        min_sources: None,
        explain: Explain::Figures,
    };
    for query in [
        ConsensusQuery { explain: Explain::Votes, ..latest.clone() },
        ConsensusQuery { min_sources: NonZeroUsize::new(2), ..latest.clone() },
        ConsensusQuery { at: Some(at("2025-10-09T12:31:00Z")), ..latest.clone() },
        latest,
    ] {
        // A window without ticks has no answer to keep.
        house.post(tick("a", at("2025-10-09T12:30:30Z"), "1.0")).await;
        house.record().await;
        house.kept.consensus_json(&query).await.unwrap();
    }
    assert_eq!(
        house.shelf.keys(),
        [
            "consensus:BTC/USD:1760013060000000:0",
            "consensus:BTC/USD:latest:0",
            "consensus:BTC/USD:latest:0:explain",
            "consensus:BTC/USD:latest:2",
            "range:BTC/USD:1760011200000000:1760013000000000:1m:::desc:1000:",
        ]
    );
}

#[tokio::test]
async fn an_answer_up_to_now_is_not_kept_and_its_next_page_is() {
    let house = house().await;
    let up_to_now = RangeQuery { to: None, limit: Some(1), ..settled() };
    let first = json(&house.kept.range_json(&up_to_now, MINUTES).await.unwrap());
    assert_eq!(house.shelf.len(), 0);
    let cursor = first["next_cursor"].as_str().map(str::to_owned);
    assert!(cursor.is_some());
    house.kept.range_json(&RangeQuery { cursor, ..up_to_now }, MINUTES).await.unwrap();
    assert_eq!(house.shelf.len(), 1);
}

#[tokio::test]
async fn a_very_large_answer_is_not_kept() {
    let house = house().await;
    for second in 0..10_000 {
        let time = Timestamp::from_micros(at("2025-10-09T08:00:00Z").micros() + second * 1_000_000);
        house.post(tick("a", time.unwrap(), "12345678.90")).await;
    }
    let all =
        RangeQuery { from: Some(at("2025-10-09T08:00:00Z")), limit: Some(10_000), ..settled() };
    let body = house.kept.range_json(&all, Series::Ticks(Detail::Plain)).await.unwrap();
    assert!(body.len() > 256 * 1024);
    assert_eq!(house.shelf.len(), 0);
}

/// What happens between two questions.
#[derive(Debug, Clone)]
enum Event {
    Wait { ms: u64 },
    Post { seconds_ago: i64, source: &'static str, price: u32 },
    Record,
    Range { back: i64, span: i64, which: usize },
    Consensus { back: Option<i64>, which: usize },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        (1_u64..20_000).prop_map(|ms| Event::Wait { ms }),
        (-4_i64..240, prop::sample::select(vec!["a", "b"]), 1_u32..99)
            .prop_map(|(seconds_ago, source, price)| Event::Post { seconds_ago, source, price }),
        Just(Event::Record),
        (0_i64..12, 0_i64..20, 0_usize..4).prop_map(|(back, span, which)| Event::Range {
            back,
            span,
            which
        }),
        (prop::option::of(0_i64..7), 0_usize..3)
            .prop_map(|(back, which)| Event::Consensus { back, which }),
    ];
    prop::collection::vec(event, 1..60)
}

/// Whole half minutes, so that the same question comes again.
fn half_minutes(now: Timestamp, back: i64) -> Timestamp {
    let half = 30_000_000;
    Timestamp::from_micros((now.micros() / half - back) * half).unwrap()
}

async fn check(house: &House, event: Event) -> Result<(), TestCaseError> {
    let now = house.clock.now();
    match event {
        Event::Wait { ms } => house.advance_ms(ms),
        Event::Post { seconds_ago, source, price } => {
            let time = Timestamp::from_micros(now.micros() - seconds_ago * 1_000_000).unwrap();
            house.post(tick(source, time, &format!("10.{price:02}"))).await;
        }
        Event::Record => {
            // Two seconds after a half minute its answer is stored, which is then asked for.
            let due = half_minutes(now, -1).plus(Duration::from_secs(2));
            house.clock.advance(due.since(now));
            house.record().await;
        }
        Event::Range { back, span, which } => {
            // Past the second for which an answer near now may be kept.
            house.advance_ms(1_000);
            let query = RangeQuery {
                from: Some(half_minutes(now, back + span)),
                to: Some(half_minutes(now, back)),
                ..RangeQuery::of(symbol("BTC/USD"))
            };
            let series = [
                Series::Ticks(Detail::Plain),
                MINUTES,
                Series::Candles(Interval::M5, Gaps::Fill),
                Series::Candles(Interval::H1, Gaps::Skip),
            ][which];
            let kept = house.kept.range_json(&query, series).await;
            same(kept, house.fresh.range_json(&query, series).await)?;
        }
        Event::Consensus { back, which } => {
            // Past the interval for which a latest answer may be kept.
            house.advance_ms(5_000);
            let query = ConsensusQuery {
                symbols: vec![symbol("BTC/USD")],
                at: back.map(|back| half_minutes(now, back)),
                min_sources: NonZeroUsize::new(2).filter(|_| which == 2),
                explain: if which == 1 { Explain::Votes } else { Explain::Figures },
            };
            let kept = house.kept.consensus_json(&query).await;
            same(kept, house.fresh.consensus_json(&query).await)?;
            stored_equals_computed(house, query).await?;
        }
    }
    Ok(())
}

/// Compares the figures, which may be stored ones, with those beside the votes, which are always computed.
async fn stored_equals_computed(house: &House, query: ConsensusQuery) -> Result<(), TestCaseError> {
    let query = |explain| ConsensusQuery { min_sources: None, explain, ..query.clone() };
    let stored = house.fresh.consensus(&query(Explain::Figures)).await.ok();
    let computed = house.fresh.consensus(&query(Explain::Votes)).await.ok();
    let figures = |answer: ConsensusAnswer| {
        let plain = |price| ConsensusPrice { revision: None, votes: None, ..price };
        answer.prices.into_iter().map(plain).collect::<Vec<_>>()
    };
    prop_assert_eq!(stored.map(figures), computed.map(figures));
    Ok(())
}

fn same<T: AsRef<[u8]>>(
    kept: Result<T, QueryError>,
    fresh: Result<T, QueryError>,
) -> Result<(), TestCaseError> {
    let text = |answer: Result<T, QueryError>| match answer {
        Ok(body) => String::from_utf8(body.as_ref().to_vec()).unwrap(),
        Err(error) => error.to_string(),
    };
    prop_assert_eq!(text(kept), text(fresh));
    Ok(())
}

proptest! {
    #[test]
    fn kept_answers_equal_fresh_ones_whatever_comes_in(events in events()) {
        block_on(async {
            let house = house().await;
            for event in events {
                check(&house, event).await?;
            }
            Ok::<_, TestCaseError>(())
        })?;
    }
}
