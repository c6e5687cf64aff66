//! Cases of [`crate::KeyStore`].

use chrono_domain::Timestamp;

use super::sample::at;
use crate::{Store, StoreError, StoredKey};

/// A key of a client, made at a time.
pub(super) fn key(id: &str, time: &str) -> StoredKey {
    StoredKey {
        id: id.to_owned(),
        hash: [0xAB; 32],
        role: "public".to_owned(),
        tier: Some("paid".to_owned()),
        client: "desk".to_owned(),
        created_at: at(time),
        not_after: Some(at("23:00:00")),
        revoked_at: None,
    }
}

/// A key that was put is among the keys, oldest first, with all it was put with.
pub async fn a_key_that_was_put_is_among_the_keys(store: &dyn Store) {
    assert_eq!(store.keys().await.unwrap(), []);
    let newer = key("b", "12:00:02");
    let older =
        StoredKey { tier: None, not_after: None, role: "admin".to_owned(), ..key("c", "12:00:01") };
    let newest = StoredKey { revoked_at: Some(Timestamp::MAX), ..key("a", "12:00:03") };
    store.put_keys(vec![newer.clone(), older.clone()]).await.unwrap();
    store.put_keys(vec![newest.clone()]).await.unwrap();
    assert_eq!(store.keys().await.unwrap(), [older, newer, newest]);
}

/// An id that exists is refused, and the key of that id stays.
pub async fn a_key_id_that_exists_is_refused(store: &dyn Store) {
    store.put_keys(vec![key("a", "12:00:00")]).await.unwrap();
    let other = StoredKey { hash: [1; 32], ..key("a", "12:00:01") };
    let fault = store.put_keys(vec![other]).await.unwrap_err();
    assert!(matches!(fault, StoreError::Refused(_)), "{fault:?}");
    assert_eq!(store.keys().await.unwrap(), [key("a", "12:00:00")]);
}

/// Keys that are put together are there together or not at all.
pub async fn keys_that_are_put_together_are_there_together(store: &dyn Store) {
    store.put_keys(vec![key("b", "12:00:00")]).await.unwrap();
    for ids in [["a", "b", "c"], ["a", "c", "a"]] {
        let together = ids.map(|id| key(id, "12:00:01")).into();
        let fault = store.put_keys(together).await.unwrap_err();
        assert!(matches!(fault, StoreError::Refused(_)), "{fault:?}");
        assert_eq!(store.keys().await.unwrap(), [key("b", "12:00:00")]);
    }
    store.put_keys(vec![key("a", "12:00:01"), key("c", "12:00:01")]).await.unwrap();
    let ids: Vec<_> = store.keys().await.unwrap().into_iter().map(|key| key.id).collect();
    assert_eq!(ids, ["b", "a", "c"]);
}

/// Revoking answers whether the id was live; the first time of revocation stays.
pub async fn revoking_answers_whether_the_id_was_live(store: &dyn Store) {
    store.put_keys(vec![key("a", "12:00:00")]).await.unwrap();
    store.put_keys(vec![key("b", "12:00:01")]).await.unwrap();
    assert!(store.revoke_key("a", at("13:00:00")).await.unwrap());
    assert!(!store.revoke_key("a", at("12:30:00")).await.unwrap());
    assert!(!store.revoke_key("nobody", at("13:00:00")).await.unwrap());
    let revoked = StoredKey { revoked_at: Some(at("13:00:00")), ..key("a", "12:00:00") };
    assert_eq!(store.keys().await.unwrap(), [revoked, key("b", "12:00:01")]);
}
