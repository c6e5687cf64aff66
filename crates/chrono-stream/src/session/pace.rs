//! How fast a client may talk.

use std::time::Duration;

/// A message rate with a burst, kept as one time: the generic cell rate algorithm (ITU-T I.371).
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the messages so far would have been sent at the long-run rate.
    even_at: Duration,
}

impl Pace {
    /// Counts a message; answers whether it is within `burst` at once and `per_second` in the long run.
    pub(super) fn allows(&mut self, now: Duration, per_second: u32, burst: u32) -> bool {
        let step = Duration::from_secs(1) / per_second.max(1);
        let even_at = self.even_at.max(now) + step;
        let allowed = even_at <= now + step * burst.max(1);
        if allowed {
            self.even_at = even_at;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_a_burst_then_the_rate() {
        let mut pace = Pace::default();
        let mut sent = |ms: u64| {
            (0..100).take_while(|_| pace.allows(Duration::from_millis(ms), 20, 40)).count()
        };
        assert_eq!([sent(0), sent(0), sent(49), sent(50), sent(1_050)], [40, 0, 0, 1, 20]);
        assert_eq!(sent(1_000_000), 40);
    }
}
