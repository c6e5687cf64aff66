//! Asking for prices: latest, history, consensus, and what the gateway knows of itself.

mod consensus;
mod latest;
mod range;
mod system;

pub use consensus::{Consensus, ConsensusPage, ConsensusQuery};
pub use latest::{LatestPrice, LatestPrices};
pub use range::{Order, RangeCandle, RangeData, RangePage, RangeQuery, RangeTick};
pub use system::{Health, Topic};
