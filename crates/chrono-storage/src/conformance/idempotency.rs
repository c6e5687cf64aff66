//! Cases of [`crate::TickStore`] about batches that come again.

use std::sync::Arc;

use bytes::Bytes;
use chrono_domain::{Timestamp, WorkerId};

use super::sample::{append, at, keyed, prices};
use crate::{Appended, NewBatch, Store};

/// The same key and fingerprint again answer the first receipt; nothing is stored.
pub async fn a_repeat_answers_the_first_receipt_and_stores_nothing(store: &dyn Store) {
    append(store, keyed("a", 1, "1")).await;
    let again = NewBatch { receipt: Bytes::from_static(b"second"), ..keyed("a", 1, "2") };
    assert_eq!(append(store, again).await, Appended::Repeated(Bytes::from_static(b"first")));
    assert_eq!(prices(store).await, ["1"]);
}

/// The same key and fingerprint twice in one call store once.
pub async fn a_repeat_within_one_call_stores_nothing(store: &dyn Store) {
    let second = NewBatch { receipt: Bytes::from_static(b"second"), ..keyed("a", 1, "2") };
    let call = vec![Arc::new(keyed("a", 1, "1")), Arc::new(second), Arc::new(keyed("a", 2, "3"))];
    let outcomes = store.append(call).await.unwrap();
    assert!(
        matches!(
            &outcomes[..],
            [Ok(Appended::Stored(_)), Ok(Appended::Repeated(receipt)), Ok(Appended::KeyClash)]
                if receipt == "first"
        ),
        "{outcomes:?}"
    );
    assert_eq!(prices(store).await, ["1"]);
}

/// Another fingerprint under a key is a clash; nothing is stored, and the first stays.
pub async fn another_fingerprint_is_a_clash_and_stores_nothing(store: &dyn Store) {
    append(store, keyed("a", 1, "1")).await;
    assert_eq!(append(store, keyed("a", 2, "2")).await, Appended::KeyClash);
    assert!(matches!(append(store, keyed("a", 1, "1")).await, Appended::Repeated(_)));
    assert_eq!(prices(store).await, ["1"]);
}

/// Keys of different workers never clash.
pub async fn keys_of_different_workers_never_clash(store: &dyn Store) {
    append(store, keyed("a", 1, "1")).await;
    let worker = WorkerId::try_new("worker-2").unwrap();
    let other = append(store, NewBatch { worker, ..keyed("a", 2, "2") }).await;
    assert!(matches!(other, Appended::Stored(_)), "{other:?}");
    assert_eq!(prices(store).await, ["1", "2"]);
}

/// Keys taken in before a time are forgotten and counted, later ones stay.
pub async fn a_forgotten_key_can_be_used_again(store: &dyn Store) {
    let edge = at("18:00:00");
    let before = Timestamp::from_micros(edge.micros() - 1).unwrap();
    append(store, NewBatch { received_at: before, ..keyed("old", 1, "1") }).await;
    append(store, NewBatch { received_at: edge, ..keyed("new", 1, "2") }).await;
    assert_eq!(store.forget_keys(edge).await.unwrap(), 1);
    assert_eq!(store.forget_keys(edge).await.unwrap(), 0);
    assert!(matches!(append(store, keyed("new", 1, "2")).await, Appended::Repeated(_)));
    assert!(matches!(append(store, keyed("old", 2, "3")).await, Appended::Stored(_)));
    assert_eq!(prices(store).await, ["1", "2", "3"]);
}
