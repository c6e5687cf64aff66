//! What the gateway costs: memory idle and under load and CPU at the same load (the spec: < 512 MB, < 50 %), bytes of the
//! database a tick, size of the binary.
//!
//! The load meets a store that has been through a cycle and is about to begin the next: while it lasts, memory is as full
//! as this load makes it, ticks are sealed, and candles are counted again.
//!
//! Drives the release binary over loopback; build it first with `cargo build --release -p chrono-api`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chrono_benches::load::{Outcome, Pace, Request, run};
use chrono_benches::{
    Audience, Budget, Feeds, Figure, Get, Rounds, Sealed, Server, Usage, binary, bytes_on_disk,
    count, gateway, metric, seal, settle,
};
use chrono_testkit::has_program;

const STREAMS: usize = 500;
const PER_SECOND: f64 = 1_000.0;
/// Time under load: longer than the minute between two recounts.
const SPAN: Duration = Duration::from_secs(75);
/// Ticks in memory that begin a cycle, as it is shipped.
const CYCLE_TICKS: u64 = 250_000;
/// How many fewer than these there are when the load begins: it brings them in within half a minute.
const SHORT_TICKS: u64 = 30_000;
/// Workers, and feeds of their batches.
const WORKERS: usize = 10;
const FEEDS: usize = 10;
const PATIENCE: Duration = Duration::from_mins(10);
/// Time between two looks at memory.
const SAMPLE: Duration = Duration::from_millis(50);
const MEBIBYTE: f64 = 1_048_576.0;
const SUBJECT: &str = "Cost";

fn main() -> anyhow::Result<()> {
    let rounds = Rounds::from_arguments();
    let Cost { idle, loaded, cores, delivered, held, cycles, recounted } = under_load(rounds)?;
    let load = "1,000 feeds/s in batches of 10, 1,000 latest/s, 500 streams of 10 symbols each; a line of log a request";
    let within = format!(
        "one run of {} s that began with {held} ticks in memory: cycles that ended in it: {cycles}, candles recounted: {recounted}",
        rounds.span(SPAN).as_secs_f64()
    );
    Figure::new(SUBJECT, "resident memory, idle", idle / MEBIBYTE, "MiB")
        .note("just started, nothing stored")
        .print()?;
    Figure::new(SUBJECT, "most resident memory under load", loaded / MEBIBYTE, "MiB")
        .budget(Budget::AtMost(512.0))
        .note(format!("{load}; {within}"))
        .print()?;
    Figure::new(SUBJECT, "CPU under the same load", cores * 100.0, "% of a core")
        .budget(Budget::AtMost(50.0))
        .note(format!("{delivered:.0} deliveries/s among it; {within}"))
        .print()?;
    bytes_per_tick(rounds)?;
    sizes()
}

/// What a gateway came to.
struct Cost {
    /// Bytes of memory, just started.
    idle: f64,
    /// The most under load.
    loaded: f64,
    /// Cores under load.
    cores: f64,
    /// Deliveries a second.
    delivered: f64,
    /// Ticks in memory when the load began.
    held: u64,
    /// Cycles that ended under load.
    cycles: u64,
    /// Candles that were counted again under load.
    recounted: u64,
}

fn under_load(rounds: Rounds) -> anyhow::Result<Cost> {
    let directory = tempfile::tempdir()?;
    let (cycle, short) = rounds.of((CYCLE_TICKS, SHORT_TICKS), (5_000, 100));
    // As it is shipped, with a line of log for each request.
    let command = gateway(directory.path())?
        .with("LOG_LEVEL", "info")
        .with("STORE_CYCLE_TICKS", &cycle.to_string());
    let server = Server::from_gateway(command.start()?)?;
    settle(&server)?;
    let idle = count(Usage::of(server.pid())?.rss_bytes);
    let held = fill(&server, directory.path(), cycle, cycle - short)?;
    let symbols = |client: usize| {
        (0..10).map(|place| format!("S{:03}/USD", (client * 10 + place) % 200)).collect()
    };
    let mut audience = Audience::subscribe_each(server.address(), rounds.of(STREAMS, 50), symbols)?;
    let span = rounds.span(SPAN);
    let (before, started) = (Seen::of(&server, directory.path())?, Instant::now());
    let (delivered, peak) = std::thread::scope(|scope| {
        let peak = scope.spawn(|| peak(&server, span));
        let feeds = scope.spawn(|| ingest(&server, Pace::PerSecond(PER_SECOND / 10.0), span));
        let asks = scope.spawn(|| latest(&server, span));
        let delivered = audience.listen(span)?;
        for load in [feeds, asks] {
            load.join().map_err(|_panic| anyhow::anyhow!("a load panicked"))??;
        }
        let peak = peak.join().map_err(|_panic| anyhow::anyhow!("the watch panicked"))??;
        anyhow::Ok((delivered, peak))
    })?;
    let elapsed = started.elapsed().as_secs_f64();
    let after = Seen::of(&server, directory.path())?;
    let cycles = after.cycles - before.cycles;
    let recounted = after.recounted - before.recounted;
    let least = rounds.of(1, 0);
    ensure!(
        cycles >= least && recounted >= least,
        "{cycles} cycles, {recounted} candles recounted"
    );
    let cores = after.cpu.saturating_sub(before.cpu).as_secs_f64() / elapsed;
    let delivered = count(delivered) / elapsed;
    Ok(Cost { idle, loaded: count(peak), cores, delivered, held, cycles, recounted })
}

/// Takes a cycle's ticks in and lets them be sealed, and then so many that `held` are in memory; gives how many are.
fn fill(server: &Server, directory: &Path, cycle: u64, held: u64) -> anyhow::Result<u64> {
    let turn = (WORKERS * FEEDS) as u64;
    let post = |ticks: u64| {
        let outcome = ingest(server, Pace::Turns(ticks / turn), PATIENCE)?;
        anyhow::Ok(outcome.answered * FEEDS as u64)
    };
    let mut posted = post(cycle + turn)?;
    Sealed::wait(directory, cycle)?;
    settle(server)?;
    let sealed = Sealed::of(directory)?.ticks;
    posted += post(held.saturating_sub(posted - sealed))?;
    settle(server)?;
    Ok(posted - Sealed::of(directory)?.ticks)
}

/// What is seen of a gateway from outside.
struct Seen {
    cpu: Duration,
    cycles: u64,
    /// Candles that were counted again.
    recounted: u64,
}

impl Seen {
    fn of(server: &Server, directory: &Path) -> anyhow::Result<Self> {
        let recounted = metric(server.address(), "candles_recount_checked_total")?.unwrap_or(0);
        let cycles = Sealed::of(directory)?.cycles;
        Ok(Self { cpu: Usage::of(server.pid())?.cpu, cycles, recounted })
    }
}

/// Gives the most memory seen within a time.
fn peak(server: &Server, span: Duration) -> anyhow::Result<u64> {
    let (started, mut peak) = (Instant::now(), 0);
    while started.elapsed() < span {
        peak = peak.max(Usage::of(server.pid())?.rss_bytes);
        std::thread::sleep(SAMPLE);
    }
    Ok(peak)
}

fn ingest(server: &Server, pace: Pace, span: Duration) -> anyhow::Result<Outcome> {
    let worker = |worker: usize| {
        let source = worker as u64 % 5;
        Box::new(Feeds::new(worker, FEEDS, 0..200, source..source + 1)) as Box<dyn Request>
    };
    run(server, (0..WORKERS).map(worker).collect(), pace, span)
}

fn latest(server: &Server, span: Duration) -> anyhow::Result<Outcome> {
    let ask = || Box::new(Get::always("/prices/latest?symbols=S000/USD,S001/USD,S002/USD"));
    let asks = std::iter::repeat_with(ask).map(|ask| ask as Box<dyn Request>).take(32).collect();
    run(server, asks, Pace::PerSecond(PER_SECOND), span)
}

/// Reports the size of the data directory, a tick, when all ticks are in pages and the gateway has stopped.
fn bytes_per_tick(rounds: Rounds) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let running = gateway(directory.path())?.start()?;
    let server = Server::attach(&running)?;
    let turns = rounds.of(1_000, 20);
    let worker = |worker: usize| {
        let source = worker as u64 % 5;
        Box::new(Feeds::new(worker, 100, 0..200, source..source + 1)) as Box<dyn Request>
    };
    let requests = (0..10).map(worker).collect();
    let outcome = run(&server, requests, Pace::Turns(turns), PATIENCE)?;
    ensure!(running.stop()?.success(), "the gateway did not stop cleanly");
    let ticks = outcome.answered * 100;
    seal(directory.path(), ticks)?;
    let bytes = count(bytes_on_disk(directory.path())?) / count(ticks);
    Figure::new(SUBJECT, "database a tick", bytes, "B")
        .note(format!(
            "{ticks} ticks of 200 symbols with bid and ask beside the price, candles and idempotency keys included, \
             all in pages, and the room that the log took until then"
        ))
        .print()
}

fn sizes() -> anyhow::Result<()> {
    let binary = binary();
    let whole = fs::metadata(&binary).context("the release binary")?.len();
    let figure = Figure::new(SUBJECT, "release binary", count(whole) / MEBIBYTE, "MiB");
    match stripped(&binary)? {
        Some(bytes) => figure.note(format!(
            "with line tables, for panics and profiles; {:.1} MiB stripped",
            count(bytes) / MEBIBYTE
        )),
        None => figure,
    }
    .print()
}

/// Gives the size without symbols, where there is a `strip`.
fn stripped(binary: &Path) -> anyhow::Result<Option<u64>> {
    if !has_program("strip") {
        return Ok(None);
    }
    let copy = tempfile::NamedTempFile::new()?;
    fs::copy(binary, copy.path())?;
    ensure!(Command::new("strip").arg(copy.path()).status()?.success(), "strip failed");
    Ok(Some(fs::metadata(copy.path())?.len()))
}
