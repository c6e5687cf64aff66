//! The newest tick of every symbol and source.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use chrono_domain::{Source, StoredTick, Symbol, Timestamp};
use foldhash::HashMap;

use crate::LateTicks;

/// Symbols are spread over this many locks, so that readers and the publisher seldom meet.
const SHARDS: usize = 64;

/// What is newest of one symbol.
#[derive(Debug, Clone)]
pub struct LatestEntry {
    /// The newest tick of each source by (timestamp, arrival), in order of source name.
    pub by_source: Vec<StoredTick>,
    /// The newest of them all.
    pub newest: StoredTick,
    /// Counts changes of the past: it grows with every tick that is older than what a reader may have cached.
    pub history_revision: u64,
    rendered: OnceLock<Box<str>>,
}

impl LatestEntry {
    /// Gives the newest tick of one source.
    pub fn of_source(&self, source: Source) -> Option<&StoredTick> {
        self.by_source.iter().find(|stored| stored.tick.source == source)
    }

    /// Gives the text made from this entry, made once by whoever asks first.
    pub fn rendered(&self, render: impl FnOnce(&Self) -> Box<str>) -> &str {
        self.rendered.get_or_init(|| render(self))
    }

    fn first(stored: &StoredTick) -> Self {
        Self {
            by_source: vec![stored.clone()],
            newest: stored.clone(),
            history_revision: 0,
            rendered: OnceLock::new(),
        }
    }

    /// Takes one more tick in: in place, unless a reader holds the entry and so keeps the one it has.
    fn take(self: &mut Arc<Self>, stored: &StoredTick, late: bool) {
        let place =
            self.by_source.binary_search_by_key(&stored.tick.source, |held| held.tick.source);
        let held = place.ok().and_then(|idx| self.by_source.get(idx));
        let fresh = held.is_none_or(|held| held.key() < stored.key());
        if !fresh && !late {
            return;
        }
        let entry = Arc::make_mut(self);
        entry.history_revision += u64::from(late);
        if !fresh {
            return;
        }
        match place {
            Ok(idx) => {
                entry.by_source.get_mut(idx).into_iter().for_each(|held| held.clone_from(stored));
            }
            Err(idx) => entry.by_source.insert(idx, stored.clone()),
        }
        if stored.key() > entry.newest.key() {
            entry.newest.clone_from(stored);
        }
        entry.rendered = OnceLock::new();
    }
}

/// A table of the newest ticks, written by the one who publishes commits and read by everybody.
///
/// A symbol's newest tick never goes back in (timestamp, arrival).
#[derive(Debug)]
pub struct LatestBook {
    shards: Vec<RwLock<HashMap<Symbol, Arc<LatestEntry>>>>,
    late: LateTicks,
}

impl Default for LatestBook {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self { shards, late: LateTicks::default() }
    }
}

impl LatestBook {
    /// Takes committed ticks in, in any order; a tick before `late_before` counts as a change of the past.
    ///
    /// A late tick is noted in [`LatestBook::late`] before `history_revision` grows, so whoever reads the revision
    /// first and then asks for late ticks misses none.
    pub fn apply<'a>(
        &self,
        ticks: impl IntoIterator<Item = &'a StoredTick>,
        late_before: Timestamp,
    ) {
        for stored in ticks {
            self.late.note(stored.tick.symbol, stored.tick.timestamp);
            let late = stored.tick.timestamp < late_before;
            let Some(shard) = self.shard(&stored.tick.symbol) else { continue };
            let mut entries = shard.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(entry) = entries.get_mut(&stored.tick.symbol) {
                entry.take(stored, late);
            } else {
                entries.insert(stored.tick.symbol, Arc::new(LatestEntry::first(stored)));
            }
        }
    }

    /// Gives what is newest of a symbol.
    pub fn get(&self, symbol: &Symbol) -> Option<Arc<LatestEntry>> {
        let entries = self.shard(symbol)?.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(symbol).cloned()
    }

    /// Gives every entry, in order of symbol.
    pub fn entries(&self) -> Vec<Arc<LatestEntry>> {
        let mut all: Vec<_> = self
            .shards
            .iter()
            .flat_map(|shard| {
                let entries = shard.read().unwrap_or_else(PoisonError::into_inner);
                entries.values().cloned().collect::<Vec<_>>()
            })
            .collect();
        all.sort_by_key(|entry| entry.newest.tick.symbol);
        all
    }

    /// Gives the late ticks that were taken in and not dealt with yet.
    pub fn late(&self) -> &LateTicks {
        &self.late
    }

    fn shard(&self, symbol: &Symbol) -> Option<&RwLock<HashMap<Symbol, Arc<LatestEntry>>>> {
        // FNV-1a: the shard only has to spread, the map inside keeps the keyed hash.
        let hash = symbol.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        self.shards.get(usize::try_from(hash % SHARDS as u64).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use chrono_domain::{Arrival, Price, Tick};

    use super::*;

    fn stored(arrival: u64, source: &str, micros: i64, price: &str) -> StoredTick {
        let tick = Tick::try_new(
            Symbol::try_new("BTC/USD").unwrap(),
            Source::try_new(source).unwrap(),
            Price::try_new(price).unwrap(),
            None,
            Timestamp::from_micros(micros).unwrap(),
        );
        StoredTick { tick: tick.unwrap(), arrival: Arrival(arrival), ingested_at: Timestamp::MIN }
    }

    #[test]
    fn never_goes_back() {
        let book = LatestBook::default();
        let symbol = Symbol::try_new("BTC/USD").unwrap();
        book.apply(
            &[stored(5, "a", 10, "1"), stored(4, "a", 10, "2"), stored(9, "b", 9, "3")],
            Timestamp::MIN,
        );
        let entry = book.get(&symbol).unwrap();
        assert_eq!((entry.newest.arrival, entry.by_source.len()), (Arrival(5), 2));
        assert_eq!(entry.of_source(Source::try_new("b").unwrap()).unwrap().arrival, Arrival(9));
        book.apply(&[stored(10, "b", 11, "4")], Timestamp::MIN);
        assert_eq!(book.get(&symbol).unwrap().newest.arrival, Arrival(10));
    }

    #[test]
    fn counts_changes_of_the_past() {
        let book = LatestBook::default();
        let symbol = Symbol::try_new("BTC/USD").unwrap();
        let edge = Timestamp::from_micros(100).unwrap();
        book.apply(&[stored(1, "a", 200, "1")], edge);
        book.apply(&[stored(2, "a", 150, "1"), stored(3, "a", 201, "1")], edge);
        assert_eq!(book.get(&symbol).unwrap().history_revision, 0);
        book.apply(&[stored(4, "a", 99, "1")], edge);
        let entry = book.get(&symbol).unwrap();
        assert_eq!((entry.history_revision, entry.newest.arrival), (1, Arrival(3)));
    }

    #[test]
    fn a_reader_keeps_the_entry_it_has() {
        let book = LatestBook::default();
        let symbol = Symbol::try_new("BTC/USD").unwrap();
        book.apply(&[stored(1, "a", 1, "1")], Timestamp::MIN);
        let before = book.get(&symbol).unwrap();
        assert_eq!(before.rendered(|entry| entry.newest.tick.price.to_string().into()), "1");
        book.apply(&[stored(2, "a", 2, "2"), stored(3, "b", 2, "3")], Timestamp::MIN);
        let after = book.get(&symbol).unwrap();
        assert_eq!((before.newest.arrival, before.by_source.len()), (Arrival(1), 1));
        assert_eq!((after.newest.arrival, after.by_source.len()), (Arrival(3), 2));
        assert_eq!(after.rendered(|entry| entry.newest.tick.price.to_string().into()), "3");
    }

    #[test]
    fn renders_an_entry_once() {
        let book = LatestBook::default();
        book.apply(&[stored(1, "a", 1, "1")], Timestamp::MIN);
        let entry = book.entries().remove(0);
        assert_eq!(entry.rendered(|_| "one".into()), "one");
        assert_eq!(entry.rendered(|_| "two".into()), "one");
    }
}
