//! Time as a parameter, so that tests can set it.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::Timestamp;

/// Tells the time of day and the time that has passed.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Tells the time of day; it may step when the machine's clock is set.
    fn now(&self) -> Timestamp;

    /// Tells how long the clock has run; it never goes back. For ages, deadlines and rate limits.
    fn uptime(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Starts a clock at an uptime of zero.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else asks")]
    #[expect(clippy::new_without_default, reason = "a clock is started on purpose, in one place")]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else asks")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(micros).unwrap_or(Timestamp::MAX)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else asks")]
    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct ManualClock {
    started: Timestamp,
    micros: AtomicI64,
}

impl ManualClock {
    /// Starts at `now` with an uptime of zero.
    pub fn new(now: Timestamp) -> Self {
        Self { started: now, micros: AtomicI64::new(now.micros()) }
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.micros.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.micros.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
    }

    fn uptime(&self) -> Duration {
        self.now().since(self.started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(Timestamp::from_micros(7).unwrap());
        assert_eq!((clock.now().micros(), clock.uptime()), (7, Duration::ZERO));
        clock.advance(Duration::from_secs(1));
        assert_eq!((clock.now().micros(), clock.uptime()), (1_000_007, Duration::from_secs(1)));
    }

    #[test]
    fn the_system_clock_runs_forward() {
        let clock = SystemClock::new();
        let first = clock.uptime();
        assert!(clock.uptime() >= first);
        assert!(clock.now() > Timestamp::parse_rfc3339("2026-01-01T00:00:00Z").unwrap());
    }
}
