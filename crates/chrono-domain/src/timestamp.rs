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

    /// Gives how long `earlier` lies back, zero when it does not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// Prints with three decimals, six where the microseconds ask for them: `2025-10-09T12:34:56.123Z`.
    pub fn tick_text(self) -> impl fmt::Display {
        let digits = if self.0 % 1_000 == 0 { 3 } else { 6 };
        Text { at: self, digits }
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

struct Text {
    at: Timestamp,
    digits: usize,
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never fails: the range was checked when the value was made.
        let at =
            OffsetDateTime::from_unix_timestamp(self.at.0 / SECOND).map_err(|_fault| fmt::Error)?;
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        let (hour, minute, second) = at.to_hms();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        let micros = self.at.0 % SECOND;
        match self.digits {
            0 => f.write_str("Z"),
            3 => write!(f, ".{:03}Z", micros / 1_000),
            _ => write!(f, ".{micros:06}Z"),
        }
    }
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

    proptest! {
        #[test]
        fn reads_back_what_it_prints(micros in 0_i64..=MAX_MICROS) {
            let at = Timestamp::from_micros(micros).unwrap();
            prop_assert_eq!(Timestamp::parse_rfc3339(&at.to_string()), Ok(at));
        }
    }
}
