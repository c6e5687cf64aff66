//! Budgets: parse and validate a 100-feed batch ≤ 60 µs; fold 100 feeds into candles ≤ 10 µs.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;

use chrono_benches::{Figure, ROUNDS, batch, median, time_of};
use chrono_domain::{Arrival, Candle, Interval, StoredTick, Timestamp};
use chrono_ingest::ParsedBatch;

/// Time spent on each contender of a round.
const SPAN: Duration = Duration::from_millis(300);
/// The time of the recorded batch.
const AT: &str = "2025-10-09T12:34:56.123Z";

fn main() -> anyhow::Result<()> {
    let now = Timestamp::parse_rfc3339(AT)?;
    let body = batch("bench-worker-001", 100, 1, AT);
    parse(&body, now)?;
    fold(&body, now)
}

fn parse(body: &[u8], now: Timestamp) -> anyhow::Result<()> {
    let (mut ours, mut limits) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(micros(time_of(SPAN, || {
            drop(black_box(ParsedBatch::parse(&mut body.to_vec(), now)));
        })));
        limits.push(micros(time_of(SPAN, || {
            drop(black_box(simd_json::to_tape(&mut body.to_vec())));
        })));
    }
    let (figure, limit) = (median(&mut ours), median(&mut limits));
    let note =
        format!("{} bytes; limit: simd-json's tape of the same bytes; budget 60 µs", body.len());
    Figure {
        bench: "parse and validate 100 feeds",
        figure,
        unit: "µs",
        limit,
        ratio: limit / figure,
        note: &note,
    }
    .print()
}

fn fold(body: &[u8], now: Timestamp) -> anyhow::Result<()> {
    let parsed = ParsedBatch::parse(&mut body.to_vec(), now)?;
    let stored = |(arrival, tick)| StoredTick { tick, arrival: Arrival(arrival), ingested_at: now };
    let ticks: Vec<StoredTick> = (1..).zip(parsed.ticks).map(stored).collect();
    let (mut ours, mut limits) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(micros(time_of(SPAN, || drop(black_box(fold_once(&ticks))))));
        limits.push(micros(time_of(SPAN, || {
            black_box(
                ticks.iter().map(|stored| stored.tick.price.decimal().mantissa()).sum::<i128>(),
            );
        })));
    }
    let (figure, limit) = (median(&mut ours), median(&mut limits));
    let note =
        "by (symbol, source, minute); limit: one pass that adds the prices' integers; budget 10 µs";
    Figure {
        bench: "fold 100 feeds into candles",
        figure,
        unit: "µs",
        limit,
        ratio: limit / figure,
        note,
    }
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
