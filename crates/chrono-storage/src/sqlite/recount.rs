//! Recounting: stored candles of an hour against its ticks, and of its day against its hours.

use std::collections::{BTreeMap, BTreeSet};

use chrono_domain::{Candle, Interval};
use rusqlite::{Connection, OptionalExtension};

use super::candles::{dirty_hours, watermark};
use super::fault::Fault;
use super::materialise::{fold_minutes, merge_into};
use super::rows::{self, ALL_SOURCES, SeriesId};
use crate::Recount;
use crate::candles::span::{Span, bucket, micros};

const SYMBOLS: &str = "SELECT count(*) FROM candle_watermark";
const NTH_SYMBOL: &str =
    "SELECT symbol_id FROM candle_watermark ORDER BY symbol_id LIMIT 1 OFFSET ?1";
const FIRST_TICK: &str =
    "SELECT min(timestamp) FROM price_ticks WHERE symbol_id = ?1 AND timestamp >= ?2";

/// Candles by source and start of their bucket.
type Buckets = BTreeMap<(i64, i64), Candle>;

/// Recounts an hour; the turns go round the symbols, and round the hours of each.
pub(super) fn recount(snapshot: &Connection, turn: u64) -> Result<Recount, Fault> {
    let mut recount = Recount::default();
    let Some((symbol_id, watermark, hour)) = pick(snapshot, turn)? else { return Ok(recount) };
    let covered = Span { from: 0, until: watermark };
    let (hour, day) = (bucket(Interval::H1, hour), bucket(Interval::D1, hour));
    let dirty = dirty_hours(snapshot, SeriesId { symbol_id, source_id: ALL_SOURCES }, day)?;
    let is_dirty = |span: Span| dirty.iter().any(|hour| (span.from..span.until).contains(hour));
    if !is_dirty(hour) {
        let (minutes, _ticks) = fold_minutes(snapshot, symbol_id, hour.within(covered))?;
        let hours = merge_into(Interval::H1, &minutes);
        compare(&minutes, &stored(snapshot, symbol_id, Interval::M1, hour)?, &mut recount);
        compare(&hours, &stored(snapshot, symbol_id, Interval::H1, hour)?, &mut recount);
    }
    if !is_dirty(day) {
        let hours = stored(snapshot, symbol_id, Interval::H1, day)?;
        let days = merge_into(Interval::D1, &hours);
        compare(&days, &stored(snapshot, symbol_id, Interval::D1, day)?, &mut recount);
    }
    Ok(recount)
}

/// Picks a symbol, and an hour of it that holds a tick before the watermark.
fn pick(snapshot: &Connection, turn: u64) -> Result<Option<(i64, i64, i64)>, Fault> {
    let turn = i64::try_from(turn).unwrap_or(0);
    let symbols: i64 = snapshot.prepare_cached(SYMBOLS)?.query_one([], |row| row.get(0))?;
    let nth = turn.checked_rem(symbols).unwrap_or(0);
    let mut statement = snapshot.prepare_cached(NTH_SYMBOL)?;
    let Some(symbol_id) = statement.query_one([nth], |row| row.get(0)).optional()? else {
        return Ok(None);
    };
    let watermark = watermark(snapshot, symbol_id)?;
    let Some(first) = first_tick(snapshot, symbol_id, 0)? else { return Ok(None) };
    let hour = micros(Interval::H1);
    let first = first - first % hour;
    let hours = (watermark - first + hour - 1) / hour;
    let Some(nth) = (turn / symbols.max(1)).checked_rem(hours.max(0)) else { return Ok(None) };
    let at = first_tick(snapshot, symbol_id, first + nth * hour)?;
    Ok(at.filter(|at| *at < watermark).map(|at| (symbol_id, watermark, at)))
}

fn first_tick(snapshot: &Connection, symbol_id: i64, from: i64) -> Result<Option<i64>, Fault> {
    Ok(snapshot.prepare_cached(FIRST_TICK)?.query_one([symbol_id, from], |row| row.get(0))?)
}

/// Reads the stored candles of every source, and of all together.
fn stored(
    snapshot: &Connection,
    symbol_id: i64,
    level: Interval,
    span: Span,
) -> Result<Buckets, Fault> {
    let mut stored = Buckets::new();
    for source_id in rows::sources(snapshot, symbol_id)? {
        let series = SeriesId { symbol_id, source_id };
        let candles = rows::candles(snapshot, series, level, span)?.into_iter();
        stored.extend(candles.map(|(start, candle)| ((source_id, start), candle)));
    }
    Ok(stored)
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
