//! The idempotency keys of a generation.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use chrono_domain::Timestamp;

use crate::IdempotencyKey;

/// Bytes of a key beside its letters and its receipt: its place in a tree whose nodes are half full, and its two
/// allocations.
const KEY_BYTES: usize = 2 * (size_of::<KeyName>() + size_of::<KeptKey>()) + 64;

/// Whose key, and which.
pub(in super::super) type KeyName = (u32, IdempotencyKey);

/// What is kept under an idempotency key.
#[derive(Debug, Clone)]
pub(in super::super) struct KeptKey {
    pub(in super::super) fingerprint: [u8; 32],
    pub(in super::super) receipt: Bytes,
    pub(in super::super) received_at: Timestamp,
}

/// Keys, sorted as their table is.
#[derive(Debug, Default)]
pub(super) struct Kept {
    keys: BTreeMap<KeyName, KeptKey>,
    /// Of memory that they take, rather more than less.
    bytes: usize,
}

impl Kept {
    /// Keeps a key; one that is there is replaced.
    pub(super) fn insert(&mut self, name: KeyName, kept: KeptKey) {
        self.bytes += bytes_of(&name, &kept);
        let before = self.keys.insert(name.clone(), kept);
        self.bytes -= before.map_or(0, |before| bytes_of(&name, &before));
    }

    /// Forgets keys taken in before a time, and gives their names.
    pub(super) fn forget(&mut self, before: Timestamp) -> impl Iterator<Item = KeyName> {
        let Self { keys, bytes } = self;
        let old = keys.extract_if(.., move |_name, kept| kept.received_at < before);
        old.map(|(name, kept)| {
            *bytes -= bytes_of(&name, &kept);
            name
        })
    }

    /// Tells whether a key was taken in before a time.
    pub(super) fn has_older(&self, before: Timestamp) -> bool {
        self.keys.values().any(|kept| kept.received_at < before)
    }

    pub(super) fn get(&self, name: &KeyName) -> Option<&KeptKey> {
        self.keys.get(name)
    }

    /// Gives the keys after one, in order.
    pub(super) fn after(
        &self,
        name: Option<&KeyName>,
    ) -> impl Iterator<Item = (&KeyName, &KeptKey)> {
        let start = name.map_or(Bound::Unbounded, Bound::Excluded);
        self.keys.range((start, Bound::Unbounded))
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

fn bytes_of((_worker, key): &KeyName, kept: &KeptKey) -> usize {
    KEY_BYTES + key.as_str().len() + kept.receipt.len()
}
