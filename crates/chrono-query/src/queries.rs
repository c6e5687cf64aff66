//! The one way in: everything that answers need, put together once.

use std::sync::Arc;
use std::time::Duration;

use chrono_cache::{AnswerCache, LatestBook};
use chrono_domain::{Clock, Metadata, Price, Source, Symbol, Timestamp};
use chrono_storage::{Order, Store, StoreError, TickRange};
use tokio::sync::Semaphore;

use crate::answers::Answers;
use crate::consensus::ConsensusSettings;
use crate::{QueryError, latest};

/// Rows of a page when the question does not say.
pub const PAGE_ROWS: usize = 1_000;
/// Most rows of a page.
pub const PAGE_ROWS_MAX: usize = 10_000;
/// Most bytes of metadata in a page, which ends early rather than hold more: rows of 4 KiB each would make it 40 MB.
///
/// It is passed by the metadata of one row at most, so that every page has a row.
pub const PAGE_METADATA_BYTES_MAX: usize = 1 << 20;
/// Rows that are read at once where each may have 4 KiB of metadata.
const METADATA_ROWS: usize = 256;
/// Most symbols of one question.
pub const SYMBOLS_MAX: usize = 100;

/// Consensus prices that are computed at the same time; others wait.
///
/// Each may hold two million ticks and a processor for as long as it computes on them: more would take the memory
/// and the time that other questions and ingest need, fewer would let one large window hold up all others. Large ones
/// are computed on threads of tokio's blocking pool, so that even on two processors those that serve go on.
const COMPUTING_MAX: usize = 2;

/// Answers questions about prices from the latest book, kept answers and the store.
///
/// Methods come in pairs: one gives typed values, always from the book and the store; the other, named `…_json`, gives
/// the body of the spec's answer and may take it from the kept answers. All are cancel safe: they read, and may add
/// a revision to a stored consensus, in one commit. They run within a tokio runtime.
pub struct PriceQueries {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) book: Arc<LatestBook>,
    pub(crate) answers: Answers,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) consensus: Arc<ConsensusSettings>,
    /// Whoever reads a window and computes on it holds a permit.
    pub(crate) computing: Arc<Semaphore>,
    pub(crate) latest_counts: latest::Counts,
}

impl std::fmt::Debug for PriceQueries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PriceQueries").finish_non_exhaustive()
    }
}

impl PriceQueries {
    /// Puts the parts together; the book must be fed by whoever commits ticks to the store.
    pub fn new(
        store: Arc<dyn Store>,
        book: Arc<LatestBook>,
        answers: Arc<dyn AnswerCache>,
        clock: Arc<dyn Clock>,
        consensus: Arc<ConsensusSettings>,
    ) -> Self {
        let answers = Answers::new(answers, Arc::clone(&clock));
        let computing = Arc::new(Semaphore::new(COMPUTING_MAX));
        let latest_counts = latest::Counts::default();
        Self { store, book, answers, clock, consensus, computing, latest_counts }
    }

    /// Fills the book with what is newest in the store.
    ///
    /// A service that reads another process' store calls it at its start, and again whenever it wants to know of
    /// symbols and latest prices that are new since. It costs a read of every (symbol, source).
    ///
    /// # Errors
    /// [`QueryError::Store`]; the book is as before.
    pub async fn refresh(&self) -> Result<(), QueryError> {
        let newest = self.store.newest().await?;
        self.book.apply(&newest, Timestamp::MIN);
        Ok(())
    }

    /// Gives the number that changes with the past of a symbol; none where the book does not know it.
    pub(crate) fn revision(&self, symbol: &Symbol) -> Option<u64> {
        self.book.get(symbol).map(|entry| entry.history_revision)
    }

    pub(crate) async fn is_known(&self, symbol: Symbol) -> Result<bool, StoreError> {
        let known = self.book.get(&symbol).is_some();
        Ok(known || self.close_before(symbol, None, Timestamp::MAX).await?.is_some())
    }

    /// Reads the price of the last tick before a time.
    pub(crate) async fn close_before(
        &self,
        symbol: Symbol,
        source: Option<Source>,
        before: Timestamp,
    ) -> Result<Option<Price>, StoreError> {
        if before == Timestamp::MIN {
            return Ok(None);
        }
        let to = before.minus(Duration::from_micros(1));
        let order = Order::NewestFirst;
        let range = TickRange { source, to, order, limit: 1, ..TickRange::of(symbol) };
        Ok(self.store.ticks(&range).await?.first().map(|stored| stored.tick.price))
    }

    /// Gives the whole milliseconds since `started` on the clock.
    pub(crate) fn latency_ms(&self, started: Duration) -> u128 {
        self.clock.uptime().saturating_sub(started).as_millis()
    }
}

/// One page of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows, in the order that was asked for.
    pub rows: Vec<T>,
    /// What goes back with the same question to get the next page; none after the last.
    pub next_cursor: Option<String>,
}

/// The rows of a page while they are read, in one portion or several.
pub(crate) struct Gathered<T> {
    rows: Vec<T>,
    limit: usize,
    portion: usize,
    /// What the next portion is to hold; nothing once the page is whole.
    wanted: usize,
    metadata_bytes: usize,
}

impl<T> Gathered<T> {
    /// Starts a page whose rows are all of about one size.
    pub(crate) fn plain(limit: usize) -> Self {
        Self::in_portions(limit, limit + 1)
    }

    /// Starts a page whose rows may have metadata.
    pub(crate) fn with_metadata(limit: usize) -> Self {
        Self::in_portions(limit, METADATA_ROWS)
    }

    fn in_portions(limit: usize, portion: usize) -> Self {
        let wanted = portion.min(limit + 1);
        Self { rows: Vec::new(), limit, portion, wanted, metadata_bytes: 0 }
    }

    /// Gives how many rows to read next, behind the last one; none once the page is whole.
    pub(crate) fn wanted(&self) -> Option<usize> {
        Some(self.wanted).filter(|wanted| *wanted > 0)
    }

    /// Gives the last row so far.
    pub(crate) fn last(&self) -> Option<&T> {
        self.rows.last()
    }

    /// Takes the next rows; fewer than were wanted are the last.
    pub(crate) fn add(&mut self, rows: Vec<T>, metadata: impl Fn(&T) -> Option<&Metadata>) {
        let ended = rows.len() < self.wanted;
        for row in rows {
            let is_full = self.metadata_bytes >= PAGE_METADATA_BYTES_MAX;
            if is_full {
                self.limit = self.limit.min(self.rows.len());
            }
            self.metadata_bytes += metadata(&row).map_or(0, |metadata| metadata.as_str().len());
            self.rows.push(row);
        }
        let left = (self.limit + 1).saturating_sub(self.rows.len());
        self.wanted = if ended { 0 } else { left.min(self.portion) };
    }

    /// Makes the page, with a cursor behind its last row when there are more.
    pub(crate) fn into_page(self, cursor: impl FnOnce(&T) -> String) -> Page<T> {
        Page::cut(self.rows, self.limit, cursor)
    }
}

impl<T> Page<T> {
    /// Makes a page out of up to one row more than its limit.
    pub(crate) fn cut(mut rows: Vec<T>, limit: usize, cursor: impl FnOnce(&T) -> String) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(cursor);
        Self { rows, next_cursor }
    }
}

/// Checks the number of rows that were asked for.
pub(crate) fn page_rows(limit: Option<usize>) -> Result<usize, QueryError> {
    match limit {
        None => Ok(PAGE_ROWS),
        Some(rows @ 1..=PAGE_ROWS_MAX) => Ok(rows),
        Some(rows) => Err(QueryError::invalid("limit", &rows, "a number from 1 to 10000")),
    }
}

/// Checks a list of symbols and drops repeats, keeping the order.
pub(crate) fn distinct(symbols: &[Symbol]) -> Result<Vec<Symbol>, QueryError> {
    if symbols.is_empty() || symbols.len() > SYMBOLS_MAX {
        let received = format!("{} symbols", symbols.len());
        return Err(QueryError::invalid("symbols", &received, "1 to 100 symbols"));
    }
    let mut kept = Vec::with_capacity(symbols.len());
    for symbol in symbols {
        if !kept.contains(symbol) {
            kept.push(*symbol);
        }
    }
    Ok(kept)
}
