//! A generation: what some commits in a row come to, in memory, ready to be read and to be sealed.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use chrono_domain::{Arrival, Candle, Metadata, OrderKey, Price, Timestamp, Volume};

use self::in_order::{Entries, InOrder};
use super::levels::HOUR;
use super::packed::Row;
use super::packed::log::{LoggedCommit, LoggedTick};
use crate::candles::span::Span;

mod in_order;

/// Microseconds in a minute.
pub(super) const MINUTE: i64 = 60_000_000;

/// Bytes beside its letters that a text of its own takes: two counts, and what the allocator needs.
const TEXT_BYTES: usize = 32;
/// Bytes of an hour beside its minutes: its two allocations and its place in a tree whose nodes are half full.
const HOUR_BYTES: usize = size_of::<Minutes>() + 96;
/// Bytes of a symbol beside its ticks and hours: its place in such a tree, and the first node of the tree of its hours.
const SERIES_BYTES: usize = 2 * size_of::<Series>() + 256;

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
pub(super) type Minutes = InOrder<(i64, u32), Candle>;

/// One symbol's part of a generation.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// Of memory that it takes, rather more than less.
    bytes: usize,
    pub(super) ticks: InOrder<OrderKey, Held>,
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
    /// Bytes of memory that it takes, rather more than less.
    pub(super) bytes: usize,
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
    pub(super) fn fold(&mut self, number: u64, commit: LoggedCommit) {
        let mut arrival = commit.first_arrival;
        for batch in commit.batches {
            self.oldest.get_or_insert(batch.received_at);
            for tick in batch.ticks {
                let key = OrderKey { timestamp: tick.timestamp, arrival: Arrival(arrival) };
                arrival += 1;
                let symbol_id = tick.symbol_id;
                self.add(symbol_id, key, held(tick, batch.worker_id, batch.received_at));
            }
        }
        self.next_arrival = self.next_arrival.max(arrival);
        self.last = number;
    }

    /// Takes one tick of a symbol in, wherever in time it stands.
    pub(super) fn add(&mut self, symbol_id: u32, key: OrderKey, held: Held) {
        let series = self.series.entry(symbol_id).or_insert_with(|| {
            self.bytes += SERIES_BYTES;
            Series::default()
        });
        let before = series.bytes;
        series.add(key, held);
        self.bytes = self.bytes + series.bytes - before;
        self.ticks += 1;
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
    fn add(&mut self, key: OrderKey, held: Held) {
        let text = held.metadata.as_ref();
        self.bytes += text.map_or(0, |text| text.as_str().len() + TEXT_BYTES);
        let candle = Candle::of_one(key, held.price, held.volume);
        let at = key.timestamp.micros();
        let hour = self.hours.entry(at - at % HOUR).or_insert_with(|| {
            self.bytes += HOUR_BYTES;
            Arc::default()
        });
        let before = hour.bytes() + self.ticks.bytes();
        let minutes = Arc::make_mut(hour);
        let minute = (at - at % MINUTE, held.source_id);
        match minutes.get_mut(&minute) {
            Some(folded) => folded.merge(&candle),
            None => minutes.insert(minute, candle),
        }
        self.ticks.insert(key, held);
        self.bytes = self.bytes + hour.bytes() + self.ticks.bytes() - before;
    }

    /// Gives the candles of the minutes of a span of whole hours, in order.
    pub(super) fn minutes(&self, span: Span) -> impl Iterator<Item = (&(i64, u32), &Candle)> {
        self.hours.range(span.from..span.until).flat_map(|(_, minutes)| minutes.iter())
    }

    /// Gives the newest tick of each source.
    pub(super) fn newest(&self) -> impl Iterator<Item = Row> {
        // Of a source's minutes the last one closes with it.
        let minutes = self.hours.values().flat_map(|minutes| minutes.iter());
        let closes = minutes.map(|((_, source_id), minute)| (*source_id, minute.close_at));
        let newest: BTreeMap<u32, OrderKey> = closes.collect();
        newest.into_values().filter_map(|key| Some(self.ticks.get(&key)?.row(key)))
    }

    /// Gives the ticks within bounds, in order; none when the bounds cross.
    pub(super) fn range(
        &self,
        bounds: (Bound<OrderKey>, Bound<OrderKey>),
    ) -> Entries<'_, OrderKey, Held> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_one_begins_and_ends_with_the_commit_that_it_goes_on_from() {
        let empty = Generation::after(7, 9);
        assert_eq!((empty.base, empty.last, empty.next_arrival, empty.ticks), (7, 7, 9, 0));
    }
}
