//! Budgets: pack a tick into its page ≤ 100 ns; read one back ≤ 30 ns.

use std::hint::black_box;
use std::time::Duration;

use chrono_benches::{Budget, Figure, Rounds, median, time_of};
use chrono_domain::{Arrival, Price, Source, StoredTick, Symbol, Tick, Timestamp, Volume};
use chrono_storage::sqlite::gauge::Rows;

/// Time spent on each contender of a round.
const SPAN: Duration = Duration::from_millis(300);
/// Rows of a page.
const PAGE_ROWS: u16 = 1_024;
/// Sources that take turns in it.
const SOURCES: u64 = 5;

fn main() -> anyhow::Result<()> {
    let rounds = Rounds::from_arguments();
    let span = rounds.span(SPAN);
    let (mut packing, mut reading, mut copying) = (Vec::new(), Vec::new(), Vec::new());
    let rows = Rows::new(&ticks()?, |stored| {
        stored.tick.source.as_str().bytes().last().map_or(0, u32::from)
    });
    let page = rows.pack();
    for _ in 0..rounds.count() {
        packing.push(each(span, || drop(black_box(rows.pack()))));
        reading.push(each(span, || assert!(Rows::count(&page).is_some())));
        copying.push(each(span, || drop(black_box(rows.clone()))));
    }
    let limit = median(&mut copying);
    for (bench, mut times, budget) in
        [("pack a tick", packing, 100.0), ("read a packed tick", reading, 30.0)]
    {
        let figure = median(&mut times);
        let bytes = f64::from(u32::try_from(page.len())?) / f64::from(PAGE_ROWS);
        Figure::new("Embedded store", bench, figure, "ns")
            .limit(limit)
            .budget(Budget::AtMost(budget))
            .note(format!("pages of {PAGE_ROWS}, {bytes:.2} bytes a tick; limit: a copy in memory"))
            .print()?;
    }
    Ok(())
}

/// Gives the nanoseconds of one row.
fn each(span: Duration, work: impl FnMut()) -> f64 {
    time_of(span, work).as_secs_f64() * 1e9 / f64::from(PAGE_ROWS)
}

/// Makes ticks that wander as those of a busy symbol do: uneven steps of time, price and volume.
fn ticks() -> anyhow::Result<Vec<StoredTick>> {
    let (mut at, mut cents, mut arrival) = (1_760_013_296_123_000_i64, 6_723_000_u64, 1_u64);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let tick = |_| {
        at += i64::try_from(draw(400))? * 1_000;
        cents = cents + draw(200) - 99;
        arrival += 1 + draw(40);
        let timestamp = Timestamp::from_micros(at)?;
        let tick = Tick::try_new(
            Symbol::try_new("BTC/USD")?,
            Source::try_new(&format!("s{}", draw(SOURCES)))?,
            Price::try_from_parts(cents.into(), 2)?,
            Some(Volume::try_from_parts(draw(500_000_000).into(), 8)?),
            timestamp,
        )?;
        let ingested_at = timestamp.plus(Duration::from_micros(20_000 + draw(60_000)));
        Ok(StoredTick { tick, arrival: Arrival(arrival), ingested_at })
    };
    (0..PAGE_ROWS).map(tick).collect()
}
