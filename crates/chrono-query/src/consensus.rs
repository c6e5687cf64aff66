//! Consensus prices: computed from the ticks of a window, and compared with what was stored for a time.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::Arc;

use bytes::Bytes;
use chrono_domain::{
    Consensus, ConsensusPolicy, ConsensusStatus, Source, SourceVote, Symbol, Timestamp, Window,
};
use chrono_storage::{Snapshot, Store, StoreError, WindowRange, WindowRead};
use metrics::counter;

use crate::answers::life;
use crate::queries::distinct;
use crate::{PriceQueries, QueryError, json};

mod recorder;
mod settings;

pub use recorder::ConsensusRecorder;
use settings::MIN_SOURCES_MAX;
pub use settings::{ConsensusSettings, ConsensusTexts, SettingFault, SymbolPattern};

/// Most ticks one consensus reads, 20 times what the spec's budget speaks of.
const TICKS_MAX: usize = 2_000_000;
/// Most ticks that are computed on where the question is answered, in some half a millisecond.
///
/// Too low, and small windows cost a change of threads; too high, and whatever else is answered there waits.
const TICKS_AT_ONCE: usize = 10_000;

/// Whose consensus is asked for, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsensusQuery {
    /// 1 to 100 symbols; a repeated one counts once.
    pub symbols: Vec<Symbol>,
    /// The end of the window, not in the future; by default now.
    pub at: Option<Timestamp>,
    /// Fewest votes that make a price, from the operator's to 1,000; by default the operator's.
    pub min_sources: Option<NonZeroUsize>,
    /// Whether to list the votes.
    pub explain: Explain,
}

/// Whether an answer lists each source's vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Explain {
    /// The figures alone.
    Figures,
    /// What each source said, and whether it counted.
    Votes,
}

/// The consensus of some symbols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsensusAnswer {
    /// One for each symbol with a tick in the window, in the order of the question.
    pub prices: Vec<ConsensusPrice>,
    /// The symbols without one.
    pub missing: Vec<Symbol>,
}

/// The consensus of one symbol at one time; figures are exact decimal texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsensusPrice {
    /// The symbol.
    pub symbol: Symbol,
    /// The end of the window.
    pub at: Timestamp,
    /// The consensus price; none without quorum or agreement.
    pub price: Option<String>,
    /// How far the price may be relied on.
    pub status: ConsensusStatus,
    /// Median over all ticks of the window.
    pub median: String,
    /// Mean over all ticks of the window.
    pub mean: String,
    /// Standard deviation of the sample; none for one tick.
    pub std_dev: Option<String>,
    /// Sources with a tick in the window, in order.
    pub sources: Vec<Source>,
    /// Ticks in the window.
    pub num_feeds: u64,
    /// How often the stored answer of this time was revised by late ticks; none where none is stored.
    pub revision: Option<u32>,
    /// Each source's vote, where it was asked for.
    pub votes: Option<Vec<SourceVote>>,
}

impl PriceQueries {
    /// Answers the consensus of symbols, now or at a time.
    ///
    /// Every answer is computed from the ticks. One of the past has a revision where one of exactly that time is
    /// stored, and neither votes nor another quorum are asked for: a stored one that says something else, say because
    /// a crash lost what a late tick would have changed, is revised first. While a late tick waits to do so, there is
    /// no revision.
    ///
    /// # Errors
    /// [`QueryError::Invalid`]; [`QueryError::NotFound`] when no symbol has a tick in the window;
    /// [`QueryError::TooLarge`] above two million ticks; [`QueryError::Store`].
    pub async fn consensus(&self, query: &ConsensusQuery) -> Result<ConsensusAnswer, QueryError> {
        let (symbols, now) = self.check_consensus(query)?;
        let (mut prices, mut missing) = (Vec::new(), Vec::new());
        for symbol in &symbols {
            match self.consensus_of(*symbol, query, now).await? {
                Some(price) => prices.push(price),
                None => missing.push(*symbol),
            }
        }
        if prices.is_empty() {
            Err(QueryError::NotFound { symbols })
        } else {
            Ok(ConsensusAnswer { prices, missing })
        }
    }

    /// Answers as [`PriceQueries::consensus`], in the spec's JSON.
    ///
    /// Beside the spec's fields a price has `status`, `num_feeds`, `revision` (null for a computed one) and, where asked
    /// for, `votes`; `missing` is always there. A latest answer may be kept for the interval of the settings, one of the
    /// past for 5 minutes; a late tick ends both.
    ///
    /// # Errors
    /// As [`PriceQueries::consensus`].
    pub async fn consensus_json(&self, query: &ConsensusQuery) -> Result<Bytes, QueryError> {
        let started = self.clock.uptime();
        let (symbols, now) = self.check_consensus(query)?;
        let (mut prices, mut missing) = (Vec::new(), Vec::new());
        for symbol in &symbols {
            match self.consensus_piece(*symbol, query, now).await? {
                Some(price) => prices.push(price),
                None => missing.push(*symbol),
            }
        }
        if prices.is_empty() {
            return Err(QueryError::NotFound { symbols });
        }
        Ok(json::finish(json::consensus::body(&prices, &missing), self.latency_ms(started)))
    }

    fn check_consensus(
        &self,
        query: &ConsensusQuery,
    ) -> Result<(Vec<Symbol>, Timestamp), QueryError> {
        let now = self.clock.now();
        if let Some(at) = query.at.filter(|at| *at > now) {
            return Err(QueryError::invalid("timestamp", &at, "a time that is not in the future"));
        }
        // The operator's quorum protects every reader, also from the others' questions.
        let floor = self.consensus.min_sources().get();
        let allowed = floor..=MIN_SOURCES_MAX;
        if let Some(min) = query.min_sources.filter(|min| !allowed.contains(&min.get())) {
            let expected =
                format!("a number from {floor}, this gateway's quorum, to {MIN_SOURCES_MAX}");
            return Err(QueryError::invalid("min_sources", &min, expected));
        }
        Ok((distinct(&query.symbols)?, now))
    }

    /// Gives one symbol's part of the body, a kept one where there is one.
    async fn consensus_piece(
        &self,
        symbol: Symbol,
        query: &ConsensusQuery,
        now: Timestamp,
    ) -> Result<Option<Bytes>, QueryError> {
        let (key, late) = (key(symbol, query), self.book.late().noted(&symbol));
        // Both only grow, so their sum tells every state of either from every other.
        let revision = self.revision(&symbol).map(|revision| revision + late);
        if let Some(revision) = revision
            && let Some(piece) = self.answers.find("consensus", &key, revision).await
        {
            return Ok(Some(piece));
        }
        let to_be_revised = query.at.is_some_and(|at| self.is_to_be_revised(&symbol, at));
        let Some(price) = self.consensus_of(symbol, query, now).await? else { return Ok(None) };
        let piece = Bytes::from(json::consensus::piece(&price));
        if let Some(revision) = revision.filter(|_| !to_be_revised) {
            let life = query.at.map_or(self.consensus.interval(), |at| life(at, now));
            self.answers.keep(&key, revision, &piece, (now, life)).await;
        }
        Ok(Some(piece))
    }

    async fn consensus_of(
        &self,
        symbol: Symbol,
        query: &ConsensusQuery,
        now: Timestamp,
    ) -> Result<Option<ConsensusPrice>, QueryError> {
        let at = query.at.unwrap_or(now);
        let as_stored = query.explain == Explain::Figures && query.min_sources.is_none();
        let noted = self.book.late().noted(&symbol);
        let mut stored = None;
        if as_stored && query.at.is_some() && !self.is_to_be_revised(&symbol, at) {
            stored = self.store.snapshot(symbol, at).await?.and_then(ConsensusPrice::of_snapshot);
        }
        let mut policy = self.consensus.policy(&symbol).clone();
        policy.min_sources = query.min_sources.unwrap_or(policy.min_sources);
        let computed = self.compute(symbol, at, policy).await?;
        let price = computed.map(|consensus| ConsensusPrice::of(symbol, consensus, query.explain));
        match (stored, price) {
            (Some(stored), Some(price)) if stored.says(&price) => Ok(Some(stored)),
            (Some(_), Some(price)) if self.book.late().noted(&symbol) == noted => {
                Ok(Some(self.revise(price).await))
            }
            // A tick that came in meanwhile is the recorder's: what was computed here may lack it.
            (_, price) => Ok(price),
        }
    }

    /// Computes as [`compute`], a large window on a thread where nothing else waits.
    async fn compute(
        &self,
        symbol: Symbol,
        at: Timestamp,
        policy: ConsensusPolicy,
    ) -> Result<Option<Consensus>, QueryError> {
        // Nobody closes the semaphore.
        let permit = Arc::clone(&self.computing).acquire_owned().await.ok();
        let window = read(&*self.store, symbol, at, &policy).await?;
        if window.rows.len() <= TICKS_AT_ONCE {
            return Ok(Consensus::of_window(at, &window, &policy));
        }
        apart(move || {
            // Given back where the work ends, also when nobody waits for it any more.
            let (_permit, window) = (permit, window);
            Consensus::of_window(at, &window, &policy)
        })
        .await
    }

    /// Stores an answer as the next revision of its time, and gives it with that where it is the newest.
    ///
    /// The answer is good without: a store that takes no writes now costs the revision, and the next read tries again.
    async fn revise(&self, price: ConsensusPrice) -> ConsensusPrice {
        let snapshot = price.clone().into_snapshot(self.clock.now());
        let revised = async {
            let stored = self.store.put_snapshots(vec![snapshot]).await?;
            counter!("consensus_snapshots_total", "why" => "read").increment(stored);
            self.store.snapshot(price.symbol, price.at).await
        };
        match revised.await {
            Ok(newest) => newest
                .and_then(ConsensusPrice::of_snapshot)
                .filter(|newest| newest.says(&price))
                .unwrap_or(price),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "a stored consensus was not revised");
                price
            }
        }
    }

    /// Tells whether a late tick in the reach of a time was not yet taken into what is stored of it.
    fn is_to_be_revised(&self, symbol: &Symbol, at: Timestamp) -> bool {
        let lookback = self.consensus.policy(symbol).lookback();
        self.book.late().is_pending(symbol, at.minus(lookback), at)
    }
}

impl ConsensusPrice {
    fn of(symbol: Symbol, consensus: Consensus, explain: Explain) -> Self {
        Self {
            symbol,
            at: consensus.at,
            price: consensus.price.map(|price| price.to_string()),
            status: consensus.status,
            median: consensus.median.to_string(),
            mean: consensus.mean.to_string(),
            std_dev: consensus.std_dev.map(|deviation| deviation.to_string()),
            num_feeds: consensus.num_feeds as u64,
            sources: consensus.sources,
            revision: None,
            votes: (explain == Explain::Votes).then_some(consensus.votes),
        }
    }

    /// Takes a stored answer; none when its status is none of ours, say of a later release.
    fn of_snapshot(stored: Snapshot) -> Option<Self> {
        let known = [
            ConsensusStatus::Ok,
            ConsensusStatus::Thin,
            ConsensusStatus::Disputed,
            ConsensusStatus::NoQuorum,
        ];
        Some(Self {
            symbol: stored.symbol,
            at: stored.at,
            price: stored.price,
            status: known.into_iter().find(|status| status.name() == stored.status)?,
            median: stored.median,
            mean: stored.mean,
            std_dev: stored.std_dev,
            sources: stored.sources,
            num_feeds: stored.num_feeds,
            revision: Some(stored.revision),
            votes: None,
        })
    }

    /// Tells whether both say the same, whatever their revisions.
    fn says(&self, other: &Self) -> bool {
        let as_other = Self { revision: other.revision, ..self.clone() };
        as_other == *other
    }

    fn into_snapshot(self, computed_at: Timestamp) -> Snapshot {
        Snapshot {
            symbol: self.symbol,
            at: self.at,
            revision: 0,
            price: self.price,
            status: self.status.name().to_owned(),
            median: self.median,
            mean: self.mean,
            std_dev: self.std_dev,
            sources: self.sources,
            num_feeds: self.num_feeds,
            computed_at,
        }
    }
}

/// Computes the consensus of a symbol at a time from its ticks; none without a tick in the window.
async fn compute(
    store: &dyn Store,
    symbol: Symbol,
    at: Timestamp,
    policy: &ConsensusPolicy,
) -> Result<Option<Consensus>, QueryError> {
    let window = read(store, symbol, at, policy).await?;
    Ok(Consensus::of_window(at, &window, policy))
}

async fn read(
    store: &dyn Store,
    symbol: Symbol,
    at: Timestamp,
    policy: &ConsensusPolicy,
) -> Result<Window, QueryError> {
    let from = at.minus(policy.lookback());
    let range = WindowRange { symbol, from, to: at, ticks_max: TICKS_MAX };
    match store.window(&range).await? {
        WindowRead::Whole(window) => Ok(window),
        WindowRead::TooMany => Err(QueryError::TooLarge { symbol, ticks_max: TICKS_MAX }),
    }
}

/// Runs work that takes a processor for long, off the threads that answer others.
#[expect(clippy::disallowed_methods, reason = "it ends with its answer, and a panic is handed on")]
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, QueryError> {
    tokio::task::spawn_blocking(work).await.map_err(|ended| match ended.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(halted) => StoreError::Unavailable(halted.into()).into(),
    })
}

/// Names a kept answer: the spec's key, and what else changes the answer.
fn key(symbol: Symbol, query: &ConsensusQuery) -> String {
    let at = query.at.map_or_else(|| "latest".to_owned(), |at| at.micros().to_string());
    let min_sources = query.min_sources.map_or(0, NonZeroUsize::get);
    let explain = if query.explain == Explain::Votes { ":explain" } else { "" };
    format!("consensus:{symbol}:{at}:{min_sources}{explain}")
}
