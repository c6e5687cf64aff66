//! Budgets: parse and validate a 100-feed batch ≤ 60 µs; fold 100 feeds into candles ≤ 10 µs.
//!
//! Folding is what the store's writer does after a commit: it keeps the ticks, too, and its memory fills up as it does
//! between two cycles.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::ensure;
use chrono_benches::load::Request;
use chrono_benches::{Budget, Feeds, Figure, Rounds, Times, count, median, time_of};
use chrono_domain::{Clock, SystemClock, Tick, Timestamp};
use chrono_ingest::ParsedBatch;
use chrono_storage::sqlite::gauge::Commits;

/// Time spent on each contender of a round.
const SPAN: Duration = Duration::from_millis(300);
const SUBJECT: &str = "Values";
/// Feeds of a batch.
const FEEDS: usize = 100;
/// Commits between two cycles of a store as it is shipped.
const COMMITS: u64 = 2_500;
/// Time between two feeds: 200 symbols have one a minute each, 20 have ten.
const STEP: Duration = Duration::from_millis(300);

fn main() -> anyhow::Result<()> {
    let rounds = Rounds::from_arguments();
    let mut feeds = Feeds::new(1, FEEDS, 0..200, 1..2);
    feeds.prepare(1);
    let now = SystemClock::new().now();
    parse(feeds.body(), now, rounds)?;
    fold(200, "a candle each", now, rounds)?;
    fold(20, "ten of each candle", now, rounds)
}

fn parse(body: &[u8], now: Timestamp, rounds: Rounds) -> anyhow::Result<()> {
    let (mut ours, mut limits) = (Vec::new(), Vec::new());
    let span = rounds.span(SPAN);
    for _ in 0..rounds.count() {
        ours.push(micros(time_of(span, || {
            drop(black_box(ParsedBatch::parse(&mut body.to_vec(), now)));
        })));
        limits.push(micros(time_of(span, || {
            drop(black_box(simd_json::to_tape(&mut body.to_vec())));
        })));
    }
    let (figure, limit) = (median(&mut ours), median(&mut limits));
    Figure::new(SUBJECT, "parse and validate 100 feeds", figure, "µs")
        .limit(limit)
        .budget(Budget::AtMost(60.0))
        .note(format!("{} bytes; limit: simd-json's tape of the same bytes", body.len()))
        .print()
}

fn fold(symbols: u64, shape: &str, now: Timestamp, rounds: Rounds) -> anyhow::Result<()> {
    let commits = rounds.of(COMMITS, 50);
    let batches = batches(symbols, commits, now)?;
    let ticks: Vec<Tick> = batches.iter().flatten().cloned().collect();
    let all = Commits::new(batches, now);
    let (mut ours, mut limits) = (Vec::new(), Vec::new());
    let span = rounds.span(SPAN);
    for _ in 0..rounds.count() {
        let (mut took, mut times) = (Duration::ZERO, 0);
        while took < span {
            let copy = all.clone();
            let started = Instant::now();
            let taken = black_box(copy.take());
            took += started.elapsed();
            times += 1;
            ensure!(taken.ticks() == ticks.len() as u64, "{} ticks", taken.ticks());
        }
        ours.push(micros(took) / count(times * commits));
        limits.push(
            micros(time_of(span, || {
                black_box(ticks.iter().map(|tick| tick.price.decimal().mantissa()).sum::<i128>());
            })) / count(commits),
        );
    }
    let (figure, limit) = (median(&mut ours), median(&mut limits));
    Figure::new(SUBJECT, format!("fold 100 feeds into candles, {shape}"), figure, "µs")
        .limit(limit)
        .budget(Budget::AtMost(10.0))
        .note(format!(
            "{symbols} symbols, commits of 100 into the store's memory, {} ticks in all, kept beside their candles by \
             (symbol, source, minute); limit: one pass that adds the prices' integers",
            ticks.len()
        ))
        .print()
}

/// Makes the ticks of so many batches, up to about now.
fn batches(symbols: u64, commits: u64, now: Timestamp) -> anyhow::Result<Vec<Vec<Tick>>> {
    let all = u32::try_from(commits)? * u32::try_from(FEEDS)?;
    let times = Times::From(now.minus(STEP * (all + 200)), STEP);
    let mut feeds = Feeds::new(1, FEEDS, 0..symbols, 1..2).at(times);
    let batch = |turn| {
        feeds.prepare(turn);
        let parsed = ParsedBatch::parse(&mut feeds.body().to_vec(), now)?;
        ensure!(parsed.ticks.len() == FEEDS, "a feed was refused");
        Ok(parsed.ticks)
    };
    (0..commits).map(batch).collect()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
