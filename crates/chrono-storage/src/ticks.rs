//! The contract for ticks: durable appends and exact reads.

use std::sync::Arc;

use bytes::Bytes;
use chrono_domain::{
    Arrival, OrderKey, Source, StoredTick, Symbol, Tick, Timestamp, Window, WorkerId,
};

use crate::StoreError;

/// Longest idempotency key, in characters.
const IDEMPOTENCY_KEY_CHARS_MAX: usize = 128;

/// Says that a text is no idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an idempotency key")]
pub struct IdempotencyKeyError;

impl IdempotencyKeyError {
    /// Says what would have been accepted, in words fit for an error body.
    pub const fn expected(self) -> &'static str {
        "1 to 128 visible ASCII characters"
    }
}

/// A worker's own name for a batch, so that it can be sent again without harm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(Box<str>);

impl IdempotencyKey {
    /// Takes 1 to 128 visible ASCII characters.
    ///
    /// # Errors
    /// [`IdempotencyKeyError`] for anything else.
    pub fn try_new(text: &str) -> Result<Self, IdempotencyKeyError> {
        let sized = (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&text.len());
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if sized && visible { Ok(Self(text.into())) } else { Err(IdempotencyKeyError) }
    }

    /// Gives the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What makes a batch repeatable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The worker's name for the batch, unique per worker.
    pub key: IdempotencyKey,
    /// SHA-256 over what the worker sent, to tell a repeat from a clash.
    pub fingerprint: [u8; 32],
}

/// The accepted feeds of one request, to be stored whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBatch {
    /// Who sent it.
    pub worker: WorkerId,
    /// Its name, if the worker gave one.
    pub idempotency: Option<Idempotency>,
    /// The ticks, in the order they were sent.
    pub ticks: Vec<Tick>,
    /// What a repeat is answered with; opaque to the store.
    pub receipt: Bytes,
    /// When the gateway took it in; the `ingested_at` of its ticks and the age of its idempotency key.
    pub received_at: Timestamp,
}

/// What became of one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// Stored durably; its ticks took the arrival numbers from here on, in their order, without holes.
    Stored(Arrival),
    /// Stored before under the same key and fingerprint; this is the receipt of that time.
    Repeated(Bytes),
    /// Another batch is stored under the same key; nothing was stored.
    KeyClash,
}

/// Which end of a range comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// By (timestamp, arrival), growing.
    OldestFirst,
    /// By (timestamp, arrival), falling.
    NewestFirst,
}

/// How much of each tick to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Detail {
    /// All but the metadata, which reads as none.
    Plain,
    /// The metadata too.
    WithMetadata,
}

/// Which ticks of a symbol to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TickRange {
    /// The symbol.
    pub symbol: Symbol,
    /// One source, or all.
    pub source: Option<Source>,
    /// First moment, inclusive.
    pub from: Timestamp,
    /// Last moment, inclusive.
    pub to: Timestamp,
    /// Read only what comes after this place in the chosen order; the place itself is left out.
    pub after: Option<OrderKey>,
    /// The order of the answer.
    pub order: Order,
    /// Most ticks in the answer.
    pub limit: usize,
    /// How much of each.
    pub detail: Detail,
}

impl TickRange {
    /// Asks for every tick of a symbol, oldest first, without metadata.
    pub const fn of(symbol: Symbol) -> Self {
        Self {
            symbol,
            source: None,
            from: Timestamp::MIN,
            to: Timestamp::MAX,
            after: None,
            order: Order::OldestFirst,
            limit: usize::MAX,
            detail: Detail::Plain,
        }
    }
}

/// Which window of a symbol to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowRange {
    /// The symbol.
    pub symbol: Symbol,
    /// First moment, inclusive.
    pub from: Timestamp,
    /// Last moment, inclusive.
    pub to: Timestamp,
    /// Most ticks that the window may hold; each takes 40 bytes.
    pub ticks_max: usize,
}

/// What became of reading a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WindowRead {
    /// Every tick of the window.
    Whole(Window),
    /// The window holds more ticks than it may; none is given.
    TooMany,
}

/// Every name that is in use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// Symbols with at least one tick.
    pub symbols: Vec<Symbol>,
    /// Sources with at least one tick.
    pub sources: Vec<Source>,
    /// Workers that stored a batch.
    pub workers: Vec<WorkerId>,
}

/// Figures about a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreStats {
    /// Ticks ever stored.
    pub ticks: u64,
    /// Size on disk in bytes, where the store knows it.
    pub bytes: Option<u64>,
}

/// Stores ticks durably and reads them back exactly.
///
/// Each sentence is a case of the conformance suite:
/// - A batch that is [`Appended::Stored`] survives a crash of the process and of the machine: `Ok` comes after fsync.
/// - A batch is stored whole or not at all, and a batch that is refused harms no other of the same call.
/// - Arrival numbers grow with every stored tick, are never given twice, and go on growing after a restart.
/// - The same key and fingerprint of a worker again answer [`Appended::Repeated`] with the first receipt, also within
///   one call and after a restart; another fingerprint answers [`Appended::KeyClash`]; both store nothing.
/// - Keys of different workers never clash.
/// - When a call answers `Err`, nothing of it is stored, but for [`StoreError::OutcomeUnknown`].
/// - Prices and volumes read back with the digits that were written; no volume stays no volume.
/// - A range holds both its ends, answers in (timestamp, arrival) order or its reverse, and an unknown symbol or
///   source answers empty.
/// - Pages that start `after` the last tick of the page before join to the whole, without holes or repeats.
/// - A window holds the ticks of its range, all as of one moment and in the same order, each source once and only those
///   with a tick; one of more ticks than it may hold answers [`WindowRead::TooMany`].
/// - Dropping the future of a call never stores half a batch; whether it stores the whole is open.
#[async_trait::async_trait]
pub trait TickStore: Send + Sync {
    /// Stores batches durably in one commit; answers one outcome per batch, in their order.
    ///
    /// # Errors
    /// The outer error says that no batch was stored (but see [`StoreError::OutcomeUnknown`]); the inner error is
    /// [`StoreError::Refused`] for a batch whose values the store does not take.
    async fn append(
        &self,
        batches: Vec<Arc<NewBatch>>,
    ) -> Result<Vec<Result<Appended, StoreError>>, StoreError>;

    /// Reads a page of a symbol's ticks.
    ///
    /// # Errors
    /// Any [`StoreError`] but `OutcomeUnknown`; reading again is safe.
    async fn ticks(&self, range: &TickRange) -> Result<Vec<StoredTick>, StoreError>;

    /// Reads all ticks of a window, without what a consensus does not ask for.
    ///
    /// # Errors
    /// As [`TickStore::ticks`].
    async fn window(&self, range: &WindowRange) -> Result<WindowRead, StoreError>;

    /// Reads the newest tick of every (symbol, source), in no order, without metadata.
    ///
    /// # Errors
    /// As [`TickStore::ticks`].
    async fn newest(&self) -> Result<Vec<StoredTick>, StoreError>;

    /// Reads every name in use.
    ///
    /// # Errors
    /// As [`TickStore::ticks`].
    async fn names(&self) -> Result<Names, StoreError>;

    /// Reads figures about the store; cheap enough for every scrape, and before the reads that wait, so that it tells a
    /// store that is busy from one that does not answer.
    ///
    /// # Errors
    /// As [`TickStore::ticks`].
    async fn stats(&self) -> Result<StoreStats, StoreError>;

    /// Forgets idempotency keys taken in before a time, some hundred of those on the disk a call, so that commits pass;
    /// answers how many.
    ///
    /// # Errors
    /// As [`TickStore::ticks`].
    async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError>;
}
