//! Values of a price feed, and the arithmetic that must be exact.
//!
//! This crate knows what a symbol, a price, a tick, a candle and a consensus are, and how they order, merge and
//! print. It knows nothing of storage, networks or tasks: no I/O, no runtime, no global state. Time enters through
//! [`Clock`].
//!
//! Three types to read first: [`Tick`] (one observed price), [`Candle`] (a commutative monoid over ticks) and
//! [`Timestamp`] (microseconds, printed as RFC 3339).
//!
//! ```
//! use chrono_domain::{Price, Source, Symbol, Tick, Timestamp};
//!
//! let tick = Tick::try_new(
//!     Symbol::try_new("BTC/USD")?,
//!     Source::try_new("binance")?,
//!     Price::try_new("67230.00")?,
//!     None,
//!     Timestamp::parse_rfc3339("2025-10-09T12:34:56.123Z")?,
//! )?;
//! assert_eq!(tick.price.to_string(), "67230.00");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod candle;
mod clock;
mod consensus;
mod decimal;
mod interval;
mod name;
mod order;
mod sum;
mod tick;
mod timestamp;

pub use candle::Candle;
pub use clock::{Clock, ManualClock, SystemClock};
pub use consensus::{
    Consensus, ConsensusPolicy, ConsensusStatus, Feed, Rounded, SourceVote, Verdict, Window,
    WindowRow,
};
pub use decimal::{DecimalError, Price, Volume};
pub use interval::{Interval, IntervalError};
pub use name::{NameError, Source, Symbol, WorkerId};
pub use order::{Arrival, Epoch, OrderKey, Seq};
pub use sum::{ExactSum, SumError};
pub use tick::{Metadata, StoredTick, Tick, TickError};
pub use timestamp::{Timestamp, TimestampError};
