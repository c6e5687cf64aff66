//! Where Chrono keeps what it acknowledged: the contract, its conformance suite and the backends.
//!
//! The contract is five small traits, joined in [`Store`]. Each sentence of a trait's documentation is a promise with
//! a case in `conformance`; every backend passes the whole suite on a fresh store. Use cases hold an
//! `Arc<dyn Store>` and never name a backend: backends are features, off by default.
//!
//! Three things to read first: [`TickStore`] (what an acknowledgement means), [`CandleStore`] (why candles are never
//! wrong) and [`StoreError`] (what a caller can do about a failure).
//!
//! ```
//! # use chrono_domain::{Symbol, Timestamp};
//! use chrono_storage::{Order, Store, TickRange};
//!
//! async fn newest_price(store: &dyn Store, symbol: Symbol) -> Option<String> {
//!     let range = TickRange { order: Order::NewestFirst, limit: 1, ..TickRange::of(symbol) };
//!     let ticks = store.ticks(&range).await.ok()?;
//!     ticks.first().map(|stored| stored.tick.price.to_string())
//! }
//! ```

mod candles;
mod delegations;
mod error;
mod keys;
mod snapshots;
mod ticks;

#[cfg(feature = "failpoints")]
pub mod failpoint;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "model")]
pub mod model;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use candles::{Bucket, CandleRange, CandleStore, Progress, Recount};
pub use delegations::{
    AccountId, AccountIdError, Delegation, DelegationOutcome, DelegationRange, DelegationStore,
    StoredDelegation,
};
pub use error::StoreError;
pub use keys::{KeyStore, StoredKey};
pub use snapshots::{Snapshot, SnapshotStore};
pub use ticks::{
    Appended, Detail, Idempotency, IdempotencyKey, IdempotencyKeyError, Names, NewBatch, Order,
    StoreStats, TickRange, TickStore, WindowRange, WindowRead,
};

/// Everything a gateway keeps.
pub trait Store: TickStore + CandleStore + SnapshotStore + DelegationStore + KeyStore {}

impl<T: TickStore + CandleStore + SnapshotStore + DelegationStore + KeyStore> Store for T {}
