//! Budgets of `/prices/range` on ten million stored ticks over two years, all of them in pages, no answer from the
//! cache: 24 h at 1m P95 ≤ 5 ms, 90 days at 1h ≤ 10 ms, 2 years at 1d ≤ 5 ms, and 10,000 raw ticks.
//!
//! `-- --symbols 1` stores a million instead, for a look where filling is slow. Drives the release binary over loopback;
//! build it first with `cargo build --release -p chrono-api`.

use std::io::Write;
use std::time::Duration;

use chrono_benches::load::{Outcome, Pace, Request, run};
use chrono_benches::{
    Budget, Figure, History, Question, Rounds, Server, Spread, ask, count, gateway, median,
};

/// Time for each question of a round.
const SPAN: Duration = Duration::from_secs(1);
const SUBJECT: &str = "Ranges";

fn main() -> anyhow::Result<()> {
    let rounds = Rounds::from_arguments();
    let symbols = rounds.asked("--symbols").unwrap_or(rounds.of(10, 2));
    let history = History::new(symbols, rounds.of(History::days(), 30));
    let directory = tempfile::tempdir()?;
    let loaded = history.load(directory.path())?;
    let rate = count(history.ticks()) / loaded.elapsed.as_secs_f64();
    let name = format!("taking {} ticks of two years in", history.ticks());
    Figure::new(SUBJECT, name, rate, "feeds/s")
        .note("batches of 100 in the order of time, a connection for each symbol")
        .print()?;
    let server = Server::from_gateway(gateway(directory.path())?.start()?)?;
    for question in Question::ALL {
        measure(&server, history, question, rounds)?;
    }
    Ok(())
}

fn budget(question: Question) -> Option<Budget> {
    match question {
        Question::DayByMinute | Question::YearsByDay => Some(Budget::AtMost(5.0)),
        Question::QuarterByHour => Some(Budget::AtMost(10.0)),
        Question::Ticks => None,
    }
}

/// Reports a question's latency, one after the other, beside that of a bare server that sends an answer's bytes.
fn measure(
    gateway: &Server,
    history: History,
    question: Question,
    rounds: Rounds,
) -> anyhow::Result<()> {
    let mut same = tempfile::NamedTempFile::new()?;
    let mut once = history.ask(question, 0);
    once.prepare(0);
    let answer = ask(gateway.address(), &once)?;
    same.write_all(&answer)?;
    let path = same.path().to_string_lossy().into_owned();
    let bare = Server::limit(env!("CARGO_BIN_EXE_limits"), &["answer", &path])?;
    let (mut ours, mut limits) = (Vec::new(), Vec::new());
    let mut asked = 1;
    for _ in 0..rounds.count() {
        let outcome = one_by_one(gateway, history, question, asked, rounds)?;
        asked += outcome.answered + 1;
        ours.push(outcome);
        limits.push(one_by_one(&bare, history, question, asked, rounds)?);
    }
    let spread = |outcomes: &[Outcome]| {
        Spread::median(&outcomes.iter().map(|outcome| outcome.latency).collect::<Vec<_>>())
    };
    let cpu = median(&mut ours.iter().map(Outcome::server_cpu_us).collect::<Vec<_>>());
    let (spread, limit) = (spread(&ours), spread(&limits));
    let figure = Figure::new(SUBJECT, format!("{}, P95", question.name()), spread.p95, "ms")
        .limit(limit.p95)
        .note(format!(
            "{spread}, {cpu:.0} µs CPU, {} bytes; limit: bare hyper with the same bytes",
            answer.len()
        ));
    match budget(question) {
        Some(budget) => figure.budget(budget),
        None => figure,
    }
    .print()
}

fn one_by_one(
    server: &Server,
    history: History,
    question: Question,
    first: u64,
    rounds: Rounds,
) -> anyhow::Result<Outcome> {
    let request = Box::new(history.ask(question, first)) as Box<dyn Request>;
    run(server, vec![request], Pace::Saturating, rounds.span(SPAN))
}
