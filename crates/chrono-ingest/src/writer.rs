//! The one writer: commits whatever waits, publishes it, answers.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use chrono_cache::{Bus, BusError, LatestBook};
use chrono_domain::{Arrival, Clock, StoredTick};
use chrono_storage::{Appended, Detail, NewBatch, Store, StoreError, TickRange};
use metrics::{gauge, histogram};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use crate::queue::{Ingest, IngestSettings, Job, JobFault, Trouble};

/// A group stops taking batches in once it holds this many ticks, so that no commit takes long.
const GROUP_TICKS: usize = 10_000;
/// How long a commit may take before the writer goes on without its answer; workers are told before that.
const COMMIT_PATIENCE: Duration = Duration::from_secs(10);
/// How often an idle writer looks after a commit of unknown outcome, and how long it waits for its answer.
const SETTLE_EVERY: Duration = Duration::from_secs(1);
/// A tick older than this at its commit changes an answer that may be cached for long.
const LATE_AFTER: Duration = Duration::from_mins(2);

/// Commits batches in groups: what waits when one commit ends goes into the next.
///
/// After a commit, and never before, the ticks go to the latest book, then on the bus, then the workers are told; the
/// next commit is under way meanwhile. There is one writer; the supervisor calls [`Writer::run`] again when it panicked.
pub struct Writer {
    jobs: Mutex<mpsc::Receiver<Job>>,
    store: Arc<dyn Store>,
    book: Arc<LatestBook>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    trouble: Arc<Trouble>,
    unsettled: std::sync::Mutex<Unsettled>,
}

/// What may be stored without having been published; it outlives a panic.
#[derive(Default)]
struct Unsettled {
    /// The batches of commits that are not published yet, in their order: of two at most.
    batches: Vec<Arc<NewBatch>>,
    /// The newest of those commits, until it answers.
    append: Option<Append>,
    /// The newest arrival that is published.
    published: Arrival,
}

/// A commit on its way.
type Append = Pin<Box<dyn Future<Output = Result<Outcomes, StoreError>> + Send>>;
/// What became of each batch of a commit.
type Outcomes = Vec<Result<Appended, StoreError>>;

/// A group that is stored.
struct Committed {
    group: Vec<Job>,
    outcomes: Outcomes,
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
        // Arrivals count what was ever stored, so the newest is as large as their number.
        let published = Arrival(store.stats().await?.ticks);
        let unsettled =
            std::sync::Mutex::new(Unsettled { batches: Vec::new(), append: None, published });
        let trouble = Arc::new(Trouble::default());
        let (ingest, jobs) = Ingest::new(settings, names, Arc::clone(&clock), Arc::clone(&trouble));
        Ok((ingest, Self { jobs: Mutex::new(jobs), store, book, bus, clock, trouble, unsettled }))
    }

    /// Works until the future is dropped, or every [`Ingest`] is.
    ///
    /// A commit whose outcome stayed unknown, here or in a run that panicked, may have stored ticks that nobody
    /// published: before the next commit they are looked up and published.
    pub async fn run(&self) {
        let mut jobs = self.jobs.lock().await;
        loop {
            match timeout(SETTLE_EVERY, jobs.recv()).await {
                Ok(Some(first)) => self.work(first, &mut jobs).await,
                Ok(None) => return,
                Err(_idle) => {
                    if let Err(error) = self.settle().await {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "a commit is not settled yet"
                        );
                    }
                }
            }
        }
    }

    /// Commits a job with all that waits, then what waits by then, until nothing does or something fails.
    async fn work(&self, first: Job, jobs: &mut mpsc::Receiver<Job>) {
        let group = gather(first, jobs);
        if let Err(error) = self.settle().await {
            return self.refuse(group, error);
        }
        let mut committed = self.commit(group).await;
        while let Some(done) = committed.take() {
            let Ok(first) = jobs.try_recv() else {
                self.publish_and_answer(done).await;
                return;
            };
            let group = gather(first, jobs);
            // The commit is polled first, so that the store works while this publishes.
            let (next, published) =
                tokio::join!(biased; self.commit(group), self.publish_and_answer(done));
            if published {
                committed = next;
            } else if let Some(next) = next {
                // It cannot overtake the one that the bus refused. Whatever comes of both, it is stored.
                if let Err(error) = self.settle().await {
                    tracing::debug!(error = &error as &dyn std::error::Error, "two commits wait");
                }
                next.answer();
            }
        }
    }

    /// Commits a group; gives nothing when it was refused.
    async fn commit(&self, group: Vec<Job>) -> Option<Committed> {
        if group.is_empty() {
            return None;
        }
        let batches: Vec<_> = group.iter().map(|job| Arc::clone(&job.batch)).collect();
        let ticks: usize = batches.iter().map(|batch| batch.ticks.len()).sum();
        #[cfg(feature = "failpoints")]
        let group = early::acknowledge(group);
        let started = self.clock.uptime();
        let store = Arc::clone(&self.store);
        {
            let mut unsettled = self.unsettled();
            unsettled.batches.extend_from_slice(&batches);
            unsettled.append = Some(Box::pin(async move { store.append(batches).await }));
        }
        // Without an answer it may still be stored: nothing else is until it is known what became of it.
        let outcomes = timeout(COMMIT_PATIENCE, self.appended())
            .await
            .unwrap_or_else(|elapsed| Err(StoreError::OutcomeUnknown(elapsed.into())));
        histogram!("ingest_commit_seconds").record(self.clock.uptime().saturating_sub(started));
        histogram!("ingest_commit_ticks").record(u32::try_from(ticks).unwrap_or(u32::MAX));
        match outcomes {
            Ok(outcomes) => {
                self.trouble.note(false, self.clock.uptime());
                Some(Committed { group, outcomes })
            }
            Err(error) => {
                if !matches!(error, StoreError::OutcomeUnknown(_)) {
                    let mut unsettled = self.unsettled();
                    let before = unsettled.batches.len().saturating_sub(group.len());
                    unsettled.batches.truncate(before);
                }
                self.refuse(group, error);
                None
            }
        }
    }

    /// Waits for the commit on its way, which stays where a panic leaves it alone until it has answered.
    async fn appended(&self) -> Result<Outcomes, StoreError> {
        poll_fn(|context| {
            let Some(mut append) = self.unsettled().append.take() else {
                return Poll::Ready(Ok(Outcomes::new()));
            };
            let answer = append.as_mut().poll(context);
            if answer.is_pending() {
                self.unsettled().append = Some(append);
            }
            answer
        })
        .await
    }

    /// Publishes a group and answers its jobs; tells whether it is published.
    async fn publish_and_answer(&self, committed: Committed) -> bool {
        let Committed { group, outcomes } = &committed;
        let ticks = group.iter().map(|job| job.batch.ticks.len()).sum();
        let mut stored: Vec<StoredTick> = Vec::with_capacity(ticks);
        for (job, outcome) in group.iter().zip(outcomes) {
            if let Ok(Appended::Stored(first)) = outcome {
                stored.extend(numbered(&job.batch, *first));
            }
        }
        #[cfg(feature = "failpoints")]
        chrono_storage::failpoint::hit("before_publish");
        let published = self.publish(stored, group.len()).await.is_ok();
        committed.answer();
        published
    }

    fn refuse(&self, group: Vec<Job>, error: StoreError) {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            batches = group.len(),
            "commit failed"
        );
        self.trouble.note(true, self.clock.uptime());
        let error = Arc::new(error);
        for job in group {
            job.answer(Err(JobFault::Store(Arc::clone(&error))));
        }
    }

    /// Puts the ticks of the oldest unsettled batches, in order of arrival, into the book and on the bus.
    ///
    /// When the bus refuses them they stay unsettled, and are published before the next commit.
    async fn publish(&self, stored: Vec<StoredTick>, batches: usize) -> Result<(), BusError> {
        let now = self.clock.now();
        let last = stored.last().map(|stored| stored.arrival);
        self.book.apply(&stored, now.minus(LATE_AFTER));
        #[cfg(feature = "failpoints")]
        chrono_storage::failpoint::hit("mid_publish");
        self.bus.publish(stored.into(), now).await.inspect_err(|error| {
            tracing::error!(error = error as &dyn std::error::Error, "the bus refused a commit");
        })?;
        let mut unsettled = self.unsettled();
        unsettled.batches.drain(..batches);
        unsettled.published = unsettled.published.max(last.unwrap_or_default());
        Ok(())
    }

    /// Publishes what the last commits stored without publishing it: rows of their symbols and times whose arrival is
    /// newer than all that is published.
    async fn settle(&self) -> Result<(), StoreError> {
        if let Err(elapsed) = timeout(SETTLE_EVERY, self.appended()).await {
            return Err(StoreError::Unavailable(elapsed.into()));
        }
        let (places, published, batches) = {
            let unsettled = self.unsettled();
            let ticks = unsettled.batches.iter().flat_map(|batch| &batch.ticks);
            let places: BTreeSet<_> = ticks.map(|tick| (tick.symbol, tick.timestamp)).collect();
            (places, unsettled.published, unsettled.batches.len())
        };
        let mut stored = Vec::new();
        for (symbol, at) in places {
            let range = TickRange {
                from: at,
                to: at,
                detail: Detail::WithMetadata,
                ..TickRange::of(symbol)
            };
            stored.extend(
                self.store.ticks(&range).await?.into_iter().filter(|row| row.arrival > published),
            );
        }
        if batches > 0 {
            stored.sort_by_key(|row| row.arrival);
            tracing::warn!(
                ticks = stored.len(),
                "ticks of a commit without a known outcome are published"
            );
            let published = self.publish(stored, batches).await;
            return published.map_err(|error| StoreError::Unavailable(error.into()));
        }
        Ok(())
    }

    fn unsettled(&self) -> MutexGuard<'_, Unsettled> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Committed {
    fn answer(self) {
        for (job, outcome) in self.group.into_iter().zip(self.outcomes) {
            job.answer(outcome.map_err(JobFault::Refused));
        }
    }
}

/// Takes what waits into a group, up to the bound; jobs that were given up are left out.
fn gather(first: Job, jobs: &mut mpsc::Receiver<Job>) -> Vec<Job> {
    let mut ticks = 0;
    let mut group = Vec::new();
    let mut next = Some(first);
    while let Some(mut job) = next {
        if job.take() {
            ticks += job.batch.ticks.len();
            group.push(job);
        }
        next = if ticks < GROUP_TICKS { jobs.try_recv().ok() } else { None };
    }
    gauge!("ingest_queue_depth").set(u32::try_from(jobs.len()).unwrap_or(u32::MAX));
    group
}

fn numbered(batch: &NewBatch, first: Arrival) -> impl Iterator<Item = StoredTick> + '_ {
    (first.0..).zip(&batch.ticks).map(|(arrival, tick)| StoredTick {
        tick: tick.clone(),
        arrival: Arrival(arrival),
        ingested_at: batch.received_at,
    })
}

#[cfg(feature = "failpoints")]
mod early {
    //! The wrong build that proves the durability test can see: it acknowledges before COMMIT.

    use crate::queue::Job;

    pub(super) fn acknowledge(mut group: Vec<Job>) -> Vec<Job> {
        if chrono_storage::failpoint::acknowledges_early() {
            group.iter_mut().for_each(Job::answer_early);
        }
        group
    }
}

#[cfg(test)]
mod tests;
