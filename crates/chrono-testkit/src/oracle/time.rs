//! Times, read digit by digit: neither by the gateway's code nor by the crate that it uses.

/// The last microsecond of 9999.
pub const MICROS_MAX: i64 = 253_402_300_799_999_999;

/// Reads RFC 3339 with a zone, from 1970 to 9999, as microseconds since 1970; finer digits are cut off.
pub fn rfc3339(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = bytes.get(from..to).filter(|part| part.iter().all(u8::is_ascii_digit))?;
        Some(digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
    };
    let is = |place: usize, letters: &[u8]| {
        bytes.get(place).is_some_and(|byte| letters.contains(byte)).then_some(())
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, mut second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    for (place, letters) in [(4, &b"-"[..]), (7, b"-"), (10, b"Tt "), (13, b":"), (16, b":")] {
        is(place, letters)?;
    }
    let mut end = 19;
    let mut micros = 0;
    if is(end, b".").is_some() {
        let digits = bytes[end + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        micros = (0..6).try_fold(0, |sum, place| {
            let digit = if place < digits { number(end + 1 + place, end + 2 + place)? } else { 0 };
            Some(sum * 10 + digit)
        })?;
        end += 1 + digits;
    }
    let offset = zone(&bytes[end..])?;
    if !(1..=12).contains(&month)
        || !(1..=days_of(year, month)).contains(&day)
        || hour > 23
        || minute > 59
    {
        return None;
    }
    // A leap second is the end of the one before it, and may only stand where one can.
    let minutes = days_from_1970(year, month, day) * 1_440 + hour * 60 + minute - offset;
    if second == 60 && is_end_of_a_month(minutes) {
        (second, micros) = (59, 999_999);
    }
    if second > 59 {
        return None;
    }
    let at = (minutes * 60 + second) * 1_000_000 + micros;
    (0..=MICROS_MAX).contains(&at).then_some(at)
}

/// Reads a zone, in minutes east.
fn zone(text: &[u8]) -> Option<i64> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
    match *text {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), a, b, b':', c, d] => {
            let (hours, minutes) = (digit(a)? * 10 + digit(b)?, digit(c)? * 10 + digit(d)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let east = hours * 60 + minutes;
            Some(if sign == b'+' { east } else { -east })
        }
        _ => None,
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
