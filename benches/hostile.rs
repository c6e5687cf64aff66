//! Budget of hostile peers: the p99 of honest clients beside 2,000 sockets that dawdle ≤ 1.5 × that without them.
//!
//! Drives the release binary over loopback; build it first with `cargo build --release -p chrono-api`. Honest clients ask
//! at a steady pace, so that it is waiting that is measured and not the limit of the machine.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle, scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use chrono_benches::{Figure, ROUNDS, batch, median};
use chrono_domain::{Clock, SystemClock};
use chrono_testkit::{Gateway, GatewayCommand, INTERNAL_KEY, PUBLIC_KEY};

/// Sockets that dawdle.
const HOSTILE: usize = 2_000;
/// Honest clients of each kind, and the pace of each.
const HONEST: usize = 4;
const EVERY: Duration = Duration::from_millis(5);
/// Time of each contender of a round.
const SPAN: Duration = Duration::from_secs(4);
/// Each hostile socket sends a byte about so often, in as many steps.
const STEPS: usize = 50;
const STEP: Duration = Duration::from_millis(40);
/// What hostile sockets begin with, `KEY` standing for a key: nothing, half a head, a head that drips, a body that drips, junk.
const BEGINNINGS: [&str; 5] = [
    "",
    "GET /prices/latest HTTP/1.1\r\nHo",
    "GET /prices/latest HTTP/1.1\r\nHost: a\r\nX: ",
    "POST /internal/ingest HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\
     X-API-Key: KEY\r\n\r\n{",
    "POST /internal/ingest HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
];

fn main() -> anyhow::Result<()> {
    let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/chrono-api");
    ensure!(binary.exists(), "build it first: cargo build --release -p chrono-api");
    rlimit::increase_nofile_limit(u64::MAX)?;
    let directory = tempfile::tempdir()?;
    let gateway = GatewayCommand::new(&binary, directory.path())
        .with("LOG_LEVEL", "warn,chrono_api::serve=info")
        .with("HTTP_MAX_CONNECTIONS_PER_IP", "10000")
        .start()?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(p99_us(&gateway)?);
        beside.push(beside_hostile(&gateway)?);
    }
    gateway.stop()?;
    let (alone, beside) = (median(&mut alone), median(&mut beside));
    Figure {
        bench: "p99 of honest clients beside 2,000 hostile sockets",
        figure: beside,
        unit: "µs",
        limit: alone,
        ratio: beside / alone,
        note: "limit: the same without them; budget ≤ 1.5",
    }
    .print()
}

/// Measures while the hostile sockets dawdle.
fn beside_hostile(gateway: &Gateway) -> anyhow::Result<f64> {
    let stop = AtomicBool::new(false);
    scope(|scope| {
        let crowd = open_crowd(gateway.address())?;
        let dawdling = scope.spawn(|| dawdle(crowd, gateway.address(), &stop));
        let measured = p99_us(gateway);
        stop.store(true, Ordering::Relaxed);
        joined(dawdling)?;
        measured
    })
}

fn open_crowd(address: SocketAddr) -> anyhow::Result<Vec<TcpStream>> {
    let kinds = BEGINNINGS.iter().cycle().take(HOSTILE);
    kinds.map(|beginning| open(address, beginning)).collect()
}

fn open(address: SocketAddr, beginning: &str) -> anyhow::Result<TcpStream> {
    let mut socket = TcpStream::connect(address)?;
    socket.write_all(beginning.replace("KEY", INTERNAL_KEY).as_bytes())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Sends a byte on each socket now and then, and opens those again that the gateway closed.
fn dawdle(mut crowd: Vec<TcpStream>, address: SocketAddr, stop: &AtomicBool) -> anyhow::Result<()> {
    for step in (0..STEPS).cycle() {
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        for (place, socket) in crowd.iter_mut().enumerate().skip(step).step_by(STEPS) {
            let kind = BEGINNINGS.get(place % BEGINNINGS.len()).context("no such kind")?;
            // Silent sockets stay so; whoever is closed comes back.
            let is_closed = matches!(socket.read(&mut [0; 512]), Ok(0))
                || !kind.is_empty() && socket.write_all(b" ").is_err();
            if is_closed {
                *socket = open(address, kind)?;
            }
        }
        sleep(STEP);
    }
    Ok(())
}

/// Lets honest clients post and read for a while; gives the p99 of their answers in microseconds.
fn p99_us(gateway: &Gateway) -> anyhow::Result<f64> {
    let now = SystemClock::new().now().to_string();
    let post = String::from_utf8(batch("honest", 1, 1, &now))?;
    let post = format!(
        "POST /internal/ingest HTTP/1.1\r\nHost: a\r\nX-API-Key: {INTERNAL_KEY}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{post}",
        post.len()
    );
    let read =
        format!("GET /metadata/intervals HTTP/1.1\r\nHost: a\r\nX-API-Key: {PUBLIC_KEY}\r\n\r\n");
    let mut times: Vec<f64> = scope(|scope| {
        let clients: Vec<_> = [&*post, &*read]
            .into_iter()
            .cycle()
            .take(2 * HONEST)
            .map(|request| spawn_client(scope, gateway.address(), request))
            .collect();
        let times = clients.into_iter().map(joined).collect::<anyhow::Result<Vec<_>>>();
        anyhow::Ok(times?.concat())
    })?;
    times.sort_by(f64::total_cmp);
    times.get(times.len() * 99 / 100).copied().context("nothing was answered")
}

fn spawn_client<'s>(
    scope: &'s Scope<'s, '_>,
    address: SocketAddr,
    request: &'s str,
) -> ScopedJoinHandle<'s, anyhow::Result<Vec<f64>>> {
    scope.spawn(move || ask_for_a_while(address, request))
}

/// Asks at a steady pace on one connection; gives how long each answer took, in microseconds.
fn ask_for_a_while(address: SocketAddr, request: &str) -> anyhow::Result<Vec<f64>> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    let mut answer = [0; 4096];
    let mut times = Vec::new();
    let started = Instant::now();
    while started.elapsed() < SPAN {
        let asked = Instant::now();
        socket.write_all(request.as_bytes())?;
        // Small answers come in one piece.
        let bytes = socket.read(&mut answer)?;
        ensure!(answer.get(..bytes).is_some_and(|answer| answer.starts_with(b"HTTP/1.1 200")));
        times.push(asked.elapsed().as_secs_f64() * 1e6);
        sleep(EVERY);
    }
    Ok(times)
}

fn joined<T>(thread: ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    thread.join().map_err(|_panic| anyhow!("a thread panicked"))?
}
