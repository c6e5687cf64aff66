//! The three levels of stored candles, and how their buckets lie in pages.

use std::collections::BTreeMap;

use chrono_domain::{Candle, Interval};

use super::fault::Fault;
use super::packed::candles as packed;
use super::pages::{Chain, Family, NewPage, Pages, Place, StoredPage};
use crate::candles::span::{Span, micros};

/// Finest first; each is merged from the one before.
pub(super) const LEVELS: [Interval; 3] = [Interval::M1, Interval::H1, Interval::D1];
/// Microseconds in an hour.
pub(super) const HOUR: i64 = 3_600_000_000;
/// Microseconds in a day.
pub(super) const DAY: i64 = 24 * HOUR;

/// Whose candles: a symbol and a source of it, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SeriesId {
    pub(super) symbol_id: u32,
    /// [`super::pages::ALL_SOURCES`], or one.
    pub(super) source_id: u32,
}

/// Names the pages of a level.
pub(super) const fn chain(level: Interval, series: SeriesId) -> Chain {
    let family = match level {
        Interval::D1 | Interval::W1 => Family::Days,
        Interval::H1 | Interval::H4 => Family::Hours,
        Interval::M1 | Interval::M5 | Interval::M15 => Family::Minutes,
    };
    Chain { family, symbol_id: series.symbol_id, source_id: series.source_id }
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

/// Reads the stored candles whose buckets start within a span, in order.
pub(super) fn read(
    pages: &Pages<'_>,
    series: SeriesId,
    level: Interval,
    span: Span,
) -> Result<Vec<(i64, Candle)>, Fault> {
    let chain = chain(level, series);
    let mut candles = Vec::new();
    let first = Place::at(page_span(level, span.from).from);
    let mut next = match pages.at(chain, first)? {
        None => pages.after(chain, first)?,
        found => found,
    };
    while let Some(page) = next.filter(|page| page.place.start < span.until) {
        let buckets = decode(level, &page)?.into_iter();
        candles.extend(buckets.filter(|(start, _)| (span.from..span.until).contains(start)));
        next = pages.after(chain, page.place)?;
    }
    Ok(candles)
}

/// Merges candles into the page that holds their buckets; all of them lie in one page.
pub(super) fn merged(
    pages: &Pages<'_>,
    series: SeriesId,
    level: Interval,
    buckets: impl Iterator<Item = (i64, Candle)>,
    start: i64,
) -> Result<NewPage, Fault> {
    let (chain, place) = (chain(level, series), Place::at(start));
    let mut held: BTreeMap<i64, Candle> = match pages.at(chain, place)? {
        Some(page) => decode(level, &page)?.into_iter().collect(),
        None => BTreeMap::new(),
    };
    for (bucket, candle) in buckets {
        held.entry(bucket).and_modify(|held| held.merge(&candle)).or_insert(candle);
    }
    let slot = |bucket: i64| u16::try_from((bucket - start) / micros(level));
    let slots = held.into_iter().map(|(bucket, candle)| Ok((slot(bucket)?, candle)));
    let slots = slots.collect::<Result<Vec<_>, Fault>>()?;
    Ok(NewPage { chain, place, body: packed::encode(&slots) })
}

fn decode(level: Interval, page: &StoredPage) -> Result<Vec<(i64, Candle)>, Fault> {
    let slots = packed::decode(&page.body).map_err(Fault::damage("pages", page.id))?;
    let bucket = |slot: u16| page.place.start + i64::from(slot) * micros(level);
    Ok(slots.into_iter().map(|(slot, candle)| (bucket(slot), candle)).collect())
}
