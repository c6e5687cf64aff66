//! The newest tick of each source of a symbol, whole.

use chrono_domain::{Arrival, Metadata, OrderKey, Timestamp};

use super::cursor::{Cursor, put_unsigned};
use super::seal::{self, Format};
use super::{Damage, Row, values};

/// Least bytes of a tick: place of two, two ids, time, price of two, volume, metadata.
const TICK_BYTES_MIN: usize = 9;
/// Bytes of a tick, roughly, to make room for.
const TICK_BYTES: usize = 40;
/// What the first place is a distance from.
const ORIGIN: OrderKey = OrderKey { timestamp: Timestamp::MIN, arrival: Arrival(0) };

/// A tick with its metadata.
pub(in super::super) type Whole = (Row, Option<Metadata>);

/// Writes ticks, in any order.
pub(in super::super) fn encode(ticks: &[Whole]) -> Vec<u8> {
    let mut out = seal::begin(Format::Newest, ticks.len() * TICK_BYTES);
    put_unsigned(&mut out, ticks.len() as u64);
    let mut before = ORIGIN;
    for (row, metadata) in ticks {
        values::put_key(&mut out, row.key, before);
        put_unsigned(&mut out, row.source_id.into());
        put_unsigned(&mut out, row.worker_id.into());
        values::put_time(&mut out, row.ingested_at, row.key.timestamp);
        values::put_price(&mut out, row.price);
        values::put_volume(&mut out, row.volume);
        values::put_metadata(&mut out, metadata.as_ref());
        before = row.key;
    }
    seal::finish(out)
}

/// Reads ticks, in the order in which they were written.
///
/// # Errors
/// [`Damage`].
pub(in super::super) fn decode(blob: &[u8]) -> Result<Vec<Whole>, Damage> {
    let mut cursor = Cursor::new(seal::open(Format::Newest, blob)?);
    let count = cursor.count(TICK_BYTES_MIN)?;
    let mut before = ORIGIN;
    let tick = |_| {
        let key = values::read_key(&mut cursor, before)?;
        before = key;
        let (source_id, worker_id) = (cursor.id()?, cursor.id()?);
        let ingested_at = values::read_time(&mut cursor, key.timestamp)?;
        let price = values::read_price(&mut cursor)?;
        let volume = values::read_volume(&mut cursor)?;
        let row = Row { key, source_id, worker_id, price, volume, ingested_at };
        Ok((row, values::read_metadata(&mut cursor)?))
    };
    let ticks = (0..count).map(tick).collect::<Result<_, _>>()?;
    cursor.end()?;
    Ok(ticks)
}
