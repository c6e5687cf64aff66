//! The recorder: stores the consensus of every symbol in steady steps, and revises what late ticks change.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono_cache::{LateSpan, LatestBook};
use chrono_domain::{Clock, StoredTick, Symbol, Timestamp};
use chrono_storage::{Progress, Snapshot, Store};
use metrics::counter;

use super::{ConsensusPrice, ConsensusSettings, Explain, compute};
use crate::QueryError;

/// How long after its time an answer is stored.
///
/// A tick is posted some time after its moment: exchanges, workers' batches and the network take from 0.1 to 1.5 s.
/// Too low, and every stored answer is revised by ticks that were merely on their way; too high, and auditors wait.
const SETTLE: Duration = Duration::from_secs(2);
/// Stored answers that are looked at again in one step, so that a backfill does not hold up the next answers.
const REVISED_MAX: usize = 500;
/// Snapshots of one commit.
const COMMIT_SNAPSHOTS: usize = 500;
/// How far before a symbol's newest tick stored answers are looked at again after a start.
///
/// Late ticks that a crash left undone are found so; the list of them is in memory only.
const RECHECK: Duration = Duration::from_mins(10);
/// Pause before the next step while late ticks wait, which lets readers and commits pass.
const BREATH: Duration = Duration::from_millis(10);
/// How many times as long as a step took it rests after it at least, so that it takes a fifth of one core at most.
///
/// Too low, and answers that nobody may ask for take the time of those that somebody waits for; too high, and a
/// backfill is revised slowly, and stored answers get sparse sooner.
const RESTS: u32 = 4;
/// Longest rest after a step that failed, so that a store that hung is soon asked again.
const FAILED_REST_MAX: Duration = Duration::from_mins(1);

/// Stores a consensus per symbol at every multiple of the interval while ticks come in.
///
/// The answer of a time is stored about two seconds after it. A tick that comes in behind it makes the
/// recorder compute the stored answers within its reach anew; those that changed become the next revision. Nothing is
/// stored for times that passed while the recorder did not run, and several instances may run: the store keeps one of
/// equal answers.
///
/// It rests at least four times as long as it worked. Where the work of a time takes more than a fifth of the interval,
/// times are left out, and counted in `consensus_times_skipped_total`; the next answer covers what came in meanwhile.
pub struct ConsensusRecorder {
    store: Arc<dyn Store>,
    book: Arc<LatestBook>,
    clock: Arc<dyn Clock>,
    settings: Arc<ConsensusSettings>,
    /// Microseconds of the last time whose answers are stored; zero before the first.
    stored_up_to: AtomicI64,
}

impl std::fmt::Debug for ConsensusRecorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsensusRecorder").finish_non_exhaustive()
    }
}

impl ConsensusRecorder {
    /// Makes a recorder; it takes the late ticks of this book.
    pub fn new(
        store: Arc<dyn Store>,
        book: Arc<LatestBook>,
        clock: Arc<dyn Clock>,
        settings: Arc<ConsensusSettings>,
    ) -> Self {
        Self { store, book, clock, settings, stored_up_to: AtomicI64::new(0) }
    }

    /// Works until the future is dropped; run again, it looks at the newest stored answers first.
    pub async fn run(&self) {
        self.recheck();
        loop {
            let (now, started) = (self.clock.now(), self.clock.uptime());
            let done = self.step(now).await;
            let rest = self.clock.uptime().saturating_sub(started) * RESTS;
            let pause = match done {
                Ok(Progress::More | Progress::Behind) => BREATH.max(rest),
                Ok(Progress::Idle) => self.until_due(now).max(rest),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "consensus snapshots wait for the store");
                    // What took long then was waiting.
                    self.settings.interval().max(rest.min(FAILED_REST_MAX))
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Stores the answers that are due at `now`, if any, and revises those of one symbol that late ticks may change.
    ///
    /// # Errors
    /// [`QueryError::Store`]; the same step may be done again.
    pub async fn step(&self, now: Timestamp) -> Result<Progress, QueryError> {
        let due = self.due(now);
        let stored_up_to = self.stored_up_to();
        if due > stored_up_to {
            // Before any read, so that a tick that is committed after its read counts as late.
            self.book.late().watch_from(due);
            let before = due.minus(self.settings.interval());
            let since = if stored_up_to == Timestamp::MIN { before } else { stored_up_to };
            self.store_answers(due, since).await?;
            self.stored_up_to.store(due.micros(), Ordering::SeqCst);
            counter!("consensus_times_skipped_total").increment(self.times_between(since, due));
        }
        let spans = self.book.late().take();
        if spans.is_empty() {
            return Ok(Progress::Idle);
        }
        let rest = self.revise(spans).await?;
        self.book.late().done(rest);
        Ok(Progress::More)
    }

    /// Stores the answers of one time for every symbol with a tick after `since`, or that came in after its step.
    ///
    /// The moment alone would leave out a feed that lags, the coming in alone a tick that was too new for that step.
    async fn store_answers(&self, at: Timestamp, since: Timestamp) -> Result<(), QueryError> {
        let (entries, last_step) = (self.book.entries(), since.plus(SETTLE));
        let is_new =
            |stored: &StoredTick| stored.tick.timestamp > since || stored.ingested_at >= last_step;
        let ticked = entries.iter().filter(|entry| entry.by_source.iter().any(is_new));
        let symbols: Vec<Symbol> = ticked.map(|entry| entry.newest.tick.symbol).collect();
        for some in symbols.chunks(COMMIT_SNAPSHOTS) {
            let mut snapshots = Vec::with_capacity(some.len());
            for symbol in some {
                snapshots.extend(self.snapshot(*symbol, at).await?);
            }
            self.put("new", snapshots).await?;
        }
        Ok(())
    }

    /// Computes the stored answers within the reach of late ticks anew; gives back what is left to do.
    async fn revise(&self, spans: Vec<LateSpan>) -> Result<Vec<LateSpan>, QueryError> {
        let (mut left, mut rest) = (REVISED_MAX, Vec::new());
        for span in spans {
            if left == 0 {
                rest.push(span);
                continue;
            }
            let LateSpan { symbol, from, to } = span;
            let reach = to.plus(self.settings.policy(&symbol).lookback());
            let times = self.store.snapshot_times(symbol, from, reach, left).await?;
            let mut snapshots = Vec::with_capacity(times.len());
            for at in &times {
                snapshots.extend(self.snapshot(symbol, *at).await?);
            }
            self.put("late", snapshots).await?;
            left -= times.len().min(left);
            if let Some(last) = times.last().filter(|_| left == 0) {
                // The end stays, even before the start: it says how far the late ticks reach.
                let from = last.plus(Duration::from_micros(1));
                rest.push(LateSpan { symbol, from, to });
            }
        }
        Ok(rest)
    }

    async fn snapshot(
        &self,
        symbol: Symbol,
        at: Timestamp,
    ) -> Result<Option<Snapshot>, QueryError> {
        match compute(&*self.store, symbol, at, self.settings.policy(&symbol)).await {
            Ok(consensus) => Ok(consensus.map(|consensus| {
                ConsensusPrice::of(symbol, consensus, Explain::Figures)
                    .into_snapshot(self.clock.now())
            })),
            Err(error @ QueryError::TooLarge { .. }) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "no consensus snapshot");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn put(&self, why: &'static str, snapshots: Vec<Snapshot>) -> Result<(), QueryError> {
        if !snapshots.is_empty() {
            let stored = self.store.put_snapshots(snapshots).await?;
            counter!("consensus_snapshots_total", "why" => why).increment(stored);
        }
        Ok(())
    }

    /// Marks the newest times of every symbol, so that what a crash left undone is done.
    fn recheck(&self) {
        for entry in self.book.entries() {
            let to = entry.newest.tick.timestamp;
            let from = to.minus(RECHECK);
            self.book.late().add(LateSpan { symbol: entry.newest.tick.symbol, from, to });
        }
    }

    /// Gives the newest time whose answers may be stored.
    fn due(&self, now: Timestamp) -> Timestamp {
        let settled = now.minus(SETTLE);
        let interval = u64::try_from(self.settings.interval().as_micros()).unwrap_or(u64::MAX);
        let past = settled.micros().unsigned_abs().checked_rem(interval).unwrap_or(0);
        settled.minus(Duration::from_micros(past))
    }

    /// Gives how many times of the interval lie between two.
    fn times_between(&self, from: Timestamp, to: Timestamp) -> u64 {
        let times = to.since(from).as_micros() / self.settings.interval().as_micros().max(1);
        u64::try_from(times).unwrap_or(u64::MAX).saturating_sub(1)
    }

    fn until_due(&self, now: Timestamp) -> Duration {
        let next = self.stored_up_to().plus(self.settings.interval() + SETTLE);
        next.since(now).clamp(BREATH, self.settings.interval())
    }

    fn stored_up_to(&self) -> Timestamp {
        let micros = self.stored_up_to.load(Ordering::SeqCst);
        Timestamp::from_micros(micros).unwrap_or(Timestamp::MIN)
    }
}
