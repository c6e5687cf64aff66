//! The in-process backend (interim form).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono_domain::{Epoch, Seq, StoredTick, Timestamp};
use tokio::sync::watch;

use crate::{AnswerCache, Bus, BusEntry, BusError, BusRead};

const TICKS_KEPT: usize = 65_536;

/// Bus within one process.
#[derive(Debug)]
pub struct MemoryBus {
    epoch: Epoch,
    entries: Mutex<VecDeque<Arc<BusEntry>>>,
    head: watch::Sender<Seq>,
}

impl Default for MemoryBus {
    fn default() -> Self {
        let (_, low) = uuid::Uuid::now_v7().as_u64_pair();
        Self { epoch: Epoch(low), entries: Mutex::default(), head: watch::Sender::new(Seq(0)) }
    }
}

#[async_trait::async_trait]
impl Bus for MemoryBus {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn head(&self) -> Seq {
        *self.head.borrow()
    }

    async fn publish(&self, ticks: Arc<[StoredTick]>, at: Timestamp) -> Result<Seq, BusError> {
        if ticks.is_empty() {
            return Ok(self.head());
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = BusEntry { first: self.head().next(), published_at: at, ticks };
        let last = entry.last();
        entries.push_back(Arc::new(entry));
        while entries.len() > 1
            && entries.front().is_some_and(|front| last.0 - front.first.0 > TICKS_KEPT as u64)
        {
            entries.pop_front();
        }
        drop(entries);
        self.head.send_replace(last);
        Ok(last)
    }

    async fn read(&self, after: Seq) -> Result<BusRead, BusError> {
        let mut head = self.head.subscribe();
        // The sender lives as long as the bus.
        drop(head.wait_for(|head| *head > after).await);
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        match entries.front() {
            Some(front) if front.first > after.next() => Ok(BusRead::Lost(Seq(front.first.0 - 1))),
            _ => {
                let from = entries.partition_point(|entry| entry.last() <= after);
                Ok(BusRead::Entries(entries.iter().skip(from).take(64).cloned().collect()))
            }
        }
    }
}

/// Answers within one process.
#[derive(Debug)]
pub struct MemoryAnswers(moka::sync::Cache<String, Bytes>);

impl Default for MemoryAnswers {
    fn default() -> Self {
        Self(
            moka::sync::Cache::builder()
                .max_capacity(1000)
                .time_to_live(Duration::from_mins(5))
                .build(),
        )
    }
}

#[async_trait::async_trait]
impl AnswerCache for MemoryAnswers {
    async fn get(&self, key: &str) -> Option<Bytes> {
        self.0.get(key)
    }

    async fn put(&self, key: &str, answer: Bytes, _time_to_live: Duration) {
        self.0.insert(key.to_owned(), answer);
    }
}
