//! Candles once more, straight from recorded rows and in integers of any length: what the spec's SQL says.
//!
//! It shares no arithmetic with the gateway: prices and volumes are whole numbers of 10^-18, buckets are found by
//! dividing, and every candle is folded from nothing.

use std::collections::BTreeMap;

use num_bigint::BigUint;

use crate::recordings::Expected;

/// Digits after the point of every number here.
const SCALE: usize = 18;
/// Microseconds in a day.
const DAY: i64 = 86_400_000_000;
/// The first Monday of 1970, in days.
const FIRST_MONDAY: i64 = 4;

/// The figures of a bucket, as they must be printed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) open: String,
    pub(crate) high: String,
    pub(crate) low: String,
    pub(crate) close: String,
    pub(crate) volume: Option<String>,
    pub(crate) vwap: Option<String>,
    pub(crate) num_feeds: usize,
}

/// Gives the length of an interval in microseconds.
pub(crate) fn micros(interval: &str) -> i64 {
    let (count, unit) = interval.split_at(interval.len() - 1);
    let unit = match unit {
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => DAY,
        "w" => 7 * DAY,
        unit => panic!("{unit}"),
    };
    count.parse::<i64>().unwrap() * unit
}

/// Gives the start of the bucket that holds a time; weeks start on Monday.
pub(crate) fn start_of(at: i64, interval: &str) -> i64 {
    let (length, shift) = (micros(interval), if interval == "1w" { FIRST_MONDAY * DAY } else { 0 });
    (at - shift).div_euclid(length) * length + shift
}

/// Folds rows, which are in order of time and arrival.
pub(crate) fn fold(rows: &[&Expected], interval: &str) -> BTreeMap<i64, Bucket> {
    let mut buckets: BTreeMap<i64, Vec<&Expected>> = BTreeMap::new();
    for row in rows {
        buckets.entry(start_of(row.at.micros(), interval)).or_default().push(row);
    }
    buckets.into_iter().map(|(start, rows)| (start, bucket(&rows))).collect()
}

fn bucket(rows: &[&Expected]) -> Bucket {
    let prices: Vec<&str> = rows.iter().map(|row| row.row.price.as_str()).collect();
    let traded: Vec<(&str, &str)> = rows
        .iter()
        .filter_map(|row| Some((row.row.price.as_str(), row.row.volume.as_deref()?)))
        .collect();
    // Of equal prices that with more decimals.
    let high = prices.iter().max_by_key(|price| (whole(price), decimals(price))).unwrap();
    let low =
        prices.iter().min_by_key(|price| (whole(price), usize::MAX - decimals(price))).unwrap();
    let (open, close) = (prices[0], prices[prices.len() - 1]);
    let volume: BigUint = traded.iter().map(|(_, volume)| whole(volume)).sum();
    let notional: BigUint = traded.iter().map(|(price, volume)| whole(price) * whole(volume)).sum();
    let shown = traded.iter().map(|(_, volume)| decimals(volume)).max();
    let places = [open, high, low, close].map(decimals).into_iter().max().unwrap();
    let traded_something = volume != BigUint::ZERO;
    Bucket {
        open: open.to_owned(),
        high: (*high).to_owned(),
        low: (*low).to_owned(),
        close: close.to_owned(),
        vwap: traded_something.then(|| quotient(&notional, &volume, places)),
        volume: shown.map(|shown| point(&(volume / ten(SCALE - shown)), shown)),
        num_feeds: rows.len(),
    }
}

fn whole(text: &str) -> BigUint {
    let (integer, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{integer}{fraction:0<SCALE$}").parse().unwrap()
}

fn decimals(text: &str) -> usize {
    text.split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

fn ten(exponent: usize) -> BigUint {
    BigUint::from(10_u32).pow(u32::try_from(exponent).unwrap())
}

/// Divides to six places more than `places`, at most 18, half to even; zeros beyond `places` are left out.
fn quotient(top: &BigUint, bottom: &BigUint, places: usize) -> String {
    let computed = (places + 6).min(SCALE);
    let bottom = bottom * ten(SCALE - computed);
    let (mut units, rest) = (top / &bottom, top % &bottom);
    let twice = rest * 2_u32;
    if twice > bottom || (twice == bottom && units.bit(0)) {
        units += 1_u32;
    }
    let mut text = point(&units, computed);
    while decimals(&text) > places && text.ends_with('0') {
        text.pop();
    }
    text.trim_end_matches('.').to_owned()
}

fn point(units: &BigUint, scale: usize) -> String {
    let digits = format!("{:0>width$}", units.to_string(), width = scale + 1);
    let (integer, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { integer.to_owned() } else { format!("{integer}.{fraction}") }
}
