//! When each tick of a replay is due.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use chrono_domain::Timestamp;

/// How fast a recording is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Speed {
    /// As fast as the gateway takes it.
    #[default]
    Max,
    /// This many times as fast as it was recorded, in thousandths.
    Times(NonZeroU32),
}

/// Says that a text is no speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a speed: \"max\", or a factor such as 1 or 2.5 with at most three decimals, up to 1000000"
)]
pub struct SpeedError;

/// Thousandths in one.
const THOUSAND: u32 = 1_000;
/// Fastest factor; beyond it `max` says the same.
const FACTOR_MAX: u32 = 1_000_000;

impl FromStr for Speed {
    type Err = SpeedError;

    fn from_str(text: &str) -> Result<Self, SpeedError> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 3 {
            return Err(SpeedError);
        }
        let whole: u32 = whole.parse().map_err(|_fault| SpeedError)?;
        let thousandths: u32 = format!("{decimals:0<3}").parse().map_err(|_fault| SpeedError)?;
        if whole > FACTOR_MAX {
            return Err(SpeedError);
        }
        NonZeroU32::new(whole * THOUSAND + thousandths).map(Self::Times).ok_or(SpeedError)
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Times(thousandths) = self else { return f.write_str("max") };
        let (whole, rest) = (thousandths.get() / THOUSAND, thousandths.get() % THOUSAND);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        f.write_str(format!("{whole}.{rest:03}").trim_end_matches('0'))
    }
}

/// Walks through the times of a recording and tells when each tick is due.
///
/// Recordings are in the order of arrival, so times go back now and then: such ticks are due at once. Only what is
/// newer than everything before takes time.
#[derive(Debug, Clone)]
pub struct Pacer {
    speed: Speed,
    pause_max: Duration,
    newest: Option<Timestamp>,
    due: Duration,
}

impl Pacer {
    /// Starts before the first tick. Silences that would last longer than `pause_max` are cut to it.
    pub const fn new(speed: Speed, pause_max: Duration) -> Self {
        Self { speed, pause_max, newest: None, due: Duration::ZERO }
    }

    /// Goes on to a tick and tells when it is due, counted from the start.
    pub fn advance(&mut self, at: Timestamp) -> Duration {
        let newest = self.newest.unwrap_or(at);
        if let Speed::Times(thousandths) = self.speed {
            let pause = at.since(newest).saturating_mul(THOUSAND) / thousandths.get();
            self.due = self.due.saturating_add(pause.min(self.pause_max));
        }
        self.newest = Some(newest.max(at));
        self.due
    }

    /// Gives the newest time so far.
    pub const fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// Tells when the last tick so far is due.
    pub const fn due(&self) -> Duration {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000).unwrap()
    }

    #[test]
    fn reads_factors_and_max() {
        for (text, printed) in
            [("max", "max"), ("1.0", "1"), ("10", "10"), ("0.25", "0.25"), ("2.500", "2.5")]
        {
            assert_eq!(text.parse::<Speed>().unwrap().to_string(), printed);
        }
        for text in ["", "0", "0.000", "-1", "+1", "1.", ".5", "1.0001", "1e3", "fast", "1000001"] {
            assert_eq!(text.parse::<Speed>(), Err(SpeedError), "{text}");
        }
    }

    #[test]
    fn keeps_distances_scaled_and_cuts_silences() {
        let mut pacer = Pacer::new("2".parse().unwrap(), Duration::from_secs(5));
        let due: Vec<u128> = [100_000, 101_000, 100_500, 101_500, 9_999_000, 9_999_100]
            .into_iter()
            .map(|millis| pacer.advance(at(millis)).as_millis())
            .collect();
        assert_eq!(due, [0, 500, 500, 750, 5_750, 5_800]);
    }

    proptest! {
        #[test]
        fn at_full_speed_everything_is_due_at_once(times in prop::collection::vec(0_i64..1_000, 0..20)) {
            let mut pacer = Pacer::new(Speed::Max, Duration::from_secs(5));
            for time in times {
                prop_assert_eq!(pacer.advance(at(time)), Duration::ZERO);
            }
        }

        /// What shifting to now rests on: no tick is ahead of the clock when it is posted.
        #[test]
        fn what_is_left_to_pace_is_never_longer_than_what_is_left_of_the_recording(
            times in prop::collection::vec(0_i64..100_000, 1..30),
            thousandths in 1_000_u32..20_000,
        ) {
            let speed = Speed::Times(NonZeroU32::new(thousandths).unwrap());
            let mut pacer = Pacer::new(speed, Duration::from_secs(5));
            let due: Vec<Duration> = times.iter().map(|&time| pacer.advance(at(time))).collect();
            for (&time, due) in times.iter().zip(due) {
                let recorded = pacer.newest().unwrap().since(at(time));
                prop_assert!(pacer.due().saturating_sub(due) <= recorded + Duration::from_nanos(30));
            }
        }
    }
}
