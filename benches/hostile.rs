//! Budget of hostile peers: the P99 of honest clients beside 2,000 sockets that mean ill ≤ 1.5 × that without them.
//!
//! Drives the release binary over loopback; build it first with `cargo build --release -p chrono-api`. Honest clients
//! post and ask at a steady pace, so that it is waiting that is measured and not the limit of the machine.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use chrono_benches::load::{Pace, Request, run};
use chrono_benches::{
    Budget, Feeds, Figure, Get, Rounds, Server, Spread, ask, metric, scratch_gateway,
};
use chrono_testkit::{INTERNAL_KEY, PUBLIC_KEY};

const SUBJECT: &str = "Hostile peers";
/// Sockets that mean ill.
const HOSTILE: usize = 2_000;
/// Honest clients of each kind, and the pace of all of a kind.
const HONEST: usize = 4;
const PACE: Pace = Pace::PerSecond(500.0);
/// Time for each contender of a round: longer than a silent socket or a dripping body may take.
const SPAN: Duration = Duration::from_secs(12);
/// Each hostile socket sends a byte and reads some every two seconds, two of them at a time: the machine is shared, and
/// a burst of theirs would be waiting that the gateway has no part in.
const STEPS: usize = 1_000;
const STEP: Duration = Duration::from_millis(2);
const LATEST: &str = "/prices/latest?symbols=S000/USD,S001/USD,S002/USD";
/// Questions that a reader asks at once, to read their answers as slowly as it can.
const PIPELINED: usize = 64;
/// Arrays within each other, far more than are read.
const DEPTH: usize = 10_000;

/// Latencies of those who ask, who do not wait for the disk, and of those who post.
type Latencies = (Spread, Spread);

fn main() -> anyhow::Result<()> {
    let rounds = Rounds::from_arguments();
    rlimit::increase_nofile_limit(u64::MAX)?;
    let server = scratch_gateway()?;
    // Names that are not known yet would be answered 404.
    let mut names = Feeds::new(0, 10, 0..3, 0..5);
    names.prepare(0);
    ask(server.address(), &names)?;
    let kinds = kinds();
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..rounds.count() {
        alone.push(honest(&server, rounds)?);
        beside.push(beside_hostile(&server, &kinds, rounds)?);
    }
    let (readers_alone, workers_alone): (Vec<_>, Vec<_>) = alone.into_iter().unzip();
    let (readers_beside, workers_beside): (Vec<_>, Vec<_>) = beside.into_iter().unzip();
    report("those who ask", &readers_alone, &readers_beside)?;
    report("those who post", &workers_alone, &workers_beside)
}

fn report(who: &str, alone: &[Spread], beside: &[Spread]) -> anyhow::Result<()> {
    let (alone, beside) = (Spread::median(alone), Spread::median(beside));
    let name = format!("P99 of {who} beside 2,000 hostile sockets");
    Figure::new(SUBJECT, name, beside.p99, "ms")
        .limit(alone.p99)
        .budget(Budget::RatioAtMost(1.5))
        .note(format!("500 requests/s of each kind; {beside}; limit: without them, {alone}"))
        .print()
}

/// Lets honest clients ask and post for a while.
fn honest(server: &Server, rounds: Rounds) -> anyhow::Result<Latencies> {
    let readers = (0..HONEST).map(|_| Box::new(Get::always(LATEST)) as Box<dyn Request>);
    let workers = (0..HONEST).map(|client| {
        let source = client as u64 % 5;
        Box::new(Feeds::new(client, 1, 0..200, source..source + 1)) as Box<dyn Request>
    });
    let (readers, workers) = (readers.collect(), workers.collect());
    let latency = |clients| run(server, clients, PACE, rounds.span(SPAN)).map(|done| done.latency);
    scope(|scope| {
        let readers = scope.spawn(|| latency(readers));
        let workers = latency(workers);
        let readers = readers.join().map_err(|_panic| anyhow!("the readers' thread panicked"))?;
        Ok((readers?, workers?))
    })
}

/// Does so beside the hostile sockets.
fn beside_hostile(server: &Server, kinds: &[String], rounds: Rounds) -> anyhow::Result<Latencies> {
    let stop = AtomicBool::new(false);
    let crowd = kinds.iter().cycle().take(HOSTILE).map(|kind| {
        // One after the other: all at once would be a load of their own, and time out at once, too.
        sleep(STEP);
        Hostile::open(server.address(), kind)
    });
    let crowd = crowd.collect::<anyhow::Result<Vec<_>>>()?;
    scope(|scope| {
        let dawdling = scope.spawn(|| dawdle(crowd, &stop));
        let measured = honest(server, rounds).and_then(|spread| {
            // Some are refused at once and come back within two seconds.
            let open = metric(server.address(), "http_connections_active")?;
            let open = open.context("no such metric")?;
            ensure!(open > HOSTILE as u64 / 2, "only {open} connections were open");
            Ok(spread)
        });
        stop.store(true, Ordering::Relaxed);
        dawdling.join().map_err(|_panic| anyhow!("the hostile thread panicked"))??;
        measured
    })
}

/// What hostile sockets begin with: nothing, half a head, a head that drips, a body that drips, junk that is refused at
/// once, a junk key, a body that is too deep, and many questions whose answers are read slowly.
fn kinds() -> Vec<String> {
    let get =
        |path: &str, key: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n");
    let post = |fields: &str| {
        format!(
            "POST /internal/ingest HTTP/1.1\r\nHost: a\r\nX-API-Key: {INTERNAL_KEY}\r\n{fields}"
        )
    };
    let deep = "[".repeat(DEPTH);
    let json = "Content-Type: application/json\r\nContent-Length:";
    vec![
        String::new(),
        "GET /prices/latest HTTP/1.1\r\nHo".to_owned(),
        "GET /prices/latest HTTP/1.1\r\nHost: a\r\nX: ".to_owned(),
        post(&format!("{json} 1000\r\n\r\n{{")),
        post("Transfer-Encoding: xchunked\r\n\r\n"),
        get(LATEST, "junk") + "\r\n",
        post(&format!("{json} {DEPTH}\r\n\r\n{deep}")),
        format!("{}\r\n", get(LATEST, PUBLIC_KEY)).repeat(PIPELINED),
    ]
}

/// A hostile socket, and what it begins with.
struct Hostile<'k> {
    address: SocketAddr,
    socket: TcpStream,
    kind: &'k str,
}

impl<'k> Hostile<'k> {
    fn open(address: SocketAddr, kind: &'k str) -> anyhow::Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        socket.write_all(kind.as_bytes())?;
        socket.set_nonblocking(true)?;
        Ok(Self { address, socket, kind })
    }

    /// Reads some and sends a byte, unless it is silent; opens it again if the gateway closed it.
    fn dawdle(&mut self) -> anyhow::Result<()> {
        let is_closed = matches!(self.socket.read(&mut [0; 512]), Ok(0))
            || !self.kind.is_empty() && self.socket.write_all(b" ").is_err();
        if is_closed {
            *self = Self::open(self.address, self.kind)?;
        }
        Ok(())
    }
}

/// Lets each socket dawdle now and then, by the clock: a busy machine wakes this thread late, and that must not spare the
/// gateway anything.
fn dawdle(mut crowd: Vec<Hostile<'_>>, stop: &AtomicBool) -> anyhow::Result<()> {
    let mut due = Instant::now();
    for step in (0..STEPS).cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        crowd.iter_mut().skip(step).step_by(STEPS).try_for_each(Hostile::dawdle)?;
        due += STEP;
        sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}
