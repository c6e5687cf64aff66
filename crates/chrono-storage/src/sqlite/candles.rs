//! Reading candles: stored rows where they can be trusted, ticks for the rest.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use chrono_domain::{Candle, Interval, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use super::fault::Fault;
use super::rows::{self, ALL_SOURCES, SeriesId};
use super::ticks::{find_source, find_symbol};
use crate::candles::plan::{Piece, Stored};
use crate::candles::span::{Span, bucket, micros};
use crate::candles::walk::Walk;
use crate::{Bucket, CandleRange, Order};

const WATERMARK: &str = "SELECT up_to FROM candle_watermark WHERE symbol_id = ?1";
const DIRTY_HOURS: &str = "SELECT DISTINCT hour FROM candle_dirty \
    WHERE symbol_id = ?1 AND hour >= ?2 AND hour < ?3 AND (?4 = 0 OR source_id = ?4) ORDER BY hour";
const FIRST_TICK: &str = "SELECT timestamp FROM price_ticks \
    WHERE symbol_id = ?1 AND timestamp >= ?2 AND timestamp < ?3 ORDER BY timestamp LIMIT 1";
const LAST_TICK: &str = "SELECT timestamp FROM price_ticks \
    WHERE symbol_id = ?1 AND timestamp >= ?2 AND timestamp < ?3 ORDER BY timestamp DESC LIMIT 1";

/// Candles by the start of their bucket.
type Folded = BTreeMap<i64, Candle>;

/// Reads a page of candles.
pub(super) fn page(snapshot: &Connection, range: &CandleRange) -> Result<Vec<Bucket>, Fault> {
    let Some(series) = find(snapshot, range)? else { return Ok(Vec::new()) };
    let watermark = watermark(snapshot, series.symbol_id)?;
    let mut walk = Walk::new(range);
    let mut page = Vec::new();
    while page.len() < range.limit
        && let Some(next) = next_tick(snapshot, series.symbol_id, walk.rest(), range.order)?
    {
        let window = walk.step(next);
        let buckets = fold(snapshot, series, watermark, range.interval, window)?.into_iter();
        let room = range.limit - page.len();
        match range.order {
            Order::OldestFirst => fill(&mut page, buckets.take(room))?,
            Order::NewestFirst => fill(&mut page, buckets.rev().take(room))?,
        }
    }
    Ok(page)
}

/// Reads how far stored candles reach.
pub(super) fn watermark(snapshot: &Connection, symbol_id: i64) -> Result<i64, Fault> {
    let mut statement = snapshot.prepare_cached(WATERMARK)?;
    Ok(statement.query_one([symbol_id], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Reads which hours of a span have rows that must not be used.
pub(super) fn dirty_hours(
    snapshot: &Connection,
    series: SeriesId,
    span: Span,
) -> Result<Vec<i64>, Fault> {
    let mut statement = snapshot.prepare_cached(DIRTY_HOURS)?;
    // The day that the span begins in is not used either when an hour of it before the span is dirty.
    let from = span.from - span.from % micros(Interval::D1);
    let until = span.until.saturating_add(micros(Interval::D1));
    let hours =
        statement.query_map([series.symbol_id, from, until, series.source_id], |row| row.get(0))?;
    Ok(hours.collect::<Result<_, _>>()?)
}

fn find(snapshot: &Connection, range: &CandleRange) -> Result<Option<SeriesId>, Fault> {
    let Some(symbol_id) = find_symbol(snapshot, range.symbol)? else { return Ok(None) };
    let source_id = match range.source {
        Some(source) => find_source(snapshot, source.as_str())?,
        None => Some(ALL_SOURCES),
    };
    Ok(source_id.map(|source_id| SeriesId { symbol_id, source_id }))
}

/// Finds the nearest tick of any source, to leap over stretches without.
fn next_tick(
    snapshot: &Connection,
    symbol_id: i64,
    span: Span,
    order: Order,
) -> Result<Option<i64>, Fault> {
    let sql = match order {
        Order::OldestFirst => FIRST_TICK,
        Order::NewestFirst => LAST_TICK,
    };
    let mut statement = snapshot.prepare_cached(sql)?;
    Ok(statement.query_one([symbol_id, span.from, span.until], |row| row.get(0)).optional()?)
}

/// Folds a window whose inner ends are ends of buckets.
fn fold(
    snapshot: &Connection,
    series: SeriesId,
    watermark: i64,
    interval: Interval,
    window: Span,
) -> Result<Folded, Fault> {
    let dirty_hours = dirty_hours(snapshot, series, window)?;
    let stored = Stored { watermark, dirty_hours: &dirty_hours };
    let mut folded = Folded::new();
    for piece in stored.plan(interval.level(), window) {
        match piece {
            Piece::Rows(level, span) => {
                for (start, candle) in rows::candles(snapshot, series, level, span)? {
                    add(&mut folded, interval, start, candle);
                }
            }
            Piece::Ticks(span) => {
                rows::each_tick(snapshot, series, span, |at, _source, candle| {
                    add(&mut folded, interval, at, candle);
                    ControlFlow::Continue(())
                })?;
            }
        }
    }
    Ok(folded)
}

fn add(folded: &mut Folded, interval: Interval, at: i64, candle: Candle) {
    let start = bucket(interval, at).from;
    match folded.get_mut(&start) {
        Some(held) => held.merge(&candle),
        None => drop(folded.insert(start, candle)),
    }
}

fn fill(page: &mut Vec<Bucket>, buckets: impl Iterator<Item = (i64, Candle)>) -> Result<(), Fault> {
    for (start, candle) in buckets {
        page.push(Bucket { start: Timestamp::from_micros(start)?, candle });
    }
    Ok(())
}
