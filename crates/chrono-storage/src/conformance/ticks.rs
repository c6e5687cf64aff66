//! Cases of [`crate::TickStore`].

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use chrono_domain::{Arrival, Metadata, StoredTick, Timestamp, WorkerId};

use super::pages;
use super::sample::{
    all_ticks, append, append_ticks, at, batch, btc, keyed, prices, source, symbol, tick, tick_of,
};
use crate::{Appended, Detail, NewBatch, Order, Store, StoreError, TickRange};

/// A call answers one outcome per batch, in their order, also for none.
pub async fn each_batch_gets_its_outcome_in_order(store: &dyn Store) {
    append(store, keyed("old", 1, "1")).await;
    let call = vec![
        Arc::new(keyed("new", 1, "2")),
        Arc::new(keyed("old", 2, "3")),
        Arc::new(keyed("old", 1, "4")),
        Arc::new(batch(vec![tick("12:00:01", "5", None)])),
    ];
    let outcomes: Vec<_> =
        store.append(call).await.unwrap().into_iter().map(Result::unwrap).collect();
    assert!(
        matches!(
            &outcomes[..],
            [Appended::Stored(_), Appended::KeyClash, Appended::Repeated(_), Appended::Stored(_)]
        ),
        "{outcomes:?}"
    );
    assert_eq!(prices(store).await, ["1", "2", "5"]);
    assert!(store.append(Vec::new()).await.unwrap().is_empty());
}

/// Arrival numbers grow with every stored tick and are never given twice.
pub async fn arrival_numbers_grow_and_are_never_given_twice(store: &dyn Store) {
    let later = batch(vec![tick("12:00:09", "1", None), tick("12:00:08", "2", None)]);
    let earlier = batch(vec![tick("12:00:01", "3", None), tick("12:00:01", "4", None)]);
    let mut last = None;
    for call in [vec![&later, &earlier], vec![&earlier], vec![&later]] {
        let call: Vec<_> = call.into_iter().map(|batch| Arc::new(batch.clone())).collect();
        for outcome in store.append(call).await.unwrap() {
            let Ok(Appended::Stored(first)) = outcome else { unreachable!("{outcome:?}") };
            assert!(last.is_none_or(|last| first > last), "{first:?} does not follow {last:?}");
            last = Some(Arrival(first.0 + 1));
        }
    }
    let stored = all_ticks(store).await;
    let arrivals: BTreeSet<_> = stored.iter().map(|stored| stored.arrival).collect();
    assert_eq!((stored.len(), arrivals.len()), (8, 8));
    assert_eq!(arrivals.last().copied(), last);
}

/// Prices and volumes read back with the digits that were written; no volume stays no volume.
pub async fn digits_read_back_as_written(store: &dyn Store) {
    let written = [
        ("67230.00", Some("0.00")),
        ("67230.0", Some("0")),
        ("67230", None),
        ("0.000000000000000001", Some("999999999999999999.999")),
        ("999999999999999999.0000000000", Some("0.000000000000000000")),
        ("1.10", Some("9007199254740993")),
        ("0.1", Some("79228162514264.33759354395033")),
    ];
    let ticks = written.map(|(price, volume)| tick("12:00:00", price, volume));
    append_ticks(store, ticks.to_vec()).await;
    let read: Vec<_> = all_ticks(store)
        .await
        .iter()
        .map(|stored| {
            (stored.tick.price.to_string(), stored.tick.volume.map(|volume| volume.to_string()))
        })
        .collect();
    let written = written.map(|(price, volume)| (price.to_owned(), volume.map(str::to_owned)));
    assert_eq!(read, written);
}

/// Every field of a tick reads back; metadata only when asked for.
pub async fn all_of_a_tick_reads_back(store: &dyn Store) {
    let metadata = Metadata::from_canonical(r#"{"note":"č\u0000\"","volume_kind":"24h"}"#);
    let exact = Timestamp::from_micros(at("12:00:00").micros() + 123_457).unwrap();
    let noted = tick_of(btc(), source("a.b-c_d"), exact, "2.50", Some("0.10"))
        .with_metadata(Some(metadata));
    let longest = symbol(&format!("{0}/{0}", "Z".repeat(20)));
    let plain = tick_of(longest, source(&"z".repeat(32)), Timestamp::MIN, "3", None);
    append_ticks(store, vec![noted.clone(), plain.clone()]).await;
    for (written, detail) in [(&noted, Detail::WithMetadata), (&plain, Detail::WithMetadata)] {
        let range = TickRange { detail, ..TickRange::of(written.symbol) };
        let stored = store.ticks(&range).await.unwrap().remove(0);
        assert_eq!((&stored.tick, stored.ingested_at), (written, at("18:00:00")));
        assert_eq!(stored.tick.price.to_string(), written.price.to_string());
    }
    let read_plainly = all_ticks(store).await.remove(0).tick;
    assert_eq!(read_plainly, noted.with_metadata(None));
}

/// A range holds both its ends.
pub async fn a_range_holds_both_its_ends(store: &dyn Store) {
    let edges = ["12:00:00.999999", "12:00:01", "12:00:02", "12:00:02.000001"];
    append_ticks(store, edges.map(|time| tick(time, "1", None)).to_vec()).await;
    let from_to = |from, to| TickRange { from: at(from), to: at(to), ..TickRange::of(btc()) };
    for (from, to, count) in
        [("12:00:01", "12:00:02", 2), ("12:00:01", "12:00:01", 1), ("12:00:02", "12:00:01", 0)]
    {
        let read = store.ticks(&from_to(from, to)).await.unwrap();
        assert_eq!(read.len(), count, "{from} to {to}");
        assert!(read.iter().all(|stored| (at(from)..=at(to)).contains(&stored.tick.timestamp)));
    }
}

/// A range answers by (timestamp, arrival) or its reverse.
pub async fn a_range_answers_by_timestamp_and_arrival_either_way(store: &dyn Store) {
    let rows = [("12:00:02", "1"), ("12:00:01", "2"), ("12:00:02", "3"), ("12:00:01", "4")];
    for (time, price) in rows {
        append_ticks(store, vec![tick(time, price, None)]).await;
    }
    assert_eq!(prices(store).await, ["2", "4", "1", "3"]);
    let falling = TickRange { order: Order::NewestFirst, ..TickRange::of(btc()) };
    let mut read = store.ticks(&falling).await.unwrap();
    read.reverse();
    assert_eq!(read, all_ticks(store).await);
    assert!(read.is_sorted_by_key(StoredTick::key));
}

/// An unknown symbol or source answers empty.
pub async fn an_unknown_symbol_or_source_answers_empty(store: &dyn Store) {
    assert!(all_ticks(store).await.is_empty());
    append_ticks(store, vec![tick("12:00:00", "1", None)]).await;
    let unknown = TickRange::of(symbol("NONE/USD"));
    assert!(store.ticks(&unknown).await.unwrap().is_empty());
    let nowhere = TickRange { source: Some(source("nowhere")), ..TickRange::of(btc()) };
    assert!(store.ticks(&nowhere).await.unwrap().is_empty());
    let known = TickRange { source: Some(source("kraken")), ..TickRange::of(btc()) };
    assert_eq!(store.ticks(&known).await.unwrap().len(), 1);
}

/// Pages that start after the last tick of the page before join to the whole.
pub async fn tick_pages_join_to_the_whole(store: &dyn Store) {
    let times = ["12:00:03", "12:00:01", "12:00:01", "12:00:02", "12:00:01", "12:00:03"];
    for (place, time) in times.into_iter().cycle().take(23).enumerate() {
        let source = source(if place % 3 == 0 { "kraken" } else { "binance" });
        append_ticks(store, vec![tick_of(btc(), source, at(time), "1", None)]).await;
    }
    for order in [Order::OldestFirst, Order::NewestFirst] {
        for source in [None, Some(source("binance"))] {
            let range = TickRange { source, order, ..TickRange::of(btc()) };
            let whole = store.ticks(&range).await.unwrap();
            for limit in [1, 2, 5, 23] {
                let joined = pages::ticks(store, &TickRange { limit, ..range.clone() }).await;
                assert_eq!(joined, whole, "{order:?} {source:?} by {limit}");
            }
        }
    }
}

/// The newest tick of every symbol and source is found, without metadata.
pub async fn the_newest_tick_of_every_symbol_and_source_is_found(store: &dyn Store) {
    assert!(store.newest().await.unwrap().is_empty());
    let eth = |time, price| tick_of(symbol("ETH/USD"), source("kraken"), at(time), price, None);
    let binance = |time, price| tick_of(btc(), source("binance"), at(time), price, None);
    let noted = tick("12:00:05", "2", None).with_metadata(Some(Metadata::from_canonical("{}")));
    append_ticks(store, vec![tick("12:00:05", "1", None), noted, binance("12:00:01", "3")]).await;
    append_ticks(store, vec![eth("12:00:00", "4"), tick("12:00:04", "5", None)]).await;
    let newest = store.newest().await.unwrap();
    let mut prices: Vec<_> = newest.iter().map(|stored| stored.tick.price.to_string()).collect();
    prices.sort();
    assert_eq!(prices, ["2", "3", "4"]);
    assert!(newest.iter().all(|stored| stored.tick.metadata.is_none()));
    let all = all_ticks(store).await;
    for stored in newest.iter().filter(|stored| stored.tick.symbol == btc()) {
        assert!(all.contains(stored), "{stored:?} is not what the range answers");
    }
}

/// Every symbol, source and worker in use is found.
pub async fn every_name_in_use_is_found(store: &dyn Store) {
    assert_eq!(store.names().await.unwrap(), crate::Names::default());
    let eth = tick_of(symbol("ETH/USD"), source("binance"), at("12:00:00"), "1", None);
    append_ticks(store, vec![tick("12:00:00", "1", None), eth]).await;
    let worker = WorkerId::try_new("worker-2").unwrap();
    append(store, NewBatch { worker, ..keyed("a", 1, "1") }).await;
    append(store, NewBatch { worker, ..keyed("a", 1, "1") }).await;
    let names = store.names().await.unwrap();
    let texts = |names: Vec<String>| {
        let mut names = names;
        names.sort();
        names
    };
    let symbols = names.symbols.iter().map(ToString::to_string).collect();
    assert_eq!(texts(symbols), ["BTC/USD", "ETH/USD"]);
    let sources = names.sources.iter().map(ToString::to_string).collect();
    assert_eq!(texts(sources), ["binance", "kraken"]);
    let workers = names.workers.iter().map(ToString::to_string).collect();
    assert_eq!(texts(workers), ["worker-1", "worker-2"]);
}

/// Every stored tick is counted, and no repeat.
pub async fn stored_ticks_are_counted(store: &dyn Store) {
    assert_eq!(store.stats().await.unwrap().ticks, 0);
    append_ticks(store, vec![tick("12:00:00", "1", None), tick("12:00:00", "1", None)]).await;
    append(store, keyed("a", 1, "1")).await;
    append(store, keyed("a", 1, "1")).await;
    assert_eq!(store.stats().await.unwrap().ticks, 3);
}

/// Dropping the future of a call never stores half a batch; sent again under its key it is stored once.
pub async fn dropping_a_call_never_stores_half_a_batch(store: &dyn Store) {
    const TICKS: usize = 40;
    for round in 0..10_u8 {
        let ticks = vec![tick(&format!("12:00:{round:02}"), "1", None); TICKS];
        let batch = Arc::new(NewBatch { ticks, ..keyed(&format!("key-{round}"), round, "1") });
        {
            let mut call = pin!(store.append(vec![Arc::clone(&batch)]));
            let mut context = Context::from_waker(Waker::noop());
            for _poll in 0..round % 3 {
                if call.as_mut().poll(&mut context).is_ready() {
                    break;
                }
            }
        }
        let so_far = all_ticks(store).await.len();
        assert_eq!(so_far % TICKS, 0, "half a batch was stored");
        append(store, Arc::unwrap_or_clone(batch)).await;
        assert_eq!(all_ticks(store).await.len(), TICKS * (usize::from(round) + 1));
    }
}

/// Calls that wait at the same time are all stored, each batch whole and in its own order.
pub async fn calls_at_the_same_time_are_all_stored(store: &dyn Store) {
    let batch_of = |call: usize| {
        let price = |place: usize| (call * 10 + place + 1).to_string();
        let ticks = (0..4).map(|place| tick("12:00:00", &price(place), None)).collect();
        vec![Arc::new(batch(ticks))]
    };
    let (first, second) = (batch_of(0), batch_of(1));
    let starts = tokio::join!(store.append(first), store.append(second));
    let stored = all_ticks(store).await;
    assert_eq!(stored.len(), 8);
    for (call, outcomes) in [starts.0, starts.1].into_iter().enumerate() {
        let outcome = outcomes.unwrap().remove(0).unwrap();
        let Appended::Stored(first) = outcome else { unreachable!("{outcome:?}") };
        let own: Vec<_> = stored
            .iter()
            .filter(|stored| (first.0..first.0 + 4).contains(&stored.arrival.0))
            .map(|stored| stored.tick.price.to_string())
            .collect();
        let expected: Vec<_> = (1..=4).map(|place| (call * 10 + place).to_string()).collect();
        assert_eq!(own, expected);
    }
}

/// A batch that the store refuses harms no other of the same call; `refuse` makes it refuse the second of three.
pub async fn a_refused_batch_harms_no_other_of_the_same_call(
    store: &dyn Store,
    refuse: impl FnOnce(NewBatch) -> NewBatch,
) {
    let call = vec![
        Arc::new(keyed("a", 1, "1")),
        Arc::new(refuse(keyed("b", 1, "2"))),
        Arc::new(keyed("c", 1, "3")),
    ];
    let outcomes = store.append(call).await.unwrap();
    assert!(
        matches!(
            &outcomes[..],
            [Ok(Appended::Stored(_)), Err(StoreError::Refused(_)), Ok(Appended::Stored(_))]
        ),
        "{outcomes:?}"
    );
    assert_eq!(prices(store).await, ["1", "3"]);
}

/// When a call answers `Err`, nothing of it is stored; `fail` makes the next commit fail.
pub async fn nothing_is_stored_of_a_call_that_answers_err(store: &dyn Store, fail: impl FnOnce()) {
    append(store, keyed("a", 1, "1")).await;
    fail();
    let call = || vec![Arc::new(keyed("b", 1, "2")), Arc::new(keyed("c", 1, "3"))];
    let fault = store.append(call()).await.unwrap_err();
    assert!(!matches!(fault, StoreError::OutcomeUnknown(_)), "{fault:?}");
    assert_eq!(prices(store).await, ["1"]);
    let outcomes = store.append(call()).await.unwrap();
    assert!(
        outcomes.iter().all(|outcome| matches!(outcome, Ok(Appended::Stored(_)))),
        "a key of the failed call was kept: {outcomes:?}"
    );
    assert_eq!(prices(store).await, ["1", "2", "3"]);
}
