//! Budgets: parse and validate a 100-feed batch ≤ 60 µs; fold 100 feeds into candles ≤ 10 µs.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;

use chrono_benches::load::Request;
use chrono_benches::{Budget, Feeds, Figure, Rounds, median, time_of};
use chrono_domain::{Arrival, Candle, Clock, Interval, StoredTick, SystemClock, Timestamp};
use chrono_ingest::ParsedBatch;

/// Time spent on each contender of a round.
const SPAN: Duration = Duration::from_millis(300);
const SUBJECT: &str = "Values";

fn main() -> anyhow::Result<()> {
    let rounds = Rounds::from_arguments();
    let mut feeds = Feeds::new(1, 100, 0..200, 1..2);
    feeds.prepare(1);
    let now = SystemClock::new().now();
    parse(feeds.body(), now, rounds)?;
    fold(feeds.body(), now, rounds)
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

fn fold(body: &[u8], now: Timestamp, rounds: Rounds) -> anyhow::Result<()> {
    let parsed = ParsedBatch::parse(&mut body.to_vec(), now)?;
    let stored = |(arrival, tick)| StoredTick { tick, arrival: Arrival(arrival), ingested_at: now };
    let ticks: Vec<StoredTick> = (1..).zip(parsed.ticks).map(stored).collect();
    let (mut ours, mut limits) = (Vec::new(), Vec::new());
    let span = rounds.span(SPAN);
    for _ in 0..rounds.count() {
        ours.push(micros(time_of(span, || drop(black_box(fold_once(&ticks))))));
        limits.push(micros(time_of(span, || {
            black_box(
                ticks.iter().map(|stored| stored.tick.price.decimal().mantissa()).sum::<i128>(),
            );
        })));
    }
    let (figure, limit) = (median(&mut ours), median(&mut limits));
    Figure::new(SUBJECT, "fold 100 feeds into candles", figure, "µs")
        .limit(limit)
        .budget(Budget::AtMost(10.0))
        .note("by (symbol, source, minute); limit: one pass that adds the prices' integers")
        .print()
}

fn fold_once(
    ticks: &[StoredTick],
) -> HashMap<(chrono_domain::Symbol, chrono_domain::Source, Timestamp), Option<Candle>> {
    let mut candles = HashMap::with_capacity(ticks.len());
    for stored in ticks {
        let tick = &stored.tick;
        let slot = candles
            .entry((tick.symbol, tick.source, Interval::M1.bucket(tick.timestamp)))
            .or_insert(None);
        Candle::merge_into(slot, Candle::of(stored));
    }
    candles
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
