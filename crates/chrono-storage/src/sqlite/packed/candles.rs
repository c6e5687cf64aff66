//! Pages of candles: the buckets of an hour, a day or a month of one symbol and source.
//!
//! A candle is told by how it differs from the close of the one before, its prices by how they differ from its open.

use chrono_domain::{Arrival, Candle, ExactSum, OrderKey, Price, Timestamp};

use super::cursor::{Cursor, put_sized, put_unsigned, put_wide};
use super::seal::{self, Format};
use super::{Damage, values};

/// Least bytes of a candle: slot, two places of two, four prices of two, two sums, count.
const CANDLE_BYTES_MIN: usize = 16;
/// Bytes of a candle, roughly, to make room for.
const CANDLE_BYTES: usize = 64;
/// What the first candle is a distance from.
const ORIGIN: OrderKey = OrderKey { timestamp: Timestamp::MIN, arrival: Arrival(0) };

/// Where a candle stands in its page, and the candle.
pub(in super::super) type Slot = (u16, Candle);

/// Packs candles, sorted by slot.
pub(in super::super) fn encode(candles: &[Slot]) -> Vec<u8> {
    debug_assert!(candles.is_sorted_by(|a, b| a.0 < b.0), "candles are sorted by slot");
    let mut out = seal::begin(Format::Candles, candles.len() * CANDLE_BYTES);
    put_unsigned(&mut out, candles.len() as u64);
    let (mut at, mut price) = (ORIGIN, 0);
    for (slot, candle) in candles {
        put_unsigned(&mut out, (*slot).into());
        values::put_key(&mut out, candle.open_at, at);
        values::put_key(&mut out, candle.close_at, candle.open_at);
        put_price(&mut out, candle.open, price);
        let open = values::mantissa(candle.open);
        for price in [candle.high, candle.low, candle.close] {
            put_price(&mut out, price, open);
        }
        put_sum(&mut out, candle.volume);
        put_sum(&mut out, candle.notional);
        put_unsigned(&mut out, candle.count);
        (at, price) = (candle.close_at, values::mantissa(candle.close));
    }
    seal::finish(out)
}

/// Unpacks candles, sorted by slot.
///
/// # Errors
/// [`Damage`].
pub(in super::super) fn decode(blob: &[u8]) -> Result<Vec<Slot>, Damage> {
    let mut cursor = Cursor::new(seal::open(Format::Candles, blob)?);
    let count = cursor.count(CANDLE_BYTES_MIN)?;
    let (mut at, mut price) = (ORIGIN, 0);
    let mut candles: Vec<Slot> = Vec::with_capacity(count);
    for _ in 0..count {
        let slot = u16::try_from(cursor.unsigned()?).map_err(|_fault| SLOTS)?;
        if candles.last().is_some_and(|(last, _)| *last >= slot) {
            return Err(SLOTS);
        }
        let candle = read_candle(&mut cursor, at, price)?;
        (at, price) = (candle.close_at, values::mantissa(candle.close));
        candles.push((slot, candle));
    }
    cursor.end()?;
    Ok(candles)
}

const SLOTS: Damage = Damage("candles that are not in order");

fn read_candle(cursor: &mut Cursor<'_>, from: OrderKey, price: u128) -> Result<Candle, Damage> {
    let open_at = values::read_key(cursor, from)?;
    let close_at = values::read_key(cursor, open_at)?;
    let open = read_price(cursor, price)?;
    let mut near = || read_price(cursor, values::mantissa(open));
    let (high, low, close) = (near()?, near()?, near()?);
    let (volume, notional) = (read_sum(cursor)?, read_sum(cursor)?);
    let count = cursor.unsigned()?;
    Ok(Candle { open, open_at, high, low, close, close_at, volume, notional, count })
}

/// Appends a price's scale, and its integer as a distance with the sign in the lowest bit.
fn put_price(out: &mut Vec<u8>, price: Price, from: u128) {
    out.push(values::scale(price));
    let step = values::mantissa(price).wrapping_sub(from).cast_signed();
    put_wide(out, ((step << 1) ^ (step >> 127)).cast_unsigned());
}

fn read_price(cursor: &mut Cursor<'_>, from: u128) -> Result<Price, Damage> {
    let scale = cursor.byte()?;
    let folded = cursor.wide()?;
    let step = (folded >> 1) ^ (folded & 1).wrapping_neg();
    values::price(from.wrapping_add(step), scale)
}

/// Appends a sum's scale plus one and the bytes of its integer, highest zeros left out; or a zero for none.
fn put_sum(out: &mut Vec<u8>, sum: Option<ExactSum>) {
    let Some((integer, scale)) = sum.map(ExactSum::to_parts) else { return out.push(0) };
    let zeros = integer.iter().rev().take_while(|byte| **byte == 0).count();
    out.push(scale.saturating_add(1));
    put_sized(out, integer.get(..integer.len() - zeros).unwrap_or_default());
}

fn read_sum(cursor: &mut Cursor<'_>) -> Result<Option<ExactSum>, Damage> {
    const NO_SUM: Damage = Damage("a sum outside its bounds");
    let Some(scale) = cursor.byte()?.checked_sub(1) else { return Ok(None) };
    let bytes = cursor.sized()?;
    let mut integer = [0; 32];
    integer.get_mut(..bytes.len()).ok_or(NO_SUM)?.copy_from_slice(bytes);
    ExactSum::try_from_parts(integer, scale).map(Some).map_err(|_fault| NO_SUM)
}
