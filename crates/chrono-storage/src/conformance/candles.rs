//! Cases of [`crate::CandleStore`].

use chrono_domain::{Interval, StoredTick, Timestamp};

use super::pages;
use super::sample::{
    all_ticks, append_ticks, at, btc, candles, materialise_all, source, symbol, tick, tick_of,
};
use crate::{CandleRange, Order, Recount, Store};

/// Most calls that a recount of a case's few candles is asked for.
const TURNS: u64 = 32;

/// A candle is the fold of exactly its ticks, whatever is materialised.
pub async fn a_candle_is_the_fold_of_its_ticks_whatever_is_materialised(store: &dyn Store) {
    let binance = |time, price| tick_of(btc(), source("binance"), at(time), price, Some("1"));
    let first = vec![
        tick("12:00:30", "3.0", Some("0.50")),
        binance("12:00:30", "2"),
        tick("12:00:59.999999", "3.00", None),
        tick("12:01:00", "5", Some("2")),
    ];
    append_ticks(store, first).await;
    append_ticks(store, vec![binance("12:00:30", "2.5"), tick("12:00:10", "2.0", None)]).await;
    let expected = [
        "2025-11-14T12:00:00Z 2.0 3.00 2.0 3.00 2.50 6.000 5",
        "2025-11-14T12:01:00Z 5 5 5 5 2 10 1",
    ];
    let range = CandleRange::of(btc(), Interval::M1);
    let steps = ["11:00:00", "12:00:30", "12:01:00", "12:01:30", "13:00:00", "23:59:59"];
    for up_to in steps {
        assert_eq!(candles(store, &range).await, expected, "before {up_to}");
        materialise_all(store, at(up_to)).await;
        assert_eq!(candles(store, &range).await, expected, "materialised up to {up_to}");
    }
    let buckets = store.candles(&range).await.unwrap();
    let keys: Vec<_> = all_ticks(store).await.iter().map(StoredTick::key).collect();
    assert_eq!((buckets[0].candle.open_at, buckets[0].candle.close_at), (keys[0], keys[4]));
    let falling = CandleRange { order: Order::NewestFirst, ..range };
    let mut reversed = store.candles(&falling).await.unwrap();
    reversed.reverse();
    assert_eq!(reversed, buckets);
}

/// A tick that comes after its bucket was materialised is in the candle at once.
pub async fn late_ticks_are_in_candles_at_once(store: &dyn Store) {
    let minutes = CandleRange::of(btc(), Interval::M1);
    let days = CandleRange::of(btc(), Interval::D1);
    let kraken = CandleRange { source: Some(source("kraken")), ..minutes.clone() };
    append_ticks(store, vec![tick("12:00:30", "3", None), tick("14:30:00", "4", None)]).await;
    materialise_all(store, at("14:00:00")).await;
    let binance = |time, price| tick_of(btc(), source("binance"), at(time), price, Some("2"));
    let late = vec![binance("12:00:10", "1"), tick("13:59:59.999999", "2", None)];
    append_ticks(store, late).await;
    append_ticks(store, vec![tick("14:00:00", "5", None)]).await;
    for _time in 0..2 {
        assert_eq!(
            candles(store, &minutes).await,
            [
                "2025-11-14T12:00:00Z 1 3 1 3 2 2 2",
                "2025-11-14T13:59:00Z 2 2 2 2 - - 1",
                "2025-11-14T14:00:00Z 5 5 5 5 - - 1",
                "2025-11-14T14:30:00Z 4 4 4 4 - - 1",
            ]
        );
        assert_eq!(candles(store, &days).await, ["2025-11-14T00:00:00Z 1 5 1 4 2 2 5"]);
        assert_eq!(
            candles(store, &kraken).await[..2],
            ["2025-11-14T12:00:00Z 3 3 3 3 - - 1", "2025-11-14T13:59:00Z 2 2 2 2 - - 1"]
        );
        materialise_all(store, at("23:00:00")).await;
    }
}

/// `from` and `to`, both inclusive, cut the outermost buckets; each still stands at its bucket's start.
pub async fn a_range_cuts_its_outermost_buckets(store: &dyn Store) {
    let times = ["12:00:10", "12:00:20", "12:30:00", "13:00:20", "13:00:20.000001"];
    let ticks = times.iter().zip(1..).map(|(time, price)| tick(time, &format!("{price}"), None));
    append_ticks(store, ticks.collect()).await;
    let range = |interval, from: &str, to: &str| CandleRange {
        from: at(from),
        to: at(to),
        ..CandleRange::of(btc(), interval)
    };
    for _time in 0..2 {
        assert_eq!(
            candles(store, &range(Interval::H1, "12:00:20", "13:00:20")).await,
            ["2025-11-14T12:00:00Z 2 3 2 3 - - 2", "2025-11-14T13:00:00Z 4 4 4 4 - - 1"]
        );
        assert_eq!(
            candles(store, &range(Interval::D1, "12:00:10.000001", "13:00:20")).await,
            ["2025-11-14T00:00:00Z 2 4 2 4 - - 3"]
        );
        assert_eq!(
            candles(store, &range(Interval::W1, "12:00:20", "12:00:20")).await,
            ["2025-11-10T00:00:00Z 2 2 2 2 - - 1"]
        );
        assert!(candles(store, &range(Interval::M1, "12:00:21", "12:29:59")).await.is_empty());
        assert!(candles(store, &range(Interval::H1, "13:00:00", "12:00:00")).await.is_empty());
        materialise_all(store, at("23:00:00")).await;
    }
}

/// Sums are exact beyond 96 bits and keep the largest scale; a bucket without any volume has none.
pub async fn sums_are_exact_and_missing_volume_is_none(store: &dyn Store) {
    let ticks = vec![
        tick("12:00:01", "1", Some("99999999999999999.99")),
        tick("12:00:02", "2.0", Some("0.000000000000000001")),
        tick("12:00:03", "3", None),
        tick("12:01:00", "1.0", None),
        tick("12:02:00", "1.0", Some("0.00")),
    ];
    append_ticks(store, ticks).await;
    let range = CandleRange::of(btc(), Interval::M1);
    for _time in 0..2 {
        assert_eq!(
            candles(store, &range).await,
            [
                "2025-11-14T12:00:00Z 1 3 1 3 99999999999999999.990000000000000001 \
                 99999999999999999.9900000000000000020 3",
                "2025-11-14T12:01:00Z 1.0 1.0 1.0 1.0 - - 1",
                "2025-11-14T12:02:00Z 1.0 1.0 1.0 1.0 0.00 0.000 1",
            ]
        );
        materialise_all(store, at("23:00:00")).await;
    }
}

/// Of equal prices the one with more decimals is high and low, wherever it stands.
pub async fn of_equal_prices_more_decimals_win(store: &dyn Store) {
    let ticks = [
        ("12:00:01", "2.00"),
        ("12:00:02", "2.0"),
        ("12:01:01", "2"),
        ("12:01:02", "2.000"),
        ("12:01:03", "2.0"),
        ("12:02:01", "2"),
        ("12:02:02", "2.0"),
    ];
    append_ticks(store, ticks.map(|(time, price)| tick(time, price, None)).to_vec()).await;
    for _time in 0..2 {
        assert_eq!(
            candles(store, &CandleRange::of(btc(), Interval::M1)).await,
            [
                "2025-11-14T12:00:00Z 2.00 2.00 2.00 2.0 - - 2",
                "2025-11-14T12:01:00Z 2 2.000 2.000 2.0 - - 3",
                "2025-11-14T12:02:00Z 2 2.0 2.0 2.0 - - 2",
            ]
        );
        let fives = candles(store, &CandleRange::of(btc(), Interval::M5)).await;
        assert_eq!(fives, ["2025-11-14T12:00:00Z 2.00 2.000 2.000 2.0 - - 7"]);
        materialise_all(store, at("12:01:30")).await;
    }
}

/// Every interval starts its buckets where it should, in UTC, weeks on Monday.
pub async fn every_interval_has_its_buckets(store: &dyn Store) {
    let ticks = vec![tick("17:59:59.999999", "1", None), tick("18:00:00", "2", None)];
    append_ticks(store, ticks).await;
    let starts = [
        (Interval::M1, vec!["2025-11-14T17:59:00Z", "2025-11-14T18:00:00Z"]),
        (Interval::M5, vec!["2025-11-14T17:55:00Z", "2025-11-14T18:00:00Z"]),
        (Interval::M15, vec!["2025-11-14T17:45:00Z", "2025-11-14T18:00:00Z"]),
        (Interval::H1, vec!["2025-11-14T17:00:00Z", "2025-11-14T18:00:00Z"]),
        (Interval::H4, vec!["2025-11-14T16:00:00Z"]),
        (Interval::D1, vec!["2025-11-14T00:00:00Z"]),
        (Interval::W1, vec!["2025-11-10T00:00:00Z"]),
    ];
    for _time in 0..2 {
        for (interval, expected) in &starts {
            let buckets = store.candles(&CandleRange::of(btc(), *interval)).await.unwrap();
            let found: Vec<_> =
                buckets.iter().map(|bucket| bucket.start.bucket_text().to_string()).collect();
            assert_eq!(found, *expected, "{interval}");
        }
        materialise_all(store, at("23:00:00")).await;
    }
}

/// Buckets without ticks are left out.
pub async fn buckets_without_ticks_are_left_out(store: &dyn Store) {
    let eth = tick_of(symbol("ETH/USD"), source("kraken"), at("12:01:00"), "7", None);
    append_ticks(store, vec![tick("12:00:00", "1", None), eth, tick("12:05:00", "2", None)]).await;
    for _time in 0..2 {
        assert_eq!(
            candles(store, &CandleRange::of(btc(), Interval::M1)).await,
            ["2025-11-14T12:00:00Z 1 1 1 1 - - 1", "2025-11-14T12:05:00Z 2 2 2 2 - - 1"]
        );
        materialise_all(store, at("23:00:00")).await;
    }
}

/// An unknown symbol or source has no candles.
pub async fn an_unknown_symbol_or_source_has_no_candles(store: &dyn Store) {
    let range = CandleRange::of(btc(), Interval::H1);
    assert!(candles(store, &range).await.is_empty());
    append_ticks(store, vec![tick("12:00:00", "1", None)]).await;
    let unknown = CandleRange { symbol: symbol("NONE/USD"), ..range.clone() };
    assert!(candles(store, &unknown).await.is_empty());
    let nowhere = CandleRange { source: Some(source("nowhere")), ..range };
    assert!(candles(store, &nowhere).await.is_empty());
}

/// Pages that start after the last bucket of the page before join to the whole.
pub async fn candle_pages_join_to_the_whole(store: &dyn Store) {
    let ticks = (0..40).map(|place| {
        let at = Timestamp::from_micros(at("10:00:00").micros() + place * 97_000_000);
        tick_of(btc(), source("kraken"), at.unwrap(), &format!("{}", place + 1), Some("1"))
    });
    append_ticks(store, ticks.collect()).await;
    materialise_all(store, at("10:40:00")).await;
    for interval in Interval::ALL {
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let (from, to) = (at("10:01:00"), at("11:00:30"));
            let range = CandleRange { from, to, order, ..CandleRange::of(btc(), interval) };
            let whole = store.candles(&range).await.unwrap();
            for limit in [1, 3, 100] {
                let joined = pages::candles(store, &CandleRange { limit, ..range.clone() }).await;
                assert_eq!(joined, whole, "{interval} by {limit}");
            }
        }
    }
}

/// Candles of one source leave the others out.
pub async fn candles_of_one_source_leave_others_out(store: &dyn Store) {
    let binance = |time, price| tick_of(btc(), source("binance"), at(time), price, Some("1"));
    append_ticks(store, vec![tick("12:00:01", "5", None), binance("12:00:00", "1")]).await;
    let range =
        |name| CandleRange { source: Some(source(name)), ..CandleRange::of(btc(), Interval::H1) };
    for _time in 0..2 {
        let kraken = candles(store, &range("kraken")).await;
        assert_eq!(kraken, ["2025-11-14T12:00:00Z 5 5 5 5 - - 1"]);
        let binance = candles(store, &range("binance")).await;
        assert_eq!(binance, ["2025-11-14T12:00:00Z 1 1 1 1 1 1 1"]);
        let both = candles(store, &CandleRange::of(btc(), Interval::H1)).await;
        assert_eq!(both, ["2025-11-14T12:00:00Z 1 5 1 5 1 1 2"]);
        materialise_all(store, at("23:00:00")).await;
    }
}

/// Materialising ends: on an empty store, for any time, over ticks years apart, and when nothing is new.
pub async fn materialising_ends(store: &dyn Store) {
    for up_to in [Timestamp::MIN, at("12:00:00"), Timestamp::MAX] {
        materialise_all(store, up_to).await;
    }
    let ends = [Timestamp::MIN, at("12:00:00"), Timestamp::MAX];
    let ticks = ends.map(|at| tick_of(btc(), source("kraken"), at, "1", None));
    append_ticks(store, ticks.to_vec()).await;
    let range = CandleRange::of(btc(), Interval::D1);
    for up_to in [at("12:00:00"), Timestamp::MIN, Timestamp::MAX, Timestamp::MAX] {
        materialise_all(store, up_to).await;
        assert_eq!(
            candles(store, &range).await,
            [
                "1970-01-01T00:00:00Z 1 1 1 1 - - 1",
                "2025-11-14T00:00:00Z 1 1 1 1 - - 1",
                "9999-12-31T00:00:00Z 1 1 1 1 - - 1",
            ]
        );
    }
}

/// A recount finds no mismatch, late ticks and all.
pub async fn a_recount_finds_no_mismatch(store: &dyn Store) {
    assert_eq!(store.recount(0).await.unwrap(), Recount::default());
    for (time, up_to) in
        [("12:00:30", "13:00:00"), ("12:00:10", "13:00:00"), ("14:00:00", "20:00:00")]
    {
        append_ticks(store, vec![tick(time, "1.0", Some("2")), tick(time, "1", None)]).await;
        for step in 0..2 {
            for turn in 0..TURNS {
                assert_eq!(store.recount(turn).await.unwrap().mismatches, 0, "{time} {step}");
            }
            materialise_all(store, at(up_to)).await;
        }
    }
}
