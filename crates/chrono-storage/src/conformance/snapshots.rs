//! Cases of [`crate::SnapshotStore`].

use super::sample::{at, btc, source, symbol};
use crate::{Snapshot, Store};

/// A snapshot of `BTC/USD` at a time with a price.
pub(super) fn snapshot(time: &str, price: Option<&str>) -> Snapshot {
    Snapshot {
        symbol: btc(),
        at: at(time),
        revision: 0,
        price: price.map(str::to_owned),
        status: "ok".to_owned(),
        median: "67230.000000".to_owned(),
        mean: "67230.333333".to_owned(),
        std_dev: None,
        sources: vec![source("binance"), source("kraken")],
        num_feeds: 3,
        computed_at: at("18:00:00"),
    }
}

/// A snapshot that is not stored yet becomes revision 0, whatever revision it carries; all of it reads back.
pub async fn a_first_snapshot_becomes_revision_zero(store: &dyn Store) {
    let plain = Snapshot { revision: 7, ..snapshot("12:00:00", Some("67230.10")) };
    let bare = Snapshot {
        price: None,
        status: "no_quorum".to_owned(),
        std_dev: Some("0.500000".to_owned()),
        sources: Vec::new(),
        ..snapshot("12:00:05", None)
    };
    assert_eq!(store.put_snapshots(vec![plain.clone(), bare.clone()]).await.unwrap(), 2);
    let read = store.snapshot(btc(), at("12:00:00")).await.unwrap();
    assert_eq!(read, Some(Snapshot { revision: 0, ..plain }));
    assert_eq!(store.snapshot(btc(), at("12:00:05")).await.unwrap(), Some(bare));
    assert_eq!(store.put_snapshots(Vec::new()).await.unwrap(), 0);
}

/// One that says the same as the newest revision is not stored again, also within one call.
pub async fn a_snapshot_that_says_the_same_is_not_stored_again(store: &dyn Store) {
    let first = snapshot("12:00:00", Some("1.0"));
    let again = Snapshot { revision: 3, computed_at: at("19:00:00"), ..first.clone() };
    assert_eq!(store.put_snapshots(vec![first.clone(), again.clone()]).await.unwrap(), 1);
    assert_eq!(store.put_snapshots(vec![again]).await.unwrap(), 0);
    assert_eq!(store.snapshot(btc(), at("12:00:00")).await.unwrap(), Some(first));
}

/// One that says something else, be it in one field, becomes the next revision, also what was said before.
pub async fn a_snapshot_that_says_something_else_becomes_the_next_revision(store: &dyn Store) {
    let first = snapshot("12:00:00", Some("1.0"));
    let said = [
        Snapshot { price: Some("1.00".to_owned()), ..first.clone() },
        Snapshot { price: None, ..first.clone() },
        Snapshot { status: "thin".to_owned(), ..first.clone() },
        Snapshot { median: "2".to_owned(), ..first.clone() },
        Snapshot { mean: "2".to_owned(), ..first.clone() },
        Snapshot { std_dev: Some("2".to_owned()), ..first.clone() },
        Snapshot { sources: vec![source("kraken")], ..first.clone() },
        Snapshot { num_feeds: 4, ..first.clone() },
        first.clone(),
    ];
    assert_eq!(store.put_snapshots(vec![first]).await.unwrap(), 1);
    for (revision, said) in (1..).zip(said) {
        assert_eq!(store.put_snapshots(vec![said.clone()]).await.unwrap(), 1, "{said:?}");
        let read = store.snapshot(btc(), at("12:00:00")).await.unwrap();
        assert_eq!(read, Some(Snapshot { revision, ..said }));
    }
}

/// A snapshot is read of exactly its symbol and time.
pub async fn a_snapshot_is_read_of_exactly_its_time(store: &dyn Store) {
    store.put_snapshots(vec![snapshot("12:00:00", Some("1"))]).await.unwrap();
    for time in ["11:59:59.999999", "12:00:00.000001"] {
        assert_eq!(store.snapshot(btc(), at(time)).await.unwrap(), None);
    }
    let eth = symbol("ETH/USD");
    assert_eq!(store.snapshot(eth, at("12:00:00")).await.unwrap(), None);
    let other = Snapshot { symbol: eth, ..snapshot("12:00:00", Some("2")) };
    assert_eq!(store.put_snapshots(vec![other.clone()]).await.unwrap(), 1);
    assert_eq!(store.snapshot(eth, at("12:00:00")).await.unwrap(), Some(other));
    let held = store.snapshot(btc(), at("12:00:00")).await.unwrap().unwrap();
    assert_eq!(held.price.as_deref(), Some("1"));
}

/// The stored times within both ends come oldest first, each once, at most as many as asked for.
pub async fn snapshot_times_hold_both_ends_and_come_once_oldest_first(store: &dyn Store) {
    for (time, price) in
        [("12:00:10", "1"), ("12:00:00", "1"), ("12:00:05", "1"), ("12:00:05", "2")]
    {
        store.put_snapshots(vec![snapshot(time, Some(price))]).await.unwrap();
    }
    let times = async |from: &str, to: &str, limit| {
        store.snapshot_times(btc(), at(from), at(to), limit).await.unwrap()
    };
    let all = ["12:00:00", "12:00:05", "12:00:10"].map(at);
    assert_eq!(times("12:00:00", "12:00:10", usize::MAX).await, all);
    assert_eq!(times("12:00:00.000001", "12:00:10", 9).await, all[1..]);
    assert_eq!(times("12:00:00", "12:00:09.999999", 9).await, all[..2]);
    assert_eq!(times("12:00:00", "12:00:10", 2).await, all[..2]);
    assert_eq!(times("12:00:10", "12:00:00", 9).await, []);
    let eth = symbol("ETH/USD");
    assert_eq!(store.snapshot_times(eth, all[0], all[2], 9).await.unwrap(), []);
}
