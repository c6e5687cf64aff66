//! Small values that cases are written with.

use std::sync::Arc;

use bytes::Bytes;
use chrono_domain::{
    ExactSum, Price, Source, StoredTick, Symbol, Tick, Timestamp, Volume, WorkerId,
};

use crate::{
    Appended, Bucket, CandleRange, Idempotency, IdempotencyKey, NewBatch, Progress, Store,
    TickRange,
};

/// Most steps that materialising a case's few ticks may take.
const STEPS_MAX: usize = 10_000;

/// The symbol that cases use unless they need two.
pub(super) fn btc() -> Symbol {
    symbol("BTC/USD")
}

pub(super) fn symbol(text: &str) -> Symbol {
    Symbol::try_new(text).unwrap()
}

pub(super) fn source(text: &str) -> Source {
    Source::try_new(text).unwrap()
}

/// A time of Friday, 14 November 2025, as `12:34:56.789`.
pub(super) fn at(time: &str) -> Timestamp {
    Timestamp::parse_rfc3339(&format!("2025-11-14T{time}Z")).unwrap()
}

/// A tick of `BTC/USD` at `kraken`.
pub(super) fn tick(time: &str, price: &str, volume: Option<&str>) -> Tick {
    tick_of(btc(), source("kraken"), at(time), price, volume)
}

pub(super) fn tick_of(
    symbol: Symbol,
    source: Source,
    at: Timestamp,
    price: &str,
    volume: Option<&str>,
) -> Tick {
    let volume = volume.map(|text| Volume::try_new(text).unwrap());
    Tick::try_new(symbol, source, Price::try_new(price).unwrap(), volume, at).unwrap()
}

/// A batch without a key.
pub(super) fn batch(ticks: Vec<Tick>) -> NewBatch {
    NewBatch {
        worker: WorkerId::try_new("worker-1").unwrap(),
        idempotency: None,
        ticks,
        receipt: Bytes::from_static(b"first"),
        received_at: at("18:00:00"),
    }
}

/// A batch of one tick under a key.
pub(super) fn keyed(key: &str, fingerprint: u8, price: &str) -> NewBatch {
    let idempotency =
        Idempotency { key: IdempotencyKey::try_new(key).unwrap(), fingerprint: [fingerprint; 32] };
    NewBatch { idempotency: Some(idempotency), ..batch(vec![tick("12:00:00", price, None)]) }
}

/// Appends one batch in a call of its own.
pub(super) async fn append(store: &dyn Store, batch: NewBatch) -> Appended {
    let mut outcomes = store.append(vec![Arc::new(batch)]).await.unwrap();
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0).unwrap()
}

/// Appends ticks as one batch, which is stored.
pub(super) async fn append_ticks(store: &dyn Store, ticks: Vec<Tick>) {
    let outcome = append(store, batch(ticks)).await;
    assert!(matches!(outcome, Appended::Stored(_)), "{outcome:?}");
}

/// Reads every tick of `BTC/USD`, oldest first.
pub(super) async fn all_ticks(store: &dyn Store) -> Vec<StoredTick> {
    store.ticks(&TickRange::of(btc())).await.unwrap()
}

/// Reads the prices of `BTC/USD`, oldest first.
pub(super) async fn prices(store: &dyn Store) -> Vec<String> {
    all_ticks(store).await.iter().map(|stored| stored.tick.price.to_string()).collect()
}

/// Materialises until nothing waits.
pub(super) async fn materialise_all(store: &dyn Store, up_to: Timestamp) {
    for _step in 0..STEPS_MAX {
        if store.materialise(up_to).await.unwrap() == Progress::Idle {
            return;
        }
    }
    assert_eq!(store.materialise(up_to).await.unwrap(), Progress::Idle, "it does not end");
}

/// Reads candles as texts: start, open, high, low, close, volume, notional, count; `-` for none.
pub(super) async fn candles(store: &dyn Store, range: &CandleRange) -> Vec<String> {
    let buckets = store.candles(range).await.unwrap();
    buckets.iter().map(shown).collect()
}

fn shown(bucket: &Bucket) -> String {
    let candle = &bucket.candle;
    let sum = |sum: Option<ExactSum>| sum.map_or("-".to_owned(), |sum| sum.to_string());
    format!(
        "{} {} {} {} {} {} {} {}",
        bucket.start.bucket_text(),
        candle.open,
        candle.high,
        candle.low,
        candle.close,
        sum(candle.volume),
        sum(candle.notional),
        candle.count
    )
}
