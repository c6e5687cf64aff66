//! How many names one gateway takes, so that no key can fill its memory with them.

use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

use chrono_domain::{Source, Symbol, Tick, WorkerId};
use chrono_storage::Names;
use foldhash::HashMap;

use crate::error::{BatchFault, FeedFault};

/// Most different names of each kind.
///
/// Too low refuses honest new symbols; too high lets one key fill the memory with invented ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameLimits {
    /// Symbols, 100,000 by default.
    pub symbols: usize,
    /// Sources, 1,000 by default.
    pub sources: usize,
    /// Worker ids, 10,000 by default.
    pub workers: usize,
}

impl Default for NameLimits {
    fn default() -> Self {
        Self { symbols: 100_000, sources: 1_000, workers: 10_000 }
    }
}

/// Every name in use, and the bounds.
#[derive(Debug)]
pub(crate) struct NameBook {
    symbols: Known<Symbol>,
    sources: Known<Source>,
    workers: Known<WorkerId>,
}

/// The names that a batch took in and that were not stored before.
#[derive(Debug, Default)]
pub(crate) struct NewNames {
    symbols: Vec<Symbol>,
    sources: Vec<Source>,
    workers: Vec<WorkerId>,
}

/// New names of one batch, which go back when it ends unless it may be stored.
#[derive(Debug)]
pub(crate) struct Reservation {
    book: Arc<RwLock<NameBook>>,
    names: NewNames,
    stays: bool,
}

/// Names of one kind.
#[derive(Debug)]
struct Known<T> {
    limit: usize,
    /// With the number of batches that wait to store it; none once one of them did.
    names: HashMap<T, Option<usize>>,
}

impl NameBook {
    pub(crate) fn new(limits: NameLimits, names: Names) -> Self {
        Self {
            symbols: Known::new(limits.symbols, names.symbols),
            sources: Known::new(limits.sources, names.sources),
            workers: Known::new(limits.workers, names.workers),
        }
    }

    /// Tells whether a worker and the names of its ticks are all stored already.
    pub(crate) fn knows(&self, worker: &WorkerId, ticks: &[Tick]) -> bool {
        let known = |tick: &Tick| self.symbols.has(&tick.symbol) && self.sources.has(&tick.source);
        self.workers.has(worker) && ticks.iter().all(known)
    }

    /// Takes a worker in, or says that there are too many.
    pub(crate) fn admit_worker(
        &mut self,
        worker: WorkerId,
        new: &mut NewNames,
    ) -> Result<(), BatchFault> {
        let expected =
            "a worker_id in use already, or a higher cap: the gateway takes no more different ones";
        if !self.workers.has_room(&worker) {
            return Err(BatchFault::new("worker_id", Some(worker.as_str()), expected));
        }
        self.workers.take_in(worker, &mut new.workers);
        Ok(())
    }

    /// Takes a tick's names in, or says which kind there are too many of.
    pub(crate) fn admit_tick(
        &mut self,
        index: usize,
        tick: &Tick,
        new: &mut NewNames,
    ) -> Result<(), FeedFault> {
        let fault = |field, received, cap: usize| {
            let expected = format!("one in use already: the gateway's cap is {cap} different ones");
            Err(FeedFault::new(index, field, Some(received), &expected))
        };
        // Looked at both before either is taken in: a refused feed must not use up a name.
        if !self.sources.has_room(&tick.source) {
            return fault("source", tick.source.as_str(), self.sources.limit);
        }
        if !self.symbols.has_room(&tick.symbol) {
            return fault("symbol", tick.symbol.as_str(), self.symbols.limit);
        }
        self.sources.take_in(tick.source, &mut new.sources);
        self.symbols.take_in(tick.symbol, &mut new.symbols);
        Ok(())
    }
}

impl Reservation {
    /// Holds what [`NameBook`] took in.
    pub(crate) const fn new(book: Arc<RwLock<NameBook>>, names: NewNames) -> Self {
        Self { book, names, stays: false }
    }

    /// The batch may be stored from now on: its names stay, whatever becomes of it.
    pub(crate) const fn keep(&mut self) {
        self.stays = true;
    }

    /// The batch was not stored and will not be.
    pub(crate) const fn give_back(&mut self) {
        self.stays = false;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let NewNames { symbols, sources, workers } = &self.names;
        if symbols.is_empty() && sources.is_empty() && workers.is_empty() {
            return;
        }
        let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
        if self.stays {
            book.symbols.keep(symbols);
            book.sources.keep(sources);
            book.workers.keep(workers);
        } else {
            book.symbols.give_back(symbols);
            book.sources.give_back(sources);
            book.workers.give_back(workers);
        }
    }
}

impl<T: Copy + Eq + Hash> Known<T> {
    fn new(limit: usize, stored: Vec<T>) -> Self {
        Self { limit, names: stored.into_iter().map(|name| (name, None)).collect() }
    }

    fn has(&self, name: &T) -> bool {
        matches!(self.names.get(name), Some(None))
    }

    fn has_room(&self, name: &T) -> bool {
        self.names.len() < self.limit || self.names.contains_key(name)
    }

    /// Notes that a batch waits to store a name, once a batch.
    fn take_in(&mut self, name: T, new: &mut Vec<T>) {
        if let Some(waiting) = self.names.entry(name).or_insert(Some(0))
            && !new.contains(&name)
        {
            *waiting += 1;
            new.push(name);
        }
    }

    fn keep(&mut self, new: &[T]) {
        self.names.extend(new.iter().map(|name| (*name, None)));
    }

    fn give_back(&mut self, new: &[T]) {
        for name in new {
            match self.names.get_mut(name) {
                Some(Some(waiting)) if *waiting > 1 => *waiting -= 1,
                Some(Some(_last)) => drop(self.names.remove(name)),
                // Another batch has stored it.
                Some(None) | None => {}
            }
        }
    }
}
