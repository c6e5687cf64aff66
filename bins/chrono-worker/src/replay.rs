//! Replaying recordings: NDJSON files of ticks, posted in order, exactly once.
//!
//! A reading thread makes batches ([`Batcher`]) and hands them to lanes over bounded queues; each lane posts one batch
//! after the other, and a symbol always takes the same lane, so its ticks arrive in the order of the files. A batch's
//! idempotency key names run, file and line: an interrupted run that is started again with its id posts the same
//! batches, and the gateway stores what it lacks.

mod batch;
mod input;
mod pace;
mod reader;
mod report;
mod run_id;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono_client::{Backoff, Client};
use chrono_domain::{Clock, Timestamp, WorkerId};
use futures_util::future::join_all;
use indicatif::ProgressBar;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use batch::{Batch, Batcher};
pub use pace::{Pacer, Speed, SpeedError};
pub use report::ReplayReport;
pub use run_id::{Run, RunError};

use crate::{Poster, Tally, TickerVolume, WorkerError};
use input::Input;
use reader::{ReadTally, Reader};

/// Batches that wait before a lane; more would only hold memory, as the gateway sets the pace.
const LANE_QUEUE: usize = 2;
/// How long an interrupted replay waits for a reader that may hang in a read of standard input.
const READER_GRACE: Duration = Duration::from_secs(1);

/// What to replay and how.
#[derive(Debug)]
pub struct ReplayOptions {
    /// Files, directories (searched for `.ndjson` and `.ndjson.gz`, sorted by path), or `-` for standard input.
    pub inputs: Vec<PathBuf>,
    /// Who posts; must be the same when a run is resumed.
    pub worker_id: WorkerId,
    /// A new run, or an interrupted one.
    pub plan: RunPlan,
    /// What becomes of tickers' rolling volumes.
    pub ticker_volume: TickerVolume,
    /// What becomes of lines that are no ticks.
    pub unreadable: Unreadable,
    /// Longest wait between two ticks of a paced replay: longer silences of the recording are cut to this.
    pub pause_max: Duration,
    /// How to retry.
    pub backoff: Backoff,
    /// Counts bytes read; hidden where nobody looks.
    pub progress: ProgressBar,
}

/// A new run, or one to go on with.
#[derive(Debug, Clone)]
pub enum RunPlan {
    /// A new run.
    New {
        /// A random number that tells this run from all others.
        nonce: u64,
        /// Feeds in a batch, 1 to 100.
        batch: usize,
        /// Batches posted at once, each with symbols of its own.
        lanes: usize,
        /// How fast.
        speed: Speed,
        /// Which times the ticks get.
        times: Times,
    },
    /// The run that printed this id.
    Resume(Run),
}

/// Which times the ticks get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Times {
    /// Those of the recording, digit by digit.
    #[default]
    Original,
    /// Moved, so that the last tick's time is the moment it is posted; distances stay.
    EndNow,
}

/// What becomes of lines that are no ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unreadable {
    /// They are counted and reported.
    #[default]
    Count,
    /// The first one ends the replay.
    Stop,
}

/// Replays recordings.
///
/// # Errors
/// When it cannot start: nothing to read, or nothing readable. What stops it later is in [`ReplayReport::stopped`],
/// beside the counts so far.
///
/// # Cancel safety
/// Cancel through `cancel`: the report then tells how far it came, and its run can be resumed.
pub async fn run(
    options: ReplayOptions,
    client: Client,
    clock: Arc<dyn Clock>,
    cancel: &CancellationToken,
) -> Result<ReplayReport, WorkerError> {
    let inputs = input::expand(&options.inputs)?;
    options.progress.set_length(inputs.iter().map(Input::bytes).sum());
    let run = plan(&options, &inputs, clock.as_ref()).await?;
    let resumed = matches!(options.plan, RunPlan::Resume(_));
    tracing::info!(run = %run, files = inputs.len(), "replay started");
    let stop = cancel.child_token();
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..run.lanes).map(|_lane| mpsc::channel(LANE_QUEUE)).unzip();
    let poster =
        Poster::new(client, options.worker_id, Arc::clone(&clock), options.backoff.clone());
    let reader = Reader {
        inputs,
        run: run.clone(),
        pacer: Pacer::new(run.speed, options.pause_max),
        ticker_volume: options.ticker_volume,
        unreadable: options.unreadable,
        lanes: senders,
        progress: options.progress,
    };
    let started = clock.uptime();
    let mut readers = JoinSet::new();
    readers.spawn_blocking(move || reader.read());
    let lanes = receivers.into_iter().map(|batches| {
        Lane { poster: &poster, clock: clock.as_ref(), started, stop: &stop }.deliver(batches)
    });
    let (lanes, reads) = tokio::join!(join_all(lanes), finish(&mut readers, &stop));
    let mut report = ReplayReport::new(run, resumed, reads, clock.uptime().saturating_sub(started));
    for (tally, stopped) in lanes {
        report.tally.merge(tally);
        report.stopped = report.stopped.or(stopped);
    }
    report.interrupted = cancel.is_cancelled();
    Ok(report)
}

/// Settles a run's id, which holds everything that shapes its batches.
async fn plan(
    options: &ReplayOptions,
    inputs: &[Input],
    clock: &dyn Clock,
) -> Result<Run, WorkerError> {
    let (nonce, batch, lanes, speed, times) = match &options.plan {
        RunPlan::Resume(run) => return Ok(run.clone()),
        RunPlan::New { nonce, batch, lanes, speed, times } => {
            (*nonce, *batch, *lanes, *speed, times)
        }
    };
    let shift_micros = match times {
        Times::Original => 0,
        Times::EndNow => {
            let pacer = Pacer::new(speed, options.pause_max);
            let (inputs, ticker_volume) = (inputs.to_vec(), options.ticker_volume);
            let mut threads = JoinSet::new();
            threads.spawn_blocking(move || reader::span(&inputs, pacer, ticker_volume));
            let span = match threads.join_next().await {
                Some(ended) => ended.map_err(WorkerError::Reader)??,
                None => reader::Span::default(),
            };
            shift(span.newest, clock.now().plus(span.paced))
        }
    };
    Ok(Run { nonce, batch, lanes, speed, shift_micros })
}

fn shift(newest: Option<Timestamp>, to: Timestamp) -> i64 {
    newest.map_or(0, |newest| to.micros() - newest.micros())
}

/// Waits for the reader; after an interruption, not for long.
async fn finish(readers: &mut JoinSet<ReadTally>, stop: &CancellationToken) -> ReadTally {
    let ended = match stop.run_until_cancelled(readers.join_next()).await {
        Some(ended) => ended,
        None => timeout(READER_GRACE, readers.join_next()).await.unwrap_or_default(),
    };
    match ended {
        Some(Ok(tally)) => tally,
        Some(Err(fault)) => ReadTally::stopped(WorkerError::Reader(fault)),
        None => ReadTally::default(),
    }
}

/// Posts the batches of its symbols, one after the other.
struct Lane<'a> {
    poster: &'a Poster,
    clock: &'a dyn Clock,
    started: Duration,
    stop: &'a CancellationToken,
}

impl Lane<'_> {
    async fn deliver(self, mut batches: mpsc::Receiver<Batch>) -> (Tally, Option<WorkerError>) {
        let mut tally = Tally::default();
        let all = async {
            while let Some(batch) = batches.recv().await {
                let elapsed = self.clock.uptime().saturating_sub(self.started);
                sleep(batch.due.saturating_sub(elapsed)).await;
                match self.poster.post(&batch.key, batch.feeds).await {
                    Ok(posted) => tally.add(posted, |index| batch.origin.place(index)),
                    Err(source) => {
                        let place = batch.origin.place(None);
                        return Some(WorkerError::Gateway { place, source });
                    }
                }
            }
            None
        };
        let stopped = self.stop.run_until_cancelled(all).await.flatten();
        if stopped.is_some() {
            self.stop.cancel();
        }
        (tally, stopped)
    }
}
