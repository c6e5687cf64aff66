//! A question about a range with every default filled in and every bound checked.

use chrono_domain::{OrderKey, Source, Symbol, Timestamp};
use chrono_storage::{Detail, Order};

use super::{CANDLE_SPAN_MAX, Gaps, RangeQuery, SPAN_DEFAULT, Series, TICK_SPAN_MAX};
use crate::QueryError;
use crate::cursor::{Fingerprint, Place, refused};
use crate::queries::page_rows;

/// What to read.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) symbol: Symbol,
    pub(super) source: Option<Source>,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) after: Option<OrderKey>,
    pub(super) order: Order,
    pub(super) limit: usize,
    /// The time the answer tells of.
    pub(super) now: Timestamp,
    /// Everything that decides which rows follow which, but for both ends.
    question: String,
}

impl Plan {
    pub(super) fn new(
        query: &RangeQuery,
        series: Series,
        now: Timestamp,
    ) -> Result<Self, QueryError> {
        let question = question(query, series);
        let place = match &query.cursor {
            Some(cursor) => Some(continued(query, cursor, Fingerprint::of(&question))?),
            None => None,
        };
        let to = place.map_or_else(|| query.to.unwrap_or(now), |place| place.to);
        let by_default = || to.minus(SPAN_DEFAULT);
        let from = place.map_or_else(|| query.from.unwrap_or_else(by_default), |place| place.from);
        check_span(from, to, series)?;
        Ok(Self {
            symbol: query.symbol,
            source: query.source,
            from,
            to,
            after: place.map(|place| place.last),
            order: query.order,
            limit: page_rows(query.limit)?,
            now,
            question,
        })
    }

    /// Gives the cursor of a page that ends with this row.
    pub(super) fn cursor(&self, last: OrderKey) -> String {
        Place { from: self.from, to: self.to, last }.cursor(Fingerprint::of(&self.question))
    }

    /// Gives the key of the kept answer, which carries everything that changes it.
    pub(super) fn key(&self) -> String {
        let Self { question, limit, .. } = self;
        let (from, to) = (self.from.micros(), self.to.micros());
        let after = self.after.map_or_else(String::new, |key| {
            format!("{}+{}", key.timestamp.micros(), key.arrival.0)
        });
        let (symbol, question) = question.split_once(':').unwrap_or((question, ""));
        format!("range:{symbol}:{from}:{to}:{question}:{limit}:{after}")
    }
}

/// Reads the cursor of a query, whose ends must not contradict it.
fn continued(query: &RangeQuery, cursor: &str, of: Fingerprint) -> Result<Place, QueryError> {
    let place = Place::read(cursor, of)?;
    let fits = query.from.is_none_or(|from| from == place.from)
        && query.to.is_none_or(|to| to == place.to);
    if fits { Ok(place) } else { Err(refused(cursor)) }
}

fn check_span(from: Timestamp, to: Timestamp, series: Series) -> Result<(), QueryError> {
    let (span_max, expected) = match series {
        Series::Ticks(_) => (TICK_SPAN_MAX, "at most 90 days before to, for single ticks"),
        Series::Candles(..) => (CANDLE_SPAN_MAX, "at most two years before to"),
    };
    if from > to {
        return Err(QueryError::invalid("from", &from, "a time not after to"));
    }
    if to.since(from) > span_max {
        return Err(QueryError::invalid("from", &from, expected));
    }
    Ok(())
}

/// Names symbol, series, source and order, in the order of the spec's key.
fn question(query: &RangeQuery, series: Series) -> String {
    let (interval, extra) = match series {
        Series::Ticks(Detail::Plain) => ("raw", ""),
        Series::Ticks(Detail::WithMetadata) => ("raw", "metadata"),
        Series::Candles(interval, Gaps::Skip) => (interval.name(), ""),
        Series::Candles(interval, Gaps::Fill) => (interval.name(), "empty"),
    };
    let source = query.source.as_ref().map_or("", Source::as_str);
    let order = match query.order {
        Order::OldestFirst => "asc",
        Order::NewestFirst => "desc",
    };
    format!("{}:{interval}:{extra}:{source}:{order}", query.symbol)
}
