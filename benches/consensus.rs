//! Budget: `/aggregates/consensus` of 3 symbols with 10 sources each, with 100,000 feeds in the window, not from the cache:
//! P95 ≤ 10 ms; once while the window is all in the gateway's memory, and once when it is all in pages.
//!
//! Drives the release binary over loopback; build it first with `cargo build --release -p chrono-api`.

use std::time::Duration;

use anyhow::ensure;
use chrono_benches::load::{Pace, Request, run};
use chrono_benches::{
    Budget, Feeds, Figure, Get, Rounds, Sealed, Server, Spread, Times, gateway, median, seal,
};
use chrono_domain::{Clock, SystemClock, Timestamp};

/// Time for each question of a round.
const SPAN: Duration = Duration::from_secs(2);
/// Time before the asked moment that feeds are spread over; the window is five minutes.
const SPREAD: Duration = Duration::from_secs(290);
const SOURCES: u64 = 10;
/// Feeds of a batch.
const FEEDS: u64 = 100;
const PATIENCE: Duration = Duration::from_mins(10);

fn main() -> anyhow::Result<()> {
    let rounds = Rounds::from_arguments();
    for feeds in [9_000, rounds.of(100_000, 18_000)] {
        let directory = tempfile::tempdir()?;
        let running = gateway(directory.path())?.start()?;
        let server = Server::attach(&running)?;
        let at = SystemClock::new().now();
        fill(&server, feeds, at)?;
        ensure!(Sealed::of(directory.path())?.ticks == 0, "some of the window was sealed");
        measure(&server, feeds, at, "in memory", rounds)?;
        ensure!(running.stop()?.success(), "the gateway did not stop cleanly");
        // It checks that pages hold all.
        seal(directory.path(), feeds)?;
        let server = Server::from_gateway(gateway(directory.path())?.start()?)?;
        measure(&server, feeds, at, "in pages", rounds)?;
    }
    Ok(())
}

/// Takes in so many feeds of the window that ends at a time.
fn fill(server: &Server, feeds: u64, at: Timestamp) -> anyhow::Result<()> {
    let turns = feeds / SOURCES / FEEDS;
    let step = SPREAD / u32::try_from(turns * FEEDS)?;
    let fill = (0..SOURCES).map(|source| {
        let times = Times::From(at.minus(SPREAD), step);
        let worker = usize::try_from(source).unwrap_or(0);
        let feeds = usize::try_from(FEEDS).unwrap_or(1);
        Box::new(Feeds::new(worker, feeds, 0..3, source..source + 1).at(times)) as Box<dyn Request>
    });
    let outcome = run(server, fill.collect(), Pace::Turns(turns), PATIENCE)?;
    ensure!(outcome.answered * FEEDS == feeds, "{} batches of {feeds} feeds", outcome.answered);
    Ok(())
}

/// Reports what asking comes to.
fn measure(
    server: &Server,
    feeds: u64,
    at: Timestamp,
    place: &str,
    rounds: Rounds,
) -> anyhow::Result<()> {
    let (mut spreads, mut cpu, mut asked) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rounds.count() {
        let request = Box::new(question(at, asked)) as Box<dyn Request>;
        let outcome = run(server, vec![request], Pace::Saturating, rounds.span(SPAN))?;
        asked += outcome.answered + 1;
        spreads.push(outcome.latency);
        cpu.push(outcome.server_cpu_us());
    }
    let spread = Spread::median(&spreads);
    let name = format!("3 symbols, 10 sources, {feeds} feeds in the window, {place}, P95");
    Figure::new("Consensus", name, spread.p95, "ms")
        .budget(Budget::AtMost(10.0))
        .note(format!("one at a time: {spread}, {:.0} µs CPU", median(&mut cpu)))
        .print()
}

/// Asks for a moment that was not asked for before.
fn question(at: Timestamp, asked: u64) -> Get {
    Get::each(move |turn| {
        let at = at.minus(Duration::from_micros(asked + turn));
        format!("/aggregates/consensus?symbols=S000/USD,S001/USD,S002/USD&timestamp={at}")
    })
}
