//! Simulated exchanges: they trade a seeded [`Market`] and post it as workers do.
//!
//! The market is pure: seed and step decide every tick. Here is what is not: the clock, which stamps the ticks, and
//! the gateway, which takes them. An exchange whose gateway is slow does not hold the market up; it drops what it
//! cannot queue, and says how much.

mod market;
mod random;
mod series;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono_client::{Backoff, Client, Feed};
use chrono_domain::{Clock, NameError, Source, Symbol, WorkerId};
use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

pub use market::{Market, Quote, STEP, Side};
pub use series::Amount;

use crate::{Poster, Tally, WorkerError};

/// Batches that wait in an exchange for its gateway: some seconds' worth.
const QUEUE: usize = 32;
/// How long what was traded may take to be posted after the end.
const WIND_UP: Duration = Duration::from_secs(5);
/// The gateway's bound on feeds in a batch.
const BATCH_MAX: usize = 100;
/// Most exchanges: each has a letter.
pub const EXCHANGES_MAX: usize = 26;
/// What an exchange posts per second at most, well below the gateway's limit of requests.
pub const RATE_MAX: u32 = 5_000;

/// The markets of a simulation that is told nothing else.
pub const SYMBOLS: [&str; 8] =
    ["BTC/USD", "ETH/USD", "SOL/USD", "XRP/USD", "FLR/USD", "DOGE/USD", "ADA/USD", "LTC/USD"];

/// What to simulate.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Decides every price.
    pub seed: u64,
    /// Number of exchanges, at most [`EXCHANGES_MAX`]; they are called `sim-a`, `sim-b` and so on.
    pub exchanges: usize,
    /// What they trade.
    pub symbols: Vec<Symbol>,
    /// Ticks per second of each, at most [`RATE_MAX`].
    pub rate: u32,
    /// How long; none until cancelled.
    pub duration: Option<Duration>,
    /// Tells this run's idempotency keys from all others': `[A-Za-z0-9]`, new each time.
    pub run: String,
}

/// What a simulation did.
#[derive(Debug, Default)]
pub struct SimReport {
    /// What became of the ticks that were posted.
    pub tally: Tally,
    /// Ticks dropped because the gateway was too slow or gone for too long.
    pub dropped: u64,
    /// How long it ran.
    pub duration: Duration,
}

impl fmt::Display for SimReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.tally)?;
        writeln!(f, "dropped           {}", self.dropped)?;
        writeln!(f, "duration          {} ms", self.duration.as_millis())
    }
}

/// Ticks of one exchange on their way.
struct Batch {
    key: String,
    feeds: Vec<Feed>,
}

/// An exchange, as the market's side of its queue sees it.
struct Outlet {
    source: Source,
    queue: mpsc::Sender<Batch>,
}

/// Simulates until `config.duration` is over or `cancel` is cancelled.
///
/// # Errors
/// When the gateway refuses an exchange altogether, for instance for its key. A gateway that is gone for a while is
/// no error: ticks are dropped meanwhile.
pub async fn run(
    config: SimConfig,
    client: Client,
    clock: Arc<dyn Clock>,
    cancel: &CancellationToken,
) -> Result<SimReport, WorkerError> {
    let stop = cancel.child_token();
    let started = clock.uptime();
    let mut outlets = Vec::new();
    let mut exchanges = Vec::new();
    for (worker_id, source) in names(config.exchanges)? {
        let (queue, batches) = mpsc::channel(QUEUE);
        let backoff = Backoff::new(config.seed);
        let poster = Poster::new(client.clone(), worker_id, Arc::clone(&clock), backoff);
        exchanges.push(post(poster, source, batches, &stop));
        outlets.push(Outlet { source, queue });
    }
    let (closed, posted_all) = (CancellationToken::new(), CancellationToken::new());
    let trading = async {
        let dropped = trade(&config, outlets, clock.as_ref(), &stop).await;
        closed.cancel();
        dropped
    };
    let posting = async {
        let posted = join_all(exchanges).await;
        posted_all.cancel();
        posted
    };
    let cutting = posted_all.run_until_cancelled(async {
        closed.cancelled().await;
        sleep(WIND_UP).await;
        stop.cancel();
    });
    let (dropped, posted, _cut) = tokio::join!(trading, posting, cutting);
    let duration = clock.uptime().saturating_sub(started);
    let mut report = SimReport { dropped, duration, ..SimReport::default() };
    for exchange in posted {
        let (tally, dropped) = exchange?;
        report.tally.merge(tally);
        report.dropped += dropped;
    }
    Ok(report)
}

fn names(exchanges: usize) -> Result<Vec<(WorkerId, Source)>, NameError> {
    let letters = ('a'..='z').take(exchanges.min(EXCHANGES_MAX));
    letters
        .map(|letter| {
            let name = format!("sim-{letter}");
            Ok((WorkerId::try_new(&name)?, Source::try_new(&name)?))
        })
        .collect()
}

/// Moves the market on, step by step, and hands each exchange its ticks. Gives the number of ticks dropped.
async fn trade(
    config: &SimConfig,
    outlets: Vec<Outlet>,
    clock: &dyn Clock,
    stop: &CancellationToken,
) -> u64 {
    let mut market = Market::new(config.seed, outlets.len(), &config.symbols, config.rate);
    let steps = config.duration.map(|duration| duration.as_millis() / STEP.as_millis());
    let mut ticker = interval(STEP);
    // Steps never overlap in time, so the ticks of a symbol stay in order.
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut dropped = 0;
    for step in 0_u128.. {
        if steps.is_some_and(|steps| step >= steps)
            || stop.run_until_cancelled(ticker.tick()).await.is_none()
        {
            break;
        }
        // The step that is over by now: no tick is ahead of the clock.
        let begun = clock.now().minus(STEP);
        for (Outlet { source, queue }, quotes) in outlets.iter().zip(market.step()) {
            for (part, quotes) in quotes.chunks(BATCH_MAX).enumerate() {
                let feeds = quotes.iter().map(|quote| quote.feed(*source, begun)).collect();
                let key = format!("{}.{source}.{step}.{part}", config.run);
                if queue.try_send(Batch { key, feeds }).is_err() {
                    dropped += u64::try_from(quotes.len()).unwrap_or(u64::MAX);
                }
            }
        }
    }
    dropped
}

/// Posts what one exchange traded. Gives what became of it and the number of ticks dropped.
async fn post(
    poster: Poster,
    source: Source,
    mut batches: mpsc::Receiver<Batch>,
    stop: &CancellationToken,
) -> Result<(Tally, u64), WorkerError> {
    let mut tally = Tally::default();
    let mut dropped = 0;
    let all = async {
        while let Some(Batch { key, feeds }) = batches.recv().await {
            let ticks = u64::try_from(feeds.len()).unwrap_or(u64::MAX);
            match poster.post(&key, feeds).await {
                Ok(done) => tally.add(done, |_index| key.clone()),
                Err(fault) if fault.is_retryable() => {
                    let error = &fault as &dyn std::error::Error;
                    tracing::warn!(%source, ticks, error, "gateway gone for too long, ticks dropped");
                    dropped += ticks;
                }
                Err(fault) => return Err(WorkerError::Gateway { place: key, source: fault }),
            }
        }
        Ok(())
    };
    let ended = stop.run_until_cancelled(all).await;
    if let Some(Err(fault)) = ended {
        stop.cancel();
        return Err(fault);
    }
    while let Ok(left) = batches.try_recv() {
        dropped += u64::try_from(left.feeds.len()).unwrap_or(u64::MAX);
    }
    Ok((tally, dropped))
}
