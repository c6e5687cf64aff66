//! The keys that open something now, in memory.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use chrono_domain::Timestamp;
use chrono_storage::StoredKey;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use crate::key::{KEY_CHARS_MAX, KEY_CHARS_MIN, Presented};
use crate::{AuthError, KeyId, KeyTextError, Role, Tier};

/// Whoever presented a valid key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The key's public part.
    pub key_id: KeyId,
    /// What the key may do.
    pub role: Role,
    /// How much it may ask for; free for everything but paid public keys.
    pub tier: Tier,
    /// The first moment it no longer works.
    pub not_after: Option<Timestamp>,
    /// Whose key it is; `configuration` for keys of the environment.
    pub client: Arc<str>,
}

/// A key that the operator put into the configuration.
#[derive(Debug, Clone)]
pub struct ConfiguredKey {
    presented: Presented,
    tier: Tier,
}

impl ConfiguredKey {
    /// Takes an opaque text with the role's prefix, or a key that Chrono made.
    ///
    /// # Errors
    /// [`KeyTextError`], which never repeats the text.
    pub fn try_new(role: Role, tier: Tier, text: &SecretString) -> Result<Self, KeyTextError> {
        let text = text.expose_secret();
        let sized = (KEY_CHARS_MIN..=KEY_CHARS_MAX).contains(&text.len());
        if !sized || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(KeyTextError::Characters);
        }
        if !text.starts_with(role.prefix()) {
            return Err(KeyTextError::Prefix(role.prefix()));
        }
        let presented = Presented::read(text).map_err(|_fault| KeyTextError::Checksum)?;
        Ok(Self { presented, tier })
    }

    /// Gives the key's public part.
    pub fn id(&self) -> KeyId {
        self.presented.id
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    hash: [u8; 32],
    principal: Principal,
}

type Entries = HashMap<KeyId, Entry>;

/// The set of keys that open something: those of the configuration and the live ones of the store.
///
/// Asking costs one SHA-256 and one lookup and never grows anything, whatever is presented.
#[derive(Debug)]
pub struct Keyring {
    configured: Entries,
    live: RwLock<Entries>,
    changes: watch::Sender<u64>,
}

impl Keyring {
    /// Starts with the keys of the configuration only.
    pub fn new(configured: impl IntoIterator<Item = ConfiguredKey>) -> Self {
        let client: Arc<str> = Arc::from("configuration");
        let configured: Entries = configured
            .into_iter()
            .map(|key| {
                let Presented { id, role, hash } = key.presented;
                let client = Arc::clone(&client);
                let principal =
                    Principal { key_id: id, role, tier: key.tier, not_after: None, client };
                (id, Entry { hash, principal })
            })
            .collect();
        let live = RwLock::new(configured.clone());
        Self { configured, live, changes: watch::Sender::new(0) }
    }

    /// Says who presents a key.
    ///
    /// # Errors
    /// [`AuthError`] for everything that is no live key at `now`.
    pub fn authenticate(&self, presented: &str, now: Timestamp) -> Result<Principal, AuthError> {
        let presented = Presented::read(presented)?;
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let entry = live.get(&presented.id).ok_or(AuthError::Unknown)?;
        if !bool::from(entry.hash.ct_eq(&presented.hash)) {
            return Err(AuthError::Unknown);
        }
        if is_over(&entry.principal, now) {
            return Err(AuthError::Expired);
        }
        Ok(entry.principal.clone())
    }

    /// Says whether a key that was valid still is; for streams that stay open.
    pub fn is_live(&self, key_id: KeyId, now: Timestamp) -> bool {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.get(&key_id).is_some_and(|entry| !is_over(&entry.principal, now))
    }

    /// Says whether there is any key at all.
    pub fn is_empty(&self) -> bool {
        self.live.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Puts the store's keys in the place of those it gave before; revoked ones open nothing.
    ///
    /// A key of the configuration wins over a stored one with its id.
    pub fn replace_stored(&self, keys: &[StoredKey]) {
        let mut next: Entries = keys.iter().filter_map(entry_of).collect();
        next.extend(self.configured.clone());
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        if *live != next {
            *live = next;
            drop(live);
            self.changes.send_modify(|generation| *generation = generation.wrapping_add(1));
        }
    }

    /// Wakes whoever waits whenever the set of keys has changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

fn is_over(principal: &Principal, now: Timestamp) -> bool {
    principal.not_after.is_some_and(|not_after| now >= not_after)
}

/// Reads a stored key; one that is revoked, or that this version cannot understand, opens nothing.
fn entry_of(stored: &StoredKey) -> Option<(KeyId, Entry)> {
    if stored.revoked_at.is_some() {
        return None;
    }
    let (Some(key_id), Some(role)) = (KeyId::find(&stored.id), Role::find(&stored.role)) else {
        tracing::warn!(key = stored.id, role = stored.role, "stored key not understood");
        return None;
    };
    let tier = stored.tier.as_deref().and_then(Tier::find).unwrap_or_default();
    let client = Arc::from(stored.client.as_str());
    let principal = Principal { key_id, role, tier, not_after: stored.not_after, client };
    Some((key_id, Entry { hash: stored.hash, principal }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::FreshKey;

    const INTERNAL: &str = "chrono_internal_dev_key_001";

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    fn configured(role: Role, text: &str) -> Result<ConfiguredKey, KeyTextError> {
        ConfiguredKey::try_new(role, Tier::Free, &SecretString::from(text))
    }

    fn stored(fresh: &FreshKey) -> StoredKey {
        StoredKey {
            id: fresh.id.to_string(),
            hash: fresh.hash,
            role: "public".to_owned(),
            tier: Some("paid".to_owned()),
            client: "acme".to_owned(),
            created_at: at(0),
            not_after: Some(at(100)),
            revoked_at: None,
        }
    }

    #[test]
    fn a_configured_key_opens_what_its_role_says() {
        let keyring = Keyring::new([configured(Role::Internal, INTERNAL).unwrap()]);
        let principal = keyring.authenticate(INTERNAL, at(5)).unwrap();
        assert_eq!((principal.role, &*principal.client), (Role::Internal, "configuration"));
        assert!(keyring.is_live(principal.key_id, at(5)));
        let other = "chrono_internal_dev_key_002";
        assert_eq!(keyring.authenticate(other, at(5)), Err(AuthError::Unknown));
    }

    #[test]
    fn a_stored_key_works_until_it_expires_or_is_revoked() {
        let fresh = FreshKey::generate(Role::Public).unwrap();
        let text = fresh.text.expose_secret();
        let keyring = Keyring::new([]);
        assert!(keyring.is_empty());
        let changes = keyring.changes();
        let mut record = stored(&fresh);
        keyring.replace_stored(std::slice::from_ref(&record));
        assert!(changes.has_changed().unwrap());
        let principal = keyring.authenticate(text, at(99)).unwrap();
        assert_eq!((principal.role, principal.tier), (Role::Public, Tier::Paid));
        assert_eq!(keyring.authenticate(text, at(100)), Err(AuthError::Expired));
        assert!(!keyring.is_live(principal.key_id, at(100)));
        record.revoked_at = Some(at(50));
        keyring.replace_stored(&[record]);
        assert_eq!(keyring.authenticate(text, at(99)), Err(AuthError::Unknown));
        assert!(!keyring.is_live(principal.key_id, at(99)));
    }

    #[test]
    fn the_right_id_with_another_secret_opens_nothing() {
        let fresh = FreshKey::generate(Role::Public).unwrap();
        let record = StoredKey { hash: [7; 32], ..stored(&fresh) };
        let keyring = Keyring::new([]);
        keyring.replace_stored(&[record]);
        let text = fresh.text.expose_secret();
        assert_eq!(keyring.authenticate(text, at(1)), Err(AuthError::Unknown));
    }

    #[test]
    fn the_same_stored_keys_again_wake_nobody() {
        let record = stored(&FreshKey::generate(Role::Public).unwrap());
        let keyring = Keyring::new([configured(Role::Internal, INTERNAL).unwrap()]);
        keyring.replace_stored(std::slice::from_ref(&record));
        let changes = keyring.changes();
        keyring.replace_stored(&[record]);
        assert!(!changes.has_changed().unwrap());
        keyring.replace_stored(&[]);
        assert!(changes.has_changed().unwrap());
        assert!(keyring.authenticate(INTERNAL, at(1)).is_ok(), "configured keys stay");
    }

    #[test]
    fn a_configured_key_must_look_like_its_role() {
        let fault = |role, text| configured(role, text).err();
        assert_eq!(fault(Role::Public, INTERNAL), Some(KeyTextError::Prefix("chrono_public_")));
        assert_eq!(fault(Role::Public, "chrono_public_x"), Some(KeyTextError::Characters));
        let fresh = FreshKey::generate(Role::Admin).unwrap();
        let text = fresh.text.expose_secret();
        assert_eq!(fault(Role::Admin, text), None);
        let mut changed = text.to_owned();
        let last = if changed.pop() == Some('0') { '1' } else { '0' };
        changed.push(last);
        assert_eq!(fault(Role::Admin, &changed), Some(KeyTextError::Checksum));
    }

    #[test]
    fn no_secret_is_shown_by_debug() {
        let key = configured(Role::Internal, INTERNAL).unwrap();
        assert!(!format!("{key:?}{:?}", Keyring::new([key.clone()])).contains("dev_key"));
    }
}
