//! What the benchmarks share: timing, medians and the line that reports a figure.
//!
//! Each bench prints one JSON object a line: `bench`, `figure`, `unit`, `limit` (what the machine allows, measured in
//! the same run), `ratio` and `note`. `cargo xtask bench` runs them and writes docs/BENCHMARKS.md.

use std::io::Write;
use std::time::{Duration, Instant};

/// Rounds of each contender; they are interleaved and their medians compared.
pub const ROUNDS: usize = 5;

/// One measured figure.
#[derive(Debug)]
pub struct Figure<'a> {
    /// Which budget it belongs to.
    pub bench: &'a str,
    /// The figure.
    pub figure: f64,
    /// Its unit.
    pub unit: &'a str,
    /// The limit measured in the same run, in the same unit.
    pub limit: f64,
    /// Our figure as a share of the limit: 1 is the limit, whichever direction is better.
    pub ratio: f64,
    /// What the limit is, and the budget.
    pub note: &'a str,
}

impl Figure<'_> {
    /// Prints the figure.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn print(&self) -> anyhow::Result<()> {
        let Self { bench, figure, unit, limit, ratio, note } = self;
        let line = serde_json::json!({
            "bench": bench, "figure": figure, "unit": unit, "limit": limit, "ratio": ratio, "note": note,
        });
        Ok(writeln!(std::io::stdout(), "{line}")?)
    }
}

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

/// Gives the median of some figures.
pub fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Gives the JSON of a batch of `feeds` feeds like those of the spec, about 180 bytes each; `turn` varies it.
pub fn batch(worker: &str, feeds: usize, turn: u64, now: &str) -> Vec<u8> {
    let feed = |number: u64| {
        let symbol = number % 200;
        let price = 60_000 + (turn * 7 + number) % 9_999;
        format!(
            r#"{{"symbol":"S{symbol}/USD","price":"{price}.50","volume":"0.{:06}","source":"bench-{}","timestamp":"{now}","metadata":{{"bid":"{price}.25","ask":"{price}.75"}}}}"#,
            (turn + number) % 1_000_000,
            number % 5,
        )
    };
    let first = turn * feeds as u64;
    let feeds: Vec<_> = (first..first + feeds as u64).map(feed).collect();
    format!(r#"{{"worker_id":"{worker}","timestamp":"{now}","feeds":[{}]}}"#, feeds.join(","))
        .into_bytes()
}
