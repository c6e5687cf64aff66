//! Cases that span a restart; `reopen` opens the store of one place again, after the one before was dropped.

use std::sync::Arc;

use bytes::Bytes;
use chrono_domain::{Interval, Timestamp};

use super::delegations::{all, delegation};
use super::keys::key;
use super::sample::{
    all_ticks, append, append_ticks, at, btc, candles, keyed, materialise_all, prices, tick,
};
use super::snapshots::snapshot;
use crate::{Appended, CandleRange, NewBatch, Store};

/// Rounds of late ticks, steps and restarts.
const ROUNDS: i64 = 12;

/// A stored batch survives: its ticks, their numbers, the names and the count.
pub async fn a_stored_batch_survives(reopen: &impl AsyncFn() -> Arc<dyn Store>) {
    let store = reopen().await;
    append_ticks(store.as_ref(), vec![tick("12:00:01", "1.50", Some("0.0"))]).await;
    append_ticks(store.as_ref(), vec![tick("12:00:00", "2", None)]).await;
    let before = (all_ticks(store.as_ref()).await, store.names().await.unwrap());
    drop(store);
    for _restart in 0..2 {
        let store = reopen().await;
        assert_eq!(all_ticks(store.as_ref()).await, before.0);
        assert_eq!(store.names().await.unwrap(), before.1);
        assert_eq!(store.stats().await.unwrap().ticks, 2);
        let newest = store.newest().await.unwrap();
        assert_eq!(newest, before.0[1..]);
    }
}

/// Arrival numbers go on growing after a restart.
pub async fn arrival_numbers_go_on_growing(reopen: &impl AsyncFn() -> Arc<dyn Store>) {
    let mut last = 0;
    for _restart in 0..3 {
        let store = reopen().await;
        // The newest in time is not the newest in arrival.
        let ticks = vec![tick("12:00:09", "1", None), tick("12:00:01", "2", None)];
        let outcome = append(store.as_ref(), super::sample::batch(ticks)).await;
        let Appended::Stored(first) = outcome else { unreachable!("{outcome:?}") };
        assert!(first.0 > last, "{first:?} was given before");
        last = first.0 + 1;
    }
}

/// A repeat still answers the first receipt, and another fingerprint a clash.
pub async fn a_repeat_still_answers_the_first_receipt(reopen: &impl AsyncFn() -> Arc<dyn Store>) {
    append(reopen().await.as_ref(), keyed("a", 1, "1")).await;
    let store = reopen().await;
    let again = NewBatch { receipt: Bytes::from_static(b"second"), ..keyed("a", 1, "2") };
    assert_eq!(
        append(store.as_ref(), again).await,
        Appended::Repeated(Bytes::from_static(b"first"))
    );
    assert_eq!(append(store.as_ref(), keyed("a", 2, "3")).await, Appended::KeyClash);
    assert_eq!(prices(store.as_ref()).await, ["1"]);
}

/// Candles stay right with a restart between any two steps of the materialiser, late ticks on the way.
pub async fn candles_stay_right_between_any_two_steps(reopen: &impl AsyncFn() -> Arc<dyn Store>) {
    let days = CandleRange::of(btc(), Interval::D1);
    let hours = CandleRange::of(btc(), Interval::H1);
    for round in 0..ROUNDS {
        let store = reopen().await;
        // Hours 12, 11, 12, 13, 10, …: some new, some late.
        let hour = [12, 11, 12, 13, 10, 12][usize::try_from(round % 6).unwrap()];
        let price = (round + 1).to_string();
        append_ticks(
            store.as_ref(),
            vec![tick(&format!("{hour}:00:{round:02}"), &price, Some("1"))],
        )
        .await;
        drop(store);
        let store = reopen().await;
        let _progress = store.materialise(at("14:00:00")).await.unwrap();
        drop(store);
        let store = reopen().await;
        let count = round + 1;
        let expected: i64 = (1..=count).sum();
        let found = candles(store.as_ref(), &days).await;
        assert_eq!(found.len(), 1);
        assert!(found[0].ends_with(&format!(" {count} {expected} {count}")), "{found:?}");
        let by_hour = store.candles(&hours).await.unwrap();
        let counted: u64 = by_hour.iter().map(|bucket| bucket.candle.count).sum();
        assert_eq!(counted, count.unsigned_abs());
    }
    let store = reopen().await;
    let before = candles(store.as_ref(), &hours).await;
    materialise_all(store.as_ref(), Timestamp::MAX).await;
    drop(store);
    assert_eq!(candles(reopen().await.as_ref(), &hours).await, before);
}

/// Snapshots, delegations and keys survive.
pub async fn snapshots_delegations_and_keys_survive(reopen: &impl AsyncFn() -> Arc<dyn Store>) {
    let store = reopen().await;
    let revised = snapshot("12:00:00", Some("2"));
    let put = vec![snapshot("12:00:00", Some("1")), revised.clone()];
    assert_eq!(store.put_snapshots(put).await.unwrap(), 2);
    store.append_delegations(vec![delegation("a", "b", "12:00:00")]).await.unwrap();
    store.put_keys(vec![key("a", "12:00:00")]).await.unwrap();
    store.put_keys(vec![key("b", "12:00:01")]).await.unwrap();
    assert!(store.revoke_key("b", at("13:00:00")).await.unwrap());
    let delegations = store.delegations(&all()).await.unwrap();
    let keys = store.keys().await.unwrap();
    drop(store);

    let store = reopen().await;
    let read = store.snapshot(btc(), at("12:00:00")).await.unwrap().unwrap();
    assert_eq!((read.revision, &read.price), (1, &revised.price));
    assert_eq!(store.put_snapshots(vec![revised]).await.unwrap(), 0);
    assert_eq!(store.delegations(&all()).await.unwrap(), delegations);
    assert_eq!(store.keys().await.unwrap(), keys);
    assert_eq!(keys.len(), 2);
    assert!(!store.revoke_key("b", at("14:00:00")).await.unwrap());
}
