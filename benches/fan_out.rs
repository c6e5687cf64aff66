//! Budgets of fan-out over WebSocket: CPU per delivery ≤ 1.5 × one thread that calls `send` in a loop (≤ 1.1 × at ten
//! updates a flush, of the sharded stage), ≤ 4 KiB of memory for an idle client with ten symbols beyond the kernel's.
//!
//! Both contenders run on core 0 and the clients on core 1, where the system can bind them. Drives the release binary
//! over loopback; build it first with `cargo build --release -p chrono-api`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use chrono_benches::load::{Request, find_answer};
use chrono_benches::{
    Audience, Budget, Feeds, Figure, Rounds, Server, Spread, Usage, count, median, pin,
    scratch_gateway,
};

/// Deliveries of a round, from which its updates follow.
const DELIVERIES: usize = 150_000;
/// How long one update may take to reach everyone.
const PATIENCE: Duration = Duration::from_secs(10);
/// Rest between updates, so that each stands alone.
const REST: Duration = Duration::from_millis(5);
/// Length of an update's frame, as the gateway sends it: what `send` costs does not depend on it up to 1,600 bytes.
const FRAME_BYTES: u8 = 120;
const SUBJECT: &str = "Fan-out over WebSocket";

/// What a round came to.
#[derive(Debug, Clone, Copy)]
struct Delivered {
    /// CPU of the server for one update to one client, in microseconds.
    cpu_us: f64,
    /// From the moment an update was sent to the server until a client had it.
    first: Spread,
    last: Spread,
    /// CPU of this process for the same.
    client_us: f64,
}

fn main() -> anyhow::Result<()> {
    let rounds = Rounds::from_arguments();
    pin(std::process::id(), 1);
    for clients in rounds.of([1_000, 5_000], [50, 200]) {
        fan_out(clients, 1, rounds)?;
    }
    fan_out(rounds.of(1_000, 50), 10, rounds)?;
    idle(rounds)
}

/// Reports what `clients` cost that get `joined` updates at once.
fn fan_out(clients: usize, joined: u8, rounds: Rounds) -> anyhow::Result<()> {
    let (mut ours, mut limits) = (Vec::new(), Vec::new());
    for _ in 0..rounds.count() {
        ours.push(gateway(clients, joined, rounds)?);
        limits.push(send_loop(clients, joined, rounds)?);
    }
    let (ours, limit) = (median_of(&ours), median_of(&limits));
    let at_once = if joined == 1 { String::new() } else { format!(", {joined} updates at once") };
    let name = |what: &str| format!("{clients} clients{at_once}: {what}");
    let budget = if joined == 1 { Budget::RatioAtMost(1.5) } else { Budget::RatioAtMost(1.1) };
    Figure::new(SUBJECT, name("CPU per delivery"), ours.cpu_us, "µs")
        .limit(limit.cpu_us)
        .budget(budget)
        .note(format!(
            "limit: one thread calling send() in a loop; the clients' own CPU {:.2} µs and {:.2} µs",
            ours.client_us, limit.client_us
        ))
        .print()?;
    let latency = |to: &str, ours: Spread, limit: Spread| {
        Figure::new(SUBJECT, name(&format!("update sent → {to} client, P50")), ours.p50, "ms")
            .limit(limit.p50)
            .note(format!("ours, commit included: {ours}; limit: {limit}"))
    };
    latency("first", ours.first, limit.first).print()?;
    latency("last", ours.last, limit.last).print()
}

fn median_of(rounds: &[Delivered]) -> Delivered {
    let of = |pick: fn(&Delivered) -> f64| median(&mut rounds.iter().map(pick).collect::<Vec<_>>());
    let spread = |pick: fn(&Delivered) -> Spread| {
        Spread::median(&rounds.iter().map(pick).collect::<Vec<_>>())
    };
    Delivered {
        cpu_us: of(|round| round.cpu_us),
        first: spread(|round| round.first),
        last: spread(|round| round.last),
        client_us: of(|round| round.client_us),
    }
}

fn symbols(number: u8) -> Vec<String> {
    (0..number).map(|symbol| format!("S{symbol:03}/USD")).collect()
}

/// Lets the gateway deliver: one batch of `joined` feeds, each of its own symbol, is one write to each client.
fn gateway(clients: usize, joined: u8, rounds: Rounds) -> anyhow::Result<Delivered> {
    let server = scratch_gateway()?;
    pin(server.pid(), 0);
    let mut poster = Poster::connect(server.address(), joined)?;
    // The symbols are known before, so that no client's first update is a new name's.
    poster.post()?;
    poster.finish()?;
    let mut audience = Audience::subscribe(server.address(), clients, &symbols(joined))?;
    deliver(&server, &mut audience, clients, joined, rounds, || poster.post())
}

/// Lets a loop of `send` deliver the same.
fn send_loop(clients: usize, joined: u8, rounds: Rounds) -> anyhow::Result<Delivered> {
    let mut frames = tempfile::NamedTempFile::new()?;
    let mut frame = vec![0x81, FRAME_BYTES];
    frame.extend(format!("{:<1$}", r#"{"type":"price_update""#, usize::from(FRAME_BYTES)).bytes());
    frames.write_all(&frame.repeat(joined.into()))?;
    let path = frames.path().to_string_lossy().into_owned();
    let arguments = ["broadcast", &clients.to_string(), &path];
    let server = Server::limit(env!("CARGO_BIN_EXE_limits"), &arguments)?;
    pin(server.pid(), 0);
    let mut audience = Audience::plain(server.address(), clients)?;
    let mut commander = TcpStream::connect(server.address())?;
    commander.set_nodelay(true)?;
    deliver(&server, &mut audience, clients, joined, rounds, || Ok(commander.write_all(&[1])?))
}

fn deliver(
    server: &Server,
    audience: &mut Audience,
    clients: usize,
    joined: u8,
    rounds: Rounds,
    mut send: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Delivered> {
    let turns = rounds.of(DELIVERIES / clients, 5);
    let (mut first, mut last) = (Vec::new(), Vec::new());
    let before = (Usage::of(server.pid())?.cpu, Usage::own()?.cpu);
    for _ in 0..turns {
        let started = Instant::now();
        send()?;
        let heard = audience.hear(joined.into(), PATIENCE)?;
        let micros = |at: Instant| u32::try_from((at - started).as_micros()).unwrap_or(u32::MAX);
        first.push(micros(heard.first));
        last.push(micros(heard.last));
        std::thread::sleep(REST);
    }
    let after = (Usage::of(server.pid())?.cpu, Usage::own()?.cpu);
    let deliveries = count((turns * clients * usize::from(joined)) as u64);
    let each = |used: Duration| used.as_secs_f64() * 1e6 / deliveries;
    Ok(Delivered {
        cpu_us: each(after.0.saturating_sub(before.0)),
        first: Spread::of(&mut first),
        last: Spread::of(&mut last),
        client_us: each(after.1.saturating_sub(before.1)),
    })
}

/// Posts batches on one connection without waiting for the answers.
struct Poster {
    socket: TcpStream,
    feeds: Feeds,
    turn: u64,
    /// Whether the last batch is not answered yet.
    waits: bool,
    read: Vec<u8>,
}

impl Poster {
    fn connect(address: SocketAddr, feeds: u8) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        let feeds = Feeds::new(0, feeds.into(), 0..u64::from(feeds), 0..1);
        Ok(Self { socket, feeds, turn: 0, waits: false, read: Vec::new() })
    }

    /// Sends the next batch, once the one before is answered.
    fn post(&mut self) -> anyhow::Result<()> {
        self.finish()?;
        self.feeds.prepare(self.turn);
        self.turn += 1;
        self.waits = true;
        Ok(self.socket.write_all(self.feeds.bytes())?)
    }

    /// Waits for the answer to the last batch.
    fn finish(&mut self) -> anyhow::Result<()> {
        let mut buffer = [0; 1_024];
        while self.waits {
            if let Some(answer) = find_answer(&self.read)? {
                anyhow::ensure!(answer.status == 200, "{}", String::from_utf8_lossy(&self.read));
                self.read.drain(..answer.bytes);
                self.waits = false;
                break;
            }
            let bytes = self.socket.read(&mut buffer)?;
            anyhow::ensure!(bytes > 0, "the gateway closed the connection");
            self.read.extend(buffer.iter().take(bytes));
        }
        Ok(())
    }
}

/// Reports what an idle client takes: the slope between two sizes of audience, each with ten symbols.
fn idle(rounds: Rounds) -> anyhow::Result<()> {
    let [few, many] = rounds.of([1_000, 5_000], [50, 250]);
    let mut slopes = Vec::new();
    for _ in 0..rounds.count() {
        let server = scratch_gateway()?;
        let rss = |clients| -> anyhow::Result<f64> {
            let mut audience = Audience::subscribe(server.address(), clients, &symbols(10))?;
            audience.listen(rounds.span(Duration::from_secs(1)))?;
            Ok(count(Usage::of(server.pid())?.rss_bytes))
        };
        let small = rss(few)?;
        slopes.push((rss(many)? - small) / count((many - few) as u64));
    }
    Figure::new(SUBJECT, "memory of an idle client with 10 symbols", median(&mut slopes), "B")
        .budget(Budget::AtMost(4_096.0))
        .note(format!("resident memory at {many} clients less that at {few}, a client; the kernel's is not in it"))
        .print()
}
