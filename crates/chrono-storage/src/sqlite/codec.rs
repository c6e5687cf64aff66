//! Values as they lie in columns, and back.

use chrono_domain::{Arrival, OrderKey, Price, Timestamp, Volume};
use rusqlite::Row;

use super::fault::Fault;

/// Reads a place in the order of ticks from two columns.
pub(super) fn order_key(row: &Row<'_>, first: usize) -> Result<OrderKey, Fault> {
    Ok(OrderKey { timestamp: time(row, first)?, arrival: arrival(row, first + 1)? })
}

/// Reads a time.
pub(super) fn time(row: &Row<'_>, column: usize) -> Result<Timestamp, Fault> {
    Ok(Timestamp::from_micros(row.get(column)?)?)
}

/// Reads a time or none.
pub(super) fn time_or_none(row: &Row<'_>, column: usize) -> Result<Option<Timestamp>, Fault> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_micros).transpose()?)
}

/// Reads a price.
pub(super) fn price(row: &Row<'_>, column: usize) -> Result<Price, Fault> {
    Ok(Price::try_new(text(row, column)?)?)
}

/// Reads a volume or none.
pub(super) fn volume(row: &Row<'_>, column: usize) -> Result<Option<Volume>, Fault> {
    Ok(text_or_none(row, column)?.map(Volume::try_new).transpose()?)
}

/// Reads a text where it lies.
pub(super) fn text<'row>(row: &'row Row<'_>, column: usize) -> Result<&'row str, Fault> {
    Ok(row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?)
}

/// Reads a count.
pub(super) fn count(row: &Row<'_>, column: usize) -> Result<u64, Fault> {
    Ok(u64::try_from(row.get::<_, i64>(column)?)?)
}

/// Writes a count or a limit; what no column can hold is more than any column holds.
pub(super) fn whole(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

fn arrival(row: &Row<'_>, column: usize) -> Result<Arrival, Fault> {
    count(row, column).map(Arrival)
}

fn text_or_none<'row>(row: &'row Row<'_>, column: usize) -> Result<Option<&'row str>, Fault> {
    Ok(row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from)?)
}
