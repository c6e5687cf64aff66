//! Candle intervals and their buckets, all in UTC.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::Timestamp;

/// Microseconds in a minute.
const MINUTE: i64 = 60_000_000;
/// Microseconds in a day.
const DAY: i64 = 1_440 * MINUTE;
/// The first Monday after the start of 1970, which was a Thursday.
const FIRST_MONDAY: i64 = 4 * DAY;

/// Says that a text names no interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an interval")]
pub struct IntervalError;

impl IntervalError {
    /// Says what would have been accepted, in words fit for an error body.
    pub const fn expected(self) -> &'static str {
        "one of 1m 5m 15m 1h 4h 1d 1w"
    }
}

/// The length of a candle; buckets start at multiples of it, weeks on Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interval {
    /// One minute, stored.
    M1,
    /// Five minutes, merged from minutes.
    M5,
    /// Fifteen minutes, merged from minutes.
    M15,
    /// One hour, stored.
    H1,
    /// Four hours, merged from hours.
    H4,
    /// One day, stored.
    D1,
    /// One week from Monday, merged from days.
    W1,
}

impl Interval {
    /// Every interval, shortest first.
    pub const ALL: [Self; 7] =
        [Self::M1, Self::M5, Self::M15, Self::H1, Self::H4, Self::D1, Self::W1];

    /// Gives the name used in queries.
    pub const fn name(self) -> &'static str {
        match self {
            Self::M1 => "1m",
            Self::M5 => "5m",
            Self::M15 => "15m",
            Self::H1 => "1h",
            Self::H4 => "4h",
            Self::D1 => "1d",
            Self::W1 => "1w",
        }
    }

    /// Gives the length.
    pub const fn duration(self) -> Duration {
        Duration::from_micros(self.micros().unsigned_abs())
    }

    /// Gives the stored interval that this one is merged from: a minute, an hour or a day.
    #[must_use]
    pub const fn level(self) -> Self {
        match self {
            Self::M1 | Self::M5 | Self::M15 => Self::M1,
            Self::H1 | Self::H4 => Self::H1,
            Self::D1 | Self::W1 => Self::D1,
        }
    }

    /// Gives the start of the bucket that holds `at`.
    ///
    /// The week that holds the start of 1970 is cut short there.
    pub fn bucket(self, at: Timestamp) -> Timestamp {
        let offset = if self == Self::W1 { FIRST_MONDAY } else { 0 };
        let past = (at.micros() - offset).rem_euclid(self.micros());
        Timestamp::from_micros(at.micros() - past).unwrap_or(Timestamp::MIN)
    }

    /// Gives the first moment after the bucket that holds `at`, which is the start of the next one.
    pub fn bucket_end(self, at: Timestamp) -> Timestamp {
        let offset = if self == Self::W1 { FIRST_MONDAY } else { 0 };
        let left = self.micros() - (at.micros() - offset).rem_euclid(self.micros());
        Timestamp::from_micros(at.micros() + left).unwrap_or(Timestamp::MAX)
    }

    const fn micros(self) -> i64 {
        match self {
            Self::M1 => MINUTE,
            Self::M5 => 5 * MINUTE,
            Self::M15 => 15 * MINUTE,
            Self::H1 => 60 * MINUTE,
            Self::H4 => 240 * MINUTE,
            Self::D1 => DAY,
            Self::W1 => 7 * DAY,
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Interval {
    type Err = IntervalError;

    fn from_str(text: &str) -> Result<Self, IntervalError> {
        Self::ALL.into_iter().find(|interval| interval.name() == text).ok_or(IntervalError)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn starts_weeks_on_monday() {
        let at = |text| Timestamp::parse_rfc3339(text).unwrap();
        assert_eq!(Interval::W1.bucket(at("2026-11-22T10:00:00Z")), at("2026-11-16T00:00:00Z"));
        assert_eq!(Interval::W1.bucket(at("2026-11-16T00:00:00Z")), at("2026-11-16T00:00:00Z"));
        assert_eq!(Interval::W1.bucket_end(at("2026-11-16T00:00:00Z")), at("2026-11-23T00:00:00Z"));
        assert_eq!(Interval::W1.bucket(at("1970-01-02T00:00:00Z")), Timestamp::MIN);
    }

    #[test]
    fn reads_its_own_names_only_and_lasts_what_they_say() {
        let lengths = [
            ("1m", 1),
            ("5m", 5),
            ("15m", 15),
            ("1h", 60),
            ("4h", 240),
            ("1d", 1_440),
            ("1w", 10_080),
        ];
        for (interval, (name, minutes)) in Interval::ALL.into_iter().zip(lengths) {
            assert_eq!(name.parse(), Ok(interval));
            assert_eq!(interval.to_string(), name);
            assert_eq!(interval.duration(), Duration::from_mins(minutes));
        }
        for text in ["", "1M", "2m", "60", "1h "] {
            assert_eq!(text.parse::<Interval>(), Err(IntervalError));
        }
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_moment_and_levels_nest(micros in 0_i64..4_000_000_000_000_000, which in 0_usize..7) {
            let (at, interval) = (Timestamp::from_micros(micros).unwrap(), Interval::ALL[which]);
            let (start, end) = (interval.bucket(at), interval.bucket_end(at));
            prop_assert!(start <= at && at < end);
            prop_assert_eq!(interval.bucket(start), start);
            prop_assert_eq!(interval.bucket(end), end);
            prop_assert!(interval.level().bucket(at) >= start && interval.level().bucket_end(at) <= end);
        }
    }
}
