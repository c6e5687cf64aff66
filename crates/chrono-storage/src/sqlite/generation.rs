//! A generation: what some commits in a row come to, in memory, ready to be read and to be sealed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::Arc;

use chrono_domain::{Arrival, Candle, Metadata, OrderKey, Price, Timestamp, Volume};

use self::in_order::{Entries, InOrder};
use super::levels::HOUR;
use super::packed::Row;
use super::packed::log::{LoggedCommit, LoggedTick};

mod in_order;

/// Microseconds in a minute.
pub(super) const MINUTE: i64 = 60_000_000;

/// A tick of a generation, but for its place.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) source_id: u32,
    pub(super) worker_id: u32,
    pub(super) price: Price,
    pub(super) volume: Option<Volume>,
    pub(super) ingested_at: Timestamp,
    pub(super) metadata: Option<Metadata>,
}

/// Candles by start of the minute and source.
pub(super) type Minutes = BTreeMap<(i64, u32), Candle>;

/// One symbol's part of a generation.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub(super) ticks: InOrder<Held>,
    /// By start of the hour. Readers share what they need, so that commits do not wait until it is copied; a commit
    /// copies the hours that it changes while a reader has them.
    pub(super) hours: BTreeMap<i64, Arc<Minutes>>,
}

/// The commits after `base`, up to and with `last`.
#[derive(Debug, Default)]
pub(super) struct Generation {
    /// The last commit that is not in it.
    pub(super) base: u64,
    /// The last commit that is in it; `base` when there is none.
    pub(super) last: u64,
    /// The arrival number that the tick after it takes.
    pub(super) next_arrival: u64,
    pub(super) ticks: u64,
    /// Bytes of its commits in the log.
    pub(super) log_bytes: u64,
    /// When the first of its commits was taken in.
    pub(super) oldest: Option<Timestamp>,
    /// By symbol.
    pub(super) series: BTreeMap<u32, Series>,
}

impl Generation {
    /// Makes an empty one that goes on from a commit and an arrival number.
    pub(super) fn after(base: u64, next_arrival: u64) -> Self {
        Self { base, last: base, next_arrival, ..Self::default() }
    }

    /// Takes in the commit after its last.
    pub(super) fn fold(&mut self, number: u64, commit: LoggedCommit, log_bytes: usize) {
        let mut arrival = commit.first_arrival;
        for batch in commit.batches {
            self.oldest.get_or_insert(batch.received_at);
            self.ticks += batch.ticks.len() as u64;
            for tick in batch.ticks {
                let key = OrderKey { timestamp: tick.timestamp, arrival: Arrival(arrival) };
                arrival += 1;
                let series = self.series.entry(tick.symbol_id).or_default();
                series.add(key, held(tick, batch.worker_id, batch.received_at));
            }
        }
        self.next_arrival = self.next_arrival.max(arrival);
        self.log_bytes += log_bytes as u64;
        self.last = number;
    }
}

impl Held {
    /// Gives it as it lies in a page.
    pub(super) const fn row(&self, key: OrderKey) -> Row {
        Row {
            key,
            source_id: self.source_id,
            worker_id: self.worker_id,
            price: self.price,
            volume: self.volume,
            ingested_at: self.ingested_at,
        }
    }
}

impl Series {
    /// Takes a tick in, wherever in time it stands.
    pub(super) fn add(&mut self, key: OrderKey, held: Held) {
        let candle = Candle::of_one(key, held.price, held.volume);
        let at = key.timestamp.micros();
        let minutes = Arc::make_mut(self.hours.entry(at - at % HOUR).or_default());
        match minutes.entry((at - at % MINUTE, held.source_id)) {
            Entry::Occupied(mut minute) => minute.get_mut().merge(&candle),
            Entry::Vacant(free) => drop(free.insert(candle)),
        }
        self.ticks.insert(key, held);
    }

    /// Gives the candles of its minutes, in order.
    pub(super) fn minutes(&self) -> impl Iterator<Item = (&(i64, u32), &Candle)> {
        self.hours.values().flat_map(|minutes| minutes.iter())
    }

    /// Gives the newest tick of each source.
    pub(super) fn newest(&self) -> impl Iterator<Item = Row> {
        // Of a source's minutes the last one closes with it.
        let closes = self.minutes().map(|((_, source_id), minute)| (*source_id, minute.close_at));
        let newest: BTreeMap<u32, OrderKey> = closes.collect();
        newest.into_values().filter_map(|key| Some(self.ticks.get(&key)?.row(key)))
    }

    /// Gives the ticks within bounds, in order; none when the bounds cross.
    pub(super) fn range(&self, bounds: (Bound<OrderKey>, Bound<OrderKey>)) -> Entries<'_, Held> {
        self.ticks.range(bounds)
    }
}

fn held(tick: LoggedTick, worker_id: u32, ingested_at: Timestamp) -> Held {
    Held {
        source_id: tick.source_id,
        worker_id,
        price: tick.price,
        volume: tick.volume,
        ingested_at,
        metadata: tick.metadata,
    }
}
