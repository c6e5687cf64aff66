//! How often a key may ask: limits per minute, counted in this process.

pub mod window;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use chrono_domain::{Clock, WorkerId};

use crate::{KeyId, Principal, Role, Tier};
use window::WINDOW_MS;

/// Maps that share the buckets, so that requests of different keys seldom wait for one lock.
const SHARDS: usize = 16;

/// Requests per minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(NonZeroU32);

impl Limit {
    /// Allows so many requests a minute.
    pub const fn per_minute(requests: NonZeroU32) -> Self {
        Self(requests)
    }

    /// Gives the requests per minute.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

/// The limits of roles and tiers, in requests per minute; administrators have none.
///
/// Too high, and one client takes the capacity of all; too low, and honest clients are turned away at their peaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of an internal key, whatever the number of workers behind it.
    pub internal: Limit,
    /// Of each worker behind an internal key.
    pub worker: Limit,
    /// Of a public key of the free tier.
    pub public_free: Limit,
    /// Of a public key of the paid tier.
    pub public_paid: Limit,
}

impl Limits {
    /// Finds the limit of a key; none for administrators.
    pub const fn find(&self, principal: &Principal) -> Option<Limit> {
        match (principal.role, principal.tier) {
            (Role::Admin, _) => None,
            (Role::Internal, _) => Some(self.internal),
            (Role::Public, Tier::Free) => Some(self.public_free),
            (Role::Public, Tier::Paid) => Some(self.public_paid),
        }
    }
}

impl Default for Limits {
    /// The specification's: 5,000 for both of workers, 1,000 and 10,000.
    fn default() -> Self {
        let limit = |requests| Limit(NonZeroU32::new(requests).unwrap_or(NonZeroU32::MIN));
        Self {
            internal: limit(5_000),
            worker: limit(5_000),
            public_free: limit(1_000),
            public_paid: limit(10_000),
        }
    }
}

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// The requests of a key.
    Key(KeyId),
    /// The requests of a worker under a key, so that neither rotating ids nor sharing a key evades a limit.
    Worker(KeyId, WorkerId),
    /// The failures of a customer, as [`customer_of`] gives it.
    Address(IpAddr),
}

/// Gives what stands for an address where peers are counted: itself, or its /64, which one customer holds as a whole.
pub fn customer_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
    }
}

/// Says whether a request may pass, and what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it passes; only then was it counted.
    pub allowed: bool,
    /// Requests per minute.
    pub limit: u32,
    /// Requests that would pass right now.
    pub remaining: u32,
    /// Seconds until the minute's count starts anew, and at least one request passes again.
    pub reset_s: u32,
    /// Seconds after which one request passes if none is sent before; 0 when this one passed.
    pub retry_after_s: u32,
}

/// Counts requests per minute in a bounded number of buckets.
///
/// The counts are a sliding-window counter ([`window::decide`]). Only this minute's and the last minute's are kept, in
/// two maps that change places, so nothing idle lingers. Beyond the bound, buckets not seen this minute share one
/// count, which weighs on whoever may have been in it for a minute more: memory stays bounded and nobody passes more
/// for it.
#[derive(Debug)]
pub struct RateLimiter {
    clock: Arc<dyn Clock>,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    shard_buckets_max: usize,
}

#[derive(Debug, Default)]
struct Shard {
    minute: u64,
    now: HashMap<Bucket, u32>,
    last: HashMap<Bucket, u32>,
    now_others: u32,
    last_others: u32,
}

impl RateLimiter {
    /// Counts by this clock, in at most about `buckets_max` buckets a minute.
    pub fn new(clock: Arc<dyn Clock>, buckets_max: usize) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        let shard_buckets_max = buckets_max.div_ceil(SHARDS);
        Self { clock, hasher: RandomState::new(), shards, shard_buckets_max }
    }

    /// Counts the buckets that are held, of this minute and the last one.
    pub fn buckets(&self) -> usize {
        let held = |shard: &Mutex<Shard>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.now.len() + shard.last.len()
        };
        self.shards.iter().map(held).sum()
    }

    /// Asks for one request to pass, and counts it if it does.
    pub fn check(&self, bucket: Bucket, limit: Limit) -> Decision {
        let elapsed_ms = u64::try_from(self.clock.uptime().as_millis()).unwrap_or(u64::MAX);
        let shard_idx = usize::try_from(self.hasher.hash_one(bucket) >> 60).unwrap_or(0);
        let Some(shard) = self.shards.get(shard_idx % SHARDS) else {
            return window::decide(0, 0, 0, limit);
        };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.turn(elapsed_ms / WINDOW_MS);
        shard.count(bucket, elapsed_ms % WINDOW_MS, limit, self.shard_buckets_max)
    }
}

impl Shard {
    /// Makes this minute's counts the last one's when a minute has begun.
    fn turn(&mut self, minute: u64) {
        if minute <= self.minute {
            return;
        }
        mem::swap(&mut self.now, &mut self.last);
        self.now.clear();
        // After a flood the tables go back to what a quiet minute needs.
        self.now.shrink_to(2 * self.last.len());
        self.last_others = mem::take(&mut self.now_others);
        if minute > self.minute + 1 {
            self.last.clear();
            self.last_others = 0;
        }
        self.minute = minute;
    }

    fn count(&mut self, bucket: Bucket, at_ms: u64, limit: Limit, buckets_max: usize) -> Decision {
        let full = self.now.len() >= buckets_max && !self.now.contains_key(&bucket);
        // Whoever was not counted apart in the last minute may have passed all that the others did.
        let last = self.last.get(&bucket).copied().unwrap_or(self.last_others);
        let now = if full { &mut self.now_others } else { self.now.entry(bucket).or_insert(0) };
        let decision = window::decide(last, *now, at_ms, limit);
        *now = now.saturating_add(u32::from(decision.allowed));
        decision
    }
}

#[cfg(test)]
mod tests;
