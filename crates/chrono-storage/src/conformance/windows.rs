//! Cases of [`crate::TickStore::window`].

use std::collections::{BTreeMap, BTreeSet};

use chrono_domain::{OrderKey, Timestamp, Window};

use super::sample::{
    append, append_ticks, at, batch, btc, materialise_all, source, symbol, tick_of,
};
use crate::{Store, TickRange, WindowRange, WindowRead};

/// Enough for several pages under any settings.
const TICKS: i64 = 2_500;
/// Ticks of a commit that is whole or not there.
const COMMIT: usize = 7;
const COMMITS: usize = 60;

async fn whole(store: &dyn Store, (from, to): (Timestamp, Timestamp)) -> Window {
    let range = WindowRange { symbol: btc(), from, to, ticks_max: usize::MAX };
    match store.window(&range).await.unwrap() {
        WindowRead::Whole(window) => window,
        WindowRead::TooMany => unreachable!("there is no bound"),
    }
}

fn off(seconds: i64) -> Timestamp {
    Timestamp::from_micros(at("12:00:00").micros() + seconds * 1_000_000).unwrap()
}

/// Stores many ticks, two of each second, of two symbols and three sources; some are late.
async fn fill(store: &dyn Store, seconds: std::ops::Range<i64>) {
    for start in seconds.step_by(100) {
        let ticks = (start..start + 100).map(|second| {
            let name = ["kraken", "binance", "coinbase"][usize::try_from(second % 3).unwrap()];
            let symbol = if second % 7 == 0 { symbol("ETH/USD") } else { btc() };
            let late = if second % 11 == 0 { 500 } else { 0 };
            let price = format!("{}.50", 1_000 + second % 17);
            tick_of(symbol, source(name), off(second / 2 - late), &price, None)
        });
        append_ticks(store, ticks.collect()).await;
    }
}

/// A window holds the ticks of its range in their order, sealed or not, each source once and only those with a tick.
pub async fn a_window_holds_the_ticks_of_its_range(store: &dyn Store) {
    let all = (Timestamp::MIN, Timestamp::MAX);
    assert_eq!(whole(store, all).await, Window::default());
    fill(store, 0..TICKS).await;
    materialise_all(store, Timestamp::MAX).await;
    fill(store, TICKS - 300..TICKS + 300).await;
    for (from, to) in [
        all,
        (off(1_200), off(1_250)),
        (off(10), off(10)),
        (off(5_000), off(6_000)),
        (off(20), off(10)),
        (off(-499), off(700)),
    ] {
        let Window { sources, rows } = whole(store, (from, to)).await;
        let ticks = store.ticks(&TickRange { from, to, ..TickRange::of(btc()) }).await.unwrap();
        let expected: Vec<_> = ticks
            .iter()
            .map(|stored| (stored.tick.source, stored.tick.price.to_string(), stored.key()))
            .collect();
        let found: Vec<_> = rows
            .iter()
            .map(|row| (sources[row.source_idx as usize], row.price.to_string(), row.key))
            .collect();
        assert_eq!(found, expected, "{from} to {to}");
        let named: BTreeSet<_> = expected.iter().map(|(source, ..)| *source).collect();
        assert_eq!(sources.len(), named.len(), "{from} to {to}");
    }
    let unknown = WindowRange { symbol: symbol("NONE/USD"), from: all.0, to: all.1, ticks_max: 0 };
    let read = store.window(&unknown).await.unwrap();
    assert_eq!(read, WindowRead::Whole(Window::default()));
}

/// A window of more ticks than it may hold answers [`WindowRead::TooMany`], sealed or not.
pub async fn a_window_of_more_ticks_than_it_may_hold_answers_so(store: &dyn Store) {
    let (from, to) = (off(0), off(600));
    let bounded = |ticks_max| WindowRange { symbol: btc(), from, to, ticks_max };
    assert_ne!(store.window(&bounded(0)).await.unwrap(), WindowRead::TooMany);
    for _time in 0..2 {
        fill(store, 0..TICKS).await;
        let count = whole(store, (from, to)).await.rows.len();
        for (ticks_max, too_many) in [(count, false), (count - 1, true), (1, true), (0, true)] {
            let read = store.window(&bounded(ticks_max)).await.unwrap();
            assert_eq!(read == WindowRead::TooMany, too_many, "{ticks_max} of {count}");
        }
        materialise_all(store, Timestamp::MAX).await;
    }
}

/// A window is of one moment: whatever is stored and sealed meanwhile, it shows each commit whole or not at all.
pub async fn a_window_shows_each_commit_whole(store: &dyn Store) {
    let storing = async {
        for price in 1..=COMMITS {
            // Spread over the window, newest first, so that a read in parts would tear it.
            let ticks = (0..COMMIT).rev().map(|place| {
                let at = off(i64::try_from(place * 40 + price % 7).unwrap());
                tick_of(btc(), source("kraken"), at, &price.to_string(), None)
            });
            append(store, batch(ticks.collect())).await;
            store.materialise(Timestamp::MAX).await.unwrap();
        }
    };
    let reading = async {
        loop {
            let Window { rows, .. } = whole(store, (off(0), off(600))).await;
            assert!(rows.is_sorted_by_key(|row| row.key));
            let mut commits: BTreeMap<String, Vec<OrderKey>> = BTreeMap::new();
            for row in &rows {
                commits.entry(row.price.to_string()).or_default().push(row.key);
            }
            for (price, keys) in &commits {
                assert_eq!(keys.len(), COMMIT, "the commit of {price} is torn");
            }
            if commits.len() == COMMITS {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(storing, reading);
}
