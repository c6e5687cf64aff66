//! Prices over a span of time: single ticks, or candles.

use std::time::Duration;

use bytes::Bytes;
use chrono_domain::{Interval, OrderKey, Source, StoredTick, Symbol, Timestamp};
use chrono_storage::{Detail, Order, TickRange};

use crate::answers::life;
use crate::queries::{Gathered, Page};
use crate::{PriceQueries, QueryError, json};

mod buckets;
mod plan;

pub use buckets::{BucketStatus, PricedBucket};
use plan::Plan;

/// The span of a question that does not say where it begins.
pub const SPAN_DEFAULT: Duration = Duration::from_hours(24);
/// Longest span of single ticks.
pub const TICK_SPAN_MAX: Duration = Duration::from_hours(24 * 90);
/// Longest span of candles: two years, of which one may be a leap year.
pub const CANDLE_SPAN_MAX: Duration = Duration::from_hours(24 * 731);

/// What part of a symbol's past is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeQuery {
    /// The symbol.
    pub symbol: Symbol,
    /// One source, or all together.
    pub source: Option<Source>,
    /// First moment, inclusive; by default 24 hours before the last.
    pub from: Option<Timestamp>,
    /// Last moment, inclusive; by default now.
    pub to: Option<Timestamp>,
    /// Which end comes first.
    pub order: Order,
    /// Rows of a page, 1 to 10,000; by default 1,000.
    pub limit: Option<usize>,
    /// Where the last page ended, out of its `next_cursor`.
    ///
    /// It remembers both ends of the first page, so that a question without them goes on with the same ones. With
    /// another symbol, source, order, series or another end it is refused.
    pub cursor: Option<String>,
}

impl RangeQuery {
    /// Asks for the first page of the last 24 hours of a symbol over all sources, newest first.
    pub const fn of(symbol: Symbol) -> Self {
        let (source, from, to, limit, cursor) = (None, None, None, None, None);
        Self { symbol, source, from, to, order: Order::NewestFirst, limit, cursor }
    }
}

/// What a range is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Series {
    /// Single ticks.
    Ticks(Detail),
    /// Candles of a length.
    Candles(Interval, Gaps),
}

/// What becomes of buckets without ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gaps {
    /// They are left out.
    Skip,
    /// They are flat at the last close, from the symbol's first tick up to now.
    Fill,
}

impl PriceQueries {
    /// Answers a page of single ticks over at most 90 days, which ends early at a megabyte of metadata.
    ///
    /// # Errors
    /// [`QueryError::Invalid`]; [`QueryError::NotFound`] for a symbol without any tick; [`QueryError::Store`].
    pub async fn ticks(
        &self,
        query: &RangeQuery,
        detail: Detail,
    ) -> Result<Page<StoredTick>, QueryError> {
        let plan = Plan::new(query, Series::Ticks(detail), self.clock.now())?;
        self.read_ticks(&plan, detail).await
    }

    /// Answers a page of candles over at most two years.
    ///
    /// # Errors
    /// As [`PriceQueries::ticks`].
    pub async fn candles(
        &self,
        query: &RangeQuery,
        interval: Interval,
        gaps: Gaps,
    ) -> Result<Page<PricedBucket>, QueryError> {
        let plan = Plan::new(query, Series::Candles(interval, gaps), self.clock.now())?;
        self.read_candles(&plan, interval, gaps).await
    }

    /// Answers a page of a range in the spec's JSON, with `next_cursor` (text or null) beside its fields.
    ///
    /// Candles also have `vwap` (null without volume) and `status` (`closed`, `open`, `partial`); ticks have `metadata`
    /// when they are asked for with it. An answer may be a kept one: up to 5 minutes old when it ends more than 130 s
    /// ago and no late tick came, else up to a second. One without `to` is always fresh.
    ///
    /// # Errors
    /// As [`PriceQueries::ticks`].
    pub async fn range_json(
        &self,
        query: &RangeQuery,
        series: Series,
    ) -> Result<Bytes, QueryError> {
        let started = self.clock.uptime();
        let plan = Plan::new(query, series, self.clock.now())?;
        // The key of an answer up to now names this very microsecond: nobody would ever find it again.
        let ends_somewhere = query.to.is_some() || query.cursor.is_some();
        let (key, revision) = (plan.key(), self.revision(&plan.symbol).filter(|_| ends_somewhere));
        if let Some(revision) = revision
            && let Some(body) = self.answers.find("range", &key, revision).await
        {
            return Ok(json::finish(body, self.latency_ms(started)));
        }
        let mut kept_for = life(plan.to, plan.now);
        let body = match series {
            Series::Ticks(detail) => {
                json::range::ticks(&self.read_ticks(&plan, detail).await?, detail)
            }
            Series::Candles(interval, gaps) => {
                let page = self.read_candles(&plan, interval, gaps).await?;
                if page.rows.iter().any(|row| row.status == BucketStatus::Open) {
                    kept_for = kept_for.min(interval.bucket_end(plan.now).since(plan.now));
                }
                json::range::candles(&page, interval)
            }
        };
        if let Some(revision) = revision {
            self.answers.keep(&key, revision, body.as_bytes(), (plan.now, kept_for)).await;
        }
        Ok(json::finish(body, self.latency_ms(started)))
    }

    async fn read_ticks(
        &self,
        plan: &Plan,
        detail: Detail,
    ) -> Result<Page<StoredTick>, QueryError> {
        let mut rows = match detail {
            Detail::Plain => Gathered::plain(plan.limit),
            Detail::WithMetadata => Gathered::with_metadata(plan.limit),
        };
        while let Some(limit) = rows.wanted() {
            let range = TickRange {
                symbol: plan.symbol,
                source: plan.source,
                from: plan.from,
                to: plan.to,
                after: rows.last().map(StoredTick::key).or(plan.after),
                order: plan.order,
                limit,
                detail,
            };
            rows.add(self.store.ticks(&range).await?, |stored| stored.tick.metadata.as_ref());
        }
        self.found_some(plan, rows.last().is_none()).await?;
        Ok(rows.into_page(|stored| plan.cursor(stored.key())))
    }

    async fn read_candles(
        &self,
        plan: &Plan,
        interval: Interval,
        gaps: Gaps,
    ) -> Result<Page<PricedBucket>, QueryError> {
        let rows = match gaps {
            Gaps::Skip => self.read_buckets(plan, interval).await?,
            Gaps::Fill => self.fill_buckets(plan, interval).await?,
        };
        self.found_some(plan, rows.is_empty()).await?;
        Ok(Page::cut(rows, plan.limit, |row| {
            plan.cursor(OrderKey { timestamp: row.start, arrival: chrono_domain::Arrival(0) })
        }))
    }

    /// Tells an empty span of a known symbol from a symbol that nobody ever posted.
    async fn found_some(&self, plan: &Plan, is_empty: bool) -> Result<(), QueryError> {
        if is_empty && !self.is_known(plan.symbol).await? {
            return Err(QueryError::NotFound { symbols: vec![plan.symbol] });
        }
        Ok(())
    }
}
