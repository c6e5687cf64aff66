//! What the gateway costs: memory idle and under load and CPU at the same load (the spec: < 512 MB, < 50 %), bytes of the
//! database a tick, size of the binary.
//!
//! Drives the release binary over loopback; build it first with `cargo build --release -p chrono-api`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chrono_benches::load::{Outcome, Pace, Request, run};
use chrono_benches::{
    Audience, Budget, Feeds, Figure, Get, Rounds, Server, Usage, binary, bytes_on_disk, count,
    gateway, median, settle,
};
use chrono_testkit::has_program;

const STREAMS: usize = 500;
const PER_SECOND: f64 = 1_000.0;
/// Time under load of a round.
const SPAN: Duration = Duration::from_secs(8);
/// Time between two looks at memory.
const SAMPLE: Duration = Duration::from_millis(50);
const MEBIBYTE: f64 = 1_048_576.0;
const SUBJECT: &str = "Cost";

fn main() -> anyhow::Result<()> {
    let rounds = Rounds::from_arguments();
    let mut figures = [const { Vec::new() }; 4];
    for _ in 0..rounds.count() {
        let round = under_load(rounds)?;
        figures.iter_mut().zip(round).for_each(|(figures, figure)| figures.push(figure));
    }
    let [idle, loaded, cores, delivered] = figures.map(|mut figures| median(&mut figures));
    let load = "1,000 feeds/s in batches of 10, 1,000 latest/s, 500 streams of 10 symbols each; a line of log a request";
    Figure::new(SUBJECT, "resident memory, idle", idle / MEBIBYTE, "MiB").print()?;
    Figure::new(SUBJECT, "most resident memory under load", loaded / MEBIBYTE, "MiB")
        .budget(Budget::AtMost(512.0))
        .note(load)
        .print()?;
    Figure::new(SUBJECT, "CPU under the same load", cores * 100.0, "% of a core")
        .budget(Budget::AtMost(50.0))
        .note(format!("{delivered:.0} deliveries/s among it"))
        .print()?;
    bytes_per_tick(rounds)?;
    sizes()
}

/// Gives memory idle, memory under load, cores under load, and deliveries a second.
fn under_load(rounds: Rounds) -> anyhow::Result<[f64; 4]> {
    let directory = tempfile::tempdir()?;
    // As it is shipped, with a line of log for each request.
    let server =
        Server::from_gateway(gateway(directory.path())?.with("LOG_LEVEL", "info").start()?)?;
    settle(&server)?;
    let idle = Usage::of(server.pid())?.rss_bytes;
    let symbols = |client: usize| {
        (0..10).map(|place| format!("S{:03}/USD", (client * 10 + place) % 200)).collect()
    };
    let mut audience = Audience::subscribe_each(server.address(), rounds.of(STREAMS, 50), symbols)?;
    let span = rounds.span(SPAN);
    let (before, started) = (Usage::of(server.pid())?, Instant::now());
    let (delivered, peak) = std::thread::scope(|scope| {
        let peak = scope.spawn(|| peak(&server, span));
        let feeds = scope.spawn(|| ingest(&server, span));
        let asks = scope.spawn(|| latest(&server, span));
        let delivered = audience.listen(span)?;
        for load in [feeds, asks] {
            load.join().map_err(|_panic| anyhow::anyhow!("a load panicked"))??;
        }
        let peak = peak.join().map_err(|_panic| anyhow::anyhow!("the watch panicked"))??;
        anyhow::Ok((delivered, peak))
    })?;
    let (after, elapsed) = (Usage::of(server.pid())?, started.elapsed().as_secs_f64());
    let cores = after.cpu.saturating_sub(before.cpu).as_secs_f64() / elapsed;
    Ok([count(idle), count(peak), cores, count(delivered) / elapsed])
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

fn ingest(server: &Server, span: Duration) -> anyhow::Result<Outcome> {
    let worker = |worker: usize| {
        let source = worker as u64 % 5;
        Box::new(Feeds::new(worker, 10, 0..200, source..source + 1)) as Box<dyn Request>
    };
    run(server, (0..10).map(worker).collect(), Pace::PerSecond(PER_SECOND / 10.0), span)
}

fn latest(server: &Server, span: Duration) -> anyhow::Result<Outcome> {
    // Names that are not known yet would be answered 404.
    std::thread::sleep(Duration::from_millis(250));
    let ask = || Box::new(Get::always("/prices/latest?symbols=S000/USD,S001/USD,S002/USD"));
    let asks = std::iter::repeat_with(ask).map(|ask| ask as Box<dyn Request>).take(32).collect();
    run(server, asks, Pace::PerSecond(PER_SECOND), span.saturating_sub(Duration::from_millis(250)))
}

/// Reports the size of the data directory after a clean stop, a tick.
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
    let outcome = run(&server, requests, Pace::Turns(turns), Duration::from_mins(10))?;
    settle(&server)?;
    ensure!(running.stop()?.success(), "the gateway did not stop cleanly");
    let ticks = outcome.answered * 100;
    let bytes = count(bytes_on_disk(directory.path())?) / count(ticks);
    Figure::new(SUBJECT, "database a tick", bytes, "B")
        .note(format!(
            "{ticks} ticks of 200 symbols with bid and ask beside the price, candles included"
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
