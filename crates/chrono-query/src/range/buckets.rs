//! Candles of a range: where they stand in time, and what fills the gaps between them.

use std::iter::Peekable;
use std::vec::IntoIter;

use chrono_domain::{ExactSum, Interval, Price, Rounded, Timestamp};
use chrono_storage::{Bucket, CandleRange, Order, StoreError};

use super::plan::Plan;
use crate::PriceQueries;

/// Whether a bucket's figures can still change, and whether they are all there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketStatus {
    /// Its time is over; only a late tick can change it.
    Closed,
    /// Its time is not over.
    Open,
    /// Its time is over, and the range holds only a part of it.
    Partial,
}

impl BucketStatus {
    /// Gives the name used in answers: `closed`, `open` or `partial`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Partial => "partial",
        }
    }
}

/// The figures of one bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PricedBucket {
    /// The first moment of the bucket, also where the range cuts it.
    pub start: Timestamp,
    /// Price of the first tick; in a bucket without ticks the last close, as in the next three.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
    /// Price of the last tick.
    pub close: Price,
    /// Sum of the volumes, in base currency; none when no tick had one.
    pub volume: Option<ExactSum>,
    /// Price weighted by volume; none without volume.
    pub vwap: Option<Rounded>,
    /// Number of ticks.
    pub num_feeds: u64,
    /// Where it stands.
    pub status: BucketStatus,
}

impl PricedBucket {
    fn of(bucket: &Bucket, status: BucketStatus) -> Self {
        let candle = &bucket.candle;
        Self {
            start: bucket.start,
            open: candle.open,
            high: candle.high,
            low: candle.low,
            close: candle.close,
            volume: candle.volume,
            vwap: candle.vwap(),
            num_feeds: candle.count,
            status,
        }
    }

    /// Makes a bucket without ticks.
    fn flat(start: Timestamp, close: Price, status: BucketStatus) -> Self {
        let (open, high, low) = (close, close, close);
        Self { start, open, high, low, close, volume: None, vwap: None, num_feeds: 0, status }
    }
}

impl PriceQueries {
    /// Reads up to one bucket with ticks more than the page holds.
    pub(super) async fn read_buckets(
        &self,
        plan: &Plan,
        interval: Interval,
    ) -> Result<Vec<PricedBucket>, StoreError> {
        let grid = Grid { plan, interval };
        let buckets = self.store.candles(&grid.stored()).await?;
        Ok(buckets.iter().map(|bucket| grid.priced(bucket)).collect())
    }

    /// Reads as [`PriceQueries::read_buckets`] and fills the gaps.
    ///
    /// The store is asked for the close before the page's oldest bucket only when that one may be empty.
    pub(super) async fn fill_buckets(
        &self,
        plan: &Plan,
        interval: Interval,
    ) -> Result<Vec<PricedBucket>, StoreError> {
        let grid = Grid { plan, interval };
        let Some(first) = grid.first() else { return Ok(Vec::new()) };
        let buckets = self.store.candles(&grid.stored()).await?;
        let (needed, before) = match plan.order {
            Order::OldestFirst => {
                (buckets.first().is_none_or(|bucket| bucket.start > first), plan.from.max(first))
            }
            Order::NewestFirst => (buckets.len() <= plan.limit, plan.from),
        };
        let earlier =
            if needed { self.close_before(plan.symbol, plan.source, before).await? } else { None };
        let buckets = buckets.into_iter().peekable();
        Ok(match plan.order {
            Order::OldestFirst => grid.fill_forward(first, buckets, earlier),
            Order::NewestFirst => grid.fill_backward(first, buckets, earlier),
        })
    }
}

/// The buckets of a plan, with or without ticks.
#[derive(Debug, Clone, Copy)]
struct Grid<'a> {
    plan: &'a Plan,
    interval: Interval,
}

impl Grid<'_> {
    /// Asks the store for the page's buckets with ticks, and one more.
    fn stored(self) -> CandleRange {
        CandleRange {
            symbol: self.plan.symbol,
            source: self.plan.source,
            interval: self.interval,
            from: self.plan.from,
            to: self.plan.to,
            after: self.plan.after.map(|key| key.timestamp),
            order: self.plan.order,
            limit: self.plan.limit + 1,
        }
    }

    fn status(self, start: Timestamp) -> BucketStatus {
        let end = self.interval.bucket_end(start);
        if end > self.plan.now {
            BucketStatus::Open
        } else if start < self.plan.from || self.plan.to < just_before(end).unwrap_or(end) {
            BucketStatus::Partial
        } else {
            BucketStatus::Closed
        }
    }

    /// Gives the last bucket that may be filled: none begins after now.
    fn last(self) -> Timestamp {
        self.interval.bucket(self.plan.to.min(self.plan.now))
    }

    /// Gives where the page begins; none when nothing can follow.
    fn first(self) -> Option<Timestamp> {
        match (self.plan.order, self.plan.after) {
            (Order::OldestFirst, None) => Some(self.interval.bucket(self.plan.from)),
            (Order::OldestFirst, Some(key)) => Some(self.interval.bucket_end(key.timestamp)),
            (Order::NewestFirst, None) => Some(self.last()),
            (Order::NewestFirst, Some(key)) => self.bucket_before(key.timestamp),
        }
    }

    fn bucket_before(self, start: Timestamp) -> Option<Timestamp> {
        just_before(start).map(|moment| self.interval.bucket(moment))
    }

    fn priced(self, bucket: &Bucket) -> PricedBucket {
        PricedBucket::of(bucket, self.status(bucket.start))
    }

    fn flat(self, start: Timestamp, close: Price) -> PricedBucket {
        PricedBucket::flat(start, close, self.status(start))
    }

    fn fill_forward(
        self,
        first: Timestamp,
        mut buckets: Peekable<IntoIter<Bucket>>,
        earlier: Option<Price>,
    ) -> Vec<PricedBucket> {
        let (mut rows, mut at, mut close) = (Vec::new(), first, earlier);
        while rows.len() <= self.plan.limit {
            // Before the first tick ever, and after now, only buckets with ticks count.
            let fill = close.filter(|_| at <= self.last());
            let bucket = buckets.next_if(|bucket| fill.is_none() || bucket.start == at);
            let row = match (bucket, fill) {
                (Some(bucket), _) => self.priced(&bucket),
                (None, Some(close)) => self.flat(at, close),
                (None, None) => break,
            };
            close = Some(row.close);
            at = self.interval.bucket_end(row.start);
            rows.push(row);
        }
        rows
    }

    fn fill_backward(
        self,
        first: Timestamp,
        mut buckets: Peekable<IntoIter<Bucket>>,
        earlier: Option<Price>,
    ) -> Vec<PricedBucket> {
        let (mut rows, mut next) = (Vec::new(), Some(first));
        let oldest = self.interval.bucket(self.plan.from);
        while rows.len() <= self.plan.limit {
            // A bucket ahead of the grid holds ticks that are a moment ahead of the clock.
            let bucket = buckets.next_if(|bucket| next.is_none_or(|at| bucket.start >= at));
            let close = buckets.peek().map(|older| older.candle.close).or(earlier);
            let row = match (bucket, next.filter(|at| *at >= oldest), close) {
                (Some(bucket), ..) => self.priced(&bucket),
                (None, Some(at), Some(close)) => self.flat(at, close),
                _ => break,
            };
            next = next.min(self.bucket_before(row.start));
            rows.push(row);
        }
        rows
    }
}

fn just_before(moment: Timestamp) -> Option<Timestamp> {
    Timestamp::from_micros(moment.micros() - 1).ok()
}
