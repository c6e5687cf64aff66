//! The bounded queue before the writer, and what a worker is told.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use chrono_domain::{Clock, Tick};
use chrono_storage::{Appended, Idempotency, IdempotencyKey, Names, NewBatch, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::batch::ParsedBatch;
use crate::error::{FeedFault, IngestError};
use crate::names::{NameBook, NameLimits, NewNames, Reservation};
use crate::tally::Tally;

/// A job waits for the writer.
const WAITING: u8 = 0;
/// The writer has taken the job into a commit.
const TAKEN: u8 = 1;
/// Its sender has given the job up; the writer skips it.
const GIVEN_UP: u8 = 2;

/// Bounds of the way in.
#[derive(Debug, Clone, Copy)]
pub struct IngestSettings {
    /// Batches that may wait for the writer. Too low refuses bursts, too high lets them wait past their deadline.
    pub queue_batches: usize,
    /// Bytes of memory that they may hold together. Too low refuses bursts with metadata, too high lets them fill the
    /// memory. A batch of 100 feeds takes some 20 KB, with as much metadata and as many faults as may be 1.2 MB.
    pub queue_bytes: usize,
    /// How long a batch may take from the queue to its commit. Too low gives up on a slow disk, too high leaves
    /// workers without an answer.
    pub patience: Duration,
    /// How many names the gateway takes.
    pub names: NameLimits,
}

impl Default for IngestSettings {
    fn default() -> Self {
        Self {
            queue_batches: 1_024,
            queue_bytes: 64 << 20,
            patience: Duration::from_secs(3),
            names: NameLimits::default(),
        }
    }
}

/// What became of a batch that was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Feeds stored.
    pub ingested: usize,
    /// Feeds refused, with their reasons, in their order.
    pub faults: Vec<FeedFault>,
    /// Whether this answers a repeat of an earlier batch.
    pub repeated: bool,
}

/// A receipt as it is kept with its idempotency key.
#[derive(Serialize, Deserialize)]
struct KeptReceipt {
    ingested: usize,
    faults: Vec<FeedFault>,
}

pub(crate) enum JobFault {
    Store(Arc<StoreError>),
    Refused(StoreError),
}

pub(crate) type JobOutcome = Result<Appended, JobFault>;

/// One batch on its way to the writer.
pub(crate) struct Job {
    pub(crate) batch: Arc<NewBatch>,
    reply: oneshot::Sender<JobOutcome>,
    held: Held,
    state: Arc<AtomicU8>,
}

/// What a batch holds of what is bounded, until its job has an answer.
#[derive(Debug)]
pub(crate) struct Held {
    names: Reservation,
    /// Its bytes.
    _room: OwnedSemaphorePermit,
}

impl Held {
    pub(crate) const fn new(names: Reservation, room: OwnedSemaphorePermit) -> Self {
        Self { names, _room: room }
    }
}

impl Job {
    /// Makes a job; the other half gives it up.
    pub(crate) fn new(
        batch: Arc<NewBatch>,
        held: Held,
        reply: oneshot::Sender<JobOutcome>,
    ) -> (Self, Arc<AtomicU8>) {
        let state = Arc::new(AtomicU8::new(WAITING));
        (Self { batch, reply, held, state: Arc::clone(&state) }, state)
    }

    /// Takes the job into a commit, unless its sender gave it up.
    pub(crate) fn take(&mut self) -> bool {
        let (from, to) = (WAITING, TAKEN);
        let taken = self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        if taken.is_ok() {
            self.held.names.keep();
        }
        taken.is_ok()
    }

    /// Says what became of the job; if its sender went away, to nobody.
    pub(crate) fn answer(self, outcome: JobOutcome) {
        let Self { reply, mut held, .. } = self;
        if !may_be_stored(&outcome) {
            held.names.give_back();
        }
        // Before the sender is told, so that what it sends next finds the room.
        drop(held);
        drop(reply.send(outcome));
    }

    /// Tells the sender, before there is anything to tell, that the job is stored.
    #[cfg(feature = "failpoints")]
    pub(crate) fn answer_early(&mut self) {
        let (nobody, _) = oneshot::channel();
        let reply = std::mem::replace(&mut self.reply, nobody);
        drop(reply.send(Ok(Appended::Stored(chrono_domain::Arrival(0)))));
    }
}

/// The way in for parsed batches.
#[derive(Debug)]
pub struct Ingest {
    jobs: mpsc::Sender<Job>,
    /// Bytes that more batches may hold.
    room: Arc<Semaphore>,
    names: Arc<RwLock<NameBook>>,
    clock: Arc<dyn Clock>,
    patience: Duration,
    tally: Tally,
    trouble: Arc<Trouble>,
}

/// When a commit last failed, so that readiness can tell.
#[derive(Debug, Default)]
pub(crate) struct Trouble(AtomicU64);

impl Trouble {
    /// Notes how a commit went at an uptime; zero stands for no trouble.
    pub(crate) fn note(&self, failed: bool, uptime: Duration) {
        let millis = u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX).max(1);
        self.0.store(if failed { millis } else { 0 }, Ordering::Release);
    }
}

impl Ingest {
    pub(crate) fn new(
        settings: IngestSettings,
        names: Names,
        clock: Arc<dyn Clock>,
        trouble: Arc<Trouble>,
    ) -> (Self, mpsc::Receiver<Job>) {
        let (jobs, receiver) = mpsc::channel(settings.queue_batches);
        let names = Arc::new(RwLock::new(NameBook::new(settings.names, names)));
        let room = Arc::new(Semaphore::new(settings.queue_bytes.min(Semaphore::MAX_PERMITS)));
        let (patience, tally) = (settings.patience, Tally::default());
        (Self { jobs, room, names, clock, patience, tally, trouble }, receiver)
    }

    /// Gives how many batches wait for the writer.
    pub fn waiting(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    /// Tells whether the last commit failed, and did so within a time.
    pub fn failed_within(&self, time: Duration) -> bool {
        let failed = self.trouble.0.load(Ordering::Acquire);
        failed > 0 && self.clock.uptime().saturating_sub(Duration::from_millis(failed)) < time
    }

    /// Stores the good feeds of a batch; answers once they are durable and published.
    ///
    /// # Errors
    /// [`IngestError`]; all but `AllRefused`, `Refused` and `KeyClash` may be tried again with the same key.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether the batch is stored; it is never stored in part.
    pub async fn submit(
        &self,
        batch: ParsedBatch,
        key: Option<IdempotencyKey>,
    ) -> Result<Receipt, IngestError> {
        let idempotency = key.map(|key| Idempotency { key, fingerprint: batch.fingerprint() });
        // All else that was parsed goes here, and does not wait.
        let (ParsedBatch { worker, ticks, .. }, faults, names) = self.admit(batch)?;
        // Refused without a look at the key, which no honest repeat can regret: the form of a feed decides alike each
        // time, a stored name is never refused again, and a tick of the past is ahead of the clock only while that was
        // set back; then nothing is stored, and once it has caught up the key answers its first result. A batch of
        // other content is told what is wrong with it rather than that the key is used.
        if ticks.is_empty() {
            self.tally.refused(worker, &faults);
            return Err(IngestError::AllRefused(faults));
        }
        let kept = KeptReceipt { ingested: ticks.len(), faults };
        // Only a batch with a key can be repeated. Serialising plain strings and numbers cannot fail; an empty receipt
        // would only blur a repeat's answer.
        let receipt = idempotency.as_ref().and_then(|_| serde_json::to_vec(&kept).ok());
        // The store keeps it in memory for long: without the room that writing it has made.
        let receipt = Bytes::from(receipt.unwrap_or_default().into_boxed_slice());
        let new = Arc::new(NewBatch {
            worker,
            idempotency,
            ticks,
            receipt,
            received_at: self.clock.now(),
        });
        let outcome = match self.find_room(bytes(&new, &kept.faults)) {
            Some(room) => self.commit(Arc::clone(&new), Held::new(names, room)).await,
            None => Err(IngestError::Overloaded),
        };
        self.tally.outcome(&new, &kept.faults, &outcome);
        match outcome? {
            Appended::Stored(_) => {
                Ok(Receipt { ingested: kept.ingested, faults: kept.faults, repeated: false })
            }
            Appended::Repeated(receipt) => {
                let kept: KeptReceipt = serde_json::from_slice(&receipt).map_err(|broken| {
                    IngestError::NotStored(Arc::new(StoreError::Corrupt(broken.into())))
                })?;
                Ok(Receipt { ingested: kept.ingested, faults: kept.faults, repeated: true })
            }
            Appended::KeyClash => Err(IngestError::KeyClash),
        }
    }

    /// Moves feeds whose names are too many over to the faults, and holds the new names of the others.
    pub(crate) fn admit(
        &self,
        mut batch: ParsedBatch,
    ) -> Result<(ParsedBatch, Vec<FeedFault>, Reservation), IngestError> {
        let (mut faults, mut new) = (std::mem::take(&mut batch.faults), NewNames::default());
        let known = self.names.read().unwrap_or_else(PoisonError::into_inner);
        let is_known = known.knows(&batch.worker, &batch.ticks);
        drop(known);
        if !is_known && !batch.ticks.is_empty() {
            let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
            names.admit_worker(batch.worker, &mut new).map_err(IngestError::Refused)?;
            let mut index = places(&faults);
            batch.ticks.retain(|tick| {
                let admitted = names.admit_tick(index.next().unwrap_or_default(), tick, &mut new);
                admitted.map_err(|fault| faults.push(fault)).is_ok()
            });
            faults.sort_by_key(|fault| fault.index);
        }
        Ok((batch, faults, Reservation::new(Arc::clone(&self.names), new)))
    }

    /// Takes bytes of the queue, unless others hold them.
    pub(crate) fn find_room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes).ok()?;
        Arc::clone(&self.room).try_acquire_many_owned(bytes).ok()
    }

    async fn commit(&self, batch: Arc<NewBatch>, held: Held) -> Result<Appended, IngestError> {
        let (reply, answer) = oneshot::channel();
        let (job, state) = Job::new(batch, held, reply);
        self.jobs.try_send(job).map_err(|_full| IngestError::Overloaded)?;
        match tokio::time::timeout(self.patience, answer).await {
            Ok(Ok(outcome)) => outcome.map_err(IngestError::from),
            // The writer went away with the job: it was restarted, or is stopping.
            Ok(Err(_dropped)) => Err(IngestError::OutcomeUnknown),
            Err(_late) => {
                let mine =
                    state.compare_exchange(WAITING, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire);
                Err(if mine.is_ok() { IngestError::Expired } else { IngestError::OutcomeUnknown })
            }
        }
    }
}

impl From<JobFault> for IngestError {
    fn from(fault: JobFault) -> Self {
        match fault {
            JobFault::Refused(error) => Self::NotStored(Arc::new(error)),
            JobFault::Store(error) => match *error {
                StoreError::Overloaded => Self::Overloaded,
                StoreError::OutcomeUnknown(_) => Self::OutcomeUnknown,
                _ => Self::NotStored(error),
            },
        }
    }
}

/// Gives the bytes that a batch holds while it waits, with what its sender will be told.
fn bytes(batch: &NewBatch, faults: &[FeedFault]) -> usize {
    let metadata = |tick: &Tick| tick.metadata.as_ref().map_or(0, |text| text.as_str().len());
    let texts = |fault: &FeedFault| {
        let received = fault.received.as_ref().map_or(0, String::capacity);
        fault.message.capacity() + fault.field.capacity() + received + fault.expected.capacity()
    };
    size_of_val(batch)
        + batch.ticks.capacity() * size_of::<Tick>()
        + batch.ticks.iter().map(metadata).sum::<usize>()
        + batch.receipt.len()
        + size_of_val(faults)
        + faults.iter().map(texts).sum::<usize>()
}

fn may_be_stored(outcome: &JobOutcome) -> bool {
    match outcome {
        Ok(Appended::Stored(_)) => true,
        Ok(Appended::Repeated(_) | Appended::KeyClash) | Err(JobFault::Refused(_)) => false,
        Err(JobFault::Store(error)) => matches!(**error, StoreError::OutcomeUnknown(_)),
    }
}

/// Gives the places in the batch of the feeds that have no fault, in their order.
fn places(faults: &[FeedFault]) -> impl Iterator<Item = usize> + use<> {
    let refused: std::collections::BTreeSet<usize> =
        faults.iter().map(|fault| fault.index).collect();
    (0..).filter(move |index| !refused.contains(index))
}
