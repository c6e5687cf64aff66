//! Budget: from the commit of an update to its first and last socket, 100 clients, 2,000 updates/s: P99 < 0.5 ms and < 1 ms
//! (of the sharded stage).
//!
//! The moment of a commit is not to be seen from outside: what is measured begins when a tick is sent, so it holds the way
//! in and the commit, too, and is no judgement of that budget; from first to last client is the stream's alone.
//!
//! Drives the release binary over loopback; build it first with `cargo build --release -p chrono-api`.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::ensure;
use chrono_benches::load::{Outcome, Pace, Request, run};
use chrono_benches::{Audience, Feeds, Figure, Rounds, Server, Spread, median, scratch_gateway};
use chrono_domain::{Clock, SystemClock, Timestamp};
use serde::Deserialize;

const CLIENTS: usize = 100;
const WORKERS: usize = 32;
const SYMBOLS: u64 = 200;
const UPDATES_PER_SECOND: f64 = 2_000.0;
/// Time of a round.
const SPAN: Duration = Duration::from_secs(4);
/// Time after, for what is on its way.
const REST: Duration = Duration::from_millis(200);
const SUBJECT: &str = "Latency of the stream";

/// What is read of an update.
#[derive(Deserialize)]
struct Update<'a> {
    seq: u64,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    timestamp: &'a str,
}

/// When an update was sent, and its first and last client had it.
#[derive(Debug, Clone, Copy)]
struct Heard {
    sent: Timestamp,
    first: Timestamp,
    last: Timestamp,
}

fn main() -> anyhow::Result<()> {
    let rounds = Rounds::from_arguments();
    let (mut firsts, mut lasts, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds.count() {
        let (heard, outcome) = listen(&scratch_gateway()?, rounds)?;
        ensure!(!heard.is_empty(), "no update came");
        let spread = |at: fn(&Heard) -> Timestamp| {
            let micros = |it: &Heard| u32::try_from(at(it).since(it.sent).as_micros());
            Spread::of(&mut heard.iter().filter_map(|it| micros(it).ok()).collect::<Vec<_>>())
        };
        firsts.push(spread(|it| it.first));
        lasts.push(spread(|it| it.last));
        answers.push(outcome.latency);
    }
    let p99 = |spreads: &[Spread]| median(&mut spreads.iter().map(|it| it.p99).collect::<Vec<_>>());
    for (to, spreads) in [("first", &firsts), ("last", &lasts)] {
        let name = format!("tick sent → {to} client, 100 clients, 2,000 updates/s, P99");
        Figure::new(SUBJECT, name, p99(spreads), "ms")
            .note(format!(
                "{}, commit included; durable answers, from when their ticks were to be sent: {}",
                Spread::median(spreads),
                Spread::median(&answers)
            ))
            .print()?;
    }
    Ok(())
}

/// Posts ticks one by one while the clients, each with ten symbols of its own, listen.
fn listen(server: &Server, rounds: Rounds) -> anyhow::Result<(Vec<Heard>, Outcome)> {
    let symbols = |client: usize| {
        let symbol = |place| (client as u64 * 10 + place) % SYMBOLS;
        (0..10).map(|place| format!("S{:03}/USD", symbol(place))).collect()
    };
    let mut audience = Audience::subscribe_each(server.address(), CLIENTS, symbols)?;
    let (span, clock) = (rounds.span(SPAN), SystemClock::new());
    let mut heard: HashMap<u64, Heard> = HashMap::new();
    let mut hear = |update: &[u8]| {
        let now = clock.now();
        let Ok(update) = serde_json::from_slice::<Update<'_>>(update) else { return };
        let Ok(sent) = Timestamp::parse_rfc3339(update.data.timestamp) else { return };
        heard.entry(update.seq).or_insert(Heard { sent, first: now, last: now }).last = now;
    };
    let outcome = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let worker = |worker: usize| {
                Box::new(Feeds::new(worker, 1, 0..SYMBOLS, 0..5)) as Box<dyn Request>
            };
            let pace = Pace::PerSecond(UPDATES_PER_SECOND);
            run(server, (0..WORKERS).map(worker).collect(), pace, span)
        });
        audience.listen_to(span + REST, &mut hear)?;
        load.join().map_err(|_panic| anyhow::anyhow!("the load panicked"))?
    })?;
    Ok((heard.into_values().collect(), outcome))
}
