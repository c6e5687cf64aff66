//! The simulated market: what every exchange trades in every step.

use std::time::Duration;

use chrono_client::Feed;
use chrono_domain::{Source, Symbol, Timestamp};
use serde::Serialize;
use serde_json::value::to_raw_value;

use super::random::Random;
use super::series::{Amount, Series, part};

/// How far the market moves at a time.
pub const STEP: Duration = Duration::from_millis(100);
const STEPS_PER_SECOND: u64 = 10;

/// How far an exchange's prices may lie from the middle, in millionths.
const OFFSET_PPM_MAX: u64 = 150;
/// Half the distance from bid to ask, in millionths.
const HALF_SPREAD_PPM: (u64, u64) = (10, 60);
/// An exchange falls silent once in so many steps: about every two minutes.
const OUTAGE_ONCE_IN: u64 = 1_200;
/// For how many steps: 3 to 10 seconds.
const OUTAGE_STEPS: (u64, u64) = (30, 100);
/// Parts in a whole.
const PPM: u64 = 1_000_000;

/// Several exchanges that trade the same symbols; seed and step decide everything.
#[derive(Debug, Clone)]
pub struct Market {
    random: Random,
    series: Vec<Series>,
    exchanges: Vec<Exchange>,
    rate: u64,
}

#[derive(Debug, Clone)]
struct Exchange {
    /// Its price level, in millionths of the middle price.
    level_ppm: u64,
    half_spread_ppm: u64,
    /// Steps until it trades again.
    silent: u64,
    /// Ticks owed, in tenths.
    owed: u64,
    trades: u64,
}

/// Who took the trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// A buyer, at the ask.
    Buy,
    /// A seller, at the bid.
    Sell,
}

/// One trade, with the bid and ask that it met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// What was traded.
    pub symbol: Symbol,
    /// At which price, in quote currency: the bid or the ask.
    pub price: Amount,
    /// How much, in base currency.
    pub volume: Amount,
    /// The best price of a buyer.
    pub bid: Amount,
    /// The best price of a seller, above the bid.
    pub ask: Amount,
    /// Who took the trade.
    pub side: Side,
    /// When, from the start of the step; grows within a step.
    pub offset: Duration,
    /// The exchange's number of the trade, from 1.
    pub trade: u64,
}

#[derive(Serialize)]
struct Metadata {
    kind: &'static str,
    volume_kind: &'static str,
    trade_id: String,
    side: Side,
    bid: String,
    ask: String,
}

impl Quote {
    /// Makes the feed to post, for a step that began at `begun`.
    pub fn feed(&self, source: Source, begun: Timestamp) -> Feed {
        let metadata = Metadata {
            kind: "trade",
            volume_kind: "trade",
            trade_id: self.trade.to_string(),
            side: self.side,
            bid: self.bid.to_string(),
            ask: self.ask.to_string(),
        };
        Feed {
            symbol: self.symbol.to_string(),
            price: self.price.to_string(),
            volume: Some(self.volume.to_string()),
            source: source.to_string(),
            timestamp: begun.plus(self.offset).to_string(),
            // Texts and numbers only, so it always has a JSON form.
            metadata: to_raw_value(&metadata).ok(),
        }
    }
}

impl Market {
    /// Opens a market in which each exchange makes `rate` ticks per second over all symbols.
    pub fn new(seed: u64, exchanges: usize, symbols: &[Symbol], rate: u32) -> Self {
        let mut random = Random::new(seed);
        let exchanges = (0..exchanges)
            .map(|_exchange| Exchange {
                level_ppm: PPM - OFFSET_PPM_MAX + random.between(0, 2 * OFFSET_PPM_MAX),
                half_spread_ppm: random.between(HALF_SPREAD_PPM.0, HALF_SPREAD_PPM.1),
                silent: 0,
                owed: 0,
                trades: 0,
            })
            .collect();
        let series = symbols.iter().map(|&symbol| Series::new(symbol)).collect();
        Self { random, series, exchanges, rate: rate.into() }
    }

    /// Moves on by [`STEP`]; gives each exchange's trades in order, none for one that is silent.
    pub fn step(&mut self) -> Vec<Vec<Quote>> {
        let Self { random, series, exchanges, rate } = self;
        for series in series.iter_mut() {
            series.step(random);
        }
        exchanges.iter_mut().map(|exchange| exchange.step(series, *rate, random)).collect()
    }
}

impl Exchange {
    fn step(&mut self, series: &[Series], rate: u64, random: &mut Random) -> Vec<Quote> {
        if self.silent > 0 {
            self.silent -= 1;
            return Vec::new();
        }
        if random.once_in(OUTAGE_ONCE_IN) {
            self.silent = random.between(OUTAGE_STEPS.0, OUTAGE_STEPS.1);
        }
        self.owed += rate;
        let due = self.owed / STEPS_PER_SECOND;
        self.owed %= STEPS_PER_SECOND;
        let quotes = (0..due).filter_map(|number| {
            let pick = random.below(u64::try_from(series.len()).unwrap_or(0));
            let series = series.get(usize::try_from(pick).unwrap_or(0))?;
            Some(self.trade(series, offset(number, due), random))
        });
        quotes.collect()
    }

    fn trade(&mut self, series: &Series, offset: Duration, random: &mut Random) -> Quote {
        let middle = series.middle_times(self.level_ppm);
        let half = part(middle, self.half_spread_ppm, PPM);
        let bid = series.floor(middle.saturating_sub(half));
        let ask = series.floor(middle.saturating_add(half));
        let ask = Amount { units: ask.units.max(bid.units + 1), ..ask };
        let side = if random.once_in(2) { Side::Buy } else { Side::Sell };
        let price = if side == Side::Buy { ask } else { bid };
        self.trades += 1;
        let volume = volume(price, random);
        Quote { symbol: series.symbol, price, volume, bid, ask, side, offset, trade: self.trades }
    }
}

/// Spreads the ticks of a step over it, in whole milliseconds as most exchanges send them.
fn offset(number: u64, of: u64) -> Duration {
    let millis = u64::try_from(STEP.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(part(millis, number, of))
}

/// Draws a size worth 20 to about 5,000 of the quote currency, small ones more often.
fn volume(price: Amount, random: &mut Random) -> Amount {
    let hundredths = 2_000 + random.below(700) * random.below(700);
    // Dear coins are traded in small parts, cheap ones in whole pieces.
    let one = 10_u64.pow(price.scale);
    let scale = match price.units / one {
        0 => 1,
        1..1_000 => 4,
        _ => 8,
    };
    let units = part(hundredths, one * 10_u64.pow(scale), price.units * 100);
    Amount { units: units.max(1), scale }
}

#[cfg(test)]
mod tests;
