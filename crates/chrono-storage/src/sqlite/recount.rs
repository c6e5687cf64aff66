//! Recounting: stored minutes against their stored ticks, their hour against its minutes, and its day against its hours.

use std::collections::BTreeSet;

use chrono_domain::{Candle, Interval};
use rusqlite::{Connection, OptionalExtension};

use super::candles::ticks_of;
use super::connection::Reader;
use super::fault::Fault;
use super::generation::MINUTE;
use super::levels::{self, ALL_SOURCES, Buckets, HOUR, SeriesId};
use super::packed::ticks::Page;
use super::pages::{Chain, Family, Pages, Place, StoredPage};
use crate::Recount;
use crate::candles::span::{Span, bucket};

const SYMBOLS: &str = "SELECT count(*) FROM symbols";
const NTH_SYMBOL: &str = "SELECT id FROM symbols ORDER BY id LIMIT 1 OFFSET ?1";

/// Pages of ticks that are folded at most, unless one minute has more. Too few, and the minutes of a busy symbol have
/// their turn seldom; too many, and reads wait for it, and the log file grows meanwhile.
const PAGES_MAX: usize = 256;

/// Recounts minutes of an hour, all or as many as [`PAGES_MAX`] allows, their hour and their day.
///
/// The turns go round the symbols, round the hours of each, and round the minutes of those.
pub(super) fn recount(reader: &Reader, turn: u64) -> Result<Recount, Fault> {
    // Pages of one cycle against each other: what is in memory is in neither.
    reader.view(|_generation| (), |view| of_pages(&view.pages, turn))
}

fn of_pages(pages: &Pages<'_>, turn: u64) -> Result<Recount, Fault> {
    let mut recount = Recount::default();
    let Some((symbol_id, from)) = pick(pages, turn)? else { return Ok(recount) };
    let (hour, day) = (bucket(Interval::H1, from), bucket(Interval::D1, from));
    let (minutes, until) = fold_minutes(pages, symbol_id, Span { from, until: hour.until })?;
    let stored = levels::read_all(pages, symbol_id, Interval::M1, Span { from, until })?;
    compare(&minutes, &stored, &mut recount);
    let hours = merge_into(Interval::H1, &levels::read_all(pages, symbol_id, Interval::M1, hour)?);
    compare(&hours, &levels::read_all(pages, symbol_id, Interval::H1, hour)?, &mut recount);
    let days = merge_into(Interval::D1, &levels::read_all(pages, symbol_id, Interval::H1, day)?);
    compare(&days, &levels::read_all(pages, symbol_id, Interval::D1, day)?, &mut recount);
    Ok(recount)
}

/// Picks a symbol, and the start of a minute of it in an hour with stored ticks at or after that.
fn pick(pages: &Pages<'_>, turn: u64) -> Result<Option<(u32, i64)>, Fault> {
    let turn = i64::try_from(turn).unwrap_or(0);
    let connection: &Connection = pages.connection;
    let symbols: i64 = connection.prepare_cached(SYMBOLS)?.query_one([], |row| row.get(0))?;
    let nth = turn.checked_rem(symbols).unwrap_or(0);
    let mut statement = connection.prepare_cached(NTH_SYMBOL)?;
    let Some(symbol_id) = statement.query_one([nth], |row| row.get(0)).optional()? else {
        return Ok(None);
    };
    let chain = Chain::of(Family::Ticks, symbol_id);
    let (Some(first), Some(last)) =
        (pages.at(chain, Place::FIRST)?, pages.covering(chain, Place::LAST)?)
    else {
        return Ok(None);
    };
    let (Some(first), Some(last)) =
        (times(&first)?.first().copied(), times(&last)?.last().copied())
    else {
        return Ok(None);
    };
    let first_hour = first - first % HOUR;
    let (round, hours) = (turn / symbols.max(1), (last - first_hour) / HOUR + 1);
    let (nth, minute) = (round % hours, round / hours % (HOUR / MINUTE));
    let from = first_hour + nth * HOUR + minute * MINUTE;
    let at = first_tick(pages, chain, from)?;
    // What comes first may be in a later hour, which is then looked at whole.
    Ok(at.map(|at| (symbol_id, from.max(bucket(Interval::H1, at).from))))
}

/// Finds the first stored tick from a moment on.
fn first_tick(pages: &Pages<'_>, chain: Chain, from: i64) -> Result<Option<i64>, Fault> {
    let mut next = pages.covering(chain, Place::at(from))?;
    while let Some(page) = next {
        if let Some(at) = times(&page)?.into_iter().find(|at| *at >= from) {
            return Ok(Some(at));
        }
        next = pages.after(chain, page.place)?;
    }
    Ok(None)
}

fn times(page: &StoredPage) -> Result<Vec<i64>, Fault> {
    let keys = Page::open(&page.body).and_then(|opened| opened.keys());
    let keys = keys.map_err(Fault::damage("pages", page.id))?;
    Ok(keys.into_iter().map(|key| key.timestamp.micros()).collect())
}

/// Folds the stored ticks of the first minutes of a span, by source and over all sources; tells where those minutes end.
fn fold_minutes(pages: &Pages<'_>, symbol_id: u32, span: Span) -> Result<(Buckets, i64), Fault> {
    let mut minutes = Buckets::new();
    let series = SeriesId { symbol_id, source_id: ALL_SOURCES };
    for (nth, ticks) in ticks_of(pages, series, span).enumerate() {
        let ticks = ticks?;
        let next = ticks.first().map(|(at, ..)| bucket(Interval::M1, *at).from);
        let first = minutes.keys().next().map(|(_source_id, start)| *start);
        if nth >= PAGES_MAX
            && let Some(until) = next.filter(|next| first.is_some_and(|first| first < *next))
        {
            // Of this one there is more.
            minutes.retain(|(_source_id, start), _| *start < until);
            return Ok((minutes, until));
        }
        for (at, source_id, candle) in ticks {
            let minute = bucket(Interval::M1, at).from;
            levels::add(&mut minutes, (ALL_SOURCES, minute), &candle);
            levels::add(&mut minutes, (source_id, minute), &candle);
        }
    }
    Ok((minutes, span.until))
}

/// Merges buckets into longer ones.
fn merge_into(interval: Interval, buckets: &Buckets) -> Buckets {
    let mut merged = Buckets::new();
    for ((source_id, start), candle) in buckets {
        levels::add(&mut merged, (*source_id, bucket(interval, *start).from), candle);
    }
    merged
}

fn compare(expected: &Buckets, stored: &Buckets, recount: &mut Recount) {
    // As texts: prices of equal value are equal, but their digits must be too.
    let text = |candle: Option<&Candle>| candle.map(|candle| format!("{candle:?}"));
    let places: BTreeSet<_> = expected.keys().chain(stored.keys()).collect();
    for place in places {
        recount.checked += 1;
        if text(expected.get(place)) != text(stored.get(place)) {
            recount.mismatches += 1;
        }
    }
}
