//! A bus in this process: the newest commits in a ring.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono_domain::{Epoch, Seq, StoredTick, Timestamp};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{Bus, BusEntry, BusError, BusRead};

/// How much history a [`MemoryBus`] holds and gives at once.
///
/// The newest commit is held whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusSettings {
    /// Most ticks in the history. Lower, and a reader that stalls for a moment loses updates; higher only costs memory.
    pub ticks_max: usize,
    /// Most bytes in the history, metadata counted in. As `ticks_max`, for ticks that carry much.
    pub bytes_max: usize,
    /// Most ticks in one read, but for an entry that alone has more. Lower, and a reader behind asks often; higher, and
    /// a publisher waits longer for the lock while a reader copies pointers.
    pub read_ticks_max: usize,
}

impl Default for BusSettings {
    /// 65,536 ticks or 64 MiB, 1,024 ticks a read.
    fn default() -> Self {
        Self { ticks_max: 65_536, bytes_max: 64 * 1024 * 1024, read_ticks_max: 1_024 }
    }
}

/// A bus in this process; its sequence ends with it, and the next has another epoch.
#[derive(Debug)]
pub struct MemoryBus {
    epoch: Epoch,
    settings: BusSettings,
    ring: watch::Sender<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Arc<BusEntry>>,
    head: Seq,
    ticks: usize,
    bytes: usize,
}

impl Default for MemoryBus {
    fn default() -> Self {
        Self::new(BusSettings::default())
    }
}

impl MemoryBus {
    /// Starts a sequence under a random epoch.
    pub fn new(settings: BusSettings) -> Self {
        // The time in the upper half is mixed into the random lower half.
        let (upper, lower) = Uuid::now_v7().as_u64_pair();
        Self { epoch: Epoch(upper ^ lower), settings, ring: watch::Sender::default() }
    }
}

#[async_trait::async_trait]
impl Bus for MemoryBus {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn head(&self) -> Seq {
        self.ring.borrow().head
    }

    /// # Cancel safety
    /// It never waits: a future that was polled has published.
    async fn publish(&self, ticks: Arc<[StoredTick]>, at: Timestamp) -> Result<Seq, BusError> {
        if ticks.is_empty() {
            return Ok(self.head());
        }
        let (mut head, mut evicted) = (Seq::default(), Vec::new());
        self.ring.send_modify(|ring| {
            head = ring.push(ticks, at);
            evicted = ring.evict(&self.settings);
        });
        // Freed here, after the lock.
        drop(evicted);
        Ok(head)
    }

    /// # Cancel safety
    /// Dropping the future loses nothing.
    async fn read(&self, after: Seq) -> Result<BusRead, BusError> {
        let mut readable = self.ring.subscribe();
        let ring = readable
            .wait_for(|ring| ring.head > after)
            .await
            .map_err(|closed| BusError::Unavailable(Box::new(closed)))?;
        Ok(ring.read(after, self.settings.read_ticks_max))
    }
}

impl Ring {
    fn push(&mut self, ticks: Arc<[StoredTick]>, at: Timestamp) -> Seq {
        let entry = BusEntry { first: self.head.next(), published_at: at, ticks };
        self.head = entry.last();
        self.ticks += entry.ticks.len();
        self.bytes += bytes_of(&entry);
        self.entries.push_back(Arc::new(entry));
        self.head
    }

    /// Takes out what is beyond the bounds, but never the newest entry.
    fn evict(&mut self, settings: &BusSettings) -> Vec<Arc<BusEntry>> {
        let mut evicted = Vec::new();
        while self.ticks > settings.ticks_max || self.bytes > settings.bytes_max {
            if self.entries.len() < 2 {
                break;
            }
            let Some(oldest) = self.entries.pop_front() else { break };
            self.ticks -= oldest.ticks.len();
            self.bytes -= bytes_of(&oldest);
            evicted.push(oldest);
        }
        evicted
    }

    /// Gives what follows a number below the head.
    fn read(&self, after: Seq, ticks_max: usize) -> BusRead {
        let next_idx = self.entries.partition_point(|entry| entry.last() <= after);
        let mut following = self.entries.range(next_idx..);
        let Some(next) = following.next() else { return BusRead::Lost(self.head) };
        if next.first > after.next() {
            return BusRead::Lost(Seq(next.first.0.saturating_sub(1)));
        }
        let next = beyond(next, after);
        let mut ticks = next.ticks.len();
        let mut read = vec![next];
        read.extend(following.cloned().take_while(|entry| {
            ticks += entry.ticks.len();
            ticks <= ticks_max
        }));
        BusRead::Entries(read)
    }
}

/// Gives the part of an entry after a number that may lie inside it.
fn beyond(entry: &Arc<BusEntry>, after: Seq) -> Arc<BusEntry> {
    let seen = usize::try_from(after.next().0 - entry.first.0).unwrap_or(usize::MAX);
    match entry.ticks.get(seen..) {
        Some(rest) if seen > 0 => Arc::new(BusEntry {
            first: after.next(),
            published_at: entry.published_at,
            ticks: rest.into(),
        }),
        _ => Arc::clone(entry),
    }
}

fn bytes_of(entry: &BusEntry) -> usize {
    let metadata = entry.ticks.iter().filter_map(|stored| stored.tick.metadata.as_ref());
    size_of_val(&*entry.ticks) + metadata.map(|metadata| metadata.as_str().len()).sum::<usize>()
}
