//! The cycle: seals a frozen generation into pages, in short steps that let commits pass.
//!
//! Freeze, write pages, write keys, publish, drop the generation, clear what is superseded. Everything before the
//! publication writes rows that do not count yet and may be written once more, so a cycle that an error or a crash
//! cuts short begins again from its generation, or from the log. What comes after it only takes away what no longer
//! counts. So no step waits for the disk: the syncs of later commits carry its rows there, in order.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use chrono_domain::Timestamp;

use super::SqliteStore;
use super::connection::{Reader, Writer};
use super::counters::Published;
use super::fault::Fault;
use super::generation::Generation;
use super::memory::{KeyName, Memory};
use super::open::CycleSettings;
use super::pages::{self, NewPage};
use super::{hit, idempotency};
use crate::Progress;

mod clear;
mod seal;
#[cfg(test)]
mod tests;

pub(super) use clear::remove_unpublished;
use seal::Made;

/// Idempotency keys that are written in the time of a page, roughly.
const KEYS_PER_PAGE: usize = 8;

/// A symbol, and how far its pages are made.
type Reached = (u32, Made);

/// Where a cycle stands.
#[derive(Debug, Clone)]
enum Stage {
    /// A step is at work.
    Busy,
    /// Nothing is under way that memory does not show.
    Rest,
    /// Pages are written, symbol by symbol.
    Pages {
        /// Where to go on; none when all are made.
        next: Option<Reached>,
        /// Encoded and not yet written, in order.
        ready: VecDeque<Arc<NewPage>>,
    },
    /// Idempotency keys are written.
    Keys {
        /// Those up to this are done.
        after: Option<KeyName>,
    },
    /// All is written.
    Publish,
    /// What the published cycle superseded is deleted.
    Clear {
        /// Rows of pages from here on are done.
        before: i64,
    },
}

/// The stage between two steps.
#[derive(Debug)]
pub(super) struct Cycle(Mutex<Stage>);

/// One step's turn; what it puts down is where the next one goes on.
struct Turn<'a> {
    cycle: &'a Cycle,
    next: Stage,
}

impl Cycle {
    /// Begins with what an earlier process may have left to be cleared.
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Stage::START))
    }

    /// Takes the stage, unless a step has it; that step gives it back, also when it fails or its caller leaves.
    fn take(&self) -> Option<(Turn<'_>, Stage)> {
        match self.swap(Stage::Busy) {
            Stage::Busy => None,
            stage => Some((Turn { cycle: self, next: Stage::START }, stage)),
        }
    }

    fn swap(&self, stage: Stage) -> Stage {
        std::mem::replace(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), stage)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.cycle.swap(std::mem::replace(&mut self.next, Stage::Busy));
    }
}

impl Stage {
    /// Where to go on when it is not known how far the cycle had come: clearing is safe at any time, and after it
    /// memory tells.
    const START: Self = Self::Clear { before: i64::MAX };

    /// Where the sealing of a generation begins.
    const PAGES: Self = Self::Pages { next: Some((0, Made::Nothing)), ready: VecDeque::new() };
}

/// Does one step of the store's cycle.
///
/// Commits count as old by `now`.
pub(super) async fn step(
    store: &SqliteStore,
    settings: CycleSettings,
    now: Timestamp,
) -> Result<Progress, Fault> {
    let Some((mut turn, stage)) = store.cycle.take() else { return Ok(Progress::Idle) };
    if store.wal.is_due() {
        bring_over(store).await;
    }
    if matches!(stage, Stage::Rest)
        && store.memory.frozen().is_none()
        && !(store.is_behind() || is_due(&store.memory, settings, now))
    {
        turn.next = Stage::Rest;
        return Ok(Progress::Idle);
    }
    let before = stage.clone();
    let next = advance(store, settings, stage).await;
    if matches!(next, Err(Fault::Full)) {
        // Nothing was done: the next step does it.
        turn.next = before;
    }
    turn.next = next?;
    Ok(if store.is_behind() { Progress::Behind } else { Progress::More })
}

/// Does what a stage is about, and tells which comes next.
async fn advance(
    store: &SqliteStore,
    settings: CycleSettings,
    stage: Stage,
) -> Result<Stage, Fault> {
    Ok(match (stage, store.memory.frozen()) {
        (Stage::Clear { before }, _) => clear(store, settings, before).await?,
        (Stage::Pages { next, ready }, Some(frozen)) => {
            write_pages(store, settings, frozen, (next, ready)).await?
        }
        (Stage::Keys { after }, Some(_)) => write_keys(store, settings, after).await?,
        (Stage::Publish, Some(frozen)) => publish(store, frozen).await?,
        (Stage::Rest | Stage::Busy, Some(_)) => Stage::PAGES,
        (Stage::Rest, None) => freeze(store).await?,
        // The generation is gone: its publication had succeeded, though its answer was an error.
        (_, None) => Stage::START,
    })
}

fn is_due(memory: &Memory, settings: CycleSettings, now: Timestamp) -> bool {
    let load = memory.load();
    let is_old = load.oldest.is_some_and(|oldest| now.since(oldest) >= settings.age);
    is_old || load.ticks >= settings.ticks || load.bytes >= settings.bytes
}

/// Freezes the active generation; on the writer's lane, so that no commit is half taken in.
async fn freeze(store: &SqliteStore) -> Result<Stage, Fault> {
    let freeze = |writer: &mut Writer| {
        writer.memory.freeze();
        Ok(())
    };
    store.writer.call_of_cycle(freeze).await?;
    hit("cycle_frozen");
    Ok(Stage::PAGES)
}

/// Brings the log file over into the database: copies it beside the commits, and what they add meanwhile between two of
/// them. SQLite syncs the database only in a pass that no commit overtakes, so that is mostly the second.
///
/// What fails is tried again: a cycle does not depend on it.
async fn bring_over(store: &SqliteStore) {
    let copied = store.on_upkeep(Reader::bring_over).await;
    let settle = |writer: &mut Writer| {
        writer.bring_over();
        Ok(())
    };
    let settled = store.writer.call_of_cycle(settle).await;
    if let Err(fault) = copied.and(settled) {
        tracing::debug!(error = &fault as &dyn std::error::Error, "the log file grows on");
    }
}

/// Encodes pages until there are some, and writes a slice of them.
async fn write_pages(
    store: &SqliteStore,
    settings: CycleSettings,
    frozen: Arc<Generation>,
    (mut next, mut ready): (Option<Reached>, VecDeque<Arc<NewPage>>),
) -> Result<Stage, Fault> {
    if ready.is_empty()
        && let Some(from) = next
    {
        let encode = move |reader: &Reader| encode(reader, &frozen, from, settings);
        let (made, rest) = store.on_upkeep(encode).await?;
        (ready, next) = (made.into_iter().map(Arc::new).collect(), rest);
    }
    let slice: Vec<_> = ready.drain(..settings.slice.min(ready.len())).collect();
    let write = move |writer: &mut Writer| {
        writer.transact_unsynced(|connection, _names, _memory| {
            let cycle = Published::load(connection)?.cycle + 1;
            slice.iter().try_for_each(|page| pages::put(connection, page, cycle))?;
            hit("materialise_before_commit");
            hit("cycle_pages_before_commit");
            Ok(())
        })
    };
    store.writer.call_of_cycle(write).await?;
    hit("materialise_after_commit");
    hit("cycle_pages_after_commit");
    let is_done = ready.is_empty() && next.is_none();
    Ok(if is_done { Stage::Keys { after: None } } else { Stage::Pages { next, ready } })
}

/// Encodes pages, symbol by symbol, until they make a slice; tells where to go on.
fn encode(
    reader: &Reader,
    frozen: &Generation,
    (first_id, made): Reached,
    settings: CycleSettings,
) -> Result<(VecDeque<NewPage>, Option<Reached>), Fault> {
    reader.view(
        |_generation| (),
        |view| {
            let mut ready = VecDeque::new();
            for (symbol_id, series) in frozen.series.range(first_id..) {
                let mut next = Some(if *symbol_id == first_id { made } else { Made::Nothing });
                while let Some(made) = next {
                    let from = (*symbol_id, made);
                    if ready.len() >= settings.slice {
                        return Ok((ready, Some(from)));
                    }
                    next = seal::step(&view.pages, from, series, settings.page_rows, &mut ready)?;
                }
            }
            Ok((ready, None))
        },
    )
}

async fn write_keys(
    store: &SqliteStore,
    settings: CycleSettings,
    after: Option<KeyName>,
) -> Result<Stage, Fault> {
    let limit = settings.slice * KEYS_PER_PAGE;
    let write = move |writer: &mut Writer| {
        writer.transact_unsynced(|connection, _names, memory| {
            let keys = memory.frozen_keys(after.as_ref(), limit);
            idempotency::put(connection, &keys)?;
            hit("cycle_keys_before_commit");
            Ok(keys.into_iter().next_back().map(|(name, _kept)| name))
        })
    };
    let last = store.writer.call_of_cycle(write).await?;
    hit("cycle_keys_after_commit");
    Ok(last.map_or(Stage::Publish, |last| Stage::Keys { after: Some(last) }))
}

/// Lets the pages count, and then drops the generation that they hold.
async fn publish(store: &SqliteStore, frozen: Arc<Generation>) -> Result<Stage, Fault> {
    let (sealed, next_arrival) = (frozen.last, frozen.next_arrival);
    let publish = move |writer: &mut Writer| {
        writer.transact_unsynced(|connection, _names, _memory| {
            let cycle = Published::load(connection)?.cycle + 1;
            Published { sealed, cycle, next_arrival }.store(connection)?;
            hit("cycle_publish_before_commit");
            Ok(())
        })?;
        hit("cycle_publish_after_commit");
        writer.memory.reconcile(sealed, next_arrival);
        hit("cycle_published");
        Ok(())
    };
    store.writer.call_of_cycle(publish).await?;
    // Freeing it takes long; a lane that is overrun leaves it to this thread.
    let free = |_reader: &Reader| {
        drop(frozen);
        Ok(())
    };
    let freed = store.on_upkeep(free).await;
    freed.or_else(|fault| if matches!(fault, Fault::Full) { Ok(()) } else { Err(fault) })?;
    Ok(Stage::START)
}

async fn clear(store: &SqliteStore, settings: CycleSettings, before: i64) -> Result<Stage, Fault> {
    let clear = move |writer: &mut Writer| {
        writer.transact_unsynced(|connection, _names, _memory| {
            let before = clear::slice(connection, before, settings.cleared)?;
            hit("cycle_clear_before_commit");
            Ok(before)
        })
    };
    let next = store.writer.call_of_cycle(clear).await?;
    hit("cycle_clear_after_commit");
    Ok(next.map_or(Stage::Rest, |before| Stage::Clear { before }))
}

/// Runs whole cycles over a generation on one connection, with nobody beside.
pub(super) fn seal_alone(
    connection: &mut rusqlite::Connection,
    generation: &Generation,
    settings: CycleSettings,
) -> Result<(), Fault> {
    let published = Published::load(connection)?;
    let cycle = published.cycle + 1;
    for (symbol_id, series) in &generation.series {
        let mut next = Some(Made::Nothing);
        while let Some(made) = next {
            let mut ready = VecDeque::new();
            let held = pages::Pages { connection, cycle: published.cycle };
            let from = (*symbol_id, made);
            next = seal::step(&held, from, series, settings.page_rows, &mut ready)?;
            write_alone(connection, ready, cycle, settings)?;
        }
    }
    let transaction = connection.transaction()?;
    let next_arrival = published.next_arrival;
    Published { sealed: generation.last, cycle, next_arrival }.store(&transaction)?;
    transaction.commit()?;
    hit("carry_after_commit");
    let mut before = Some(i64::MAX);
    while let Some(next) = before {
        let transaction = connection.transaction()?;
        before = clear::slice(&transaction, next, settings.cleared)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Writes pages in slices.
fn write_alone(
    connection: &mut rusqlite::Connection,
    mut ready: VecDeque<NewPage>,
    cycle: i64,
    settings: CycleSettings,
) -> Result<(), Fault> {
    while !ready.is_empty() {
        let slice = ready.drain(..settings.slice.clamp(1, ready.len()));
        let transaction = connection.transaction()?;
        slice.into_iter().try_for_each(|page| pages::put(&transaction, &page, cycle))?;
        hit("carry_before_commit");
        transaction.commit()?;
    }
    Ok(())
}
