//! Budgets of durable ingest over HTTP into the embedded store: ≥ 0.5 × the limit program for 10 workers × 100 feeds and
//! for 64 × 1, P99 < 5 ms at half of saturation, P95 < 50 ms at 1,000 feeds/s; 64 × 1 ≥ 10 × one commit per request.
//!
//! Drives the release binary over loopback; build it first with `cargo build --release -p chrono-api`.

use std::time::Duration;

use chrono_benches::load::{Outcome, Pace, Request, run};
use chrono_benches::{
    Budget, Feeds, Figure, Rounds, Server, Spread, count, median, scratch_gateway,
};

/// Time for each contender of a round.
const SPAN: Duration = Duration::from_secs(2);
/// Time before, in which names become known and memory is taken.
const WARM_UP: Duration = Duration::from_millis(300);
const SUBJECT: &str = "Durable ingest over HTTP, embedded store";

/// How the load is cut.
#[derive(Debug, Clone, Copy)]
struct Shape {
    workers: usize,
    feeds: usize,
}

const SHAPES: [Shape; 2] = [Shape { workers: 10, feeds: 100 }, Shape { workers: 64, feeds: 1 }];

impl Shape {
    fn name(self) -> String {
        let Self { workers, feeds } = self;
        format!("{workers} workers × {feeds}")
    }

    fn load(self, server: &Server, pace: Pace, span: Duration) -> anyhow::Result<Outcome> {
        let requests = (0..self.workers).map(|worker| {
            let source = worker as u64 % 5;
            Box::new(Feeds::new(worker, self.feeds, 0..200, source..source + 1)) as Box<dyn Request>
        });
        run(server, requests.collect(), pace, span)
    }

    fn feeds_per_second(self, outcome: &Outcome) -> f64 {
        outcome.rate() * count(self.feeds as u64)
    }
}

fn main() -> anyhow::Result<()> {
    let rounds = Rounds::from_arguments();
    for shape in SHAPES {
        let saturation = at_saturation(shape, rounds)?;
        let half = Rate {
            name: "half of saturation",
            feeds: saturation / 2.0,
            p99_ms: Some(5.0),
            p95_ms: None,
        };
        let spec = Rate { name: "1,000 feeds/s", feeds: 1_000.0, p95_ms: Some(50.0), p99_ms: None };
        at_rate(shape, rounds, spec)?;
        at_rate(shape, rounds, half)?;
    }
    group_commit(rounds)
}

fn append(commit: &str) -> anyhow::Result<(Server, tempfile::TempDir)> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().to_string_lossy().into_owned();
    let server = Server::limit(env!("CARGO_BIN_EXE_limits"), &["append", &path, commit])?;
    Ok((server, directory))
}

/// Measures ours and the limit in turn, each on a new directory.
fn contend(
    shape: Shape,
    rounds: Rounds,
    pace: Pace,
) -> anyhow::Result<(Vec<Outcome>, Vec<Outcome>)> {
    let (mut ours, mut limits) = (Vec::new(), Vec::new());
    for _ in 0..rounds.count() {
        let gateway = scratch_gateway()?;
        shape.load(&gateway, Pace::Saturating, rounds.span(WARM_UP))?;
        ours.push(shape.load(&gateway, pace, rounds.span(SPAN))?);
        drop(gateway);
        let (limit, _directory) = append("shared")?;
        shape.load(&limit, Pace::Saturating, rounds.span(WARM_UP))?;
        limits.push(shape.load(&limit, pace, rounds.span(SPAN))?);
    }
    Ok((ours, limits))
}

fn median_of(outcomes: &[Outcome], figure: impl Fn(&Outcome) -> f64) -> f64 {
    median(&mut outcomes.iter().map(figure).collect::<Vec<_>>())
}

fn spread_of(outcomes: &[Outcome]) -> Spread {
    Spread::median(&outcomes.iter().map(|outcome| outcome.latency).collect::<Vec<_>>())
}

fn cores(outcomes: &[Outcome]) -> String {
    let server = median_of(outcomes, Outcome::server_cores);
    let generator = median_of(outcomes, Outcome::generator_cores);
    format!("{server:.2} cores, generator {generator:.2}")
}

/// Reports what is taken in at most, and gives it in feeds a second.
fn at_saturation(shape: Shape, rounds: Rounds) -> anyhow::Result<f64> {
    let (ours, limits) = contend(shape, rounds, Pace::Saturating)?;
    let rate = |outcome: &Outcome| shape.feeds_per_second(outcome);
    let cpu = |outcome: &Outcome| outcome.server_cpu_us() / count(shape.feeds as u64);
    let saturation = median_of(&ours, rate);
    Figure::new(SUBJECT, format!("{}, saturated", shape.name()), saturation, "feeds/s")
        .limit(median_of(&limits, rate))
        .budget(Budget::RatioAtLeast(0.5))
        .note(format!(
            "ours {}, {}; limit {}, {}",
            spread_of(&ours),
            cores(&ours),
            spread_of(&limits),
            cores(&limits)
        ))
        .print()?;
    Figure::new(SUBJECT, format!("{}, CPU a feed", shape.name()), median_of(&ours, cpu), "µs")
        .limit(median_of(&limits, cpu))
        .note("of the server; other work on the machine changes it least")
        .print()?;
    Ok(saturation)
}

/// An offered load, in feeds a second, and what latencies must come to under it.
#[derive(Debug, Clone, Copy)]
struct Rate {
    name: &'static str,
    feeds: f64,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
}

/// Reports latencies at a rate.
fn at_rate(shape: Shape, rounds: Rounds, rate: Rate) -> anyhow::Result<()> {
    let pace = Pace::PerSecond(rate.feeds / count(shape.feeds as u64));
    let (ours, limits) = contend(shape, rounds, pace)?;
    let (spread, limit) = (spread_of(&ours), spread_of(&limits));
    let Rate { name, feeds, p95_ms, p99_ms } = rate;
    let figure = |percentile: &str, ours: f64, limit: f64, budget: Option<f64>| {
        let name = format!("{} at {name}, {percentile}", shape.name());
        let figure = Figure::new(SUBJECT, name, ours, "ms").limit(limit);
        budget.into_iter().fold(figure, |figure, most| figure.budget(Budget::AtMost(most)))
    };
    let offered =
        format!("{feeds:.0} feeds/s offered; ours {}; limit {}", cores(&ours), cores(&limits));
    figure("P50", spread.p50, limit.p50, None).note(offered).print()?;
    figure("P95", spread.p95, limit.p95, p95_ms).print()?;
    figure("P99", spread.p99, limit.p99, p99_ms).print()
}

/// Reports what sharing commits brings: 64 workers against one commit for each request.
fn group_commit(rounds: Rounds) -> anyhow::Result<()> {
    let [_, many] = SHAPES;
    let alone = Shape { workers: 1, feeds: 1 };
    let mut figures = [const { Vec::new() }; 3];
    for _ in 0..rounds.count() {
        let gateway = scratch_gateway()?;
        let span = rounds.span(SPAN);
        many.load(&gateway, Pace::Saturating, rounds.span(WARM_UP))?;
        let shared = many.load(&gateway, Pace::Saturating, span)?;
        let one = alone.load(&gateway, Pace::Saturating, span)?;
        drop(gateway);
        let (limit, _directory) = append("each")?;
        let each = many.load(&limit, Pace::Saturating, span)?;
        let rates = [shared, one, each].map(|outcome| outcome.rate());
        figures.iter_mut().zip(rates).for_each(|(figures, rate)| figures.push(rate));
    }
    let [shared, one, each] = figures.map(|mut figures| median(&mut figures));
    Figure::new(SUBJECT, "64 workers × 1 against one worker alone", shared, "feeds/s")
        .limit(one)
        .note("one worker alone: the same gateway, where every request is a commit of its own")
        .print()?;
    Figure::new(SUBJECT, "64 workers × 1 against one fdatasync a request", shared, "feeds/s")
        .limit(each)
        .budget(Budget::RatioAtLeast(10.0))
        .note("the limit program with group commit off, driven by the same 64 workers")
        .print()
}
