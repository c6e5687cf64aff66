//! Candles counted once more from the ledger.

use std::collections::BTreeMap;

use chrono_client::RangeCandle;

use super::SentFeed;
use super::numbers::{decimal, places, rfc3339, units};

/// Length of a candle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interval {
    Minute,
    Hour,
    Day,
}

/// What a candle should say, in the API's words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Figures {
    timestamp: String,
    open: String,
    high: String,
    low: String,
    close: String,
    volume: Option<String>,
    num_feeds: u64,
}

/// A candle while it is counted.
struct Count<'a> {
    open: &'a str,
    high: (i128, &'a str),
    low: (i128, &'a str),
    close: &'a str,
    /// Sum in units of 10^-18, and the most decimal places seen.
    volume: Option<(i128, usize)>,
    feeds: u64,
}

impl Interval {
    pub(super) const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Gives the name that the API has for it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Minute => "1m",
            Self::Hour => "1h",
            Self::Day => "1d",
        }
    }

    const fn micros(self) -> i64 {
        match self {
            Self::Minute => 60_000_000,
            Self::Hour => 3_600_000_000,
            Self::Day => 86_400_000_000,
        }
    }
}

impl From<&RangeCandle> for Figures {
    fn from(candle: &RangeCandle) -> Self {
        Self {
            timestamp: candle.timestamp.clone(),
            open: candle.open.clone(),
            high: candle.high.clone(),
            low: candle.low.clone(),
            close: candle.close.clone(),
            volume: candle.volume.clone(),
            num_feeds: candle.num_feeds,
        }
    }
}

#[cfg(test)]
impl From<Figures> for RangeCandle {
    fn from(figures: Figures) -> Self {
        Self {
            timestamp: figures.timestamp,
            open: figures.open,
            high: figures.high,
            low: figures.low,
            close: figures.close,
            volume: figures.volume,
            num_feeds: figures.num_feeds,
            vwap: None,
            status: None,
        }
    }
}

/// Counts the candles of feeds that stand in the order of (time, arrival); none when a number cannot be read.
pub(super) fn recount<'a>(
    interval: Interval,
    feeds: impl Iterator<Item = &'a SentFeed>,
) -> Option<Vec<Figures>> {
    let mut buckets: BTreeMap<i64, Count<'a>> = BTreeMap::new();
    for feed in feeds {
        let price = (units(&feed.price)?, feed.price.as_str());
        let start = feed.at - feed.at.rem_euclid(interval.micros());
        let count = buckets.entry(start).or_insert_with(|| Count::of(price));
        count.high = count.high.max(price);
        count.low = count.low.min(price);
        count.close = price.1;
        count.feeds += 1;
        if let Some(volume) = &feed.volume {
            let (sum, most) = count.volume.unwrap_or_default();
            count.volume = Some((sum.checked_add(units(volume)?)?, most.max(places(volume))));
        }
    }
    Some(buckets.into_iter().map(|(start, count)| count.figures(start)).collect())
}

impl<'a> Count<'a> {
    fn of(price: (i128, &'a str)) -> Self {
        Self { open: price.1, high: price, low: price, close: price.1, volume: None, feeds: 0 }
    }

    fn figures(self, start: i64) -> Figures {
        Figures {
            timestamp: rfc3339(start, 0),
            open: self.open.to_owned(),
            high: self.high.1.to_owned(),
            low: self.low.1.to_owned(),
            close: self.close.to_owned(),
            volume: self.volume.map(|(sum, most)| decimal(sum, most)),
            num_feeds: self.feeds,
        }
    }
}
