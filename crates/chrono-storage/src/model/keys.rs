//! API keys: a list.

use chrono_domain::Timestamp;

use super::ModelStore;
use crate::{KeyStore, StoreError, StoredKey};

#[async_trait::async_trait]
impl KeyStore for ModelStore {
    async fn put_key(&self, key: StoredKey) -> Result<(), StoreError> {
        self.commit_whole(|state| {
            if state.keys.iter().any(|held| held.id == key.id) {
                return Err(StoreError::Refused("the key id exists".into()));
            }
            state.keys.push(key);
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
