//! Symbols, sources, intervals, the system's figures, and delegations.

use std::fmt;

use chrono_domain::{Interval, Metadata, Source};
use chrono_storage::StoredDelegation;

use super::{List, OrNull, Text};
use crate::metadata::{SourceInfo, SymbolInfo, SystemInfo};
use crate::queries::{PAGE_ROWS_MAX, Page, SYMBOLS_MAX};
use crate::range::{CANDLE_SPAN_MAX, TICK_SPAN_MAX};

/// Seconds in a day.
const DAY_SECONDS: u64 = 86_400;

pub(crate) fn symbols(page: &Page<SymbolInfo>) -> String {
    paged(page.rows.iter().map(SymbolRow), page)
}

pub(crate) fn delegations(page: &Page<StoredDelegation>) -> String {
    paged(page.rows.iter().map(DelegationRow), page)
}

pub(crate) fn sources(sources: &[SourceInfo]) -> String {
    whole(sources.iter().map(SourceRow))
}

pub(crate) fn intervals(intervals: &[Interval]) -> String {
    whole(intervals.iter().map(IntervalRow))
}

pub(crate) fn system(system: &SystemInfo) -> String {
    let SystemInfo { version, now, num_symbols, num_sources, store, .. } = system;
    let (uptime, ticks, bytes) = (system.uptime.as_secs(), store.ticks, OrNull(store.bytes));
    let interval_ms = system.consensus_interval.as_millis();
    let ticks_days = TICK_SPAN_MAX.as_secs() / DAY_SECONDS;
    let candles_days = CANDLE_SPAN_MAX.as_secs() / DAY_SECONDS;
    format!(
        r#"{{"version":"{version}","timestamp":"{now}","uptime_seconds":{uptime},"num_symbols":{num_symbols},"num_sources":{num_sources},"store":{{"ticks":{ticks},"bytes":{bytes}}},"limits":{{"symbols_max":{SYMBOLS_MAX},"rows_max":{PAGE_ROWS_MAX},"raw_days_max":{ticks_days},"candle_days_max":{candles_days}}},"consensus_interval_ms":{interval_ms},"latency_ms":"#
    )
}

fn paged<T>(rows: impl Iterator<Item: fmt::Display> + Clone, page: &Page<T>) -> String {
    let (rows, count) = (List(rows), page.rows.len());
    let next = OrNull(page.next_cursor.as_ref().map(Text));
    format!(r#"{{"data":{rows},"count":{count},"next_cursor":{next},"latency_ms":"#)
}

fn whole(rows: impl ExactSizeIterator<Item: fmt::Display> + Clone) -> String {
    let count = rows.len();
    format!(r#"{{"data":{},"count":{count},"latency_ms":"#, List(rows))
}

struct SymbolRow<'a>(&'a SymbolInfo);

impl fmt::Display for SymbolRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SymbolInfo { symbol, sources, last } = self.0;
        let (base, quote) = (symbol.base(), symbol.quote());
        let sources = List(sources.iter().map(Text::<&Source>));
        write!(
            f,
            r#"{{"symbol":"{symbol}","base":"{base}","quote":"{quote}","sources":{sources},"last_timestamp":"{last}"}}"#
        )
    }
}

struct SourceRow<'a>(&'a SourceInfo);

impl fmt::Display for SourceRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SourceInfo { source, num_symbols, last } = self.0;
        write!(
            f,
            r#"{{"source":"{source}","num_symbols":{num_symbols},"last_timestamp":"{last}"}}"#
        )
    }
}

struct IntervalRow<'a>(&'a Interval);

impl fmt::Display for IntervalRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.duration().as_secs();
        write!(f, r#"{{"interval":"{}","seconds":{seconds}}}"#, self.0)
    }
}

struct DelegationRow<'a>(&'a StoredDelegation);

impl fmt::Display for DelegationRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = &self.0.delegation;
        let metadata = OrNull(row.metadata.as_ref().map(Metadata::as_str));
        write!(
            f,
            r#"{{"delegator_id":"{}","provider_id":"{}","amount":"{}","percentage":"{}","timestamp":"{}","metadata":{metadata}}}"#,
            row.delegator, row.provider, row.amount, row.percentage, row.timestamp
        )
    }
}
