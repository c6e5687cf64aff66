//! Client of a Chrono gateway: posts ticks, asks for prices, follows the stream.
//!
//! It speaks the public HTTP surface and nothing else: no store, no back door. Prices, volumes and times are the
//! gateway's own texts, so that nothing is rounded on the way. With an `https://` address the gateway must show a
//! certificate of the system's authorities, or of those in [`Options::ca_file`].
//!
//! Three types to read first: [`Client`], [`Feed`] (one price as a worker posts it) and [`ClientError`] (sorted by
//! what the caller can do).
//!
//! ```no_run
//! use chrono_client::{Backoff, Client, Feed, IngestBatch};
//!
//! # async fn example() -> Result<(), chrono_client::ClientError> {
//! let client = Client::new("http://127.0.0.1:3000", "chrono_internal_key".into())?;
//! let batch = IngestBatch {
//!     worker_id: "binance-worker-001".to_owned(),
//!     timestamp: "2025-10-09T12:34:56.789Z".to_owned(),
//!     feeds: vec![Feed {
//!         symbol: "BTC/USD".to_owned(),
//!         price: "67234.56".to_owned(),
//!         volume: None,
//!         source: "binance".to_owned(),
//!         timestamp: "2025-10-09T12:34:56.123Z".to_owned(),
//!         metadata: None,
//!     }],
//! };
//! let delivery = client.ingest_with_retry(&batch, "binance-worker-001-42", &Backoff::new(7)).await?;
//! assert_eq!(delivery.reply.ingested, 1);
//! # Ok(())
//! # }
//! ```

mod address;
mod client;
mod error;
mod ingest;
mod query;
mod retry;
mod stream;
mod tls;

pub use client::{Client, Options};
pub use error::{ClientError, FaultDetails, FeedFault, Refusal};
pub use ingest::{Feed, IngestBatch, IngestReply};
pub use query::{
    Consensus, ConsensusPage, ConsensusQuery, Health, LatestPrice, LatestPrices, Order,
    RangeCandle, RangeData, RangePage, RangeQuery, RangeTick, Topic,
};
pub use retry::{Backoff, Delivery};
pub use stream::{Event, Mode, Position, PriceUpdate, Rejected, Stream, StreamAuth, StreamOptions};
