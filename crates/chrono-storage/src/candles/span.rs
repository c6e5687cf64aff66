//! Stretches of time in microseconds, and where buckets lie on them.

use chrono_domain::{Interval, Timestamp};

/// The first microsecond that is no timestamp.
const END: i64 = Timestamp::MAX.micros() + 1;

/// A stretch of time: `from` belongs to it, `until` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: i64,
    pub(crate) until: i64,
}

impl Span {
    /// Takes two moments that both belong to it.
    pub(crate) const fn closed(from: Timestamp, to: Timestamp) -> Self {
        Self { from: from.micros(), until: to.micros() + 1 }
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.from >= self.until
    }

    /// Gives what lies in both.
    pub(crate) fn within(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), until: self.until.min(other.until) }
    }
}

/// Gives the length of an interval in microseconds.
pub(crate) fn micros(interval: Interval) -> i64 {
    i64::try_from(interval.duration().as_micros()).unwrap_or(i64::MAX)
}

/// Gives the bucket that holds `at`; moments before 1970 and after 9999 count as the nearest timestamp.
pub(crate) fn bucket(interval: Interval, at: i64) -> Span {
    let at = Timestamp::from_micros(at.clamp(0, END - 1)).unwrap_or(Timestamp::MIN);
    let end = interval.bucket_end(at);
    // The end of the last bucket is no timestamp: `bucket_end` stops one microsecond short of it.
    let until = if end == Timestamp::MAX { END } else { end.micros() };
    Span { from: interval.bucket(at).micros(), until }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_bucket_hold_the_ends_of_time() {
        let max = Timestamp::MAX.micros();
        for interval in Interval::ALL {
            assert_eq!(bucket(interval, -5).from, 0);
            let last = bucket(interval, i64::MAX);
            assert_eq!((last.until, last), (max + 1, bucket(interval, max)), "{interval}");
            assert!(last.from <= max);
        }
        assert_eq!(bucket(Interval::W1, 0).until, 4 * micros(Interval::D1));
    }
}
