//! Budgets of the embedded store alone, 200 symbols × 5 sources, each commit durable, cycles running beside: ≥ 300,000
//! ticks/s at 100 a commit, ≥ 1,200,000 at 1,000; ≤ 14 B a tick on the disk; a page of 10,000 ticks in ≤ 1.5 ms; open
//! again in ≤ 0.5 s after the process was ended at full load.
//!
//! What the disk does is in the figures: the same file system as the system's temporary directory.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use chrono_benches::{Budget, Figure, Rounds, median};
use chrono_domain::{Price, Source, Symbol, SystemClock, Tick, Timestamp, Volume, WorkerId};
use chrono_storage::sqlite::{Lanes, Settings, SqliteStore};
use chrono_storage::{
    CandleRange, CandleStore, Idempotency, IdempotencyKey, NewBatch, Order, Progress, TickRange,
    TickStore,
};
use rusqlite::Connection;
use tokio::runtime::Runtime;

const SYMBOLS: u64 = 200;
const SOURCES: u64 = 5;
/// Ticks of one symbol and source come in at this distance, in microseconds of their time.
const DISTANCE: u64 = 1_000_000;
/// Ticks of a batch, as a worker sends them.
const FEEDS: u64 = 100;
/// Ticks of a round; made beforehand, some hundred bytes each.
const TICKS: u64 = 1_500_000;
/// Rests between two steps of a cycle when there is nothing to do.
const REST: Duration = Duration::from_millis(1);

const SUBJECT: &str = "Embedded store";

type Commit = Vec<Arc<NewBatch>>;

fn main() -> anyhow::Result<()> {
    let rounds = Rounds::from_arguments();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    append(&runtime, rounds, 100, 300_000.0)?;
    append(&runtime, rounds, 1_000, 1_200_000.0)?;
    read(&runtime, rounds)
}

/// Appends as fast as commits go, and opens the file again as the end of the process would leave it.
fn append(runtime: &Runtime, rounds: Rounds, ticks: u64, budget: f64) -> anyhow::Result<()> {
    let (mut rates, mut reopened, mut worst) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds.count() {
        let commits = commits(0, TICKS.min(ticks * 6_000), ticks)?;
        let count = commits.len() as u64 * ticks;
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("chrono.db");
        let copy = tempfile::tempdir()?;
        with_store(&path, |store| {
            let (took, slowest) = runtime.block_on(load(store, commits))?;
            rates.push(rate(count, took));
            worst.push(slowest.as_secs_f64() * 1_000.0);
            // Nothing writes now, and nothing was brought in order.
            for ending in ["", "-wal"] {
                let name = |path: &Path| format!("{}{ending}", path.display());
                std::fs::copy(name(&path), name(&copy.path().join("chrono.db")))?;
            }
            Ok(())
        })?;
        let started = Instant::now();
        let opened =
            SqliteStore::open(Settings::new(copy.path().join("chrono.db")), &SystemClock::new())?;
        reopened.push(started.elapsed().as_secs_f64() * 1_000.0);
        drop(opened);
    }
    let of_commits = |what: &str| format!("{what}, {ticks} ticks a commit");
    Figure::new(SUBJECT, of_commits("append"), median(&mut rates), "ticks/s")
        .budget(Budget::AtLeast(budget))
        .print()?;
    Figure::new(SUBJECT, of_commits("slowest commit"), median(&mut worst), "ms").print()?;
    Figure::new(SUBJECT, of_commits("open again"), median(&mut reopened), "ms")
        .budget(Budget::AtMost(500.0))
        .print()
}

/// Runs commits one after the other, and cycles beside them; gives how long all took, and the slowest.
async fn load(store: &SqliteStore, commits: Vec<Commit>) -> anyhow::Result<(Duration, Duration)> {
    let cycles = async {
        loop {
            if store.materialise(Timestamp::MIN).await? == Progress::Idle {
                tokio::time::sleep(REST).await;
            }
        }
    };
    let append = async {
        let (started, mut slowest) = (Instant::now(), Duration::ZERO);
        for commit in commits {
            let began = Instant::now();
            for outcome in store.append(commit).await? {
                outcome?;
            }
            slowest = slowest.max(began.elapsed());
        }
        anyhow::Ok((started.elapsed(), slowest))
    };
    tokio::select! {
        done = append => done,
        failed = cycles => failed,
    }
}

/// Reads from a store whose ticks are all in pages.
fn read(runtime: &Runtime, rounds: Rounds) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("chrono.db");
    let parts = rounds.of(4, 1);
    let count = parts * TICKS;
    with_store(&path, |store| {
        for part in 0..parts {
            let commits = commits(part * TICKS, (part + 1) * TICKS, 1_000)?;
            runtime.block_on(load(store, commits))?;
        }
        // What is left in memory, down to the last cycle's threshold.
        while runtime.block_on(store.materialise(Timestamp::MIN))? != Progress::Idle {}
        let range = TickRange { limit: 10_000, ..TickRange::of(symbol(7)?) };
        let newest = TickRange { order: Order::NewestFirst, ..range.clone() };
        let minutes = CandleRange {
            limit: 1_440,
            ..CandleRange::of(symbol(7)?, chrono_domain::Interval::M1)
        };
        for (bench, range) in
            [("read 10,000 ticks", range), ("read the newest 10,000 ticks", newest)]
        {
            let took = each(|| {
                let found = runtime.block_on(store.ticks(&range))?;
                ensure!(found.len() == 10_000, "{} ticks", found.len());
                Ok(())
            })?;
            Figure::new(SUBJECT, bench, took, "ms").budget(Budget::AtMost(1.5)).print()?;
        }
        let took = each(|| {
            runtime.block_on(store.candles(&minutes))?.first().context("candles").map(drop)
        })?;
        Figure::new(SUBJECT, "read candles of 1m", took, "ms").budget(Budget::AtMost(5.0)).print()
    })?;
    let connection = Connection::open(&path)?;
    let of = |what: &str| {
        connection.query_one::<f64, _, _>(&format!("PRAGMA {what}"), [], |row| row.get(0))
    };
    // Room that covered log and superseded pages left free is used again, and grows no more.
    let bytes = (of("page_count")? - of("freelist_count")?) * of("page_size")?;
    let bytes = bytes / f64::from(u32::try_from(count)?);
    Figure::new(SUBJECT, "bytes a tick on the disk", bytes, "B")
        .budget(Budget::AtMost(14.0))
        .note("candles and keys among them, free room not")
        .print()
}

/// Gives the median time of some calls, in milliseconds.
fn each(mut call: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..101 {
        let started = Instant::now();
        call()?;
        times.push(started.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(median(&mut times))
}

/// Opens a store, runs its lanes and closes it.
fn with_store<T>(
    path: &Path,
    work: impl FnOnce(&SqliteStore) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let (store, Lanes { writer, readers, upkeep }) =
        SqliteStore::open(Settings::new(path), &SystemClock::new())?;
    std::thread::scope(|scope| {
        scope.spawn(|| writer.run());
        for lane in readers.iter().chain([&upkeep]) {
            scope.spawn(|| lane.run());
        }
        let done = work(&store);
        store.close();
        done
    })
}

fn commits(from: u64, until: u64, ticks: u64) -> anyhow::Result<Vec<Commit>> {
    let batches = |first: u64| (first..first + ticks).step_by(100).map(batch).collect();
    (from..until).step_by(usize::try_from(ticks)?).map(batches).collect()
}

fn batch(first: u64) -> anyhow::Result<Arc<NewBatch>> {
    let base = 1_760_000_000_000_000;
    let worker = first / FEEDS % 10;
    Ok(Arc::new(NewBatch {
        worker: WorkerId::try_new(&format!("worker-{worker}"))?,
        idempotency: Some(Idempotency {
            key: IdempotencyKey::try_new(&format!("batch-{first}"))?,
            fingerprint: [7; 32],
        }),
        ticks: (first..first + FEEDS).map(|nth| tick(nth, base)).collect::<Result<_, _>>()?,
        receipt: Bytes::from_static(b"{\"accepted\":100}"),
        received_at: Timestamp::from_micros(
            base + i64::try_from(first * DISTANCE / 1_000)? + 40_000,
        )?,
    }))
}

/// Makes the nth tick: a walk in cents with volumes of six places, its time jittered by some milliseconds.
fn tick(nth: u64, base: i64) -> anyhow::Result<Tick> {
    let mixed = nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let series = nth % (SYMBOLS * SOURCES);
    let cents = 6_700_000 + (nth / 977) % 40_000 + mixed % 400;
    let at = base + i64::try_from(nth * DISTANCE / (SYMBOLS * SOURCES) + mixed % 30 * 1_000)?;
    Ok(Tick::try_new(
        symbol(series / SOURCES)?,
        Source::try_new(&format!("exchange-{}", series % SOURCES))?,
        Price::try_new(&format!("{}.{:02}", cents / 100, cents % 100))?,
        Some(Volume::try_new(&format!("0.{:06}", mixed % 1_000_000))?),
        Timestamp::from_micros(at)?,
    )?)
}

fn symbol(nth: u64) -> anyhow::Result<Symbol> {
    Ok(Symbol::try_new(&format!("S{nth}/USD"))?)
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
