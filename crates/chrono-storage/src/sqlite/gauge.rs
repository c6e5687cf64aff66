//! The packing of ticks, and taking commits into memory, without a file around them, for benchmarks: what the store
//! itself cannot show apart.

use std::collections::HashMap;
use std::hash::Hash;
use std::hint::black_box;

use chrono_domain::{StoredTick, Tick, Timestamp};

use super::generation::Generation;
use super::packed::log::{LoggedBatch, LoggedCommit, LoggedTick};
use super::packed::{Row, ticks};

/// Rows of one symbol, in memory.
#[derive(Debug, Clone)]
pub struct Rows(Vec<Row>);

impl Rows {
    /// Takes ticks of one symbol, sorted by (timestamp, arrival); `source_id` numbers their sources.
    pub fn new(ticks: &[StoredTick], source_id: impl Fn(&StoredTick) -> u32) -> Self {
        let row = |stored: &StoredTick| Row {
            key: stored.key(),
            source_id: source_id(stored),
            worker_id: source_id(stored),
            price: stored.tick.price,
            volume: stored.tick.volume,
            ingested_at: stored.ingested_at,
        };
        Self(ticks.iter().map(row).collect())
    }

    /// Packs them into a page.
    pub fn pack(&self) -> Vec<u8> {
        ticks::encode(&self.0, ticks::Beside::Nothing)
    }

    /// Reads all rows of a page and answers how many there are; none of a damaged one.
    pub fn count(page: &[u8]) -> Option<usize> {
        let page = ticks::Page::open(page).ok()?;
        Some(black_box(page.rows(0..page.len(), None).ok()?).len())
    }
}

/// Commits of a batch each, made ready to be taken into memory.
#[derive(Debug, Clone)]
pub struct Commits(Vec<LoggedCommit>);

/// What memory holds of commits: their ticks and candles.
#[derive(Debug)]
pub struct Taken(Generation);

impl Commits {
    /// Takes batches that came in at a time, all of one worker.
    pub fn new(batches: Vec<Vec<Tick>>, received_at: Timestamp) -> Self {
        let (mut symbols, mut sources) = (HashMap::new(), HashMap::new());
        let mut first_arrival = 1;
        let mut commit = |batch: Vec<Tick>| {
            let ticks = batch.into_iter().map(|tick| LoggedTick {
                symbol_id: number(&mut symbols, tick.symbol),
                source_id: number(&mut sources, tick.source),
                timestamp: tick.timestamp,
                price: tick.price,
                volume: tick.volume,
                metadata: tick.metadata,
            });
            let ticks: Vec<_> = ticks.collect();
            let arrival = first_arrival;
            first_arrival += ticks.len() as u64;
            let batch = LoggedBatch { worker_id: 1, received_at, repeatable: None, ticks };
            LoggedCommit { first_arrival: arrival, batches: vec![batch] }
        };
        Self(batches.into_iter().map(&mut commit).collect())
    }

    /// Takes them into memory one after the other, as the store's writer does.
    pub fn take(self) -> Taken {
        let mut generation = Generation::after(0, 1);
        for (number, commit) in (1..).zip(self.0) {
            generation.fold(number, commit);
        }
        Taken(generation)
    }
}

impl Taken {
    /// Tells how many ticks there are.
    pub fn ticks(&self) -> u64 {
        self.0.ticks
    }
}

/// Gives a name's number: names are counted as they come.
fn number<N: Eq + Hash>(numbers: &mut HashMap<N, u32>, name: N) -> u32 {
    let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    *numbers.entry(name).or_insert(next)
}
