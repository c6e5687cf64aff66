//! Ticks that cases publish, told apart by their arrival numbers.

use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono_domain::{Arrival, Price, Source, StoredTick, Symbol, Tick, Timestamp};

/// The ticks with these arrival numbers, as a commit has them.
pub(super) fn ticks(arrivals: RangeInclusive<u64>) -> Arc<[StoredTick]> {
    let stored = arrivals.map(|arrival| {
        let tick = Tick::try_new(
            Symbol::try_new("BTC/USD").unwrap(),
            Source::try_new("kraken").unwrap(),
            Price::try_new("67230.00").unwrap(),
            None,
            Timestamp::MIN,
        );
        StoredTick { tick: tick.unwrap(), arrival: Arrival(arrival), ingested_at: Timestamp::MIN }
    });
    stored.collect()
}
