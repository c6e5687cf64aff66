//! The contract for the bus: one sequence of updates for every reader.

use std::sync::Arc;

use chrono_domain::{Epoch, Seq, StoredTick, Timestamp};

/// A failed call to the bus.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// Nothing was published or read; the same call may work later.
    #[error("the bus is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The ticks of one commit as the bus carries them.
#[derive(Debug, Clone)]
pub struct BusEntry {
    /// The number of the first tick; the others follow without holes.
    pub first: Seq,
    /// When it was published.
    pub published_at: Timestamp,
    /// At least one tick, in arrival order.
    pub ticks: Arc<[StoredTick]>,
}

impl BusEntry {
    /// Gives the number of the last tick.
    pub fn last(&self) -> Seq {
        Seq(self.first.0.saturating_add(self.ticks.len() as u64).saturating_sub(1))
    }
}

/// What reading the bus gave.
#[derive(Debug, Clone)]
pub enum BusRead {
    /// The entries that follow, in order, at least one.
    Entries(Vec<Arc<BusEntry>>),
    /// What follows is no longer held; reading can go on after this number.
    Lost(Seq),
}

/// Carries committed ticks to every reader, in one order.
///
/// Each sentence is a case of the conformance suite:
/// - Within an epoch the ticks published get the numbers 1, 2, 3 … in the order of the `publish` calls, without holes.
/// - A reader that reads after the last number it saw gets every tick exactly once, in order.
/// - `read` waits while nothing follows, and wakes at the next `publish`; dropping its future loses nothing.
/// - History is bounded: a reader too far behind gets [`BusRead::Lost`], never a silent hole.
/// - `head` is the number of the newest tick, zero before the first.
/// - Publishing never waits for readers.
#[async_trait::async_trait]
pub trait Bus: Send + Sync {
    /// Names the life of the sequence.
    fn epoch(&self) -> Epoch;

    /// Gives the newest number.
    fn head(&self) -> Seq;

    /// Publishes the ticks of one commit; answers the number of the last. No ticks publish nothing.
    ///
    /// # Errors
    /// [`BusError::Unavailable`]; nothing was numbered.
    async fn publish(&self, ticks: Arc<[StoredTick]>, at: Timestamp) -> Result<Seq, BusError>;

    /// Waits for what follows a number and reads a bounded part of it.
    ///
    /// # Errors
    /// [`BusError::Unavailable`]; reading again is safe.
    async fn read(&self, after: Seq) -> Result<BusRead, BusError>;
}
