//! Sealing one symbol, step by step: the pages that its part of a generation makes of the pages there are.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use chrono_domain::{Interval, Metadata, OrderKey};

use super::super::fault::Fault;
use super::super::generation::Series;
use super::super::levels::{self, ALL_SOURCES, Buckets, page_span};
use super::super::newest;
use super::super::packed::ticks::{self as packed, Beside};
use super::super::packed::{Row, metadata, newest as packed_newest};
use super::super::pages::{Chain, Family, NewPage, Pages, Place};
use super::super::ticks::{Whole, whole_page};
use crate::Detail;
use crate::candles::span::{Span, bucket};

#[cfg(test)]
mod tests;

/// Pages' worth of new ticks that a step takes at most.
const PAGES_MAX: usize = 16;

/// How far the pages of a symbol are made.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Made {
    /// Nothing is.
    #[default]
    Nothing,
    /// Those of the ticks before this place, which is that of a tick of the generation.
    Ticks(OrderKey),
    /// Those of the ticks, and of the candles that start before this time.
    Candles(i64),
}

/// Makes some of the pages of a symbol that a generation changes, in time and memory that have a bound; each page is made
/// once. Tells how far it has come, none when all is done.
pub(super) fn step(
    pages: &Pages<'_>,
    (symbol_id, made): (u32, Made),
    series: &Series,
    page_rows: usize,
    ready: &mut VecDeque<NewPage>,
) -> Result<Option<Made>, Fault> {
    let first = match made {
        Made::Nothing => series.range((Bound::Unbounded, Bound::Unbounded)).next(),
        Made::Ticks(before) => series.range((Bound::Included(before), Bound::Unbounded)).next(),
        Made::Candles(_) => None,
    };
    if let Some((first, _)) = first {
        let next = tick_pages(pages, symbol_id, (series, *first), page_rows, ready)?;
        return Ok(Some(next.map_or(Made::Candles(0), Made::Ticks)));
    }
    let from = if let Made::Candles(from) = made { from } else { 0 };
    if let Some(next) = candle_pages(pages, symbol_id, series, from, ready)? {
        return Ok(Some(Made::Candles(next)));
    }
    ready.push_back(newest_page(pages, symbol_id, series)?);
    Ok(None)
}

/// Puts the ticks from one on into the page that covers it, up to that page's end, or some of them; gives the first of
/// those that are left.
fn tick_pages(
    pages: &Pages<'_>,
    symbol_id: u32,
    (series, first): (&Series, OrderKey),
    page_rows: usize,
    ready: &mut VecDeque<NewPage>,
) -> Result<Option<OrderKey>, Fault> {
    let chain = Chain::of(Family::Ticks, symbol_id);
    let page = pages.covering(chain, Place::of(first))?;
    let mut place = page.as_ref().map_or(Place::FIRST, |page| page.place);
    let end = pages.next_place(chain, place)?;
    let mut left = series.range((Bound::Included(first), Bound::Unbounded)).peekable();
    let is_of_page = |key: &OrderKey| end.is_none_or(|end| Place::of(*key) < end);
    let mut rows: Vec<Whole> = Vec::new();
    while rows.len() < page_rows * PAGES_MAX
        && let Some((key, held)) = left.next_if(|(key, _)| is_of_page(key))
    {
        rows.push((held.row(*key), held.metadata.clone()));
    }
    let next = left.next().map(|(key, _)| *key);
    // The rest of the page is for the next step, with what is stored of it.
    let cut = next.filter(is_of_page);
    // An earlier step has made what comes before.
    let before = series.range((Bound::Unbounded, Bound::Excluded(first))).next_back();
    let is_rest = before.is_some_and(|(before, _)| Place::of(*before) >= place);
    let mut stored = match &page {
        Some(page) => whole_page(pages, symbol_id, page, Detail::WithMetadata)?,
        None => Vec::new(),
    };
    // A full page with nothing new in it stays as it is.
    let is_full = stored.len() >= page_rows && stored.last().map(key_of) < Some(first);
    if is_rest || is_full {
        place = Place::of(first);
        stored.retain(|row| key_of(row) > first);
    }
    stored.retain(|row| cut.is_none_or(|cut| key_of(row) < cut));
    rows.append(&mut stored);
    rows.sort_by_key(key_of);
    let is_last = end.is_none() && cut.is_none();
    split(symbol_id, place, &rows, chunk_len(rows.len(), page_rows, is_last), ready);
    Ok(next)
}

/// Gives how many rows go into each page.
///
/// The last page grows on, so what comes before its rest is full; pages elsewhere leave room for late ticks.
const fn chunk_len(rows: usize, page_rows: usize, is_last: bool) -> usize {
    if is_last || rows <= page_rows { page_rows } else { rows.div_ceil(rows.div_ceil(page_rows)) }
}

/// Cuts rows into pages, the first of which keeps the place.
fn split(symbol_id: u32, first: Place, rows: &[Whole], len: usize, ready: &mut VecDeque<NewPage>) {
    for (nth, chunk) in rows.chunks(len.max(1)).enumerate() {
        let place = match chunk.first() {
            Some((row, _)) if nth > 0 => Place::of(row.key),
            _ => first,
        };
        let (ticks, texts): (Vec<Row>, Vec<Option<Metadata>>) = chunk.iter().cloned().unzip();
        let new = |family, body| NewPage { chain: Chain::of(family, symbol_id), place, body };
        let texts = metadata::encode(&texts);
        let beside = if texts.is_some() { Beside::Metadata } else { Beside::Nothing };
        ready.push_back(new(Family::Ticks, packed::encode(&ticks, beside)));
        ready.extend(texts.map(|body| new(Family::Metadata, body)));
    }
}

/// Merges the minutes of the first day from a time on into the pages of each level, for each source and for all
/// together; gives the end of that day.
fn candle_pages(
    pages: &Pages<'_>,
    symbol_id: u32,
    series: &Series,
    from: i64,
    ready: &mut VecDeque<NewPage>,
) -> Result<Option<i64>, Fault> {
    let Some((first, _)) = series.hours.range(from..).next() else { return Ok(None) };
    let day = page_span(Interval::H1, *first);
    let mut make = |level, span: Span| {
        let mut buckets = Buckets::new();
        for ((minute, source_id), candle) in series.minutes(span) {
            let start = bucket(level, *minute).from;
            levels::add(&mut buckets, (*source_id, start), candle);
            levels::add(&mut buckets, (ALL_SOURCES, start), candle);
        }
        ready.push_back(levels::merged(pages, symbol_id, level, buckets, span.from)?);
        Ok::<_, Fault>(())
    };
    for (hour, _) in series.hours.range(day.from..day.until) {
        make(Interval::M1, page_span(Interval::M1, *hour))?;
    }
    make(Interval::H1, day)?;
    let days = page_span(Interval::D1, *first);
    // The first of a page of days makes the whole of it.
    if series.hours.range(days.from..day.from).next().is_none() {
        make(Interval::D1, days)?;
    }
    Ok(Some(day.until))
}

/// Brings the newest tick of each source up to date.
fn newest_page(pages: &Pages<'_>, symbol_id: u32, series: &Series) -> Result<NewPage, Fault> {
    let held = newest::stored(pages, symbol_id)?.into_iter().map(|row| (row.source_id, row));
    let mut newest: BTreeMap<u32, Row> = held.collect();
    for row in series.newest() {
        let slot = newest.entry(row.source_id).or_insert(row);
        if slot.key < row.key {
            *slot = row;
        }
    }
    let newest: Vec<Whole> = newest.into_values().map(|row| (row, None)).collect();
    let chain = Chain::of(Family::Newest, symbol_id);
    Ok(NewPage { chain, place: Place::FIRST, body: packed_newest::encode(&newest) })
}

fn key_of((row, _metadata): &Whole) -> OrderKey {
    row.key
}
