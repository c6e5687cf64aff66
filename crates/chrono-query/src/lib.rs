//! Answers about prices: latest, ranges, candles, consensus, metadata, delegations.
//!
//! This crate is what the gateway's read side does, without the gateway: a Rust service that opens the same store gets
//! the same answers without HTTP. It knows the contracts of store and cache and no backend of either, and it writes
//! nothing but consensus snapshots ([`ConsensusRecorder`], run by the gateway alone).
//!
//! Three types to read first: [`PriceQueries`] (every question), [`RangeQuery`] (how pages of a past join) and
//! [`QueryError`] (why there is no answer).
//!
//! ```
//! use std::sync::Arc;
//!
//! use chrono_cache::{AnswerCache, LatestBook};
//! use chrono_domain::{Interval, Symbol, SystemClock};
//! use chrono_query::{ConsensusSettings, Gaps, PriceQueries, QueryError, RangeQuery};
//! use chrono_storage::Store;
//!
//! async fn show(store: Arc<dyn Store>, cache: Arc<dyn AnswerCache>) -> Result<(), QueryError> {
//!     let (book, clock) = (Arc::new(LatestBook::default()), Arc::new(SystemClock::new()));
//!     let settings = Arc::new(ConsensusSettings::default());
//!     let queries = PriceQueries::new(store, book, cache, clock, settings);
//!     queries.refresh().await?;
//!
//!     let Ok(symbol) = Symbol::parse_query("btc-usd") else { return Ok(()) };
//!     for price in queries.latest(&[symbol], None).await?.prices {
//!         println!("{} at {}", price.tick.tick.price, price.tick.tick.source);
//!     }
//!     let hours = queries.candles(&RangeQuery::of(symbol), Interval::H1, Gaps::Skip).await?;
//!     println!("{} hours, newest first", hours.rows.len());
//!     Ok(())
//! }
//! ```

mod answers;
mod consensus;
mod cursor;
mod delegations;
mod error;
#[doc(hidden)]
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod json;
mod latest;
mod metadata;
mod queries;
mod range;

pub use consensus::{
    ConsensusAnswer, ConsensusPrice, ConsensusQuery, ConsensusRecorder, ConsensusSettings,
    ConsensusTexts, Explain, SettingFault, SymbolPattern,
};
pub use delegations::DelegationsQuery;
pub use error::QueryError;
pub use latest::{Latest, LatestPrice, Origin, Scope};
pub use metadata::{SourceInfo, SymbolInfo, SymbolsQuery, SystemInfo};
pub use queries::{
    PAGE_METADATA_BYTES_MAX, PAGE_ROWS, PAGE_ROWS_MAX, Page, PriceQueries, SYMBOLS_MAX,
};
pub use range::{
    BucketStatus, CANDLE_SPAN_MAX, Gaps, PricedBucket, RangeQuery, SPAN_DEFAULT, Series,
    TICK_SPAN_MAX,
};
