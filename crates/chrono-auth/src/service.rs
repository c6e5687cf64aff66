//! Making, listing, rotating and revoking keys, and keeping the keyring up to date.

use std::sync::Arc;
use std::time::Duration;

use chrono_domain::{Clock, Timestamp};
use chrono_storage::{KeyStore, StoreError, StoredKey};
use secrecy::SecretString;

use crate::key::FreshKey;
use crate::{KeyError, KeyId, Keyring, Role, Tier};

/// How often the store is asked for its keys. A revocation by another process is seen within it; longer would break
/// the promise of five seconds, shorter asks the store for nothing.
const REFRESH_EVERY: Duration = Duration::from_secs(2);
/// Live keys of one client and role: the old one and its successor while clients change over.
const LIVE_KEYS_MAX: usize = 2;
/// Longest name of a client, in characters.
const CLIENT_CHARS_MAX: usize = 64;

/// What a new key shall be.
#[derive(Debug, Clone)]
pub struct KeyOrder {
    /// What it may do.
    pub role: Role,
    /// How much it may ask for; only public keys have a tier.
    pub tier: Tier,
    /// Whose it is.
    pub client: String,
    /// The first moment it no longer works.
    pub not_after: Option<Timestamp>,
}

/// A key just made. Its text is shown once: only its hash is kept.
#[derive(Debug)]
pub struct CreatedKey {
    /// The public part.
    pub id: KeyId,
    /// The whole key, for its owner.
    pub text: SecretString,
    hash: [u8; 32],
}

impl CreatedKey {
    /// Makes a key that is stored nowhere, for a gateway whose keys live in its configuration.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn unstored(role: Role) -> Result<Self, KeyError> {
        let fresh = FreshKey::generate(role)?;
        Ok(Self { id: fresh.id, text: fresh.text, hash: fresh.hash })
    }
}

/// What is known of a stored key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// The public part.
    pub id: String,
    /// `public`, `internal` or `admin`.
    pub role: String,
    /// `free` or `paid`, for public keys.
    pub tier: Option<String>,
    /// Whose it is.
    pub client: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The first moment it no longer works.
    pub not_after: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Does everything that changes keys, and lets the keyring follow.
#[derive(Clone)]
pub struct KeyService {
    store: Arc<dyn KeyStore>,
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
}

impl KeyService {
    /// Works on a store, for a keyring.
    pub fn new(store: Arc<dyn KeyStore>, keyring: Arc<Keyring>, clock: Arc<dyn Clock>) -> Self {
        Self { store, keyring, clock }
    }

    /// Makes a key.
    ///
    /// # Errors
    /// [`KeyError`]; nothing was made, unless the store could not tell.
    pub async fn create(&self, order: KeyOrder) -> Result<CreatedKey, KeyError> {
        let made = CreatedKey::unstored(order.role)?;
        self.store_made(vec![(&made, order)]).await?;
        Ok(made)
    }

    /// Stores keys that were made of their orders' roles, all or none, so that they open something from now on.
    ///
    /// # Errors
    /// As [`KeyService::create`].
    pub async fn store_made(&self, made: Vec<(&CreatedKey, KeyOrder)>) -> Result<(), KeyError> {
        let now = self.clock.now();
        let held = self.store.keys().await?;
        let mut ordered = Vec::with_capacity(made.len());
        for (key, order) in made {
            ordered.push(stored(key, order, now, held.iter().chain(&ordered))?);
        }
        self.store.put_keys(ordered.clone()).await?;
        self.refresh().await?;
        for key in ordered {
            tracing::info!(key = key.id, role = key.role, "key created");
        }
        Ok(())
    }

    /// Lists every key, revoked ones too, oldest first.
    ///
    /// # Errors
    /// [`KeyError::Store`].
    pub async fn list(&self) -> Result<Vec<KeyRecord>, KeyError> {
        let record = |key: StoredKey| KeyRecord {
            id: key.id,
            role: key.role,
            tier: key.tier,
            client: key.client,
            created_at: key.created_at,
            not_after: key.not_after,
            revoked_at: key.revoked_at,
        };
        Ok(self.store.keys().await?.into_iter().map(record).collect())
    }

    /// Makes a second key for the client of a live one; the old one lives on until it is revoked.
    ///
    /// Without a time of its own it lives as long as the old one was made to live.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], [`KeyError::TwoLive`] and what [`KeyService::create`] says.
    pub async fn rotate(
        &self,
        id: &str,
        not_after: Option<Timestamp>,
    ) -> Result<CreatedKey, KeyError> {
        let now = self.clock.now();
        let keys = self.store.keys().await?;
        let old = keys.into_iter().find(|key| key.id == id && is_live(key, now));
        let old = old.ok_or(KeyError::NotFound)?;
        let role = Role::find(&old.role).ok_or(KeyError::NotFound)?;
        let tier = old.tier.as_deref().and_then(Tier::find).unwrap_or_default();
        let lifetime = old.not_after.map(|not_after| not_after.since(old.created_at));
        let not_after = not_after.or_else(|| lifetime.map(|lifetime| now.plus(lifetime)));
        self.create(KeyOrder { role, tier, client: old.client, not_after }).await
    }

    /// Revokes a key; this process stops taking it at once, every other one within five seconds.
    ///
    /// # Errors
    /// [`KeyError::NotFound`] when no live key has the id, or [`KeyError::Store`]; trying again is safe.
    pub async fn revoke(&self, id: &str) -> Result<(), KeyError> {
        if !self.store.revoke_key(id, self.clock.now()).await? {
            return Err(KeyError::NotFound);
        }
        self.refresh().await?;
        tracing::info!(key = id, "key revoked");
        Ok(())
    }

    /// Reads the store's keys into the keyring.
    ///
    /// # Errors
    /// [`StoreError`]; the keyring stays as it was.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        self.keyring.replace_stored(&self.store.keys().await?);
        Ok(())
    }

    /// Refreshes the keyring for ever. While the store fails, the keys known last stay valid.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn run(&self) {
        let mut failing = false;
        loop {
            let fault = self.refresh().await.err();
            match (&fault, failing) {
                (Some(fault), false) => {
                    tracing::warn!(error = fault as &dyn std::error::Error, "keys not refreshed");
                }
                (None, true) => tracing::info!("keys refreshed again"),
                _ => {}
            }
            failing = fault.is_some();
            tokio::time::sleep(REFRESH_EVERY).await;
        }
    }
}

impl std::fmt::Debug for KeyService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyService").field("keyring", &self.keyring).finish_non_exhaustive()
    }
}

/// Makes a record of a key beside those that there are.
fn stored<'a>(
    made: &CreatedKey,
    order: KeyOrder,
    now: Timestamp,
    held: impl Iterator<Item = &'a StoredKey>,
) -> Result<StoredKey, KeyError> {
    if !is_client(&order.client) {
        return Err(KeyError::Client);
    }
    if order.not_after.is_some_and(|not_after| not_after <= now) {
        return Err(KeyError::Expired);
    }
    let same = |key: &&StoredKey| {
        key.client == order.client && key.role == order.role.as_str() && is_live(key, now)
    };
    if held.filter(same).count() >= LIVE_KEYS_MAX {
        return Err(KeyError::TwoLive);
    }
    let tier = (order.role == Role::Public).then(|| order.tier.as_str().to_owned());
    Ok(StoredKey {
        id: made.id.to_string(),
        hash: made.hash,
        role: order.role.as_str().to_owned(),
        tier,
        client: order.client,
        created_at: now,
        not_after: order.not_after,
        revoked_at: None,
    })
}

fn is_live(key: &StoredKey, now: Timestamp) -> bool {
    key.revoked_at.is_none() && key.not_after.is_none_or(|not_after| now < not_after)
}

fn is_client(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b" ._:@-".contains(&byte);
    (1..=CLIENT_CHARS_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests;
