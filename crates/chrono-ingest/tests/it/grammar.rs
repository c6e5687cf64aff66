//! What a batch may be, stated again from the documentation, without the crate's own code.

use num_bigint::BigUint;

use crate::json::Json;

/// How far ahead of now a tick may be, in microseconds.
const AHEAD_MAX: i64 = 5_000_000;

/// A feed that is taken, as it must be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) symbol: String,
    pub(crate) source: String,
    pub(crate) price: String,
    pub(crate) volume: Option<String>,
    pub(crate) micros: i64,
}

/// Judges a body: each feed taken or refused, or all refused for the envelope.
pub(crate) fn judge(body: &[u8], now: i64) -> Result<Vec<Result<Taken, ()>>, ()> {
    let batch: Json = serde_json::from_slice(body).map_err(|_broken| ())?;
    let worker = batch.text("worker_id")?;
    if !is_name(worker, 64, is_worker_letter)
        || !worker.starts_with(|c: char| c.is_ascii_alphanumeric())
    {
        return Err(());
    }
    time(batch.text("timestamp")?)?;
    match batch.field("batch_id")? {
        None | Some(Json::Null) => {}
        Some(Json::Text(id)) if is_name(id, 128, |c| c.is_ascii_graphic()) => {}
        Some(_) => return Err(()),
    }
    match batch.field("feeds")? {
        Some(Json::Array(feeds)) if (1..=100).contains(&feeds.len()) => {
            Ok(feeds.iter().map(|json| feed(json, now)).collect())
        }
        _ => Err(()),
    }
}

fn feed(feed: &Json, now: i64) -> Result<Taken, ()> {
    let symbol = feed.text("symbol")?;
    let (base, quote) = symbol.split_once('/').ok_or(())?;
    let source = feed.text("source")?;
    let is_source = is_name(source, 32, is_source_letter)
        && source.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !is_name(base, 20, is_symbol_letter)
        || !is_name(quote, 20, is_symbol_letter)
        || !is_source
        || source == "aggregated"
    {
        return Err(());
    }
    let price = feed.text("price")?;
    let (price_units, price_scale) = decimal(price)?;
    if price_units == BigUint::ZERO {
        return Err(());
    }
    let volume = match feed.field("volume")? {
        None | Some(Json::Null) => None,
        Some(_) => Some(feed.text("volume")?),
    };
    if let Some(volume) = volume {
        let (units, scale) = decimal(volume)?;
        if price_units * units > BigUint::from(10_u8).pow(30 + price_scale + scale) {
            return Err(());
        }
    }
    match feed.field("metadata")? {
        None | Some(Json::Null) => {}
        Some(json @ Json::Object(_)) if json.depth() <= 8 && !json.repeats_a_field() => {}
        Some(_) => return Err(()),
    }
    let micros = time(feed.text("timestamp")?)?;
    if micros > now + AHEAD_MAX {
        return Err(());
    }
    let owned = str::to_owned;
    let (symbol, source, price) = (owned(symbol), owned(source), owned(price));
    Ok(Taken { symbol, source, price, volume: volume.map(owned), micros })
}

fn is_name(text: &str, chars_max: usize, is_letter: impl Fn(char) -> bool) -> bool {
    (1..=chars_max).contains(&text.len()) && text.chars().all(is_letter)
}

fn is_symbol_letter(letter: char) -> bool {
    matches!(letter, 'A'..='Z' | '0'..='9' | '.' | '_' | '-')
}

fn is_source_letter(letter: char) -> bool {
    matches!(letter, 'a'..='z' | '0'..='9' | '.' | '_' | '-')
}

fn is_worker_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | ':' | '-')
}

/// Reads `^(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?$` with at most 28 significant digits, as units and scale.
fn decimal(text: &str) -> Result<(BigUint, u32), ()> {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(()),
        None => (text, ""),
    };
    let is_whole = whole == "0" || is_digits(whole) && !whole.starts_with('0');
    if !(1..=18).contains(&whole.len()) || !is_whole || fraction.len() > 18 || !is_digits(fraction)
    {
        return Err(());
    }
    let digits = format!("{whole}{fraction}");
    if digits.trim_start_matches('0').len() > 28 {
        return Err(());
    }
    Ok((digits.parse().unwrap(), u32::try_from(fraction.len()).unwrap()))
}

/// Reads RFC 3339 with a zone, from 1970 to 9999, as microseconds; finer digits are cut off.
fn time(text: &str) -> Result<i64, ()> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Result<i64, ()> {
        let digits = bytes.get(from..to).filter(|part| part.iter().all(u8::is_ascii_digit));
        digits
            .map(|digits| digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
            .ok_or(())
    };
    let is = |place: usize, letters: &[u8]| {
        let found = bytes.get(place).is_some_and(|byte| letters.contains(byte));
        if found { Ok(()) } else { Err(()) }
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, mut second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    for (place, letters) in [(4, &b"-"[..]), (7, b"-"), (10, b"Tt "), (13, b":"), (16, b":")] {
        is(place, letters)?;
    }
    let mut end = 19;
    let mut micros = 0;
    if is(end, b".").is_ok() {
        let digits = bytes[end + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Err(());
        }
        micros = (0..6).try_fold(0, |sum, place| {
            let digit = if place < digits { number(end + 1 + place, end + 2 + place)? } else { 0 };
            Ok(sum * 10 + digit)
        })?;
        end += 1 + digits;
    }
    let offset = zone(&bytes[end..])?;
    if !(1..=12).contains(&month)
        || !(1..=days_of(year, month)).contains(&day)
        || hour > 23
        || minute > 59
    {
        return Err(());
    }
    // A leap second is the end of the one before it, and may only stand where one can.
    let minutes = days_from_1970(year, month, day) * 1_440 + hour * 60 + minute - offset;
    if second == 60 && is_end_of_a_month(minutes) {
        (second, micros) = (59, 999_999);
    }
    if second > 59 {
        return Err(());
    }
    let at = (minutes * 60 + second) * 1_000_000 + micros;
    if (0..=253_402_300_799_999_999).contains(&at) { Ok(at) } else { Err(()) }
}

/// Reads a zone, in minutes east.
fn zone(text: &[u8]) -> Result<i64, ()> {
    let digit = |byte: u8| if byte.is_ascii_digit() { Ok(i64::from(byte - b'0')) } else { Err(()) };
    match *text {
        [b'Z' | b'z'] => Ok(0),
        [sign @ (b'+' | b'-'), a, b, b':', c, d] => {
            let (hours, minutes) = (digit(a)? * 10 + digit(b)?, digit(c)? * 10 + digit(d)?);
            if hours > 23 || minutes > 59 {
                return Err(());
            }
            let east = hours * 60 + minutes;
            Ok(if sign == b'+' { east } else { -east })
        }
        _ => Err(()),
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_from_1970(year: i64, month: i64, day: i64) -> i64 {
    let leaps = |year: i64| {
        (year - 1).div_euclid(4) - (year - 1).div_euclid(100) + (year - 1).div_euclid(400)
    };
    let of_years = (year - 1970) * 365 + leaps(year) - leaps(1970);
    let of_months: i64 = (1..month).map(|month| days_of(year, month)).sum();
    of_years + of_months + day - 1
}

/// Whether the minute is the last of a month, in UTC.
fn is_end_of_a_month(minutes: i64) -> bool {
    let (mut day, minute) = (minutes.div_euclid(1_440), minutes.rem_euclid(1_440));
    let mut year = 1970;
    while day >= 365 + i64::from(is_leap(year)) {
        day -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    while month < 12 && day >= days_of(year, month) {
        day -= days_of(year, month);
        month += 1;
    }
    minute == 1_439 && day == days_of(year, month) - 1
}
