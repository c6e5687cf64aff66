//! Appending to a file.

use std::sync::Arc;

use bytes::Bytes;
use chrono_domain::{Arrival, Metadata, Price, Source, Symbol, Tick, Timestamp, Volume, WorkerId};
use chrono_storage::sqlite::SqliteStore;
use chrono_storage::{
    Appended, CandleStore, Detail, Idempotency, IdempotencyKey, NewBatch, Order, Progress,
    TickRange, TickStore,
};

use super::running::{Running, crashed_copy, fresh_file};

pub(super) const NOW: i64 = 1_760_013_296_789_000;

pub(super) fn tick(symbol: &str, source: &str, at: i64, price: &str, volume: Option<&str>) -> Tick {
    let volume = volume.map(|text| Volume::try_new(text).unwrap());
    Tick::try_new(
        Symbol::try_new(symbol).unwrap(),
        Source::try_new(source).unwrap(),
        Price::try_new(price).unwrap(),
        volume,
        Timestamp::from_micros(at).unwrap(),
    )
    .unwrap()
}

pub(super) fn batch(worker: &str, key: Option<(&str, u8)>, ticks: Vec<Tick>) -> Arc<NewBatch> {
    Arc::new(NewBatch {
        worker: WorkerId::try_new(worker).unwrap(),
        idempotency: key.map(|(key, fingerprint)| Idempotency {
            key: IdempotencyKey::try_new(key).unwrap(),
            fingerprint: [fingerprint; 32],
        }),
        ticks,
        receipt: Bytes::from_static(b"receipt"),
        received_at: Timestamp::from_micros(NOW).unwrap(),
    })
}

async fn texts(store: &SqliteStore, range: &TickRange) -> Vec<(u64, String, Option<String>)> {
    let ticks = store.ticks(range).await.unwrap();
    let text = |volume: Volume| volume.to_string();
    ticks
        .into_iter()
        .map(|held| (held.arrival.0, held.tick.price.to_string(), held.tick.volume.map(text)))
        .collect()
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_crash_and_numbers_go_on() {
    let (_dir, path) = fresh_file();
    let running = Running::open(&path);
    let ticks = vec![
        tick("BTC/USD", "kraken", NOW + 1, "67230.00", Some("0.00")),
        tick("BTC/USD", "binance", NOW, "0.000000000000000001", None),
    ];
    running.store.append(vec![batch("w", Some(("a", 1)), ticks.clone())]).await.unwrap();
    let (_copy_dir, copy) = crashed_copy(&path);
    let risen = Running::open(&copy);
    let range = TickRange::of(Symbol::try_new("BTC/USD").unwrap());
    let expected = [
        (2, "0.000000000000000001".to_owned(), None),
        (1, "67230.00".to_owned(), Some("0.00".to_owned())),
    ];
    assert_eq!(texts(&risen.store, &range).await, expected);
    let outcomes = risen.store.append(vec![
        batch("w", Some(("a", 1)), ticks.clone()),
        batch("w", Some(("a", 2)), ticks.clone()),
        batch("v", Some(("a", 2)), ticks),
    ]);
    assert!(matches!(
        &outcomes.await.unwrap()[..],
        [Ok(Appended::Repeated(receipt)), Ok(Appended::KeyClash), Ok(Appended::Stored(Arrival(3)))]
            if receipt == "receipt"
    ));
}

#[tokio::test]
async fn pages_in_both_orders_join_across_ties() {
    let (_dir, path) = fresh_file();
    let running = Running::open(&path);
    let ticks = (0..40).map(|nth| tick("A/B", "s", NOW + nth / 7, &format!("{}", nth + 1), None));
    running.store.append(vec![batch("w", None, ticks.collect())]).await.unwrap();
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let mut range =
            TickRange { order, limit: 3, ..TickRange::of(Symbol::try_new("A/B").unwrap()) };
        let mut arrivals = Vec::new();
        while let Some(last) = {
            let page = running.store.ticks(&range).await.unwrap();
            arrivals.extend(page.iter().map(|held| held.arrival.0));
            page.last().map(chrono_domain::StoredTick::key)
        } {
            range.after = Some(last);
        }
        let mut expected: Vec<u64> = (1..=40).collect();
        if order == Order::NewestFirst {
            expected.reverse();
        }
        assert_eq!(arrivals, expected);
    }
}

#[tokio::test]
async fn metadata_reads_back_only_when_asked_for() {
    let (_dir, path) = fresh_file();
    let running = Running::open(&path);
    let metadata = Metadata::from_canonical(r#"{"ask":"1.1","bid":"1"}"#);
    let sent = tick("A/B", "s", NOW, "1", None).with_metadata(Some(metadata.clone()));
    running.store.append(vec![batch("w", None, vec![sent])]).await.unwrap();
    let plain = TickRange::of(Symbol::try_new("A/B").unwrap());
    let with = TickRange { detail: Detail::WithMetadata, ..plain.clone() };
    assert_eq!(running.store.ticks(&plain).await.unwrap()[0].tick.metadata, None);
    assert_eq!(running.store.ticks(&with).await.unwrap()[0].tick.metadata, Some(metadata));
}

#[tokio::test]
async fn keys_are_forgotten_some_at_a_time_wherever_they_are() {
    let (_dir, path) = fresh_file();
    let running = Running::tiny(&path);
    let store = &running.store;
    let send = async |keys: std::ops::Range<u32>| {
        let one = |nth| {
            let tick = tick("A/B", "s", NOW, "1", None);
            batch("w", Some((&format!("key-{nth}"), 1)), vec![tick])
        };
        store.append(keys.map(one).collect()).await.unwrap()
    };
    send(0..1_000).await;
    while store.materialise(Timestamp::MAX).await.unwrap() != Progress::Idle {}
    send(1_000..1_003).await;
    let mut forgotten = Vec::new();
    while let Some(count) =
        Some(store.forget_keys(Timestamp::MAX).await.unwrap()).filter(|n| *n > 0)
    {
        forgotten.push(count);
    }
    assert_eq!(forgotten.iter().sum::<u64>(), 1_003);
    assert!(forgotten.iter().all(|count| *count <= 200), "{forgotten:?}");
    drop(running);
    let risen = Running::tiny(&path);
    let tick = tick("A/B", "s", NOW, "1", None);
    for key in ["key-0", "key-999", "key-1002"] {
        let again = risen.store.append(vec![batch("w", Some((key, 2)), vec![tick.clone()])]).await;
        assert!(matches!(&again.unwrap()[..], [Ok(Appended::Stored(_))]), "{key}");
    }
}
