//! What the writers send: batches of all sizes, ticks of all ages, prices of all forms.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono_client::{Feed, IngestBatch};
use chrono_domain::{Clock, SystemClock};
use chrono_testkit::ledger::{SentBatch, SentFeed, rfc3339};
use serde_json::value::RawValue;

use crate::random::Random;

pub(crate) const SYMBOLS: [&str; 5] = ["BTC/USD", "ETH/USD", "BTC/EUR", "XRP/USDT", "A.B_C-D/E"];
const SOURCES: [&str; 4] = ["binance", "kraken", "coinbase", "s-4.x_y"];
/// A source that no gateway takes.
const BAD_SOURCE: &str = "Not A Source";

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
/// Length of a stretch of late ticks: short, so that its buckets hold several, and a check need not read much.
const STRETCH: i64 = 8 * SECOND;

/// Makes the batches of one writer.
#[derive(Debug)]
pub(crate) struct FeedMaker {
    pub(crate) worker: String,
    pub(crate) random: Random,
    /// Numbers that make every price another.
    pub(crate) serial: Arc<AtomicU64>,
    pub(crate) clock: Arc<SystemClock>,
    /// Starts of the stretches of the past that late ticks fall into.
    pub(crate) late: Vec<i64>,
}

impl FeedMaker {
    /// Makes the next batch; one in ten has no key, and some have feeds that must be refused.
    pub(crate) fn batch(&mut self) -> SentBatch {
        let size = match self.random.next() % 100 {
            0..40 => 1,
            40..85 => self.random.within(2, 10),
            85..96 => self.random.within(11, 50),
            _ => 100,
        };
        let now = self.clock.now().micros();
        let mut feeds: Vec<_> = (0..size).map(|_| self.feed(now)).collect();
        let key =
            (!self.random.percent(10)).then(|| format!("{}:{:x}", self.worker, self.random.next()));
        if key.is_some() && self.random.percent(4) {
            let spoilt = usize::try_from(self.random.next() % size).unwrap();
            feeds[spoilt].source = BAD_SOURCE.to_owned();
        }
        SentBatch { worker: self.worker.clone(), key, feeds }
    }

    fn feed(&mut self, now: i64) -> SentFeed {
        let volume = (!self.random.percent(20)).then(|| self.volume());
        let metadata =
            self.random.percent(20).then(|| format!(r#"{{"n":"{}"}}"#, self.random.next()));
        SentFeed {
            symbol: (*self.random.pick(&SYMBOLS)).to_owned(),
            source: (*self.random.pick(&SOURCES)).to_owned(),
            at: self.time(now),
            price: self.price(),
            volume,
            metadata,
        }
    }

    /// A price whose value was never sent before, some with zeros at their end.
    fn price(&mut self) -> String {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let zeros = "0".repeat(usize::try_from(self.random.within(0, 3)).unwrap());
        format!("{}.{serial:09}{zeros}", self.random.within(1, 99_999))
    }

    fn volume(&mut self) -> String {
        let whole = self.random.within(0, 999);
        match self.random.within(0, 18) {
            0 => whole.to_string(),
            places => {
                let fraction = format!("{:018}", self.random.next() % 1_000_000_000_000_000_000);
                format!("{whole}.{}", &fraction[..usize::try_from(places).unwrap()])
            }
        }
    }

    /// Mostly now, with ties; some ahead, some a little late, some in stretches of the past.
    fn time(&mut self, now: i64) -> i64 {
        let at = match self.random.next() % 100 {
            0..72 => now,
            72..76 => now + SECOND,
            76..88 => now - self.random.micros(3 * SECOND),
            _ => *self.random.pick(&self.late) + self.random.micros(STRETCH),
        };
        match self.random.next() % 4 {
            0 => at,
            1 | 2 => at - at % 1_000,
            _ => at - at % 100_000,
        }
    }
}

/// Writes a batch as the client sends it.
pub(crate) fn posted(batch: &SentBatch, now: i64) -> IngestBatch {
    let feed = |feed: &SentFeed| Feed {
        symbol: feed.symbol.clone(),
        price: feed.price.clone(),
        volume: feed.volume.clone(),
        source: feed.source.clone(),
        timestamp: rfc3339(feed.at, 6),
        metadata: feed.metadata.clone().map(|json| RawValue::from_string(json).unwrap()),
    };
    IngestBatch {
        worker_id: batch.worker.clone(),
        timestamp: rfc3339(now, 3),
        feeds: batch.feeds.iter().map(feed).collect(),
    }
}

/// Gives hours of the last weeks for late ticks to fall into, again and again.
pub(crate) fn late_hours(random: &mut Random, now: i64) -> Vec<i64> {
    (0..12).map(|_| now - now % HOUR - HOUR * random.whole(2, 480)).collect()
}

/// Gives where the late ticks of one load fall: two stretches of the hours, and one where candles are about to be
/// stored, or just were.
pub(crate) fn late_stretches(random: &mut Random, hours: &[i64], now: i64) -> Vec<i64> {
    let mut stretches: Vec<_> =
        (0..2).map(|_| *random.pick(hours) + random.micros(HOUR - STRETCH)).collect();
    stretches.push(now - SECOND * random.whole(50, 200));
    stretches
}
