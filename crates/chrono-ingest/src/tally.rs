//! `price_ingestions_total{worker_id,symbol,status}`, with a bounded number of labels.

use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use chrono_domain::{Symbol, WorkerId};
use chrono_storage::{Appended, NewBatch};
use foldhash::{HashMap, HashSet};
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
    workers: HashMap<WorkerId, HashMap<Symbol, Pair>>,
    symbols: HashSet<Symbol>,
    pairs: usize,
    others: Option<Pair>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("pairs", &self.pairs).finish_non_exhaustive()
    }
}

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
        held.count(batch, stored);
        drop(held);
        if stored && !faults.is_empty() {
            self.refused(batch.worker, faults);
        }
    }

    /// Gives a worker's label: its id once a tick of it was stored, else `other`.
    fn known(&self, worker: WorkerId) -> String {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.workers.contains_key(&worker) { worker.to_string() } else { "other".to_owned() }
    }
}

impl Held {
    fn count(&mut self, batch: &NewBatch, stored: bool) {
        // Taken out, so that each tick looks up its symbol only.
        let mut pairs = self.workers.remove(&batch.worker).unwrap_or_default();
        for tick in &batch.ticks {
            let pair = match pairs.entry(tick.symbol) {
                Entry::Occupied(pair) => &*pair.into_mut(),
                Entry::Vacant(place) if self.take_name(tick.symbol) => {
                    &*place.insert(pair(batch.worker.as_str(), tick.symbol.as_str()))
                }
                Entry::Vacant(_) => self.others.get_or_insert_with(|| pair("other", "other")),
            };
            if stored { pair.ok.increment(1) } else { pair.error.increment(1) }
        }
        if !pairs.is_empty() {
            self.workers.insert(batch.worker, pairs);
        }
    }

    /// Tells whether one more pair may have counters of its own, and notes it.
    fn take_name(&mut self, symbol: Symbol) -> bool {
        let room = self.symbols.len() < SYMBOLS_MAX || self.symbols.contains(&symbol);
        let named = self.pairs < PAIRS_MAX && room;
        if named {
            self.pairs += 1;
            self.symbols.insert(symbol);
        }
        named
    }
}

fn pair(worker: &str, symbol: &str) -> Pair {
    let of = |status: &'static str| counter!("price_ingestions_total", "worker_id" => worker.to_owned(), "symbol" => symbol.to_owned(), "status" => status);
    Pair { ok: of("ok"), error: of("error") }
}
