//! Times in whole microseconds since 1970, UTC.

use std::fmt;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Microseconds in a second.
const SECOND: i64 = 1_000_000;
/// The last microsecond of the year 9999, the last that RFC 3339 can write.
const MAX_MICROS: i64 = 253_402_300_799_999_999;
/// Bytes of a date, behind which stands what separates it from the hour.
const DATE_BYTES: usize = 10;
/// Below this an epoch number in a query counts seconds (the year 5138), up to a thousand times it milliseconds.
const EPOCH_SECONDS_MAX: i64 = 100_000_000_000;

/// Says why something is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimestampError {
    /// Not RFC 3339 with a zone.
    #[error("not an RFC 3339 time with a zone")]
    Format,
    /// Before 1970 or after 9999.
    #[error("outside the years 1970 to 9999")]
    Range,
}

impl TimestampError {
    /// Says what would have been accepted, in words fit for an error body.
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Format => "RFC 3339 with a zone, such as 2025-10-09T12:34:56.123Z",
            Self::Range => "a time in the years 1970 to 9999",
        }
    }
}

/// A point in time between 1970 and 9999, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The start of 1970.
    pub const MIN: Self = Self(0);
    /// The last microsecond of 9999.
    pub const MAX: Self = Self(MAX_MICROS);

    /// Takes microseconds since 1970.
    ///
    /// # Errors
    /// [`TimestampError::Range`] before 1970 and after 9999.
    pub fn from_micros(micros: i64) -> Result<Self, TimestampError> {
        if (0..=MAX_MICROS).contains(&micros) {
            Ok(Self(micros))
        } else {
            Err(TimestampError::Range)
        }
    }

    /// Reads RFC 3339 with a zone, a `T` or a space before the hour; digits finer than a microsecond are cut off, never
    /// rounded.
    ///
    /// # Errors
    /// [`TimestampError::Format`] or [`TimestampError::Range`].
    pub fn parse_rfc3339(text: &str) -> Result<Self, TimestampError> {
        if let Some(usual) = parse_usual(text.as_bytes()) {
            return Ok(usual);
        }
        // The parser takes any character there.
        if !matches!(text.as_bytes().get(DATE_BYTES), Some(b'T' | b't' | b' ')) {
            return Err(TimestampError::Format);
        }
        let parsed =
            OffsetDateTime::parse(text, &Rfc3339).map_err(|_fault| TimestampError::Format)?;
        let micros = parsed.unix_timestamp_nanos().div_euclid(1_000);
        i64::try_from(micros).map_err(|_fault| TimestampError::Range).and_then(Self::from_micros)
    }

    /// Reads RFC 3339, or an epoch number whose size tells its unit.
    ///
    /// Below 10^11 it counts seconds, below 10^14 milliseconds, else microseconds.
    ///
    /// # Errors
    /// [`TimestampError::Format`] or [`TimestampError::Range`].
    pub fn parse_query(text: &str) -> Result<Self, TimestampError> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Self::parse_rfc3339(text);
        }
        let number: i64 = text.parse().map_err(|_fault| TimestampError::Range)?;
        let unit = if number < EPOCH_SECONDS_MAX {
            SECOND
        } else if number < EPOCH_SECONDS_MAX * 1_000 {
            1_000
        } else {
            1
        };
        number.checked_mul(unit).ok_or(TimestampError::Range).and_then(Self::from_micros)
    }

    /// Gives microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Gives the time `by` later, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(by).min(MAX_MICROS))
    }

    /// Gives the time `by` earlier, at least [`Timestamp::MIN`].
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(by).max(0))
    }

    /// Cuts what is finer than a millisecond off.
    #[must_use]
    pub const fn to_millis(self) -> Self {
        Self(self.0 - self.0 % 1_000)
    }

    /// Gives how long `earlier` lies back, zero when it does not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// Prints with three decimals, six where the microseconds ask for them: `2025-10-09T12:34:56.123Z`.
    pub fn tick_text(self) -> impl fmt::Display {
        let digits = if self.0 % 1_000 == 0 { 3 } else { 6 };
        Text { at: self, digits }
    }

    /// Prints with six decimals whatever they are, so that texts sort as times do: `2025-10-09T12:34:56.123000Z`.
    pub fn sortable_text(self) -> impl fmt::Display {
        Text { at: self, digits: 6 }
    }

    /// Prints without decimals, as buckets are shown: `2025-10-09T12:00:00Z`.
    pub fn bucket_text(self) -> impl fmt::Display {
        Text { at: self, digits: 0 }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tick_text().fmt(f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

/// Reads the form that machines write, `2025-10-09T12:34:56[.123456789]Z`; all others, and all faults, are none.
fn parse_usual(text: &[u8]) -> Option<Timestamp> {
    let (&head, rest) = text.split_first_chunk::<19>()?;
    let fraction = rest.strip_suffix(b"Z")?;
    let [y0, y1, y2, y3, b'-', mo0, mo1, b'-', d0, d1, b'T', h0, h1, b':', mi0, mi1, b':', s0, s1] =
        head
    else {
        return None;
    };
    let year = number(&[y0, y1, y2, y3])?;
    let (month, day) = (number(&[mo0, mo1])?, number(&[d0, d1])?);
    let (hour, minute, second) = (number(&[h0, h1])?, number(&[mi0, mi1])?, number(&[s0, s1])?);
    if year < 1970 || day < 1 || day > days_of_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(Timestamp(seconds * SECOND + micros_of(fraction)?))
}

/// Gives the microseconds of a fraction with its point, or of none at all; finer digits are cut off.
fn micros_of(fraction: &[u8]) -> Option<i64> {
    let Some((point, digits)) = fraction.split_first() else { return Some(0) };
    if *point != b'.' || !(1..=9).contains(&digits.len()) {
        return None;
    }
    let kept = digits.get(..6).unwrap_or(digits);
    number(digits)?;
    let missing = u32::try_from(6 - kept.len()).ok()?;
    Some(number(kept)? * 10_i64.pow(missing))
}

/// Reads at most 18 plain digits.
fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |sum, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then(|| sum * 10 + i64::from(digit))
    })
}

/// Gives the length of a month from 1 to 12, and zero for every other number.
const fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 0,
    }
}

/// Counts the days from 1970 to a date of the Gregorian calendar, after `days_from_civil` of
/// <https://howardhinnant.github.io/date_algorithms.html>; for years from 1 on.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is their last.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

struct Text {
    at: Timestamp,
    digits: usize,
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of all microseconds the last six digits are shown.
        let (seconds, micros) = (self.at.0 / SECOND, self.at.0);
        let (year, month, day) = date_of(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        let digit = |number: i64| u8::try_from(number % 10).map_or(b'0', |digit| b'0' + digit);
        let pair = |number: i64| [digit(number / 10), digit(number)];
        let triple = |number: i64| [digit(number / 100), digit(number / 10), digit(number)];
        let ([y0, y1], [y2, y3]) = (pair(year / 100), pair(year));
        let ([mo0, mo1], [d0, d1], [h0, h1]) = (pair(month), pair(day), pair(hour));
        let ([mi0, mi1], [s0, s1]) = (pair(minute), pair(second));
        let ([f0, f1, f2], [f3, f4, f5]) = (triple(micros / 1_000), triple(micros));
        let text = [
            y0, y1, y2, y3, b'-', mo0, mo1, b'-', d0, d1, b'T', h0, h1, b':', mi0, mi1, b':', s0,
            s1, b'.', f0, f1, f2, f3, f4, f5,
        ];
        let kept = match self.digits {
            0 => text.get(..19),
            3 => text.get(..23),
            _ => Some(text.as_slice()),
        };
        // Digits and marks are UTF-8 whatever they say.
        f.write_str(std::str::from_utf8(kept.unwrap_or_default()).unwrap_or_default())?;
        f.write_str("Z")
    }
}

/// Gives year, month and day of a number of days since 1970, after `civil_from_days` of
/// <https://howardhinnant.github.io/date_algorithms.html>; for days from 1970 on.
const fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Counted from March, as the years are.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = year_of_era + era * 400;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cuts_finer_digits_and_never_rounds() {
        for text in ["2021-04-17T16:44:40.9339639Z", "2021-04-17T16:44:40.933963999999Z"] {
            assert_eq!(
                Timestamp::parse_rfc3339(text).unwrap().to_string(),
                "2021-04-17T16:44:40.933963Z"
            );
        }
    }

    #[test]
    fn prints_three_decimals_or_six() {
        let text = |text| Timestamp::parse_rfc3339(text).unwrap().to_string();
        assert_eq!(text("2025-10-09T14:34:56+02:00"), "2025-10-09T12:34:56.000Z");
        assert_eq!(text("2025-10-09T12:34:56.1234Z"), "2025-10-09T12:34:56.123400Z");
        assert_eq!(Timestamp::MIN.bucket_text().to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn guesses_the_unit_of_an_epoch_number() {
        let at = Timestamp::parse_rfc3339("2025-10-09T12:34:56Z").unwrap();
        for text in ["1760013296", "1760013296000", "1760013296000000"] {
            assert_eq!(Timestamp::parse_query(text), Ok(at));
        }
        for (text, micros) in [
            ("99999999999", 99_999_999_999_000_000),
            ("100000000000", 100_000_000_000_000),
            ("99999999999999", 99_999_999_999_999_000),
            ("100000000000000", 100_000_000_000_000),
        ] {
            assert_eq!(Timestamp::parse_query(text).map(Timestamp::micros), Ok(micros));
        }
        assert_eq!(Timestamp::parse_query("9223372036854775807"), Err(TimestampError::Range));
        assert_eq!(Timestamp::parse_query("99999999999999999999999"), Err(TimestampError::Range));
    }

    #[test]
    fn refuses_times_without_a_zone_and_outside_the_range() {
        for text in [
            "",
            "2025-10-09",
            "2025-10-09T12:34:56",
            "2025-10-09 12:34",
            "2025-10-09x12:34:56Z",
            "now",
            "-1",
            "2025-13-01T00:00:00Z",
        ] {
            assert_eq!(Timestamp::parse_query(text), Err(TimestampError::Format), "{text:?}");
        }
        assert_eq!(
            Timestamp::parse_rfc3339("1969-12-31T23:59:59.999999Z"),
            Err(TimestampError::Range)
        );
        assert!(Timestamp::parse_rfc3339("10000-01-01T00:00:00Z").is_err());
    }

    /// What the `time` crate makes of a text; it takes more before the hour than we do.
    fn oracle(text: &str) -> Result<Timestamp, TimestampError> {
        if text.get(DATE_BYTES..).is_none_or(|rest| !rest.starts_with(['T', 't', ' '])) {
            return Err(TimestampError::Format);
        }
        let parsed =
            OffsetDateTime::parse(text, &Rfc3339).map_err(|_fault| TimestampError::Format)?;
        let micros = parsed.unix_timestamp_nanos().div_euclid(1_000);
        i64::try_from(micros)
            .map_err(|_fault| TimestampError::Range)
            .and_then(Timestamp::from_micros)
    }

    #[test]
    fn reads_every_day_as_another_calendar_does() {
        // Every 400 years are alike.
        for day in 0..=146_097 {
            let at = OffsetDateTime::from_unix_timestamp(day * 86_400 + 86_399).unwrap();
            let text = at.format(&Rfc3339).unwrap();
            assert_eq!(parse_usual(text.as_bytes()), oracle(&text).ok(), "{text}");
            assert_eq!(oracle(&text).unwrap().bucket_text().to_string(), text);
        }
    }

    #[test]
    fn refuses_the_days_that_no_month_has() {
        for year in 1969..=2401 {
            for (month, day) in
                (0..=13).flat_map(|month| [0, 29, 30, 31, 32].map(|day| (month, day)))
            {
                let text = format!("{year}-{month:02}-{day:02}T00:00:00Z");
                assert_eq!(parse_usual(text.as_bytes()), oracle(&text).ok(), "{text}");
            }
        }
    }

    #[test]
    fn reads_a_time_with_any_byte_or_pair_of_digits_changed_as_another_parser_does() {
        let usual = "2024-02-29T23:59:59.123456Z";
        let same = |at: usize, length: usize, piece: &str| {
            let mut text = usual.to_owned();
            text.replace_range(at..at + length, piece);
            assert_eq!(Timestamp::parse_rfc3339(&text), oracle(&text), "{text}");
        };
        for at in 0..usual.len() {
            (0..128_u8).for_each(|byte| same(at, 1, char::from(byte).encode_utf8(&mut [0])));
        }
        for at in [0, 2, 5, 8, 11, 14, 17] {
            (0..100).for_each(|pair| same(at, 2, &format!("{pair:02}")));
        }
        for digits in 0..=12 {
            same(19, 7, &format!(".{}", "987654321012".get(..digits).unwrap()));
        }
    }

    #[test]
    fn moves_within_its_years() {
        let at = |micros| Timestamp::from_micros(micros).unwrap();
        let (long, micro) = (Duration::MAX, Duration::from_micros(1));
        for (moved, expected) in [
            (at(5).plus(micro), at(6)),
            (at(5).minus(micro), at(4)),
            (Timestamp::MAX.plus(micro), Timestamp::MAX),
            (Timestamp::MAX.minus(micro).plus(micro), Timestamp::MAX),
            (Timestamp::MIN.plus(long), Timestamp::MAX),
            (Timestamp::MIN.minus(micro), Timestamp::MIN),
            (Timestamp::MAX.minus(long), Timestamp::MIN),
            (at(1_999).to_millis(), at(1_000)),
            (at(2_000).to_millis(), at(2_000)),
        ] {
            assert_eq!(moved, expected);
        }
        assert_eq!((at(7).since(at(5)), at(5).since(at(7))), (2 * micro, Duration::ZERO));
        assert_eq!(Timestamp::from_micros(-1), Err(TimestampError::Range));
        assert_eq!(Timestamp::from_micros(Timestamp::MAX.micros() + 1), Err(TimestampError::Range));
    }

    proptest! {
        #[test]
        fn reads_what_another_parser_reads(
            date in "(19|20|99|00)[0-9]{2}-[01][0-9]-[0-3][0-9]",
            between in "[Tt _x]",
            time in "[0-2][0-9]:[0-6][0-9]:([0-5][0-9]|60)",
            fraction in "(\\.[0-9]{0,12})?",
            zone in "(Z|z|[+-][0-2][0-9]:[0-5][0-9]|)",
        ) {
            let text = format!("{date}{between}{time}{fraction}{zone}");
            prop_assert_eq!(Timestamp::parse_rfc3339(&text), oracle(&text), "{}", text);
        }

        #[test]
        fn prints_what_another_printer_does(micros in 0_i64..=MAX_MICROS, digits in 0_u8..3) {
            let rounded = match digits { 0 => micros, 1 => micros / 1_000 * 1_000, _ => micros / SECOND * SECOND };
            let at = Timestamp::from_micros(rounded).unwrap();
            let other = OffsetDateTime::from_unix_timestamp_nanos(i128::from(rounded) * 1_000).unwrap();
            let shown = at.to_string();
            prop_assert_eq!(OffsetDateTime::parse(&shown, &Rfc3339).unwrap(), other);
            prop_assert_eq!(shown.len(), if rounded % 1_000 == 0 { 24 } else { 27 });
        }

        #[test]
        fn reads_back_what_it_prints(micros in 0_i64..=MAX_MICROS) {
            let at = Timestamp::from_micros(micros).unwrap();
            prop_assert_eq!(Timestamp::parse_rfc3339(&at.to_string()), Ok(at));
        }
    }
}
