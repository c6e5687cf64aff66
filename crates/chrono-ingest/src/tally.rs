//! `price_ingestions_total{worker_id,symbol,status}`, with a bounded number of labels.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use chrono_domain::{Symbol, WorkerId};
use chrono_storage::{Appended, NewBatch};
use metrics::{Counter, counter};

use crate::error::{FeedFault, IngestError};

/// Most (worker, symbol) pairs with counters of their own; the rest count as `other`.
const PAIRS_MAX: usize = 10_000;
/// Most symbols with a label of their own.
const SYMBOLS_MAX: usize = 1_000;

/// The counters that are in use.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    workers: HashSet<WorkerId>,
    symbols: HashSet<Symbol>,
    pairs: HashMap<(WorkerId, Symbol), Pair>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("pairs", &self.pairs.len()).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Pair {
    ok: Counter,
    error: Counter,
}

impl Tally {
    /// Counts a batch whose feeds were all refused.
    pub(crate) fn refused(&self, worker: WorkerId, faults: &[FeedFault]) {
        let worker = self.known(worker);
        counter!("price_ingestions_total", "worker_id" => worker, "symbol" => "other", "status" => "rejected")
            .increment(faults.len() as u64);
    }

    /// Counts a batch by what became of it; a repeat counts nothing again.
    pub(crate) fn outcome(
        &self,
        batch: &NewBatch,
        faults: &[FeedFault],
        outcome: &Result<Appended, IngestError>,
    ) {
        let stored = match outcome {
            Ok(Appended::Stored(_)) => true,
            Ok(_) => return,
            Err(_) => false,
        };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for tick in &batch.ticks {
            let counters = held.counters(batch.worker, tick.symbol);
            if stored { counters.ok.increment(1) } else { counters.error.increment(1) }
        }
        drop(held);
        if stored && !faults.is_empty() {
            self.refused(batch.worker, faults);
        }
    }

    /// Gives a worker's label: its id once a tick of it was stored, else `other`.
    fn known(&self, worker: WorkerId) -> String {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.workers.contains(&worker) { worker.to_string() } else { "other".to_owned() }
    }
}

impl Held {
    fn counters(&mut self, worker: WorkerId, symbol: Symbol) -> Pair {
        if let Some(pair) = self.pairs.get(&(worker, symbol)) {
            return pair.clone();
        }
        let symbols = self.symbols.len();
        let named = self.pairs.len() < PAIRS_MAX
            && (self.symbols.contains(&symbol) || symbols < SYMBOLS_MAX);
        if !named {
            return pair("other", "other");
        }
        self.symbols.insert(symbol);
        self.workers.insert(worker);
        let made = pair(worker.as_str(), symbol.as_str());
        self.pairs.insert((worker, symbol), made.clone());
        made
    }
}

fn pair(worker: &str, symbol: &str) -> Pair {
    let of = |status: &'static str| counter!("price_ingestions_total", "worker_id" => worker.to_owned(), "symbol" => symbol.to_owned(), "status" => status);
    Pair { ok: of("ok"), error: of("error") }
}
