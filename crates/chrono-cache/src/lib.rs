//! What Chrono keeps in memory: the latest prices, ready answers, and the bus that carries updates.
//!
//! [`LatestBook`] is a table, not a cache: the newest tick per symbol and source, kept by what was committed.
//! [`AnswerCache`] holds encoded answers for a while. [`Bus`] numbers every committed tick in one sequence without
//! holes and hands it to whoever reads. Backends of the last two are features, off by default; each passes
//! `conformance`.
//!
//! ```
//! use chrono_cache::LatestBook;
//! use chrono_domain::Symbol;
//!
//! let book = LatestBook::default();
//! assert!(book.get(&Symbol::try_new("BTC/USD")?).is_none());
//! # Ok::<(), chrono_domain::NameError>(())
//! ```

mod answers;
mod book;
mod bus;
mod late;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "memory")]
pub mod memory;

pub use answers::AnswerCache;
pub use book::{LatestBook, LatestEntry};
pub use bus::{Bus, BusEntry, BusError, BusRead};
pub use late::{LateSpan, LateTicks};
