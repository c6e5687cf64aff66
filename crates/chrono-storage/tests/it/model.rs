//! The model: what a caller sees when it goes wrong as told.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use bytes::Bytes;
use chrono_domain::{Arrival, Interval, Price, Source, Symbol, Tick, Timestamp, Volume, WorkerId};
use chrono_storage::conformance::generate::Op;
use chrono_storage::model::{Fault, ModelStore, ReadFault};
use chrono_storage::{
    Appended, CandleRange, CandleStore, Idempotency, IdempotencyKey, NewBatch, Store, StoreError,
    TickRange, TickStore, conformance,
};
use proptest::prelude::*;

fn symbol() -> Symbol {
    Symbol::try_new("BTC/USD").unwrap()
}

fn batch(key: &str, ticks: &[(i64, &str, Option<&str>)]) -> Arc<NewBatch> {
    let ticks = ticks.iter().map(|(micros, price, volume)| {
        let volume = volume.map(|text| Volume::try_new(text).unwrap());
        let at = Timestamp::from_micros(*micros).unwrap();
        let source = Source::try_new("kraken").unwrap();
        Tick::try_new(symbol(), source, Price::try_new(price).unwrap(), volume, at).unwrap()
    });
    Arc::new(NewBatch {
        worker: WorkerId::try_new("w").unwrap(),
        idempotency: Some(Idempotency {
            key: IdempotencyKey::try_new(key).unwrap(),
            fingerprint: [7; 32],
        }),
        ticks: ticks.collect(),
        receipt: Bytes::from_static(b"receipt"),
        received_at: Timestamp::MIN,
    })
}

async fn count(store: &ModelStore) -> usize {
    store.ticks(&TickRange::of(symbol())).await.unwrap().len()
}

#[tokio::test]
async fn goes_wrong_as_told_and_only_then() {
    let store = ModelStore::default();
    let call = || vec![batch("a", &[(1, "1", None)])];
    store.next_commit(Fault::Unavailable);
    store.next_commit(Fault::Overloaded);
    store.next_commit(Fault::UnknownLost);
    store.next_commit(Fault::UnknownStored);
    assert!(matches!(store.append(call()).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.append(call()).await, Err(StoreError::Overloaded)));
    assert!(matches!(store.append(call()).await, Err(StoreError::OutcomeUnknown(_))));
    assert_eq!(count(&store).await, 0);
    assert!(matches!(store.append(call()).await, Err(StoreError::OutcomeUnknown(_))));
    assert_eq!(count(&store).await, 1);
    let outcomes = store.append(call()).await.unwrap();
    assert!(matches!(&outcomes[..], [Ok(Appended::Repeated(receipt))] if receipt == "receipt"));
}

#[tokio::test]
async fn refuses_one_batch_of_a_call() {
    let store = ModelStore::default();
    store.next_commit(Fault::Refuse(1));
    let call = ["a", "b", "c"].map(|key| batch(key, &[(1, "1", None)]));
    let outcomes = store.append(call.to_vec()).await.unwrap();
    assert!(matches!(
        &outcomes[..],
        [
            Ok(Appended::Stored(Arrival(1))),
            Err(StoreError::Refused(_)),
            Ok(Appended::Stored(Arrival(2)))
        ]
    ));
    assert_eq!(count(&store).await, 2);
}

#[tokio::test]
async fn hangs_once_and_stores_nothing() {
    let store = ModelStore::default();
    store.next_commit(Fault::Hang);
    {
        let mut hung = pin!(store.append(vec![batch("a", &[(1, "1", None)])]));
        let mut context = Context::from_waker(Waker::noop());
        assert!(hung.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(count(&store).await, 0);
    store.append(vec![batch("a", &[(1, "1", None)])]).await.unwrap();
    assert_eq!(count(&store).await, 1);
}

#[tokio::test]
async fn fails_a_read_when_told() {
    let store = ModelStore::default();
    store.next_read(ReadFault::Unavailable);
    assert!(matches!(store.names().await, Err(StoreError::Unavailable(_))));
    assert!(store.names().await.is_ok());
}

#[tokio::test]
async fn folds_a_bucket_exactly() {
    let store = ModelStore::default();
    let minute = 60_000_000;
    let ticks = [
        (minute + 5, "2.0", Some("0.10")),
        (minute, "3", None),
        (minute + 5, "2", Some("99999999999999999.99")),
        (minute + 3, "3.00", Some("0.000000000000000001")),
        (2 * minute, "9", None),
    ];
    store.append(vec![batch("a", &ticks)]).await.unwrap();
    let buckets = store.candles(&CandleRange::of(symbol(), Interval::M1)).await.unwrap();
    let candle = &buckets[0].candle;
    let prices = [candle.open, candle.high, candle.low, candle.close].map(|p| p.to_string());
    assert_eq!(prices, ["3", "3.00", "2.0", "2"]);
    assert_eq!(candle.volume.unwrap().to_string(), "100000000000000000.090000000000000001");
    let notional = candle.notional.unwrap().to_string();
    assert_eq!(notional, "200000000000000000.18000000000000000300");
    assert_eq!((candle.count, buckets.len(), buckets[1].candle.volume), (4, 2, None));
}

/// The model keeps nothing across restarts, so a place of it is the store itself.
async fn same_again() -> impl AsyncFn() -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(ModelStore::default());
    async move || Arc::clone(&store)
}

#[tokio::test]
async fn keeps_every_promise_of_the_contract() {
    conformance::run_all(async || Arc::new(ModelStore::default()) as Arc<dyn Store>).await;
    conformance::run_restarts(same_again).await;
}

#[tokio::test]
async fn keeps_the_promises_about_failed_calls() {
    let store = ModelStore::default();
    let refuse = |batch| {
        store.next_commit(Fault::Refuse(1));
        batch
    };
    conformance::ticks::a_refused_batch_harms_no_other_of_the_same_call(&store, refuse).await;
    for fault in [Fault::Unavailable, Fault::Overloaded] {
        let store = ModelStore::default();
        let fail = || store.next_commit(fault);
        conformance::ticks::nothing_is_stored_of_a_call_that_answers_err(&store, fail).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Shows that the comparison runs and that one model has one answer; other backends meet the model there.
    #[test]
    fn answers_as_another_model_does(ops in conformance::generate::ops(24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (left, right) = (ModelStore::default(), ModelStore::default());
        runtime.block_on(conformance::same_answers(&left, &right, &ops));
    }
}

/// The comparison's own control: one store holds a tick more than it was told of.
#[tokio::test]
#[should_panic(expected = "left == right")]
async fn the_comparison_notices_one_tick_more() {
    let (right, wrong) = (ModelStore::default(), ModelStore::default());
    wrong.append(vec![batch("z", &[(2, "1", None)])]).await.unwrap();
    let append = Op::Append(vec![batch("a", &[(1, "1", None), (3, "1", None)])]);
    let candles = Op::Candles(CandleRange::of(symbol(), Interval::M1));
    conformance::same_answers(&right, &wrong, &[append, candles]).await;
}
