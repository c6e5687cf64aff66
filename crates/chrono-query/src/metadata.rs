//! What there is to ask for: symbols, sources, intervals, and the system itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono_cache::LatestEntry;
use chrono_domain::{Interval, Source, Symbol, Timestamp};
use chrono_storage::StoreStats;

use crate::cursor::{Fingerprint, refused};
use crate::queries::{Page, page_rows};
use crate::{PriceQueries, QueryError, json};

/// Which symbols are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SymbolsQuery {
    /// Only symbols priced in this currency, in upper case.
    pub quote: Option<String>,
    /// Only symbols of this source.
    pub source: Option<Source>,
    /// Rows of a page, 1 to 10,000; by default 1,000.
    pub limit: Option<usize>,
    /// Where the last page ended, out of its `next_cursor`.
    pub cursor: Option<String>,
}

/// A symbol with prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolInfo {
    /// The symbol.
    pub symbol: Symbol,
    /// Every source that ever posted it, in order.
    pub sources: Vec<Source>,
    /// The time of its newest tick.
    pub last: Timestamp,
}

/// A source of prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceInfo {
    /// The source.
    pub source: Source,
    /// How many symbols it ever posted.
    pub num_symbols: usize,
    /// The time of its newest tick.
    pub last: Timestamp,
}

/// The gateway's own figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemInfo {
    /// The release, as in its `Cargo.toml`.
    pub version: &'static str,
    /// The time of day.
    pub now: Timestamp,
    /// How long the gateway has run.
    pub uptime: Duration,
    /// Figures of the store.
    pub store: StoreStats,
    /// Symbols with prices.
    pub num_symbols: usize,
    /// Sources of prices.
    pub num_sources: usize,
    /// The time between stored consensus answers.
    pub consensus_interval: Duration,
}

impl PriceQueries {
    /// Answers a page of the symbols in the latest book, in order.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] for limit or cursor.
    pub fn symbols(&self, query: &SymbolsQuery) -> Result<Page<SymbolInfo>, QueryError> {
        let source = query.source.as_ref().map_or("", Source::as_str);
        let quote = query.quote.as_deref().unwrap_or("*");
        let fingerprint = Fingerprint::of(&format!("symbols:{quote}:{source}"));
        let limit = page_rows(query.limit)?;
        let after = match &query.cursor {
            Some(cursor) => Some(symbol_of(&fingerprint.place(cursor)?, cursor)?),
            None => None,
        };
        let entries = self.book.entries();
        let wanted = |entry: &&Arc<LatestEntry>| {
            let symbol = entry.newest.tick.symbol;
            after.is_none_or(|after| symbol > after)
                && query.quote.as_deref().is_none_or(|quote| symbol.quote() == quote)
                && query.source.is_none_or(|source| entry.of_source(source).is_some())
        };
        let rows = entries.iter().filter(wanted).take(limit + 1).map(|entry| SymbolInfo::of(entry));
        Ok(Page::cut(rows.collect(), limit, |row| {
            fingerprint.cursor(row.symbol.as_str().as_bytes())
        }))
    }

    /// Answers every source in the latest book, in order.
    pub fn sources(&self) -> Vec<SourceInfo> {
        let mut sources: BTreeMap<Source, SourceInfo> = BTreeMap::new();
        for stored in self.book.entries().iter().flat_map(|entry| &entry.by_source) {
            let (source, last) = (stored.tick.source, stored.tick.timestamp);
            let info = sources.entry(source).or_insert(SourceInfo { source, num_symbols: 0, last });
            info.num_symbols += 1;
            info.last = info.last.max(last);
        }
        sources.into_values().collect()
    }

    /// Answers the gateway's own figures.
    ///
    /// # Errors
    /// [`QueryError::Store`].
    pub async fn system(&self) -> Result<SystemInfo, QueryError> {
        Ok(SystemInfo {
            version: env!("CARGO_PKG_VERSION"),
            now: self.clock.now(),
            uptime: self.clock.uptime(),
            store: self.store.stats().await?,
            num_symbols: self.book.entries().len(),
            num_sources: self.sources().len(),
            consensus_interval: self.consensus.interval(),
        })
    }

    /// Answers as [`PriceQueries::symbols`], in JSON: `{data:[{symbol, base, quote, sources, last_timestamp}], count,
    /// next_cursor, latency_ms}`.
    ///
    /// # Errors
    /// As [`PriceQueries::symbols`].
    pub fn symbols_json(&self, query: &SymbolsQuery) -> Result<Bytes, QueryError> {
        let started = self.clock.uptime();
        let body = json::metadata::symbols(&self.symbols(query)?);
        Ok(json::finish(body, self.latency_ms(started)))
    }

    /// Answers as [`PriceQueries::sources`], in JSON: `{data:[{source, num_symbols, last_timestamp}], count,
    /// latency_ms}`.
    pub fn sources_json(&self) -> Bytes {
        let started = self.clock.uptime();
        let body = json::metadata::sources(&self.sources());
        json::finish(body, self.latency_ms(started))
    }

    /// Answers the intervals of candles in JSON: `{data:[{interval, seconds}], count, latency_ms}`.
    pub fn intervals_json(&self) -> Bytes {
        let started = self.clock.uptime();
        let body = json::metadata::intervals(&Interval::ALL);
        json::finish(body, self.latency_ms(started))
    }

    /// Answers as [`PriceQueries::system`], in JSON, with the bounds of questions under `limits`.
    ///
    /// # Errors
    /// As [`PriceQueries::system`].
    pub async fn system_json(&self) -> Result<Bytes, QueryError> {
        let started = self.clock.uptime();
        let body = json::metadata::system(&self.system().await?);
        Ok(json::finish(body, self.latency_ms(started)))
    }
}

impl SymbolInfo {
    fn of(entry: &LatestEntry) -> Self {
        let sources = entry.by_source.iter().map(|stored| stored.tick.source).collect();
        let newest = &entry.newest.tick;
        Self { symbol: newest.symbol, sources, last: newest.timestamp }
    }
}

fn symbol_of(place: &[u8], cursor: &str) -> Result<Symbol, QueryError> {
    let text = str::from_utf8(place).map_err(|_fault| refused(cursor))?;
    Symbol::try_new(text).map_err(|_fault| refused(cursor))
}
