//! The three levels of stored candles, and how their buckets lie in pages.

use std::collections::BTreeMap;

use chrono_domain::{Candle, Interval};

use super::fault::Fault;
use super::packed::sets as packed;
use super::pages::{Chain, Family, NewPage, Pages, Place, StoredPage};
use crate::candles::span::{Span, micros};

/// Stands for all sources together.
pub(super) const ALL_SOURCES: u32 = 0;
/// Microseconds in an hour.
pub(super) const HOUR: i64 = 3_600_000_000;
/// Microseconds in a day.
pub(super) const DAY: i64 = 24 * HOUR;

/// A source, or all together, and the start of a bucket.
pub(super) type BucketId = (u32, i64);
/// Candles of a symbol.
pub(super) type Buckets = BTreeMap<BucketId, Candle>;

/// Whose candles: a symbol and a source of it, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SeriesId {
    pub(super) symbol_id: u32,
    /// [`ALL_SOURCES`], or one.
    pub(super) source_id: u32,
}

impl SeriesId {
    /// Tells whether ticks of a source are of it.
    pub(super) const fn is_of(self, source_id: u32) -> bool {
        self.source_id == ALL_SOURCES || self.source_id == source_id
    }
}

/// Names the pages of a level.
pub(super) const fn chain(level: Interval, symbol_id: u32) -> Chain {
    Chain::of(
        match level {
            Interval::D1 | Interval::W1 => Family::Days,
            Interval::H1 | Interval::H4 => Family::Hours,
            Interval::M1 | Interval::M5 | Interval::M15 => Family::Minutes,
        },
        symbol_id,
    )
}

/// Gives the time that the page of a moment covers.
pub(super) fn page_span(level: Interval, at: i64) -> Span {
    let length = match level {
        Interval::D1 | Interval::W1 => 32 * DAY,
        Interval::H1 | Interval::H4 => DAY,
        Interval::M1 | Interval::M5 | Interval::M15 => HOUR,
    };
    let from = at - at % length;
    Span { from, until: from + length }
}

/// Reads the stored candles of a series whose buckets start within a span, in order.
pub(super) fn read(
    pages: &Pages<'_>,
    series: SeriesId,
    level: Interval,
    span: Span,
) -> Result<Vec<(i64, Candle)>, Fault> {
    let buckets = buckets(pages, (series.symbol_id, Some(series.source_id)), level, span)?;
    Ok(buckets.into_iter().map(|((_source_id, start), candle)| (start, candle)).collect())
}

/// Reads the stored candles of every source of a symbol, and of all together, whose buckets start within a span.
pub(super) fn read_all(
    pages: &Pages<'_>,
    symbol_id: u32,
    level: Interval,
    span: Span,
) -> Result<Buckets, Fault> {
    Ok(buckets(pages, (symbol_id, None), level, span)?.into_iter().collect())
}

/// Reads the candles of a source, or of all together, that a page holds, in order.
pub(super) fn of_page(
    level: Interval,
    page: &StoredPage,
    source_id: u32,
) -> Result<Vec<(i64, Candle)>, Fault> {
    let buckets = decode(level, page, Some(source_id))?.into_iter();
    Ok(buckets.map(|((_source_id, start), candle)| (start, candle)).collect())
}

/// Merges candles into the page that holds their buckets; all of them lie in the page that begins at `start`.
pub(super) fn merged(
    pages: &Pages<'_>,
    symbol_id: u32,
    level: Interval,
    buckets: Buckets,
    start: i64,
) -> Result<NewPage, Fault> {
    let (chain, place) = (chain(level, symbol_id), Place::at(start));
    let mut held = match pages.at(chain, place)? {
        Some(page) => decode(level, &page, None)?.into_iter().collect(),
        None => Buckets::new(),
    };
    for (bucket, candle) in buckets {
        add(&mut held, bucket, &candle);
    }
    let mut sets: Vec<packed::Set> = Vec::new();
    for ((source_id, bucket), candle) in held {
        let slot = (u16::try_from((bucket - start) / micros(level))?, candle);
        match sets.last_mut() {
            Some((last, slots)) if *last == source_id => slots.push(slot),
            _ => sets.push((source_id, vec![slot])),
        }
    }
    Ok(NewPage { chain, place, body: packed::encode(&sets) })
}

/// Merges a candle into the one of its bucket.
pub(super) fn add(buckets: &mut Buckets, bucket: BucketId, candle: &Candle) {
    match buckets.get_mut(&bucket) {
        Some(held) => held.merge(candle),
        None => drop(buckets.insert(bucket, candle.clone())),
    }
}

/// Reads candles whose buckets start within a span, page by page.
fn buckets(
    pages: &Pages<'_>,
    (symbol_id, source_id): (u32, Option<u32>),
    level: Interval,
    span: Span,
) -> Result<Vec<(BucketId, Candle)>, Fault> {
    let chain = chain(level, symbol_id);
    let mut candles = Vec::new();
    let first = Place::at(page_span(level, span.from).from);
    let mut next = match pages.at(chain, first)? {
        None => pages.after(chain, first)?,
        found => found,
    };
    while let Some(page) = next.filter(|page| page.place.start < span.until) {
        let buckets = decode(level, &page, source_id)?.into_iter();
        candles.extend(buckets.filter(|((_, start), _)| (span.from..span.until).contains(start)));
        next = pages.after(chain, page.place)?;
    }
    Ok(candles)
}

fn decode(
    level: Interval,
    page: &StoredPage,
    source_id: Option<u32>,
) -> Result<Vec<(BucketId, Candle)>, Fault> {
    let sets = packed::decode(&page.body, source_id).map_err(Fault::damage("pages", page.id))?;
    let bucket = |slot: u16| page.place.start + i64::from(slot) * micros(level);
    let of_source = |(source_id, slots): packed::Set| {
        slots.into_iter().map(move |(slot, candle)| ((source_id, bucket(slot)), candle))
    };
    Ok(sets.into_iter().flat_map(of_source).collect())
}
