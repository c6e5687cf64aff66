//! Sealing one symbol: the pages that its part of a generation makes of the pages there are.

use std::collections::BTreeMap;
use std::ops::Bound;

use chrono_domain::{Metadata, OrderKey};

use super::super::fault::Fault;
use super::super::generation::Series;
use super::super::levels::{self, ALL_SOURCES, Buckets, LEVELS, page_span};
use super::super::newest;
use super::super::packed::ticks::{self as packed, Beside};
use super::super::packed::{Row, metadata, newest as packed_newest};
use super::super::pages::{Chain, Family, NewPage, Pages, Place};
use super::super::ticks::{Whole, whole_page};
use crate::Detail;
use crate::candles::span::bucket;

/// Makes every page of a symbol that a generation changes, each once.
pub(super) fn symbol(
    pages: &Pages<'_>,
    symbol_id: u32,
    series: &Series,
    page_rows: usize,
) -> Result<Vec<NewPage>, Fault> {
    let mut made = Vec::new();
    tick_pages(pages, symbol_id, series, page_rows, &mut made)?;
    candle_pages(pages, symbol_id, series, &mut made)?;
    made.push(newest_page(pages, symbol_id, series)?);
    Ok(made)
}

/// Puts the ticks into the pages that cover them.
fn tick_pages(
    pages: &Pages<'_>,
    symbol_id: u32,
    series: &Series,
    page_rows: usize,
    made: &mut Vec<NewPage>,
) -> Result<(), Fault> {
    let chain = Chain::of(Family::Ticks, symbol_id);
    let mut from = Bound::Unbounded;
    while let Some((first, _)) = series.range((from, Bound::Unbounded)).next() {
        let page = pages.covering(chain, Place::of(*first))?;
        let place = page.as_ref().map_or(Place::FIRST, |page| page.place);
        let end = pages.next_place(chain, place)?;
        let mut new = Vec::new();
        for (key, held) in series.range((Bound::Included(*first), Bound::Unbounded)) {
            if end.is_some_and(|end| Place::of(*key) >= end) {
                break;
            }
            new.push((held.row(*key), held.metadata.clone()));
            from = Bound::Excluded(*key);
        }
        let mut rows = match &page {
            Some(page) => whole_page(pages, symbol_id, page, Detail::WithMetadata)?,
            None => Vec::new(),
        };
        let mut place = place;
        // A full page with nothing new in it stays as it is.
        if rows.len() >= page_rows && rows.last().map(key_of) < new.first().map(key_of) {
            rows.clear();
            place = Place::of(*first);
        }
        rows.extend(new);
        rows.sort_by_key(key_of);
        split(symbol_id, place, &rows, chunk_len(rows.len(), page_rows, end.is_none()), made);
    }
    Ok(())
}

/// Gives how many rows go into each page.
///
/// The last page grows on, so what comes before its rest is full; pages elsewhere leave room for late ticks.
const fn chunk_len(rows: usize, page_rows: usize, is_last: bool) -> usize {
    if is_last || rows <= page_rows { page_rows } else { rows.div_ceil(rows.div_ceil(page_rows)) }
}

/// Cuts rows into pages, the first of which keeps the place.
fn split(symbol_id: u32, first: Place, rows: &[Whole], len: usize, made: &mut Vec<NewPage>) {
    for (nth, chunk) in rows.chunks(len.max(1)).enumerate() {
        let place = match chunk.first() {
            Some((row, _)) if nth > 0 => Place::of(row.key),
            _ => first,
        };
        let (ticks, texts): (Vec<Row>, Vec<Option<Metadata>>) = chunk.iter().cloned().unzip();
        let new = |family, body| NewPage { chain: Chain::of(family, symbol_id), place, body };
        let texts = metadata::encode(&texts);
        let beside = if texts.is_some() { Beside::Metadata } else { Beside::Nothing };
        made.push(new(Family::Ticks, packed::encode(&ticks, beside)));
        made.extend(texts.map(|body| new(Family::Metadata, body)));
    }
}

/// Merges the minutes into the pages of each level, for each source and for all together.
fn candle_pages(
    pages: &Pages<'_>,
    symbol_id: u32,
    series: &Series,
    made: &mut Vec<NewPage>,
) -> Result<(), Fault> {
    let mut buckets = Buckets::new();
    for ((minute, source_id), candle) in series.minutes() {
        levels::add(&mut buckets, (*source_id, *minute), candle);
        levels::add(&mut buckets, (ALL_SOURCES, *minute), candle);
    }
    for level in LEVELS {
        let mut merged = Buckets::new();
        for ((source_id, start), candle) in &buckets {
            levels::add(&mut merged, (*source_id, bucket(level, *start).from), candle);
        }
        buckets = merged;
        let mut by_page: BTreeMap<i64, Vec<_>> = BTreeMap::new();
        for (bucket, candle) in &buckets {
            by_page.entry(page_span(level, bucket.1).from).or_default().push((*bucket, candle));
        }
        for (start, in_page) in by_page {
            made.push(levels::merged(pages, symbol_id, level, in_page, start)?);
        }
    }
    Ok(())
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
