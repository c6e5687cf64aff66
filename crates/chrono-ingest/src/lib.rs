//! How a tick comes in: parsed, judged, committed with its neighbours, published, acknowledged.
//!
//! A batch is read by [`ParsedBatch::parse`], which gives each feed a verdict and never fails a batch for one bad
//! feed. [`Ingest::submit`] queues its good feeds for the one [`Writer`], which commits whatever waits in one
//! transaction, and only then puts them into the latest book and on the bus and answers. This crate knows the
//! storage and cache contracts; it knows no backend and no HTTP.
//!
//! Three types to read first: [`ParsedBatch`], [`Ingest`], [`IngestError`].
//!
//! ```
//! use chrono_domain::Timestamp;
//! use chrono_ingest::ParsedBatch;
//!
//! let now = Timestamp::parse_rfc3339("2025-10-09T12:34:57Z")?;
//! let mut body = br#"{"worker_id":"w1","timestamp":"2025-10-09T12:34:56Z","feeds":[
//!     {"symbol":"BTC/USD","price":"67234.56","source":"binance","timestamp":"2025-10-09T12:34:56Z"}]}"#.to_vec();
//! let batch = ParsedBatch::parse(&mut body, now)?;
//! assert_eq!((batch.ticks.len(), batch.faults.len()), (1, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batch;
mod error;
mod feed;
mod fingerprint;
mod metadata;
mod names;
mod queue;
mod scalar;
mod tally;
mod writer;

pub use batch::{FEEDS_MAX, ParsedBatch};
pub use error::{BatchFault, FeedFault, IngestError};
pub use names::NameLimits;
pub use queue::{Ingest, IngestSettings, Receipt};
pub use writer::Writer;
