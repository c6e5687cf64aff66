//! Budget: `GET /prices/latest`, 3 symbols over 32 connections, ≥ 0.85 × a bare hyper server that sends the same bytes.
//!
//! Drives the release binary over loopback; build it first with `cargo build --release -p chrono-api`.

use std::io::Write;
use std::time::Duration;

use chrono_benches::load::{Outcome, Pace, Request, run};
use chrono_benches::{
    Budget, Feeds, Figure, Get, Rounds, Server, Spread, ask, median, scratch_gateway,
};

/// Time for each contender of a round.
const SPAN: Duration = Duration::from_secs(2);
const SUBJECT: &str = "Latest prices";
const CONNECTIONS: usize = 32;
const PATH: &str = "/prices/latest?symbols=S000/USD,S001/USD,S002/USD";

fn main() -> anyhow::Result<()> {
    let rounds = Rounds::from_arguments();
    let gateway = scratch_gateway()?;
    let mut feeds = Feeds::new(0, 10, 0..3, 0..5);
    feeds.prepare(0);
    ask(gateway.address(), &feeds)?;
    let mut same = tempfile::NamedTempFile::new()?;
    same.write_all(&ask(gateway.address(), &Get::always(PATH))?)?;
    let path = same.path().to_string_lossy().into_owned();
    let bare = Server::limit(env!("CARGO_BIN_EXE_limits"), &["answer", &path])?;
    let (mut ours, mut limits) = (Vec::new(), Vec::new());
    for _ in 0..rounds.count() {
        ours.push(load(&gateway, rounds)?);
        limits.push(load(&bare, rounds)?);
    }
    let of = |outcomes: &[Outcome], figure: fn(&Outcome) -> f64| {
        median(&mut outcomes.iter().map(figure).collect::<Vec<_>>())
    };
    let said = |outcomes: &[Outcome]| {
        let spreads: Vec<_> = outcomes.iter().map(|outcome| outcome.latency).collect();
        let (server, generator) =
            (of(outcomes, Outcome::server_cores), of(outcomes, Outcome::generator_cores));
        format!("{}, {server:.2} cores, generator {generator:.2}", Spread::median(&spreads))
    };
    Figure::new(SUBJECT, "3 symbols, 32 connections", of(&ours, Outcome::rate), "answers/s")
        .limit(of(&limits, Outcome::rate))
        .budget(Budget::RatioAtLeast(0.85))
        .note(format!(
            "limit: bare hyper with the same bytes; ours {}; limit {}",
            said(&ours),
            said(&limits)
        ))
        .print()?;
    Figure::new(SUBJECT, "CPU an answer", of(&ours, Outcome::server_cpu_us), "µs")
        .limit(of(&limits, Outcome::server_cpu_us))
        .note("of the server; other work on the machine changes it least")
        .print()
}

fn load(server: &Server, rounds: Rounds) -> anyhow::Result<Outcome> {
    let ask = || Box::new(Get::always(PATH)) as Box<dyn Request>;
    let requests = std::iter::repeat_with(ask).take(CONNECTIONS).collect();
    run(server, requests, Pace::Saturating, rounds.span(SPAN))
}
