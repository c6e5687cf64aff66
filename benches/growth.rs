//! Not run by default: how ingest, ranges, memory and the database change from one to ten to thirty million stored ticks,
//! all of them in pages; so a start has no log to replay, which the bench `store` measures.
//!
//! Drives the release binary over loopback; build it first with `cargo build --release -p chrono-api`.

use std::time::{Duration, Instant};

use chrono_benches::load::{Outcome, Pace, Request, run};
use chrono_benches::{
    Feeds, Figure, History, Question, Rounds, Server, Spread, Usage, bytes_on_disk, count, gateway,
    median,
};

/// Time for each measurement of a round.
const SPAN: Duration = Duration::from_secs(2);
const MEBIBYTE: f64 = 1_048_576.0;
const SUBJECT: &str = "Growth";

fn main() -> anyhow::Result<()> {
    let rounds = Rounds::from_arguments();
    let mut first = None;
    for symbols in rounds.of([1, 10, 30], [1, 2, 3]) {
        let history = History::new(symbols, rounds.of(History::days(), 30));
        let row = measure(history, rounds)?;
        let first = first.get_or_insert(row);
        report(history, row, *first)?;
    }
    Ok(())
}

/// What one size came to.
#[derive(Debug, Clone, Copy)]
struct Row {
    loaded: f64,
    ingest: f64,
    questions: [f64; 4],
    rss_bytes: f64,
    bytes_per_tick: f64,
    start_ms: f64,
}

fn measure(history: History, rounds: Rounds) -> anyhow::Result<Row> {
    let directory = tempfile::tempdir()?;
    let loaded = history.load(directory.path())?;
    let bytes_per_tick = count(bytes_on_disk(directory.path())?) / count(history.ticks());
    let started = Instant::now();
    let server = Server::from_gateway(gateway(directory.path())?.start()?)?;
    let start_ms = started.elapsed().as_secs_f64() * 1e3;
    let mut questions = [0.0; 4];
    for (question, figure) in Question::ALL.into_iter().zip(&mut questions) {
        *figure = p95(&server, history, question, rounds)?;
    }
    let rss_bytes = count(Usage::of(server.pid())?.rss_bytes);
    let ingest = ingest(&server, rounds)?;
    let loaded = count(history.ticks()) / loaded.elapsed.as_secs_f64();
    Ok(Row { loaded, ingest, questions, rss_bytes, bytes_per_tick, start_ms })
}

fn p95(
    server: &Server,
    history: History,
    question: Question,
    rounds: Rounds,
) -> anyhow::Result<f64> {
    let (mut spreads, mut asked) = (Vec::new(), 0);
    for _ in 0..rounds.count() {
        let request = Box::new(history.ask(question, asked)) as Box<dyn Request>;
        let outcome = run(server, vec![request], Pace::Saturating, rounds.span(SPAN))?;
        asked += outcome.answered + 1;
        spreads.push(outcome.latency);
    }
    Ok(Spread::median(&spreads).p95)
}

fn ingest(server: &Server, rounds: Rounds) -> anyhow::Result<f64> {
    let mut rates = Vec::new();
    for _ in 0..rounds.count() {
        let worker = |worker: usize| {
            let source = worker as u64 % 5;
            Box::new(Feeds::new(worker, 100, 0..200, source..source + 1)) as Box<dyn Request>
        };
        let requests = (0..10).map(worker).collect();
        let outcome: Outcome = run(server, requests, Pace::Saturating, rounds.span(SPAN))?;
        rates.push(outcome.rate() * 100.0);
    }
    Ok(median(&mut rates))
}

/// Reports a size; the limit is the smallest size's figure.
fn report(history: History, row: Row, first: Row) -> anyhow::Result<()> {
    let figure = |what: &str, of: fn(&Row) -> f64, unit| {
        let name = format!("{} ticks stored: {what}", history.ticks());
        Figure::new(SUBJECT, name, of(&row), unit).limit(of(&first)).print()
    };
    figure("taking them in", |row| row.loaded, "feeds/s")?;
    figure("10 workers × 100, saturated", |row| row.ingest, "feeds/s")?;
    for (idx, question) in Question::ALL.into_iter().enumerate() {
        let of = |row: &Row| row.questions.get(idx).copied().unwrap_or(f64::NAN);
        let name = format!("{} ticks stored: {}, P95", history.ticks(), question.name());
        Figure::new(SUBJECT, name, of(&row), "ms").limit(of(&first)).print()?;
    }
    figure(
        "resident memory after a start and the questions",
        |row| row.rss_bytes / MEBIBYTE,
        "MiB",
    )?;
    figure("database a tick", |row| row.bytes_per_tick, "B")?;
    figure("start until it listens, nothing to replay", |row| row.start_ms, "ms")
}
