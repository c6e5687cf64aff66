//! How many names one gateway takes, so that no key can fill its memory with them.

use std::hash::Hash;

use chrono_domain::{Source, Symbol, Tick, WorkerId};
use chrono_storage::Names;
use foldhash::HashSet;

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
    limits: NameLimits,
    symbols: HashSet<Symbol>,
    sources: HashSet<Source>,
    workers: HashSet<WorkerId>,
}

impl NameBook {
    pub(crate) fn new(limits: NameLimits, names: Names) -> Self {
        Self {
            limits,
            symbols: names.symbols.into_iter().collect(),
            sources: names.sources.into_iter().collect(),
            workers: names.workers.into_iter().collect(),
        }
    }

    /// Tells whether a worker and the names of its ticks are all in use already.
    pub(crate) fn knows(&self, worker: &WorkerId, ticks: &[Tick]) -> bool {
        let known = |tick: &Tick| {
            self.symbols.contains(&tick.symbol) && self.sources.contains(&tick.source)
        };
        self.workers.contains(worker) && ticks.iter().all(known)
    }

    /// Takes a worker in, or says that there are too many.
    pub(crate) fn admit_worker(&mut self, worker: WorkerId) -> Result<(), BatchFault> {
        let expected =
            "a worker_id in use already, or a higher cap: the gateway takes no more different ones";
        if !has_room(&self.workers, &worker, self.limits.workers) {
            return Err(BatchFault::new("worker_id", Some(worker.as_str()), expected));
        }
        self.workers.insert(worker);
        Ok(())
    }

    /// Takes a tick's names in, or says which kind there are too many of.
    pub(crate) fn admit_tick(&mut self, index: usize, tick: &Tick) -> Result<(), FeedFault> {
        let fault = |field, received, cap: usize| {
            let expected = format!("one in use already: the gateway's cap is {cap} different ones");
            Err(FeedFault::new(index, field, Some(received), &expected))
        };
        // Looked at both before either is taken in: a refused feed must not use up a name.
        if !has_room(&self.sources, &tick.source, self.limits.sources) {
            return fault("source", tick.source.as_str(), self.limits.sources);
        }
        if !has_room(&self.symbols, &tick.symbol, self.limits.symbols) {
            return fault("symbol", tick.symbol.as_str(), self.limits.symbols);
        }
        self.sources.insert(tick.source);
        self.symbols.insert(tick.symbol);
        Ok(())
    }
}

fn has_room<T: Eq + Hash>(names: &HashSet<T>, name: &T, limit: usize) -> bool {
    names.len() < limit || names.contains(name)
}
