//! Answers in this process.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono_domain::Clock;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::AnswerCache;

/// What [`MemoryAnswers`] holds at most unless told otherwise: 64 MiB.
///
/// Lower, and hot answers push each other out; higher, and memory that the machine lacks elsewhere holds answers that
/// nobody asks for again.
pub const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What an entry costs beside its key and answer, roughly: moka's node and list entries.
const ENTRY_BYTES: usize = 256;

/// Answers in this process, the least lately used given up first.
#[derive(Debug)]
pub struct MemoryAnswers {
    clock: Arc<dyn Clock>,
    kept: Cache<Box<str>, Kept>,
}

#[derive(Debug, Clone)]
struct Kept {
    answer: Bytes,
    /// The uptime from which on it is no longer given.
    until: Duration,
}

impl MemoryAnswers {
    /// Makes an empty cache that holds at most `bytes_max`, keys and its own book-keeping counted in.
    pub fn new(clock: Arc<dyn Clock>, bytes_max: u64) -> Self {
        let kept = Cache::<Box<str>, Kept>::builder()
            .max_capacity(bytes_max)
            .weigher(|key, kept| {
                u32::try_from(ENTRY_BYTES + key.len() + kept.answer.len()).unwrap_or(u32::MAX)
            })
            // The default policy would refuse a new answer in favour of old ones that are over but were popular.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { clock, kept }
    }
}

#[async_trait::async_trait]
impl AnswerCache for MemoryAnswers {
    async fn get(&self, key: &str) -> Option<Bytes> {
        let kept = self.kept.get(key)?;
        (self.clock.uptime() < kept.until).then_some(kept.answer)
    }

    async fn put(&self, key: &str, answer: Bytes, time_to_live: Duration) {
        let until = self.clock.uptime().saturating_add(time_to_live);
        self.kept.insert(key.into(), Kept { answer, until });
        // Else the cap would be exceeded by whatever moka has not yet looked at.
        self.kept.run_pending_tasks();
    }
}
