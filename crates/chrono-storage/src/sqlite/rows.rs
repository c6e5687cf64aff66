//! Stored candles, and the ticks they are made of.

use std::ops::ControlFlow;

use chrono_domain::{Candle, Interval};
use rusqlite::{Connection, Row, params};

use super::codec::{self, whole};
use super::fault::Fault;
use crate::candles::span::Span;

/// Stands for all sources together.
pub(super) const ALL_SOURCES: i64 = 0;

const CANDLES: &str = "SELECT bucket, open_at, open_arrival, open, high, low, close_at, close_arrival, close, volume, \
    notional, count FROM candles \
    WHERE symbol_id = ?1 AND source_id = ?2 AND interval = ?3 AND bucket >= ?4 AND bucket < ?5 ORDER BY bucket";
const PUT_CANDLE: &str = "INSERT OR REPLACE INTO candles (symbol_id, source_id, interval, bucket, open_at, open_arrival, \
    open, high, low, close_at, close_arrival, close, volume, notional, count) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
const TICKS: &str = "SELECT timestamp, arrival, price, volume, source_id FROM price_ticks \
    WHERE symbol_id = ?1 AND timestamp >= ?2 AND timestamp < ?3 AND (?4 = 0 OR source_id = ?4) \
    ORDER BY timestamp, arrival";

const NEXT_SOURCE: &str =
    "SELECT min(source_id) FROM candles WHERE symbol_id = ?1 AND source_id > ?2";

/// Whose candles: a symbol and a source of it, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SeriesId {
    pub(super) symbol_id: i64,
    /// [`ALL_SOURCES`], or one.
    pub(super) source_id: i64,
}

/// Reads which sources a symbol has stored candles of, [`ALL_SOURCES`] among them, without reading the candles.
pub(super) fn sources(connection: &Connection, symbol_id: i64) -> Result<Vec<i64>, Fault> {
    let mut statement = connection.prepare_cached(NEXT_SOURCE)?;
    let mut sources = Vec::new();
    let mut last = -1;
    while let Some(next) = statement.query_one([symbol_id, last], |row| row.get(0))? {
        sources.push(next);
        last = next;
    }
    Ok(sources)
}

/// Reads the stored candles whose buckets start within a span, in order.
pub(super) fn candles(
    connection: &Connection,
    series: SeriesId,
    level: Interval,
    span: Span,
) -> Result<Vec<(i64, Candle)>, Fault> {
    let mut statement = connection.prepare_cached(CANDLES)?;
    let SeriesId { symbol_id, source_id } = series;
    let mut rows =
        statement.query(params![symbol_id, source_id, level.name(), span.from, span.until])?;
    let mut candles = Vec::new();
    while let Some(row) = rows.next()? {
        candles.push((row.get(0)?, read(row)?));
    }
    Ok(candles)
}

/// Writes a candle in the place of the one that is stored.
pub(super) fn put_candle(
    connection: &Connection,
    series: SeriesId,
    level: Interval,
    bucket: i64,
    candle: &Candle,
) -> Result<(), Fault> {
    connection.prepare_cached(PUT_CANDLE)?.execute(params![
        series.symbol_id,
        series.source_id,
        level.name(),
        bucket,
        candle.open_at.timestamp.micros(),
        whole(candle.open_at.arrival.0),
        candle.open.to_string(),
        candle.high.to_string(),
        candle.low.to_string(),
        candle.close_at.timestamp.micros(),
        whole(candle.close_at.arrival.0),
        candle.close.to_string(),
        candle.volume.map(|sum| sum.to_string()),
        candle.notional.map(|sum| sum.to_string()),
        whole(candle.count),
    ])?;
    Ok(())
}

/// Gives each tick of a span, in order, as (time, source, candle of one), until told to stop.
pub(super) fn each_tick(
    connection: &Connection,
    series: SeriesId,
    span: Span,
    mut take: impl FnMut(i64, i64, Candle) -> ControlFlow<()>,
) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(TICKS)?;
    let mut rows = statement.query([series.symbol_id, span.from, span.until, series.source_id])?;
    while let Some(row) = rows.next()? {
        let candle = Candle::of_one(
            codec::order_key(row, 0)?,
            codec::price(row, 2)?,
            codec::volume(row, 3)?,
        );
        if take(row.get(0)?, row.get(4)?, candle).is_break() {
            break;
        }
    }
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Candle, Fault> {
    Ok(Candle {
        open_at: codec::order_key(row, 1)?,
        open: codec::price(row, 3)?,
        high: codec::price(row, 4)?,
        low: codec::price(row, 5)?,
        close_at: codec::order_key(row, 6)?,
        close: codec::price(row, 8)?,
        volume: codec::sum(row, 9)?,
        notional: codec::sum(row, 10)?,
        count: codec::count(row, 11)?,
    })
}
