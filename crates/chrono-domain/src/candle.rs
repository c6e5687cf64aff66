//! Candles: open, high, low, close and volume of a set of ticks, as a commutative monoid.

use crate::consensus::grid::Grid;
use crate::sum::ExactSum;
use crate::{OrderKey, Price, Rounded, StoredTick, Volume};

mod vwap;

/// What one or more ticks of a symbol come to.
///
/// Merging is associative and commutative, so candles of any split of a set of ticks, merged in any order, are the
/// candle of the whole set: `first`, `max`, `min`, `last`, `sum` and `count` of the spec's SQL, ties of a timestamp
/// by arrival. There is no empty candle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candle {
    /// Price of the first tick.
    pub open: Price,
    /// Place of the first tick.
    pub open_at: OrderKey,
    /// Highest price; of equal ones that with more decimals.
    pub high: Price,
    /// Lowest price; of equal ones that with more decimals.
    pub low: Price,
    /// Price of the last tick.
    pub close: Price,
    /// Place of the last tick.
    pub close_at: OrderKey,
    /// Sum of the volumes, in base currency; none when no tick had one.
    pub volume: Option<ExactSum>,
    /// Sum of price × volume over the ticks with a volume, in quote currency.
    pub notional: Option<ExactSum>,
    /// Number of ticks.
    pub count: u64,
}

impl Candle {
    /// Makes the candle of one tick.
    pub fn of(stored: &StoredTick) -> Self {
        Self::of_one(stored.key(), stored.tick.price, stored.tick.volume)
    }

    /// Makes the candle of one tick from what of it counts.
    pub fn of_one(key: OrderKey, price: Price, volume: Option<Volume>) -> Self {
        Self {
            open: price,
            open_at: key,
            high: price,
            low: price,
            close: price,
            close_at: key,
            volume: volume.map(ExactSum::of_volume),
            notional: volume.map(|volume| ExactSum::of_notional(price, volume)),
            count: 1,
        }
    }

    /// Takes the ticks of another candle in.
    pub fn merge(&mut self, other: &Self) {
        if other.open_at < self.open_at {
            (self.open, self.open_at) = (other.open, other.open_at);
        }
        if other.close_at > self.close_at {
            (self.close, self.close_at) = (other.close, other.close_at);
        }
        self.high = self.high.higher(other.high);
        self.low = self.low.lower(other.low);
        self.volume = add(self.volume, other.volume);
        self.notional = add(self.notional, other.notional);
        self.count += other.count;
    }

    /// Gives the price weighted by volume, over the ticks with a volume; none when they traded nothing.
    ///
    /// It is rounded once, half to even, to the largest scale among open, high, low and close plus 6 places, at most
    /// 18.
    pub fn vwap(&self) -> Option<Rounded> {
        let grid = Grid::of([self.open, self.high, self.low, self.close].into_iter());
        let units = vwap::divide(self.notional?.units(), self.volume?.units(), grid.places())?;
        Some(grid.rounded(units))
    }

    /// Merges candle into the place that may hold one.
    pub fn merge_into(slot: &mut Option<Self>, candle: Self) {
        match slot {
            Some(held) => held.merge(&candle),
            None => *slot = Some(candle),
        }
    }
}

fn add(left: Option<ExactSum>, right: Option<ExactSum>) -> Option<ExactSum> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.plus(right)),
        (left, right) => left.or(right),
    }
}

#[cfg(test)]
mod tests;
