//! The one writer: commits whatever waits, publishes it, answers.

use std::sync::Arc;
use std::time::Duration;

use chrono_cache::{Bus, LatestBook};
use chrono_domain::{Arrival, Clock, StoredTick};
use chrono_storage::{Appended, NewBatch, Store, StoreError};
use metrics::{gauge, histogram};
use tokio::sync::{Mutex, mpsc};

use crate::queue::{Ingest, IngestSettings, Job, JobFault, Trouble};

/// A group stops taking batches in once it holds this many ticks, so that no commit takes long.
const GROUP_TICKS: usize = 10_000;
/// A tick older than this at its commit changes an answer that may be cached for long.
const LATE_AFTER: Duration = Duration::from_mins(2);

/// Commits batches in groups: what waits when one commit ends goes into the next.
///
/// After a commit, and never before, the ticks go to the latest book, then on the bus, then the workers are told.
/// There is one; the supervisor calls [`Writer::run`] again when it panicked.
pub struct Writer {
    jobs: Mutex<mpsc::Receiver<Job>>,
    store: Arc<dyn Store>,
    book: Arc<LatestBook>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    trouble: Arc<Trouble>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    /// Makes the writer and the way in to it; fills the latest book from the store.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn start(
        settings: IngestSettings,
        store: Arc<dyn Store>,
        book: Arc<LatestBook>,
        bus: Arc<dyn Bus>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Ingest, Self), StoreError> {
        let names = store.names().await?;
        book.apply(&store.newest().await?, clock.now().minus(LATE_AFTER));
        let trouble = Arc::new(Trouble::default());
        let (ingest, jobs) = Ingest::new(settings, names, Arc::clone(&clock), Arc::clone(&trouble));
        Ok((ingest, Self { jobs: Mutex::new(jobs), store, book, bus, clock, trouble }))
    }

    /// Works until the future is dropped, or every [`Ingest`] is.
    ///
    /// A commit whose outcome stayed unknown, here or in a run that panicked, may have stored ticks that nobody
    /// published: the newest of each symbol and source are then read back and published.
    pub async fn run(&self) {
        let mut jobs = self.jobs.lock().await;
        let mut behind = true;
        while let Some(first) = jobs.recv().await {
            let group = gather(first, &mut jobs);
            gauge!("ingest_queue_depth").set(u32::try_from(jobs.len()).unwrap_or(u32::MAX));
            if behind {
                behind = self.catch_up().await.is_err();
            }
            behind |= self.commit(group).await;
        }
    }

    /// Commits a group and answers its jobs; tells whether ticks may be stored that were not published.
    async fn commit(&self, group: Vec<Job>) -> bool {
        let batches: Vec<_> = group.iter().map(|job| Arc::clone(&job.batch)).collect();
        let ticks: usize = batches.iter().map(|batch| batch.ticks.len()).sum();
        #[cfg(feature = "failpoints")]
        let group = early::acknowledge(group);
        let started = self.clock.uptime();
        let outcomes = self.store.append(batches).await;
        histogram!("ingest_commit_seconds").record(self.clock.uptime().saturating_sub(started));
        histogram!("ingest_commit_ticks").record(u32::try_from(ticks).unwrap_or(u32::MAX));
        self.trouble.note(outcomes.is_err(), self.clock.uptime());
        match outcomes {
            Ok(outcomes) => self.publish_and_answer(group, outcomes).await,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, ticks, "commit failed");
                let unknown = matches!(error, StoreError::OutcomeUnknown(_));
                let error = Arc::new(error);
                for job in group {
                    answer(job, Err(JobFault::Store(Arc::clone(&error))));
                }
                unknown
            }
        }
    }

    async fn publish_and_answer(
        &self,
        group: Vec<Job>,
        outcomes: Vec<Result<Appended, StoreError>>,
    ) -> bool {
        let stored: Vec<StoredTick> = group
            .iter()
            .zip(&outcomes)
            .filter_map(|(job, outcome)| match outcome {
                Ok(Appended::Stored(first)) => Some(numbered(&job.batch, *first)),
                _ => None,
            })
            .flatten()
            .collect();
        #[cfg(feature = "failpoints")]
        chrono_storage::failpoint::hit("before_publish");
        let behind = self.publish(stored).await.is_err();
        for (job, outcome) in group.into_iter().zip(outcomes) {
            answer(job, outcome.map_err(JobFault::Refused));
        }
        behind
    }

    /// Puts committed ticks into the book and on the bus.
    async fn publish(&self, stored: Vec<StoredTick>) -> Result<(), ()> {
        let now = self.clock.now();
        self.book.apply(&stored, now.minus(LATE_AFTER));
        #[cfg(feature = "failpoints")]
        chrono_storage::failpoint::hit("mid_publish");
        match self.bus.publish(stored.into(), now).await {
            Ok(_last) => Ok(()),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "bus refused a commit");
                Err(())
            }
        }
    }

    /// Publishes what the store holds and the book does not.
    async fn catch_up(&self) -> Result<(), ()> {
        let newest = self.store.newest().await.map_err(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot read back what may be unpublished"
            );
        })?;
        let mut missing: Vec<_> =
            newest.into_iter().filter(|stored| self.is_news(stored)).collect();
        missing.sort_by_key(|stored| stored.arrival);
        self.publish(missing).await
    }

    fn is_news(&self, stored: &StoredTick) -> bool {
        let held = self.book.get(&stored.tick.symbol);
        let held = held.as_ref().and_then(|entry| entry.of_source(stored.tick.source));
        held.is_none_or(|held| held.key() < stored.key())
    }
}

/// Takes what waits into a group, up to the bound; jobs that were given up are left out.
fn gather(first: Job, jobs: &mut mpsc::Receiver<Job>) -> Vec<Job> {
    let mut ticks = 0;
    let mut group = Vec::new();
    let mut next = Some(first);
    while let Some(job) = next {
        if job.take() {
            ticks += job.batch.ticks.len();
            group.push(job);
        }
        next = if ticks < GROUP_TICKS { jobs.try_recv().ok() } else { None };
    }
    group
}

fn numbered(batch: &NewBatch, first: Arrival) -> impl Iterator<Item = StoredTick> + '_ {
    (first.0..).zip(&batch.ticks).map(|(arrival, tick)| StoredTick {
        tick: tick.clone(),
        arrival: Arrival(arrival),
        ingested_at: batch.received_at,
    })
}

/// Answers a job; one whose sender went away needs no answer.
fn answer(job: Job, outcome: Result<Appended, JobFault>) {
    drop(job.reply.send(outcome));
}

#[cfg(feature = "failpoints")]
mod early {
    //! The wrong build that proves the durability test can see: it acknowledges before COMMIT.

    use chrono_domain::Arrival;
    use chrono_storage::Appended;

    use crate::queue::Job;

    pub(super) fn acknowledge(group: Vec<Job>) -> Vec<Job> {
        if !chrono_storage::failpoint::acknowledges_early() {
            return group;
        }
        for job in group {
            super::answer(job, Ok(Appended::Stored(Arrival(0))));
        }
        Vec::new()
    }
}
