//! Budgets of durable ingest over HTTP into the embedded store: ≥ 0.5 × the limit program for 10 workers × 100 feeds and
//! for 64 × 1, P99 < 5 ms at half of saturation, P95 < 50 ms at 1,000 feeds/s; 64 × 1 ≥ 10 × one commit per request.
//!
//! Batches have names, as our own worker's do. Cycles are made so short that some end within each span: at these rates
//! those of a gateway as it is shipped would mostly lie outside. The limit program is measured with a file that grows and
//! with one whose room was written before; the faster of both counts.
//!
//! Drives the release binary over loopback; build it first with `cargo build --release -p chrono-api`.

use std::time::Duration;

use chrono_benches::load::{Outcome, Pace, Request, run};
use chrono_benches::{
    Budget, Feeds, Figure, Rounds, Sealed, Server, Spread, count, gateway, median,
};

/// Time for each contender of a round.
const SPAN: Duration = Duration::from_secs(6);
/// Time before, in which names become known and memory is taken.
const WARM_UP: Duration = Duration::from_millis(300);
const SUBJECT: &str = "Durable ingest over HTTP, embedded store";

/// Ticks that begin a cycle of a gateway as it is shipped.
const CYCLE_TICKS: u64 = 250_000;
/// Cycles that a span must hold, and those that it is meant to hold.
const CYCLES_LEAST: u64 = 2;
const CYCLES: f64 = 4.0;

/// How the load is cut.
#[derive(Debug, Clone, Copy)]
struct Shape {
    workers: usize,
    feeds: usize,
    /// Ticks of a cycle at saturation.
    cycle_ticks: u64,
    /// Room that was written before for the limit's rows, some 56 bytes each: more than it fills.
    room_mib: usize,
}

const SHAPES: [Shape; 2] = [
    Shape { workers: 10, feeds: 100, cycle_ticks: CYCLE_TICKS, room_mib: 512 },
    Shape { workers: 64, feeds: 1, cycle_ticks: 25_000, room_mib: 32 },
];

impl Shape {
    fn name(self) -> String {
        let Self { workers, feeds, .. } = self;
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
    let [hundreds, singles] = SHAPES;
    measure(hundreds, rounds)?;
    let room_mib = measure(singles, rounds)?;
    group_commit(rounds, room_mib)
}

/// Reports a shape; gives the room of the faster limit.
fn measure(shape: Shape, rounds: Rounds) -> anyhow::Result<usize> {
    let (saturation, room_mib) = at_saturation(shape, rounds)?;
    let half = Rate {
        name: "half of saturation",
        feeds: saturation / 2.0,
        p99_ms: Some(5.0),
        p95_ms: None,
    };
    let spec = Rate { name: "1,000 feeds/s", feeds: 1_000.0, p95_ms: Some(50.0), p99_ms: None };
    at_rate(shape, rounds, spec, room_mib)?;
    at_rate(shape, rounds, half, room_mib)?;
    Ok(room_mib)
}

/// What ours came to, round by round.
struct Ours {
    outcomes: Vec<Outcome>,
    cycle_ticks: u64,
    /// The fewest cycles that ended within a round.
    cycles: u64,
}

impl Ours {
    fn with_cycles_of(ticks: u64) -> Self {
        Self { outcomes: Vec::new(), cycle_ticks: ticks, cycles: u64::MAX }
    }

    /// Runs a round on a new directory.
    fn round(&mut self, shape: Shape, rounds: Rounds, pace: Pace) -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        let command =
            gateway(directory.path())?.with("STORE_CYCLE_TICKS", &self.cycle_ticks.to_string());
        let server = Server::from_gateway(command.start()?)?;
        shape.load(&server, Pace::Saturating, rounds.span(WARM_UP))?;
        let before = Sealed::of(directory.path())?.cycles;
        self.outcomes.push(shape.load(&server, pace, rounds.span(SPAN))?);
        let cycles = Sealed::of(directory.path())?.cycles - before;
        self.cycles = self.cycles.min(cycles);
        Ok(())
    }

    /// Says how many cycles ended within a span, also when they are too few for the figure to be worth much.
    fn cycles(&self) -> String {
        let Self { cycles, cycle_ticks, .. } = self;
        let few = if *cycles < CYCLES_LEAST { "only" } else { "at least" };
        format!("{few} {cycles} cycles of {cycle_ticks} ticks a span")
    }
}

/// Runs a round of the limit on a new directory.
fn limit(
    shape: Shape,
    rounds: Rounds,
    pace: Pace,
    commit: &str,
    room_mib: usize,
) -> anyhow::Result<Outcome> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().to_string_lossy().into_owned();
    let arguments = ["append", &path, commit, &room_mib.to_string()];
    let server = Server::limit(env!("CARGO_BIN_EXE_limits"), &arguments)?;
    shape.load(&server, Pace::Saturating, rounds.span(WARM_UP))?;
    shape.load(&server, pace, rounds.span(SPAN))
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

/// Reports what is taken in at most; gives it in feeds a second, and the room of the faster limit.
fn at_saturation(shape: Shape, rounds: Rounds) -> anyhow::Result<(f64, usize)> {
    let mut ours = Ours::with_cycles_of(rounds.of(shape.cycle_ticks, 100));
    let (mut grown, mut written) = (Vec::new(), Vec::new());
    for _ in 0..rounds.count() {
        ours.round(shape, rounds, Pace::Saturating)?;
        grown.push(limit(shape, rounds, Pace::Saturating, "shared", 0)?);
        written.push(limit(shape, rounds, Pace::Saturating, "shared", shape.room_mib)?);
    }
    let rate = |outcome: &Outcome| shape.feeds_per_second(outcome);
    let cpu = |outcome: &Outcome| outcome.server_cpu_us() / count(shape.feeds as u64);
    let rates = (median_of(&grown, rate), median_of(&written, rate));
    let (limits, room_mib, file, other) = if rates.0 >= rates.1 {
        (grown, 0, "a file that grows", rates.1)
    } else {
        (written, shape.room_mib, "room that was written before", rates.0)
    };
    let saturation = median_of(&ours.outcomes, rate);
    Figure::new(SUBJECT, format!("{}, saturated", shape.name()), saturation, "feeds/s")
        .limit(rates.0.max(rates.1))
        .budget(Budget::RatioAtLeast(0.5))
        .note(format!(
            "ours {}, {}, {}; limit, with {file} ({other:.0} with the other), {}, {}",
            spread_of(&ours.outcomes),
            cores(&ours.outcomes),
            ours.cycles(),
            spread_of(&limits),
            cores(&limits)
        ))
        .print()?;
    let figure = median_of(&ours.outcomes, cpu);
    Figure::new(SUBJECT, format!("{}, CPU a feed", shape.name()), figure, "µs")
        .limit(median_of(&limits, cpu))
        .note("of the server; other work on the machine changes it least")
        .print()?;
    Ok((saturation, room_mib))
}

/// An offered load, in feeds a second, and what latencies must come to under it.
#[derive(Debug, Clone, Copy)]
struct Rate {
    name: &'static str,
    feeds: f64,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
}

impl Rate {
    /// Gives how many ticks a cycle must have so that some end within a span; no more than as it is shipped.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some thousands, rounded down"
    )]
    fn cycle_ticks(self) -> u64 {
        let ticks = self.feeds * SPAN.as_secs_f64() / CYCLES;
        (ticks as u64).clamp(1, CYCLE_TICKS)
    }
}

/// Reports latencies at a rate.
fn at_rate(shape: Shape, rounds: Rounds, rate: Rate, room_mib: usize) -> anyhow::Result<()> {
    let pace = Pace::PerSecond(rate.feeds / count(shape.feeds as u64));
    let mut ours = Ours::with_cycles_of(rate.cycle_ticks());
    let mut limits = Vec::new();
    for _ in 0..rounds.count() {
        ours.round(shape, rounds, pace)?;
        limits.push(limit(shape, rounds, pace, "shared", room_mib)?);
    }
    let (spread, limit) = (spread_of(&ours.outcomes), spread_of(&limits));
    let Rate { name, feeds, p95_ms, p99_ms } = rate;
    let figure = |percentile: &str, ours: f64, limit: f64, budget: Option<f64>| {
        let name = format!("{} at {name}, {percentile}", shape.name());
        let figure = Figure::new(SUBJECT, name, ours, "ms").limit(limit);
        budget.into_iter().fold(figure, |figure, most| figure.budget(Budget::AtMost(most)))
    };
    let offered = format!(
        "{feeds:.0} feeds/s offered; ours {}, {}; limit {}",
        cores(&ours.outcomes),
        ours.cycles(),
        cores(&limits)
    );
    figure("P50", spread.p50, limit.p50, None).note(offered).print()?;
    figure("P95", spread.p95, limit.p95, p95_ms).print()?;
    figure("P99", spread.p99, limit.p99, p99_ms).print()
}

/// Reports what sharing commits brings: 64 workers against one commit for each request.
fn group_commit(rounds: Rounds, room_mib: usize) -> anyhow::Result<()> {
    let [_, many] = SHAPES;
    let alone = Shape { workers: 1, feeds: 1, ..many };
    let cycle_ticks = rounds.of(many.cycle_ticks, 100);
    let mut shared = Ours::with_cycles_of(cycle_ticks);
    // No cycle ends while it is alone, which is in its favour.
    let mut one = Ours::with_cycles_of(CYCLE_TICKS);
    let mut each = Vec::new();
    for _ in 0..rounds.count() {
        shared.round(many, rounds, Pace::Saturating)?;
        one.round(alone, rounds, Pace::Saturating)?;
        each.push(limit(many, rounds, Pace::Saturating, "each", room_mib)?);
    }
    let figures = [&shared.outcomes, &one.outcomes, &each];
    let [together, one, each] = figures.map(|outcomes| median_of(outcomes, Outcome::rate));
    Figure::new(SUBJECT, "64 workers × 1 against one worker alone", together, "feeds/s")
        .limit(one)
        .note(format!(
            "{}; one worker alone: a gateway as it is shipped, where every request is a commit of its own",
            shared.cycles()
        ))
        .print()?;
    Figure::new(SUBJECT, "64 workers × 1 against one fdatasync a request", together, "feeds/s")
        .limit(each)
        .budget(Budget::RatioAtLeast(10.0))
        .note("the limit program with group commit off, driven by the same 64 workers")
        .print()
}
