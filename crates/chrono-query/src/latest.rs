//! The latest price of each symbol.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use chrono_cache::{LatestBook, LatestEntry};
use chrono_domain::{Source, StoredTick, Symbol, Timestamp};
use chrono_storage::StoreError;
use metrics::{Counter, counter};
use tokio::time::timeout;

use crate::json;
use crate::queries::distinct;
use crate::{PriceQueries, QueryError};

/// How long symbols that memory does not know may keep those waiting that it knows.
const STORE_PATIENCE: Duration = Duration::from_secs(1);

/// The latest prices of some symbols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latest {
    /// One for each symbol that is known, in the order of the question.
    pub prices: Vec<LatestPrice>,
    /// The symbols that are not known, in the order of the question.
    pub missing: Vec<Symbol>,
    /// Where the prices came from.
    pub origin: Origin,
}

/// The latest price of a symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatestPrice {
    /// The newest tick by (timestamp, arrival), without metadata.
    pub tick: StoredTick,
    /// Whose tick it is.
    pub scope: Scope,
    /// How old the tick is; zero for one that is ahead of the clock.
    pub staleness: Duration,
}

/// Out of how many sources the newest tick was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One: the only one there is, or the one that was asked for.
    OneSource,
    /// Several; the tick names the one that spoke last.
    AllSources,
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Memory alone.
    Book,
    /// The store was asked too.
    Store,
}

/// What was found before it is put into words.
pub(crate) struct Found {
    pub(crate) entries: Vec<Arc<LatestEntry>>,
    pub(crate) missing: Vec<Symbol>,
    pub(crate) origin: Origin,
}

/// Counts questions by who answered them; each counter is looked up at its first use, which costs more than counting.
///
/// The recorder must be installed before the first question.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    hits: OnceLock<Counter>,
    misses: OnceLock<Counter>,
}

impl Counts {
    fn of(&self, origin: Origin) -> &Counter {
        let (known, result) = match origin {
            Origin::Book => (&self.hits, "hit"),
            Origin::Store => (&self.misses, "miss"),
        };
        known.get_or_init(
            || counter!("cache_requests_total", "cache" => "latest", "result" => result),
        )
    }
}

impl PriceQueries {
    /// Answers the latest prices of 1 to 100 symbols, over all sources or of one; a repeated symbol counts once.
    ///
    /// While the store cannot be read within a second, symbols that memory does not know count as missing.
    ///
    /// # Errors
    /// [`QueryError::Invalid`]; [`QueryError::NotFound`] when no symbol is known; [`QueryError::Store`] when memory
    /// knows none and the store cannot be read.
    pub async fn latest(
        &self,
        symbols: &[Symbol],
        source: Option<Source>,
    ) -> Result<Latest, QueryError> {
        let found = self.find_latest(symbols, source).await?;
        let now = self.clock.now();
        let price = |entry: &Arc<LatestEntry>| LatestPrice::of(entry, source, now);
        let prices = found.entries.iter().filter_map(price).collect();
        Ok(Latest { prices, missing: found.missing, origin: found.origin })
    }

    /// Answers as [`PriceQueries::latest`], in the spec's JSON.
    ///
    /// `source` is `"aggregated"` over several sources, and `last_source` then names the one that spoke last. `missing`
    /// is always there. `cached` is true when no store was asked.
    ///
    /// # Errors
    /// As [`PriceQueries::latest`].
    pub async fn latest_json(
        &self,
        symbols: &[Symbol],
        source: Option<Source>,
    ) -> Result<Bytes, QueryError> {
        let started = self.clock.uptime();
        let found = self.find_latest(symbols, source).await?;
        let body = json::latest::body(&found, source, self.clock.now());
        Ok(json::finish(body, self.latency_ms(started)))
    }

    async fn find_latest(
        &self,
        symbols: &[Symbol],
        source: Option<Source>,
    ) -> Result<Found, QueryError> {
        let symbols = distinct(symbols)?;
        let mut entries: Vec<_> = symbols.iter().map(|symbol| self.book.get(symbol)).collect();
        let held = symbols.iter().zip(&entries);
        let unknown: Vec<Symbol> =
            held.filter_map(|(symbol, entry)| entry.is_none().then_some(*symbol)).collect();
        let origin = if unknown.is_empty() { Origin::Book } else { Origin::Store };
        self.latest_counts.of(origin).increment(1);
        if !unknown.is_empty() {
            let reading = timeout(STORE_PATIENCE, self.read_latest(&unknown)).await;
            match reading.unwrap_or_else(|late| Err(StoreError::Unavailable(late.into()))) {
                Ok(read) => {
                    for (symbol, entry) in symbols.iter().zip(&mut entries) {
                        *entry = entry.take().or_else(|| read.get(symbol));
                    }
                }
                Err(error) if unknown.len() == symbols.len() => return Err(error.into()),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::debug!(error, "symbols that memory does not know count as missing");
                }
            }
        }
        let found = Found::sort(symbols.iter().zip(entries), source, origin);
        if found.entries.is_empty() { Err(QueryError::NotFound { symbols }) } else { Ok(found) }
    }

    /// Reads what the book does not know, which is seldom there: between a commit and its publication, or while
    /// another instance's ticks are on their way.
    async fn read_latest(&self, symbols: &[Symbol]) -> Result<LatestBook, StoreError> {
        let (book, mut known) = (LatestBook::default(), Vec::new());
        for symbol in symbols {
            if self.is_known(*symbol).await? {
                known.push(*symbol);
            }
        }
        if !known.is_empty() {
            let newest = self.store.newest().await?;
            let wanted = newest.iter().filter(|stored| known.contains(&stored.tick.symbol));
            book.apply(wanted, Timestamp::MIN);
        }
        Ok(book)
    }
}

impl Found {
    fn sort<'a>(
        symbols: impl Iterator<Item = (&'a Symbol, Option<Arc<LatestEntry>>)>,
        source: Option<Source>,
        origin: Origin,
    ) -> Self {
        let (mut entries, mut missing) = (Vec::new(), Vec::new());
        for (symbol, entry) in symbols {
            match entry.filter(|entry| newest(entry, source).is_some()) {
                Some(entry) => entries.push(entry),
                None => missing.push(*symbol),
            }
        }
        Self { entries, missing, origin }
    }
}

impl LatestPrice {
    /// Gives the newest price of an entry; none when the source has none.
    pub(crate) fn of(entry: &LatestEntry, source: Option<Source>, now: Timestamp) -> Option<Self> {
        let tick = newest(entry, source)?.clone();
        let staleness = now.since(tick.tick.timestamp);
        Some(Self { tick, scope: Scope::of(entry, source), staleness })
    }
}

impl Scope {
    pub(crate) fn of(entry: &LatestEntry, source: Option<Source>) -> Self {
        let one = source.is_some() || entry.by_source.len() == 1;
        if one { Self::OneSource } else { Self::AllSources }
    }
}

pub(crate) fn newest(entry: &LatestEntry, source: Option<Source>) -> Option<&StoredTick> {
    match source {
        Some(source) => entry.of_source(source),
        None => Some(&entry.newest),
    }
}
