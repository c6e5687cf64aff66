//! The materialiser: folds ticks into stored candles, a little at a time.
//!
//! Three invariants hold after every transaction, and every read relies on them:
//! 1. A minute's or hour's row covers exactly the ticks of its bucket before the symbol's watermark, unless the hour
//!    has a dirty mark for the source; the rows over all sources are not to be used where any source is marked.
//! 2. A day's row is the merge of the rows of its hours, dirty or not; so it is exact once all of them are clean.
//! 3. A dirty mark stands for at least one tick of that source in that hour.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use chrono_domain::{Candle, Interval, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::connection::Writer;
use super::fault::Fault;
use super::hit;
use super::memory::{Memory, Series};
use super::rows::{self, ALL_SOURCES, SeriesId};
use crate::Progress;
use crate::candles::span::{Span, bucket, micros};

/// What a step may spend on ticks before the watermarks, and again on dirty hours; a tick costs one.
///
/// Too high, and commits wait behind a step; too low, and a step is mostly its fsync. At 512 it takes some
/// milliseconds, but for a minute or an hour that holds more ticks than that.
const STEP_COST_MAX: u64 = 512;
/// What a symbol or an hour costs beside its ticks: its rows.
const ROWS_COST: u64 = 24;

const SET_WATERMARK: &str = "UPDATE candle_watermark SET up_to = ?2 WHERE symbol_id = ?1";
const NEXT_TICK: &str =
    "SELECT min(timestamp) FROM price_ticks WHERE symbol_id = ?1 AND timestamp >= ?2";
const NEXT_DIRTY: &str = "SELECT symbol_id, hour FROM candle_dirty \
    WHERE (symbol_id, hour) > (?1, ?2) ORDER BY symbol_id, hour LIMIT 1";
const DIRTY_SOURCES: &str = "SELECT source_id FROM candle_dirty WHERE symbol_id = ?1 AND hour = ?2";
const CLEAN: &str = "DELETE FROM candle_dirty WHERE symbol_id = ?1 AND hour = ?2";

/// Candles by source and start of their bucket.
type Buckets = BTreeMap<(i64, i64), Candle>;

/// Does one step: moves some watermarks on, and recomputes some dirty hours.
pub(super) fn step(writer: &mut Writer, up_to: Timestamp) -> Result<Progress, Fault> {
    let target = Interval::M1.bucket(up_to).micros();
    let progress = writer.transact(|transaction, memory| {
        let memory = Memory::fresh(memory, transaction)?;
        let moved = move_watermarks(transaction, memory, target)?;
        let cleaned = clean_hours(transaction, memory)?;
        if !moved && !cleaned {
            return Ok(Progress::Idle);
        }
        hit("materialise_before_commit");
        Ok(Progress::More)
    })?;
    if progress == Progress::More {
        hit("materialise_after_commit");
    }
    Ok(progress)
}

/// Folds the ticks of a span into minutes by source and over all sources; tells how many there were.
pub(super) fn fold_minutes(
    connection: &Connection,
    symbol_id: i64,
    span: Span,
) -> Result<(Buckets, u64), Fault> {
    let (minutes, count, _end) = fold_some(connection, symbol_id, span, u64::MAX)?;
    Ok((minutes, count))
}

/// Merges buckets into longer ones.
pub(super) fn merge_into(interval: Interval, buckets: &Buckets) -> Buckets {
    let mut merged = Buckets::new();
    for ((source_id, start), candle) in buckets {
        add(&mut merged, (*source_id, bucket(interval, *start).from), candle);
    }
    merged
}

/// Moves the watermarks of symbols on that have ticks between there and the target.
fn move_watermarks(
    connection: &Connection,
    memory: &mut Memory,
    target: i64,
) -> Result<bool, Fault> {
    let mut cost = 0;
    for (symbol_id, series) in &mut memory.series {
        if cost >= STEP_COST_MAX {
            break;
        }
        if series.waiting.is_some_and(|oldest| oldest < target) {
            let ticks = advance(connection, *symbol_id, series, target, STEP_COST_MAX - cost)?;
            cost += ticks + ROWS_COST;
        }
    }
    Ok(cost > 0)
}

/// Folds ticks from a symbol's watermark on, whole minutes of them, and moves it behind the last.
fn advance(
    connection: &Connection,
    symbol_id: i64,
    series: &mut Series,
    target: i64,
    cost_max: u64,
) -> Result<u64, Fault> {
    let span = Span { from: series.watermark, until: target };
    let (minutes, count, end) = fold_some(connection, symbol_id, span, cost_max)?;
    let hours = merge_into(Interval::H1, &minutes);
    put_all(connection, symbol_id, Interval::M1, &minutes)?;
    put_all_merged(connection, symbol_id, Interval::H1, &hours)?;
    put_all_merged(connection, symbol_id, Interval::D1, &merge_into(Interval::D1, &hours))?;
    connection.prepare_cached(SET_WATERMARK)?.execute([symbol_id, end])?;
    series.watermark = end;
    series.waiting =
        connection.prepare_cached(NEXT_TICK)?.query_one([symbol_id, end], |row| row.get(0))?;
    Ok(count)
}

/// Folds whole minutes from the start of a span until `enough` ticks are in; tells where it stopped.
fn fold_some(
    connection: &Connection,
    symbol_id: i64,
    span: Span,
    enough: u64,
) -> Result<(Buckets, u64, i64), Fault> {
    let mut minutes = Buckets::new();
    let (mut count, mut end, mut current) = (0, span.until, span.from);
    let series = SeriesId { symbol_id, source_id: ALL_SOURCES };
    rows::each_tick(connection, series, span, |at, source_id, candle| {
        let minute = at - at % micros(Interval::M1);
        if minute > current && count >= enough {
            end = minute;
            return ControlFlow::Break(());
        }
        current = minute;
        count += 1;
        add(&mut minutes, (ALL_SOURCES, minute), &candle);
        add(&mut minutes, (source_id, minute), &candle);
        ControlFlow::Continue(())
    })?;
    Ok((minutes, count, end))
}

/// Recomputes dirty hours, going round so that none waits for ever, and then their days.
fn clean_hours(connection: &Connection, memory: &mut Memory) -> Result<bool, Fault> {
    let mut cost = 0;
    let mut days = BTreeSet::new();
    while cost < STEP_COST_MAX {
        let next = match next_dirty(connection, memory.cleaned)? {
            None => next_dirty(connection, (i64::MIN, i64::MIN))?,
            next => next,
        };
        let Some((symbol_id, hour)) = next else { break };
        let watermark = memory.series.get(&symbol_id).map_or(0, |series| series.watermark);
        let (series, ticks) = clean_hour(connection, symbol_id, hour, watermark)?;
        days.extend(series.into_iter().map(|series| (series, bucket(Interval::D1, hour).from)));
        memory.cleaned = (symbol_id, hour);
        cost += ROWS_COST + ticks;
    }
    for (series, day) in days {
        merge_day(connection, series, day)?;
    }
    Ok(cost > 0)
}

fn next_dirty(connection: &Connection, after: (i64, i64)) -> Result<Option<(i64, i64)>, Fault> {
    let mut statement = connection.prepare_cached(NEXT_DIRTY)?;
    let next = statement.query_one(params![after.0, after.1], |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(next.optional()?)
}

/// Folds an hour anew from its ticks before the watermark, and takes its marks away; tells whose rows it wrote.
fn clean_hour(
    connection: &Connection,
    symbol_id: i64,
    hour: i64,
    watermark: i64,
) -> Result<(Vec<SeriesId>, u64), Fault> {
    let mut dirty = connection.prepare_cached(DIRTY_SOURCES)?;
    let mut sources =
        dirty.query_map([symbol_id, hour], |row| row.get(0))?.collect::<Result<Vec<_>, _>>()?;
    sources.push(ALL_SOURCES);
    let covered = Span { from: 0, until: watermark };
    let span = bucket(Interval::H1, hour).within(covered);
    let (mut minutes, ticks) = fold_minutes(connection, symbol_id, span)?;
    minutes.retain(|(source_id, _), _| sources.contains(source_id));
    put_all(connection, symbol_id, Interval::M1, &minutes)?;
    put_all(connection, symbol_id, Interval::H1, &merge_into(Interval::H1, &minutes))?;
    connection.prepare_cached(CLEAN)?.execute([symbol_id, hour])?;
    let series = sources.into_iter().map(|source_id| SeriesId { symbol_id, source_id });
    Ok((series.collect(), ticks))
}

/// Merges the rows of a day's hours into its own.
fn merge_day(connection: &Connection, series: SeriesId, day: i64) -> Result<(), Fault> {
    let hours = rows::candles(connection, series, Interval::H1, bucket(Interval::D1, day))?;
    let merged = hours.into_iter().map(|(_, candle)| candle).reduce(|mut whole, candle| {
        whole.merge(&candle);
        whole
    });
    merged.map_or(Ok(()), |candle| rows::put_candle(connection, series, Interval::D1, day, &candle))
}

fn put_all(
    connection: &Connection,
    symbol_id: i64,
    level: Interval,
    buckets: &Buckets,
) -> Result<(), Fault> {
    for ((source_id, start), candle) in buckets {
        let series = SeriesId { symbol_id, source_id: *source_id };
        rows::put_candle(connection, series, level, *start, candle)?;
    }
    Ok(())
}

/// Merges buckets into the rows that hold the ticks before them.
fn put_all_merged(
    connection: &Connection,
    symbol_id: i64,
    level: Interval,
    buckets: &Buckets,
) -> Result<(), Fault> {
    for ((source_id, start), candle) in buckets {
        let series = SeriesId { symbol_id, source_id: *source_id };
        let mut candle = candle.clone();
        let place = Span { from: *start, until: *start + 1 };
        for (_, held) in rows::candles(connection, series, level, place)? {
            candle.merge(&held);
        }
        rows::put_candle(connection, series, level, *start, &candle)?;
    }
    Ok(())
}

fn add(buckets: &mut Buckets, key: (i64, i64), candle: &Candle) {
    match buckets.get_mut(&key) {
        Some(held) => held.merge(candle),
        None => drop(buckets.insert(key, candle.clone())),
    }
}
