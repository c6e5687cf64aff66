//! Exchange workers: they post ticks to a gateway over its public HTTP surface, and know nothing else of it.
//!
//! Two workers live here. [`replay`] posts recorded ticks from NDJSON files, exactly once however often it is
//! interrupted. [`sim`] posts what seeded simulated exchanges trade, for demonstrations and load. Both post through
//! one [`Poster`].
//!
//! Three to read first: [`Poster`], [`replay::run`] and [`sim::Market`].

mod error;
mod plain;
mod poster;
mod row;

pub mod cli;
pub mod replay;
pub mod sim;

pub use error::WorkerError;
pub use plain::plain_digits;
pub use poster::{Posted, Poster, Tally};
pub use row::{RowError, TickerVolume, read_row};
