//! Ticks: appended to a list, filtered and sorted on read.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono_domain::{Arrival, Feed, StoredTick, Timestamp, Window};

use super::{KeptBatch, ModelStore, State, as_told, lock};
use crate::{
    Appended, Detail, Names, NewBatch, Order, StoreError, StoreStats, TickRange, TickStore,
    WindowRange, WindowRead,
};

/// Most idempotency keys forgotten in one call.
const FORGOTTEN_MAX: usize = 4_096;

#[async_trait::async_trait]
impl TickStore for ModelStore {
    async fn append(
        &self,
        batches: Vec<Arc<NewBatch>>,
    ) -> Result<Vec<Result<Appended, StoreError>>, StoreError> {
        self.commit(|state, refused| {
            let outcomes = batches.iter().enumerate().map(|(idx, batch)| {
                if refused == Some(idx) {
                    Err(StoreError::Refused(as_told()))
                } else {
                    Ok(state.append(batch))
                }
            });
            Ok(outcomes.collect())
        })
        .await
    }

    async fn ticks(&self, range: &TickRange) -> Result<Vec<StoredTick>, StoreError> {
        self.read(|state| {
            let mut found: Vec<_> =
                state.ticks.iter().filter(|stored| is_within(range, stored)).collect();
            found.sort_by_key(|stored| stored.key());
            if range.order == Order::NewestFirst {
                found.reverse();
            }
            found.into_iter().take(range.limit).map(|stored| shown(stored, range.detail)).collect()
        })
        .await
    }

    async fn window(&self, range: &WindowRange) -> Result<WindowRead, StoreError> {
        let WindowRange { symbol, from, to, ticks_max } = *range;
        let ticks = self.ticks(&TickRange { from, to, ..TickRange::of(symbol) }).await?;
        let window: Window = ticks.iter().map(Feed::from).collect();
        let fits = window.rows.len() <= ticks_max;
        Ok(if fits { WindowRead::Whole(window) } else { WindowRead::TooMany })
    }

    async fn newest(&self) -> Result<Vec<StoredTick>, StoreError> {
        self.read(|state| {
            let mut newest = BTreeMap::new();
            for stored in &state.ticks {
                let held = newest.entry((stored.tick.symbol, stored.tick.source)).or_insert(stored);
                if held.key() < stored.key() {
                    *held = stored;
                }
            }
            newest.into_values().map(|stored| shown(stored, Detail::Plain)).collect()
        })
        .await
    }

    async fn names(&self) -> Result<Names, StoreError> {
        self.read(|state| {
            let mut symbols: Vec<_> = state.ticks.iter().map(|stored| stored.tick.symbol).collect();
            symbols.sort_unstable();
            symbols.dedup();
            let mut sources: Vec<_> = state.ticks.iter().map(|stored| stored.tick.source).collect();
            sources.sort_unstable();
            sources.dedup();
            Names { symbols, sources, workers: state.workers.iter().copied().collect() }
        })
        .await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.read(|state| StoreStats { ticks: state.ticks.len() as u64, bytes: None }).await
    }

    async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut state = lock(&self.state);
        let old = state.batches.iter().filter(|(_, kept)| kept.received_at < before);
        let names: Vec<_> = old.map(|(name, _)| name.clone()).take(FORGOTTEN_MAX).collect();
        for name in &names {
            state.batches.remove(name);
        }
        Ok(names.len() as u64)
    }
}

impl State {
    fn append(&mut self, batch: &NewBatch) -> Appended {
        if let Some(idempotency) = &batch.idempotency {
            let name = (batch.worker, idempotency.key.clone());
            match self.batches.get(&name) {
                Some(kept) if kept.fingerprint == idempotency.fingerprint => {
                    return Appended::Repeated(kept.receipt.clone());
                }
                Some(_) => return Appended::KeyClash,
                None => {}
            }
            let kept = KeptBatch {
                fingerprint: idempotency.fingerprint,
                receipt: batch.receipt.clone(),
                received_at: batch.received_at,
            };
            self.batches.insert(name, kept);
        }
        self.workers.insert(batch.worker);
        let first = self.ticks.len() as u64 + 1;
        let stored = batch.ticks.iter().zip(first..).map(|(tick, arrival)| StoredTick {
            tick: tick.clone(),
            arrival: Arrival(arrival),
            ingested_at: batch.received_at,
        });
        self.ticks.extend(stored);
        Appended::Stored(Arrival(first))
    }
}

fn is_within(range: &TickRange, stored: &StoredTick) -> bool {
    let follows = range.after.is_none_or(|after| match range.order {
        Order::OldestFirst => stored.key() > after,
        Order::NewestFirst => stored.key() < after,
    });
    stored.tick.symbol == range.symbol
        && range.source.is_none_or(|source| stored.tick.source == source)
        && (range.from..=range.to).contains(&stored.tick.timestamp)
        && follows
}

fn shown(stored: &StoredTick, detail: Detail) -> StoredTick {
    let mut shown = stored.clone();
    if detail == Detail::Plain {
        shown.tick.metadata = None;
    }
    shown
}
