//! API keys: a list.

use std::collections::BTreeSet;

use chrono_domain::Timestamp;

use super::ModelStore;
use crate::{KeyStore, StoreError, StoredKey};

#[async_trait::async_trait]
impl KeyStore for ModelStore {
    async fn put_keys(&self, keys: Vec<StoredKey>) -> Result<(), StoreError> {
        self.commit_whole(|state| {
            let mut ids: BTreeSet<_> = state.keys.iter().map(|held| &held.id).collect();
            if !keys.iter().all(|key| ids.insert(&key.id)) {
                return Err(StoreError::Refused("the key id exists".into()));
            }
            state.keys.extend(keys);
            Ok(())
        })
        .await
    }

    async fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        self.read(|state| {
            let mut keys = state.keys.clone();
            keys.sort_by_key(|key| key.created_at);
            keys
        })
        .await
    }

    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<bool, StoreError> {
        self.commit_whole(|state| {
            let live = |key: &&mut StoredKey| key.id == id && key.revoked_at.is_none();
            let Some(key) = state.keys.iter_mut().find(live) else { return Ok(false) };
            key.revoked_at = Some(at);
            Ok(true)
        })
        .await
    }
}
