//! The in-memory model: raw ticks only, every answer folded naively on read.
//!
//! It is slow and obviously right: the oracle of backends, and the store of tests above the contract, which can tell
//! it how the next commit or read goes wrong. It keeps nothing across restarts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono_domain::{StoredTick, Symbol, Timestamp, WorkerId};

use crate::{IdempotencyKey, Snapshot, StoreError, StoredDelegation, StoredKey};

mod candles;
mod delegations;
mod keys;
mod paper;
mod snapshots;
mod ticks;

/// How a commit goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It answers [`StoreError::Unavailable`] and stores nothing.
    Unavailable,
    /// It answers [`StoreError::Overloaded`] and stores nothing.
    Overloaded,
    /// It never answers and stores nothing.
    Hang,
    /// It stores everything and answers, but only after this time.
    Late(Duration),
    /// It answers [`StoreError::OutcomeUnknown`] and has stored everything.
    UnknownStored,
    /// It answers [`StoreError::OutcomeUnknown`] and has stored nothing.
    UnknownLost,
    /// The batch at this place of the call is [`StoreError::Refused`]; a call that takes no batches is refused whole.
    Refuse(usize),
}

/// How a read goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFault {
    /// It answers [`StoreError::Unavailable`].
    Unavailable,
    /// It never answers.
    Hang,
    /// It answers, but only after this time.
    Late(Duration),
}

/// A store in memory that keeps what it was given and nothing derived from it.
#[derive(Debug, Default)]
pub struct ModelStore {
    state: Mutex<State>,
    commit_faults: Mutex<VecDeque<Fault>>,
    read_faults: Mutex<VecDeque<ReadFault>>,
}

/// What was stored, in the order in which it was.
#[derive(Debug, Default)]
struct State {
    ticks: Vec<StoredTick>,
    workers: BTreeSet<WorkerId>,
    batches: BTreeMap<(WorkerId, IdempotencyKey), KeptBatch>,
    snapshots: BTreeMap<(Symbol, Timestamp), Vec<Snapshot>>,
    delegations: Vec<StoredDelegation>,
    keys: Vec<StoredKey>,
}

/// What is kept of a batch that has an idempotency key.
#[derive(Debug)]
struct KeptBatch {
    fingerprint: [u8; 32],
    receipt: Bytes,
    received_at: Timestamp,
}

impl ModelStore {
    /// Lets a commit go wrong: the next one, or the one after those that earlier calls of this have spoilt.
    ///
    /// Commits are what acknowledges something new; forgetting keys and materialising never go wrong.
    pub fn next_commit(&self, fault: Fault) {
        lock(&self.commit_faults).push_back(fault);
    }

    /// Lets a read go wrong: the next one, or the one after those that earlier calls of this have spoilt.
    pub fn next_read(&self, fault: ReadFault) {
        lock(&self.read_faults).push_back(fault);
    }

    /// Changes the state as one commit, or goes wrong as told.
    async fn commit<T>(
        &self,
        change: impl FnOnce(&mut State, Option<usize>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let fault = lock(&self.commit_faults).pop_front();
        match fault {
            None => change(&mut lock(&self.state), None),
            Some(Fault::Refuse(batch_idx)) => change(&mut lock(&self.state), Some(batch_idx)),
            Some(Fault::Unavailable) => Err(StoreError::Unavailable(as_told())),
            Some(Fault::Overloaded) => Err(StoreError::Overloaded),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Late(time)) => {
                tokio::time::sleep(time).await;
                change(&mut lock(&self.state), None)
            }
            Some(Fault::UnknownLost) => Err(StoreError::OutcomeUnknown(as_told())),
            Some(Fault::UnknownStored) => {
                change(&mut lock(&self.state), None)?;
                Err(StoreError::OutcomeUnknown(as_told()))
            }
        }
    }

    /// Changes the state as one commit that takes no batches.
    async fn commit_whole<T>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.commit(|state, refused| match refused {
            Some(_) => Err(StoreError::Refused(as_told())),
            None => change(state),
        })
        .await
    }

    /// Reads the state at one moment, or goes wrong as told.
    async fn read<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T, StoreError> {
        let fault = lock(&self.read_faults).pop_front();
        match fault {
            None => Ok(look(&lock(&self.state))),
            Some(ReadFault::Unavailable) => Err(StoreError::Unavailable(as_told())),
            Some(ReadFault::Hang) => std::future::pending().await,
            Some(ReadFault::Late(time)) => {
                tokio::time::sleep(time).await;
                Ok(look(&lock(&self.state)))
            }
        }
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

fn as_told() -> Box<dyn std::error::Error + Send + Sync> {
    "the model was told to".into()
}
