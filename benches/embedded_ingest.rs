//! Budgets of the embedded store's first, plain layout: ingest over HTTP, 10 workers × 100 feeds, ≥ 0.7 of a bare
//! prepared-statement loop that writes the same ticks; 64 workers × 1 feed ≥ 10 × one commit per request.
//!
//! Drives the release binary over loopback with blocking sockets, one thread a worker; build it first with
//! `cargo build --release -p chrono-api`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chrono_benches::{Figure, ROUNDS, batch, median};
use chrono_domain::{Clock, SystemClock};
use chrono_testkit::{Gateway, GatewayCommand, INTERNAL_KEY};
use rusqlite::Connection;

/// Time spent on each contender of a round.
const SPAN: Duration = Duration::from_secs(3);
/// Rows of a transaction of the bare loop.
const ROWS: u64 = 1_000;

fn main() -> anyhow::Result<()> {
    let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/chrono-api");
    ensure!(binary.exists(), "build it first: cargo build --release -p chrono-api");
    let mut figures = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        let directory = tempfile::tempdir()?;
        let gateway = GatewayCommand::new(&binary, directory.path())
            .with("LOG_LEVEL", "warn,chrono_api::serve=info")
            .start()?;
        let batched = feeds_per_second(&gateway, 10, 100)?;
        let single = feeds_per_second(&gateway, 64, 1)?;
        gateway.stop()?;
        let rows = [batched, bare_loop(ROWS)?, single, bare_loop(1)?];
        figures.iter_mut().zip(rows).for_each(|(figures, figure)| figures.push(figure));
    }
    let [batched, bare, single, one_by_one] = figures.map(|mut figures| median(&mut figures));
    Figure {
        bench: "ingest over HTTP, 10 workers × 100 feeds, embedded",
        figure: batched,
        unit: "feeds/s",
        limit: bare,
        ratio: batched / bare,
        note: "limit: a bare prepared-statement loop, 1,000 rows a transaction, no HTTP and no JSON; budget ≥ 0.7",
    }
    .print()?;
    Figure {
        bench: "ingest over HTTP, 64 workers × 1 feed, embedded",
        figure: single,
        unit: "feeds/s",
        limit: one_by_one,
        ratio: single / one_by_one,
        note: "limit: one commit a row in a bare loop, which group commit must beat; budget ≥ 10",
    }
    .print()
}

/// Posts from so many workers as fast as they are answered.
fn feeds_per_second(gateway: &Gateway, workers: usize, feeds: usize) -> anyhow::Result<f64> {
    let address = gateway.url().strip_prefix("http://").context("a URL")?.to_owned();
    let (stop, stored) = (AtomicBool::new(false), AtomicU64::new(0));
    let started = Instant::now();
    std::thread::scope(|scope| {
        let post = |worker: usize| post_until(&address, worker, feeds, &stop, &stored);
        let running: Vec<_> =
            (0..workers).map(|worker| scope.spawn(move || post(worker))).collect();
        std::thread::sleep(SPAN);
        stop.store(true, Ordering::Relaxed);
        running.into_iter().try_for_each(|worker| {
            worker.join().map_err(|_panic| anyhow::anyhow!("a worker panicked"))?
        })
    })?;
    Ok(count(stored.into_inner()) / started.elapsed().as_secs_f64())
}

fn post_until(
    address: &str,
    worker: usize,
    feeds: usize,
    stop: &AtomicBool,
    stored: &AtomicU64,
) -> anyhow::Result<()> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    let mut answers = BufReader::new(socket.try_clone()?);
    let clock = SystemClock::new();
    let mut turn = worker as u64 * 1_000_000;
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        let body = batch(&format!("bench-{worker}"), feeds, turn, &clock.now().to_string());
        let head = format!(
            "POST /internal/ingest HTTP/1.1\r\nHost: bench\r\nX-API-Key: {INTERNAL_KEY}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(&[head.as_bytes(), &body].concat())?;
        ensure!(read_answer(&mut answers)?.contains("200"), "a batch was refused");
        stored.fetch_add(feeds as u64, Ordering::Relaxed);
    }
    Ok(())
}

/// Reads one answer; gives its status line.
fn read_answer(answers: &mut impl BufRead) -> anyhow::Result<String> {
    let (mut status, mut length) = (String::new(), 0);
    answers.read_line(&mut status)?;
    loop {
        let mut line = String::new();
        answers.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    answers.read_exact(&mut vec![0; length])?;
    Ok(status)
}

/// Writes rows like ours in transactions of `rows`, each durable; gives rows a second.
fn bare_loop(rows: u64) -> anyhow::Result<f64> {
    let directory = tempfile::tempdir()?;
    let connection = Connection::open(PathBuf::from(directory.path()).join("bare.db"))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(
        "CREATE TABLE ticks (symbol_id INTEGER, timestamp INTEGER, arrival INTEGER, source_id INTEGER, worker_id INTEGER, \
         price TEXT, volume TEXT, metadata TEXT, ingested_at INTEGER, PRIMARY KEY (symbol_id, timestamp, arrival)) \
         WITHOUT ROWID, STRICT",
    )?;
    let started = Instant::now();
    let mut arrival = 0_i64;
    while started.elapsed() < SPAN {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut insert = connection
            .prepare_cached("INSERT INTO ticks VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7, ?2)")?;
        for _ in 0..rows {
            arrival += 1;
            let price = 60_000 + arrival % 9_999;
            let metadata = format!(r#"{{"bid":"{price}.25","ask":"{price}.75"}}"#);
            let (price, volume) = (format!("{price}.50"), format!("0.{:06}", arrival % 1_000_000));
            insert.execute((
                arrival % 200,
                1_760_013_296_123_000_i64,
                arrival,
                arrival % 5,
                price,
                volume,
                metadata,
            ))?;
        }
        connection.execute_batch("COMMIT")?;
    }
    Ok(count(arrival.unsigned_abs()) / started.elapsed().as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn count(number: u64) -> f64 {
    number as f64
}
