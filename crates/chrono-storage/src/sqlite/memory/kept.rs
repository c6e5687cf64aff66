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
    /// None was taken in before this.
    oldest: Option<Timestamp>,
    /// Of memory that they take, rather more than less.
    bytes: usize,
}

impl Kept {
    /// Keeps a key; one that is there is replaced.
    pub(super) fn insert(&mut self, name: KeyName, kept: KeptKey) {
        let letters = name.1.as_str().len();
        self.bytes += bytes_of(letters, &kept);
        let oldest = self.oldest.get_or_insert(kept.received_at);
        *oldest = kept.received_at.min(*oldest);
        let before = self.keys.insert(name, kept);
        self.bytes -= before.map_or(0, |before| bytes_of(letters, &before));
    }

    /// Forgets keys taken in before a time, and gives their names.
    pub(super) fn forget(&mut self, before: Timestamp) -> Vec<KeyName> {
        if !self.may_have_older(before) {
            return Vec::new();
        }
        let old = self.keys.extract_if(.., |_name, kept| kept.received_at < before);
        let old: Vec<_> = old.collect();
        self.oldest = self.keys.values().map(|kept| kept.received_at).min();
        self.bytes -=
            old.iter().map(|((_, key), kept)| bytes_of(key.as_str().len(), kept)).sum::<usize>();
        old.into_iter().map(|(name, _kept)| name).collect()
    }

    /// Tells whether a key may have been taken in before a time, without looking at each; after
    /// [forgetting](Self::forget) such keys, none has.
    pub(super) fn may_have_older(&self, before: Timestamp) -> bool {
        self.oldest.is_some_and(|oldest| oldest < before)
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

fn bytes_of(letters: usize, kept: &KeptKey) -> usize {
    KEY_BYTES + letters + kept.receipt.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time(nth: u8) -> Timestamp {
        Timestamp::from_micros(nth.into()).unwrap()
    }

    proptest! {
        #[test]
        fn forgets_what_is_older_and_nothing_else(
            steps in prop::collection::vec((0..9_u8, 0..30_u8, any::<bool>()), 1..60),
        ) {
            let (mut kept, mut naive) = (Kept::default(), BTreeMap::new());
            for (nth, at, forgets) in steps {
                if forgets {
                    let is_older = |held: &Timestamp| *held < time(at);
                    prop_assert!(kept.may_have_older(time(at)) || !naive.values().any(is_older));
                    let old: Vec<KeyName> =
                        naive.extract_if(.., |_, held| is_older(held)).map(|(name, _)| name).collect();
                    prop_assert_eq!(kept.forget(time(at)), old);
                    prop_assert!(!kept.may_have_older(time(at)));
                } else {
                    let name = (1, IdempotencyKey::try_new(&nth.to_string()).unwrap());
                    let receipt = Bytes::from(vec![0; at.into()]);
                    let key = KeptKey { fingerprint: [nth; 32], receipt, received_at: time(at) };
                    kept.insert(name.clone(), key);
                    naive.insert(name, time(at));
                }
                let bytes = kept.keys.iter().map(|((_, name), key)| bytes_of(name.as_str().len(), key)).sum::<usize>();
                prop_assert_eq!(kept.bytes(), bytes);
            }
        }
    }
}
