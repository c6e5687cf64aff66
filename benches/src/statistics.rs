//! Medians, percentiles, rates.

use std::fmt;
use std::time::{Duration, Instant};

/// Times `work`, repeated until at least `least` has passed; gives the mean time of one.
pub fn time_of(least: Duration, mut work: impl FnMut()) -> Duration {
    let started = Instant::now();
    let mut repeats = 0_u32;
    while started.elapsed() < least {
        work();
        repeats += 1;
    }
    started.elapsed() / repeats.max(1)
}

/// Gives the median of some figures; NaN of none.
pub fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Gives a number as a float, for rates.
#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
pub fn count(number: u64) -> f64 {
    number as f64
}

/// How latencies are spread, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Half are at most this.
    pub p50: f64,
    /// Of a hundred, 95 are at most this.
    pub p95: f64,
    /// Of a hundred, 99 are at most this.
    pub p99: f64,
}

impl Spread {
    /// Sums latencies in microseconds up; all zero of none.
    pub fn of(latencies_us: &mut [u32]) -> Self {
        latencies_us.sort_unstable();
        let at = |percent: usize| {
            let idx = (latencies_us.len() * percent).div_ceil(100).saturating_sub(1);
            f64::from(latencies_us.get(idx).copied().unwrap_or(0)) / 1e3
        };
        Self { p50: at(50), p95: at(95), p99: at(99) }
    }

    /// Gives the median of each percentile over rounds.
    pub fn median(rounds: &[Self]) -> Self {
        let of = |pick: fn(&Self) -> f64| median(&mut rounds.iter().map(pick).collect::<Vec<_>>());
        Self { p50: of(|it| it.p50), p95: of(|it| it.p95), p99: of(|it| it.p99) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p95, p99 } = self;
        write!(f, "P50 {p50:.2}, P95 {p95:.2}, P99 {p99:.2} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_nearest_rank() {
        let mut latencies: Vec<u32> = (1..=100).rev().map(|number| number * 1_000).collect();
        assert_eq!(Spread::of(&mut latencies), Spread { p50: 50.0, p95: 95.0, p99: 99.0 });
        assert_eq!(Spread::of(&mut [7_000]), Spread { p50: 7.0, p95: 7.0, p99: 7.0 });
        assert_eq!(Spread::of(&mut []), Spread { p50: 0.0, p95: 0.0, p99: 0.0 });
    }
}
