//! Prices, volumes, times and texts, one after the other: for blobs that are written faster than they are read.

use chrono_domain::{Arrival, Metadata, OrderKey, Price, Timestamp, Volume};

use super::Damage;
use super::cursor::{Cursor, put_signed, put_sized, put_wide};

const NO_DECIMAL: Damage = Damage("a number outside the bounds of prices and volumes");

/// Appends a decimal's scale and integer.
pub(super) fn put_price(out: &mut Vec<u8>, price: Price) {
    put_decimal(out, scale(price), mantissa(price));
}

pub(super) fn read_price(cursor: &mut Cursor<'_>) -> Result<Price, Damage> {
    let scale = cursor.byte()?;
    price(cursor.wide()?, scale)
}

/// Appends a volume, or a byte that says that there is none.
pub(super) fn put_volume(out: &mut Vec<u8>, volume: Option<Volume>) {
    match volume {
        Some(volume) => put_decimal(out, shifted_scale(Some(volume)), size(volume)),
        None => out.push(shifted_scale(None)),
    }
}

pub(super) fn read_volume(cursor: &mut Cursor<'_>) -> Result<Option<Volume>, Damage> {
    match cursor.byte()?.checked_sub(1) {
        Some(scale) => volume(cursor.wide()?, scale).map(Some),
        None => Ok(None),
    }
}

fn put_decimal(out: &mut Vec<u8>, scale: u8, mantissa: u128) {
    out.push(scale);
    put_wide(out, mantissa);
}

pub(super) fn mantissa(price: Price) -> u128 {
    price.decimal().mantissa().unsigned_abs()
}

pub(super) fn size(volume: Volume) -> u128 {
    volume.decimal().mantissa().unsigned_abs()
}

pub(super) fn scale(price: Price) -> u8 {
    u8::try_from(price.decimal().scale()).unwrap_or(u8::MAX)
}

/// Gives a volume's scale plus one, and zero for none.
pub(super) fn shifted_scale(volume: Option<Volume>) -> u8 {
    volume.map_or(0, |volume| u8::try_from(volume.decimal().scale() + 1).unwrap_or(u8::MAX))
}

pub(super) fn price(mantissa: u128, scale: u8) -> Result<Price, Damage> {
    Price::try_from_parts(mantissa, scale.into()).map_err(|_fault| NO_DECIMAL)
}

pub(super) fn volume(mantissa: u128, scale: u8) -> Result<Volume, Damage> {
    Volume::try_from_parts(mantissa, scale.into()).map_err(|_fault| NO_DECIMAL)
}

pub(super) fn time(micros: i64) -> Result<Timestamp, Damage> {
    Timestamp::from_micros(micros).map_err(|_fault| Damage("a time outside 1970 to 9999"))
}

/// Appends a time as a distance.
pub(super) fn put_time(out: &mut Vec<u8>, at: Timestamp, from: Timestamp) {
    put_signed(out, at.micros() - from.micros());
}

pub(super) fn read_time(cursor: &mut Cursor<'_>, from: Timestamp) -> Result<Timestamp, Damage> {
    time(from.micros().wrapping_add(cursor.signed()?))
}

/// Appends a place in the order of ticks as a distance.
pub(super) fn put_key(out: &mut Vec<u8>, key: OrderKey, from: OrderKey) {
    put_time(out, key.timestamp, from.timestamp);
    put_signed(out, key.arrival.0.wrapping_sub(from.arrival.0).cast_signed());
}

pub(super) fn read_key(cursor: &mut Cursor<'_>, from: OrderKey) -> Result<OrderKey, Damage> {
    let timestamp = read_time(cursor, from.timestamp)?;
    let arrival = Arrival(from.arrival.0.wrapping_add_signed(cursor.signed()?));
    Ok(OrderKey { timestamp, arrival })
}

/// Appends metadata, or a byte that says that there is none.
pub(super) fn put_metadata(out: &mut Vec<u8>, metadata: Option<&Metadata>) {
    put_sized(out, metadata.map_or("", Metadata::as_str).as_bytes());
}

pub(super) fn read_metadata(cursor: &mut Cursor<'_>) -> Result<Option<Metadata>, Damage> {
    let text = text(cursor.sized()?)?;
    // No JSON object is empty text.
    Ok(if text.is_empty() { None } else { Some(Metadata::from_canonical(text)) })
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, Damage> {
    std::str::from_utf8(bytes).map_err(|_fault| Damage("a text that is not UTF-8"))
}
