//! Budget of hostile peers: the P99 of honest clients beside 2,000 sockets that dawdle ≤ 1.5 × that without them.
//!
//! Drives the release binary over loopback; build it first with `cargo build --release -p chrono-api`. Honest clients
//! post and ask at a steady pace, so that it is waiting that is measured and not the limit of the machine.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use anyhow::{Context, anyhow};
use chrono_benches::load::{Pace, Request, run};
use chrono_benches::{Budget, Feeds, Figure, Get, Rounds, Server, Spread, scratch_gateway};
use chrono_testkit::INTERNAL_KEY;

const SUBJECT: &str = "Hostile peers";
/// Sockets that dawdle.
const HOSTILE: usize = 2_000;
/// Honest clients of each kind, and the pace of all of them.
const HONEST: usize = 4;
const PACE: Pace = Pace::PerSecond(1_000.0);
/// Time for each contender of a round.
const SPAN: Duration = Duration::from_secs(4);
/// Each hostile socket sends a byte every two seconds, in so many steps.
const STEPS: usize = 50;
const STEP: Duration = Duration::from_millis(40);
/// What hostile sockets begin with, `KEY` standing for a key: nothing, half a head, a head that drips, a body that drips,
/// junk that is refused at once.
const BEGINNINGS: [&str; 5] = [
    "",
    "GET /prices/latest HTTP/1.1\r\nHo",
    "GET /prices/latest HTTP/1.1\r\nHost: a\r\nX: ",
    "POST /internal/ingest HTTP/1.1\r\nHost: a\r\nX-API-Key: KEY\r\nContent-Type: application/json\r\n\
     Content-Length: 1000\r\n\r\n{",
    "POST /internal/ingest HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
];

fn main() -> anyhow::Result<()> {
    let rounds = Rounds::from_arguments();
    rlimit::increase_nofile_limit(u64::MAX)?;
    let server = scratch_gateway()?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..rounds.count() {
        alone.push(honest(&server, rounds)?);
        beside.push(beside_hostile(&server, rounds)?);
    }
    let (alone, beside) = (Spread::median(&alone), Spread::median(&beside));
    Figure::new(SUBJECT, "P99 beside 2,000 sockets that dawdle", beside.p99, "ms")
        .limit(alone.p99)
        .budget(Budget::RatioAtMost(1.5))
        .note(format!("1,000 requests/s; {beside}; limit: without them, {alone}"))
        .print()
}

/// Lets honest clients post and ask for a while.
fn honest(server: &Server, rounds: Rounds) -> anyhow::Result<Spread> {
    let clients = (0..HONEST).flat_map(|client| {
        let source = client as u64 % 5;
        let worker: Box<dyn Request> = Box::new(Feeds::new(client, 1, 0..200, source..source + 1));
        let reader: Box<dyn Request> = Box::new(Get::always("/metadata/intervals"));
        [worker, reader]
    });
    Ok(run(server, clients.collect(), PACE, rounds.span(SPAN))?.latency)
}

/// Does so while the hostile sockets dawdle.
fn beside_hostile(server: &Server, rounds: Rounds) -> anyhow::Result<Spread> {
    let stop = AtomicBool::new(false);
    let kinds = BEGINNINGS.iter().cycle().take(HOSTILE);
    let crowd: anyhow::Result<Vec<_>> = kinds.map(|kind| open(server.address(), kind)).collect();
    let crowd = crowd?;
    scope(|scope| {
        let dawdling = scope.spawn(|| dawdle(crowd, server.address(), &stop));
        let measured = honest(server, rounds);
        stop.store(true, Ordering::Relaxed);
        dawdling.join().map_err(|_panic| anyhow!("the hostile thread panicked"))??;
        measured
    })
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
            break;
        }
        for (place, socket) in crowd.iter_mut().enumerate().skip(step).step_by(STEPS) {
            let kind = BEGINNINGS.get(place % BEGINNINGS.len()).context("no such kind")?;
            // Silent sockets stay so.
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
