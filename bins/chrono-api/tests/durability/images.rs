//! Opens what a loss of power left, and holds it against what was acknowledged.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use chrono_domain::{
    Candle, Interval, Metadata, Source, StoredTick, Symbol, SystemClock, Timestamp, WorkerId,
};
use chrono_storage::sqlite::{Settings, SqliteStore, check};
use chrono_storage::{
    Appended, CandleRange, CandleStore, Detail, Idempotency, IdempotencyKey, NewBatch, Progress,
    TickRange, TickStore,
};
use chrono_testkit::ledger::SentBatch;
use tokio::runtime::Builder;

use crate::disk::Image;
use crate::feeds::SYMBOLS;

/// Intervals whose candles are counted again: those that are stored, and one that is merged from them.
const INTERVALS: [Interval; 4] = [Interval::M1, Interval::M5, Interval::H1, Interval::D1];
/// Rows of the row layout that are carried over at a time; what is in memory is sealed for its age.
const CARRIED: u64 = 100;
/// Steps in which stored candles must be complete.
const STEPS_MAX: usize = 10_000;

/// Everything that was sent, found by price, which no two feeds share.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    batches: Vec<SentBatch>,
    feeds: HashMap<String, (usize, usize)>,
}

/// What an image came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Found {
    pub(crate) batches: usize,
    /// Acknowledged batches that are not there.
    pub(crate) lost: usize,
}

impl Sent {
    pub(crate) fn add(&mut self, batches: impl Iterator<Item = SentBatch>) {
        for batch in batches {
            let number = self.batches.len();
            for (place, feed) in batch.feeds.iter().enumerate() {
                self.feeds.insert(feed.price.clone(), (number, place));
            }
            self.batches.push(batch);
        }
    }

    pub(crate) fn batches(&self) -> &[SentBatch] {
        &self.batches
    }
}

/// Lays an image out in an empty directory; tells how many migrations its database lacks, if it lets itself be read.
pub(crate) fn lay_out(directory: &Path, image: &Image) -> anyhow::Result<Option<usize>> {
    for (name, bytes) in image {
        std::fs::write(directory.join(name), bytes)?;
    }
    Ok(check(&directory.join("chrono.db")).ok().map(|schema| schema.pending.len()))
}

/// Opens an image that was laid out with the store, and compares all that it gives.
///
/// # Errors
/// Whatever is wrong with it, but for lost batches, which are counted.
pub(crate) fn judge(
    directory: &Path,
    sent: &Sent,
    acknowledged: &HashSet<usize>,
) -> anyhow::Result<Found> {
    with_store(&directory.join("chrono.db"), |store| {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(compare(store, sent, acknowledged))
    })
}

/// Opens a store that seals whatever it has, runs its lanes, and closes it after the work.
pub(crate) fn with_store<T>(
    path: &Path,
    work: impl FnOnce(&SqliteStore) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut settings = Settings::new(path);
    settings.cycle.ticks = CARRIED;
    let (store, lanes) = SqliteStore::open(settings, &SystemClock::new())
        .with_context(|| format!("{} does not open", path.display()))?;
    thread::scope(|scope| {
        scope.spawn(|| lanes.writer.run());
        for lane in lanes.readers.iter().chain([&lanes.upkeep]) {
            scope.spawn(|| lane.run());
        }
        let done = catch_unwind(AssertUnwindSafe(|| work(&store)));
        store.close();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

async fn compare(
    store: &SqliteStore,
    sent: &Sent,
    acknowledged: &HashSet<usize>,
) -> anyhow::Result<Found> {
    let mut held = vec![0; sent.batches.len()];
    let mut newest = BTreeMap::new();
    let mut symbols = Vec::new();
    for symbol in SYMBOLS {
        let range = TickRange { detail: Detail::WithMetadata, ..TickRange::of(symbol.parse()?) };
        let ticks = store.ticks(&range).await?;
        ensure!(ticks.is_sorted_by(|a, b| a.key() < b.key()), "{symbol} is not in order");
        for tick in &ticks {
            held[known(tick, sent)?] += 1;
            newest.insert((tick.tick.symbol, tick.tick.source), tick.key());
        }
        compare_candles(store, range.symbol, &ticks).await?;
        symbols.push((range.symbol, ticks));
    }
    let shown = store.newest().await?.into_iter();
    let shown = shown.map(|tick| ((tick.tick.symbol, tick.tick.source), tick.key()));
    ensure!(shown.collect::<BTreeMap<_, _>>() == newest, "the newest ticks are others");
    let found = count(sent, acknowledged, &held)?;
    check_keys(store, sent, &held).await?;
    // What is sealed now must come to the same.
    for step in 0.. {
        ensure!(step < STEPS_MAX, "sealing does not end");
        if store.materialise(Timestamp::MAX).await? == Progress::Idle {
            break;
        }
    }
    for (symbol, ticks) in &symbols {
        compare_candles(store, *symbol, ticks).await?;
    }
    Ok(found)
}

/// Finds the batch of a tick, which must be as it was sent.
fn known(stored: &StoredTick, sent: &Sent) -> anyhow::Result<usize> {
    let tick = &stored.tick;
    let place = sent.feeds.get(&tick.price.to_string());
    let (number, place) = *place.with_context(|| format!("never sent: {stored:?}"))?;
    let feed = &sent.batches[number].feeds[place];
    let same = tick.symbol.as_str() == feed.symbol
        && tick.source.as_str() == feed.source
        && tick.timestamp.micros() == feed.at
        && tick.volume.map(|volume| volume.to_string()) == feed.volume
        && tick.metadata.as_ref().map(Metadata::as_str) == feed.metadata.as_deref();
    ensure!(same, "{feed:?} is {stored:?}");
    Ok(number)
}

/// Demands that each batch is there once or not at all, and counts what should be there.
fn count(sent: &Sent, acknowledged: &HashSet<usize>, held: &[usize]) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for (number, (batch, held)) in sent.batches.iter().zip(held).enumerate() {
        let feeds = batch.feeds.len();
        ensure!([0, feeds].contains(held), "batch {number} has {held} ticks of {feeds}");
        found.batches += usize::from(*held > 0);
        found.lost += usize::from(*held == 0 && acknowledged.contains(&number));
    }
    Ok(found)
}

/// Sends a batch that is there and one that is not again, with other ticks: the key of the first must be known.
async fn check_keys(store: &SqliteStore, sent: &Sent, held: &[usize]) -> anyhow::Result<()> {
    let there = held.iter().rposition(|ticks| *ticks > 0);
    let gone = held.iter().position(|ticks| *ticks == 0);
    for (number, is_there) in [(there, true), (gone, false)] {
        let Some(number) = number else { continue };
        let outcomes = store.append(vec![again(&sent.batches[number])?]).await?;
        match outcomes.as_slice() {
            [Ok(Appended::KeyClash)] if is_there => {}
            [Ok(Appended::Stored(_))] if !is_there => {}
            other => bail!("batch {number}, there: {is_there}, is answered {other:?}"),
        }
    }
    Ok(())
}

/// Makes an empty batch of the same worker and key.
fn again(batch: &SentBatch) -> anyhow::Result<Arc<NewBatch>> {
    let key = batch.key.as_deref().context("a batch without a key")?;
    Ok(Arc::new(NewBatch {
        worker: WorkerId::try_new(&batch.worker)?,
        idempotency: Some(Idempotency { key: IdempotencyKey::try_new(key)?, fingerprint: [0; 32] }),
        ticks: Vec::new(),
        receipt: Bytes::new(),
        received_at: Timestamp::MIN,
    }))
}

/// Compares candles over all sources, and of one, with the fold of the ticks.
async fn compare_candles(
    store: &SqliteStore,
    symbol: Symbol,
    ticks: &[StoredTick],
) -> anyhow::Result<()> {
    let one = ticks.first().map(|tick| tick.tick.source);
    for (interval, source) in
        INTERVALS.iter().flat_map(|interval| [(interval, None), (interval, one)])
    {
        let range = CandleRange { source, ..CandleRange::of(symbol, *interval) };
        let shown = store.candles(&range).await?;
        let shown: Vec<_> = shown.into_iter().map(|bucket| (bucket.start, bucket.candle)).collect();
        let counted = fold(*interval, source, ticks);
        ensure!(shown == counted, "{symbol} {source:?} {interval:?}: {shown:?}, not {counted:?}");
    }
    Ok(())
}

fn fold(
    interval: Interval,
    source: Option<Source>,
    ticks: &[StoredTick],
) -> Vec<(Timestamp, Candle)> {
    let mut buckets: BTreeMap<Timestamp, Option<Candle>> = BTreeMap::new();
    for tick in ticks.iter().filter(|tick| source.is_none_or(|source| source == tick.tick.source)) {
        let bucket = buckets.entry(interval.bucket(tick.tick.timestamp)).or_default();
        Candle::merge_into(bucket, Candle::of(tick));
    }
    buckets.into_iter().filter_map(|(start, candle)| Some((start, candle?))).collect()
}
