//! What is in memory of the commits that the pages do not cover yet: an active generation, and a frozen one while a
//! cycle seals it.
//!
//! **The readers' rule**: copy memory first, then take the snapshot of the file; leave out the copy of a generation
//! whose last commit the snapshot's pages cover; take commits that the copy lacks from the snapshot's log. A cycle is
//! published before its generation is dropped. So nothing is seen twice, and nothing is missed.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use chrono_domain::Timestamp;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::generation::Generation;
use super::packed::log::{LoggedCommit, LoggedTick};
use crate::Idempotency;

mod kept;
#[cfg(test)]
mod tests;

use kept::Kept;
pub(super) use kept::{KeptKey, KeyName};

/// Generations, shared by the writer and the readers.
#[derive(Debug, Default)]
pub(super) struct Memory {
    held: RwLock<Generations>,
    /// Tells those who wait for room that there may be some.
    less: Notify,
}

#[derive(Debug, Default)]
struct Generations {
    active: Generation,
    active_keys: Kept,
    frozen: Option<Arc<Generation>>,
    frozen_keys: Kept,
    /// What the last commit comes to while it is not folded in.
    coming: Load,
    /// A fold has begun and not ended: what is left of one that panicked.
    torn: bool,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) ticks: u64,
    /// Bytes of memory, of ticks, their candles and idempotency keys, rather more than less.
    pub(super) bytes: u64,
    /// When the oldest commit of the active generation was taken in.
    pub(super) oldest: Option<Timestamp>,
}

/// Parts of generations, and the last commit that they know.
#[derive(Debug)]
pub(super) struct Copied<T> {
    /// Each with the last commit of its generation, oldest first.
    pub(super) parts: Vec<(u64, T)>,
    /// Later commits are in none of them.
    pub(super) known: u64,
}

impl Memory {
    /// Copies of each generation what a reader needs of it.
    ///
    /// The active one is copied under the lock that the writer waits for, so it must be short.
    pub(super) fn copy<T>(&self, part: impl Fn(&Generation) -> T) -> Copied<T> {
        let (frozen, active, known) = {
            let held = self.read();
            let active = &held.active;
            if held.torn {
                (held.frozen.clone(), None, active.base)
            } else {
                (held.frozen.clone(), Some((active.last, part(active))), active.last)
            }
        };
        let frozen = frozen.map(|frozen| (frozen.last, part(&frozen)));
        Copied { parts: frozen.into_iter().chain(active).collect(), known }
    }

    /// Gives the number of the last commit and the next arrival number.
    pub(super) fn position(&self) -> (u64, u64) {
        let held = self.read();
        (held.active.last, held.active.next_arrival)
    }

    /// Tells how much both generations hold.
    pub(super) fn load(&self) -> Load {
        let held = self.read();
        let frozen = held.frozen.as_ref();
        let (ticks, bytes) = frozen.map_or((0, 0), |frozen| (frozen.ticks, frozen.bytes));
        let keys = held.active_keys.bytes() + held.frozen_keys.bytes();
        Load {
            ticks: held.active.ticks + ticks + held.coming.ticks,
            bytes: (held.active.bytes + bytes + keys) as u64 + held.coming.bytes,
            oldest: held.active.oldest.or(held.coming.oldest),
        }
    }

    /// Gives the generation that is being sealed.
    pub(super) fn frozen(&self) -> Option<Arc<Generation>> {
        self.read().frozen.clone()
    }

    /// Counts a commit that is going to be folded in; the writer's alone, as is all that follows.
    ///
    /// What it takes until then is told by its bytes in the log, which has its texts.
    pub(super) fn expect(&self, commit: &LoggedCommit, log_bytes: usize) {
        let ticks: usize = commit.batches.iter().map(|batch| batch.ticks.len()).sum();
        let bytes = (ticks * size_of::<LoggedTick>() + log_bytes) as u64;
        let oldest = commit.batches.first().map(|batch| batch.received_at);
        self.write().coming = Load { ticks: ticks as u64, bytes, oldest };
    }

    /// Takes in the commit after the last.
    pub(super) fn fold(&self, number: u64, commit: LoggedCommit) {
        let mut held = self.write();
        held.torn = true;
        held.coming = Load::default();
        for batch in &commit.batches {
            if let Some((Idempotency { key, fingerprint }, receipt)) = &batch.repeatable {
                let kept = KeptKey {
                    fingerprint: *fingerprint,
                    receipt: receipt.clone(),
                    received_at: batch.received_at,
                };
                held.active_keys.insert((batch.worker_id, key.clone()), kept);
            }
        }
        held.active.fold(number, commit);
        held.torn = false;
    }

    /// Forgets keys taken in before a time, as the commit of a number has done in the file; gives their names.
    pub(super) fn forget(&self, number: u64, before: Timestamp) -> Vec<KeyName> {
        let mut held = self.write();
        let Generations { active, active_keys, frozen_keys, .. } = &mut *held;
        let mut names = Vec::new();
        for keys in [active_keys, frozen_keys] {
            names.extend(keys.forget(before));
        }
        active.last = number;
        names
    }

    /// Tells whether a key may have been taken in before a time.
    pub(super) fn may_have_older(&self, before: Timestamp) -> bool {
        let held = self.read();
        held.active_keys.may_have_older(before) || held.frozen_keys.may_have_older(before)
    }

    /// Finds what is kept under a key.
    pub(super) fn find_key(&self, name: &KeyName) -> Option<KeptKey> {
        let held = self.read();
        held.active_keys.get(name).or_else(|| held.frozen_keys.get(name)).cloned()
    }

    /// Gives some keys of the generation that is being sealed, in order.
    pub(super) fn frozen_keys(
        &self,
        after: Option<&KeyName>,
        limit: usize,
    ) -> Vec<(KeyName, KeptKey)> {
        let held = self.read();
        let keys = held.frozen_keys.after(after).take(limit);
        keys.map(|(name, kept)| (name.clone(), kept.clone())).collect()
    }

    /// Ends the active generation and begins another, unless one is being sealed already.
    pub(super) fn freeze(&self) {
        let mut held = self.write();
        if held.frozen.is_some() {
            return;
        }
        let next = Generation::after(held.active.last, held.active.next_arrival);
        held.frozen = Some(Arc::new(std::mem::replace(&mut held.active, next)));
        held.frozen_keys = std::mem::take(&mut held.active_keys);
    }

    /// Makes ready for the replay of what the log has beyond: drops what the pages cover or what a panic tore.
    ///
    /// Gives the last commit that needs no replay.
    pub(super) fn reconcile(&self, sealed: u64, next_arrival: u64) -> u64 {
        let mut held = self.write();
        held.coming = Load::default();
        if held.frozen.as_ref().is_some_and(|frozen| frozen.last <= sealed) {
            held.frozen = None;
            held.frozen_keys = Kept::default();
        }
        if held.torn {
            let next_arrival = held.frozen.as_ref().map_or(next_arrival, |gone| gone.next_arrival);
            held.active = Generation::after(held.active.base, next_arrival);
            held.active_keys = Kept::default();
            held.torn = false;
        }
        // Also at the start, when there is nothing yet.
        if held.active.last <= sealed {
            held.active = Generation::after(sealed, next_arrival);
        }
        self.less.notify_waiters();
        held.active.last
    }

    /// Waits until the generations may have become less, or somebody is [told](Memory::tell).
    pub(super) fn less(&self) -> Notified<'_> {
        self.less.notified()
    }

    /// Wakes those who wait.
    pub(super) fn tell(&self) {
        self.less.notify_waiters();
    }

    /// Leaves the active generation as a panic in the middle of a fold may.
    #[cfg(test)]
    pub(super) fn tear(&self) {
        let mut held = self.write();
        held.torn = true;
        held.active.series.clear();
    }

    fn read(&self) -> RwLockReadGuard<'_, Generations> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Generations> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}
