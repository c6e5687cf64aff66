//! Reading candles: stored ones for whole buckets, ticks for what the range cuts, and partials from memory.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use chrono_domain::{Arrival, Candle, Interval, OrderKey, Timestamp};
use rusqlite::Connection;

use super::connection::Reader;
use super::fault::Fault;
use super::generation::{Generation, Minutes, Series};
use super::levels::{self, ALL_SOURCES, HOUR, SeriesId};
use super::packed::ticks::Page;
use super::packed::{Damage, Row};
use super::pages::{Chain, Family, Pages, Place, StoredPage};
use super::ticks::{find_source, find_symbol};
use crate::candles::plan::{Piece, plan};
use crate::candles::span::{Span, bucket};
use crate::candles::walk::Walk;
use crate::{Bucket, CandleRange, Order};

/// Candles by the start of their bucket.
type Folded = BTreeMap<i64, Candle>;

/// What a generation has of a range.
#[derive(Debug)]
enum Part {
    /// The minutes within a span, by the hours that it touches.
    Minutes(Span, Vec<Arc<Minutes>>),
    /// Candles of minutes that the range cuts.
    Cut(Folded),
}

/// Reads a page of candles.
///
/// Memory and the pages are folded apart, each for as many buckets as the answer may have: what lies beyond those of
/// either lies beyond the answer.
pub(super) fn page(reader: &Reader, range: &CandleRange) -> Result<Vec<Bucket>, Fault> {
    let Some(series) = find(reader.lookups(), range)? else { return Ok(Vec::new()) };
    reader.view(
        |generation| held(generation, series, range),
        |view| {
            let mut folded = stored(&view.pages, series, range)?;
            for part in view.parts {
                for (start, candle) in fold(part, series, range) {
                    add(&mut folded, start, &candle);
                }
            }
            let bucket =
                |(start, candle)| Ok(Bucket { start: Timestamp::from_micros(start)?, candle });
            match range.order {
                Order::OldestFirst => folded.into_iter().take(range.limit).map(bucket).collect(),
                Order::NewestFirst => {
                    folded.into_iter().rev().take(range.limit).map(bucket).collect()
                }
            }
        },
    )
}

/// Gives the ticks of a span that the pages hold, in order, a page of them at a time, as (time, source, candle of one).
pub(super) fn ticks_of(
    pages: &Pages<'_>,
    series: SeriesId,
    span: Span,
) -> impl Iterator<Item = Result<Vec<(i64, u32, Candle)>, Fault>> {
    let chain = Chain::of(Family::Ticks, series.symbol_id);
    let mut place = Some(Place::at(span.from));
    let mut next = move || {
        let Some(page) = place.map_or(Ok(None), |place| pages.covering(chain, place))? else {
            return Ok(None);
        };
        place = pages.next_place(chain, page.place)?.filter(|next| next.start < span.until);
        ticks_of_page(&page, series, span).map(Some).map_err(Fault::damage("pages", page.id))
    };
    std::iter::from_fn(move || next().transpose())
}

fn ticks_of_page(
    page: &StoredPage,
    series: SeriesId,
    span: Span,
) -> Result<Vec<(i64, u32, Candle)>, Damage> {
    let page = Page::open(&page.body)?;
    let keys = page.keys()?;
    let before = |at| keys.partition_point(|key| key.timestamp.micros() < at);
    let source_id = (series.source_id != ALL_SOURCES).then_some(series.source_id);
    let rows = page.rows(before(span.from)..before(span.until), source_id)?.into_iter();
    let one = |(_, row): (usize, Row)| {
        let candle = Candle::of_one(row.key, row.price, row.volume);
        (row.key.timestamp.micros(), row.source_id, candle)
    };
    Ok(rows.map(one).collect())
}

fn find(connection: &Connection, range: &CandleRange) -> Result<Option<SeriesId>, Fault> {
    let Some(symbol_id) = find_symbol(connection, range.symbol)? else { return Ok(None) };
    let source_id = match range.source {
        Some(source) => find_source(connection, source)?,
        None => Some(ALL_SOURCES),
    };
    Ok(source_id.map(|source_id| SeriesId { symbol_id, source_id }))
}

/// Takes along what a generation has of the range; the writer waits meanwhile, so minutes are shared and not folded.
fn held(generation: &Generation, series_id: SeriesId, range: &CandleRange) -> Vec<Part> {
    let Some(series) = generation.series.get(&series_id.symbol_id) else { return Vec::new() };
    let part = |piece| match piece {
        Piece::Rows(_, span) => {
            let hours = series.hours.range(span.from - span.from % HOUR..span.until);
            Part::Minutes(span, hours.map(|(_, minutes)| Arc::clone(minutes)).collect())
        }
        Piece::Ticks(span) => Part::Cut(cut(series, series_id, span)),
    };
    plan(Interval::M1, Walk::new(range).rest()).into_iter().map(part).collect()
}

/// Folds the ticks of a span that is no whole minute.
fn cut(series: &Series, series_id: SeriesId, span: Span) -> Folded {
    let mut folded = Folded::new();
    let (Ok(from), Ok(until)) = (key(span.from), key(span.until)) else { return folded };
    for (key, held) in series.range((Bound::Included(from), Bound::Excluded(until))) {
        if series_id.is_of(held.source_id) {
            let minute = bucket(Interval::M1, key.timestamp.micros()).from;
            add(&mut folded, minute, &Candle::of_one(*key, held.price, held.volume));
        }
    }
    folded
}

/// Folds what came along into the first buckets of the answer.
fn fold(mut parts: Vec<Part>, series_id: SeriesId, range: &CandleRange) -> Folded {
    let mut folded = Folded::new();
    if range.order == Order::NewestFirst {
        parts.reverse();
    }
    for part in &parts {
        let candles: Box<dyn DoubleEndedIterator<Item = (i64, &Candle)>> = match part {
            Part::Minutes(span, hours) => {
                let minutes = hours.iter().flat_map(|minutes| minutes.iter());
                let minutes = minutes.filter(|((at, source_id), _)| {
                    (span.from..span.until).contains(at) && series_id.is_of(*source_id)
                });
                Box::new(minutes.map(|((at, _), candle)| (*at, candle)))
            }
            Part::Cut(minutes) => Box::new(minutes.iter().map(|(at, candle)| (*at, candle))),
        };
        match range.order {
            Order::OldestFirst => fill(&mut folded, range, candles),
            Order::NewestFirst => fill(&mut folded, range, candles.rev()),
        }
    }
    folded
}

/// Adds candles until there are enough buckets.
fn fill<'c>(
    folded: &mut Folded,
    range: &CandleRange,
    candles: impl Iterator<Item = (i64, &'c Candle)>,
) {
    for (at, candle) in candles {
        let start = bucket(range.interval, at).from;
        if folded.len() >= range.limit && !folded.contains_key(&start) {
            return;
        }
        add(folded, start, candle);
    }
}

/// Folds what the pages have of the first buckets of the answer.
fn stored(pages: &Pages<'_>, series: SeriesId, range: &CandleRange) -> Result<Folded, Fault> {
    let mut walk = Walk::new(range);
    let mut folded = Folded::new();
    while folded.len() < range.limit
        && let Some(next) = next_page(pages, series, range, walk.rest())?
    {
        let window = walk.step(next);
        for piece in plan(range.interval.level(), window) {
            match piece {
                Piece::Rows(level, span) => {
                    for (start, candle) in levels::read(pages, series, level, span)? {
                        add(&mut folded, bucket(range.interval, start).from, &candle);
                    }
                }
                Piece::Ticks(span) => {
                    for ticks in ticks_of(pages, series, span) {
                        for (at, _source, candle) in ticks? {
                            add(&mut folded, bucket(range.interval, at).from, &candle);
                        }
                    }
                }
            }
        }
    }
    Ok(folded)
}

/// Finds the nearest moment that a page of candles covers, to leap over stretches without.
fn next_page(
    pages: &Pages<'_>,
    series: SeriesId,
    range: &CandleRange,
    rest: Span,
) -> Result<Option<i64>, Fault> {
    if rest.is_empty() {
        return Ok(None);
    }
    let level = range.interval.level();
    let chain = levels::chain(level, series.symbol_id);
    let moment = match range.order {
        Order::OldestFirst => {
            let here = Place::at(levels::page_span(level, rest.from).from);
            match pages.at(chain, here)? {
                Some(_page) => Some(rest.from),
                None => pages.next_place(chain, here)?.map(|place| place.start),
            }
        }
        Order::NewestFirst => {
            let page = pages.before(chain, Place::at(rest.until))?;
            let last = |start| levels::page_span(level, start).until - 1;
            page.map(|page| last(page.place.start).min(rest.until - 1))
        }
    };
    Ok(moment.filter(|at| (rest.from..rest.until).contains(at)))
}

fn add(folded: &mut Folded, start: i64, candle: &Candle) {
    match folded.get_mut(&start) {
        Some(held) => held.merge(candle),
        None => drop(folded.insert(start, candle.clone())),
    }
}

/// Gives the first place of a moment; the end of time, which is none, counts as the place behind all others.
fn key(at: i64) -> Result<OrderKey, Fault> {
    if at > Timestamp::MAX.micros() {
        return Ok(OrderKey { timestamp: Timestamp::MAX, arrival: Arrival(u64::MAX) });
    }
    Ok(OrderKey { timestamp: Timestamp::from_micros(at)?, arrival: Arrival(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_moment_has_a_first_place_and_the_end_of_time_lies_behind_all_of_its_places() {
        let (last, at) = (Timestamp::MAX.micros(), Timestamp::MAX);
        assert_eq!(key(last).unwrap(), OrderKey { timestamp: at, arrival: Arrival(0) });
        let end = OrderKey { timestamp: at, arrival: Arrival(u64::MAX) };
        assert_eq!((key(last + 1).unwrap(), key(i64::MAX).unwrap()), (end, end));
    }
}
