//! Batches whose bytes are made once; only digits and times are written anew for each request.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono_domain::{Clock, SystemClock, Timestamp};
use chrono_testkit::INTERNAL_KEY;

use crate::load::Request;

/// A time as it is printed, to the microsecond; all are this long.
const TIME: &str = "2025-10-09T12:34:56.123456Z";
/// Where prices lie: 60,000.00 to 60,024.99, so that no source is an outlier.
const PRICE_CENTS: u64 = 6_000_000;
/// How far they spread, in cents.
const PRICE_SPREAD_CENTS: u64 = 2_500;
/// How far apart in their names two workers begin.
const WORKER_STEP: u64 = 37;
/// Digits of a batch's name: which [`Feeds`] made it, and in which turn.
const MAKER_DIGITS: usize = 6;
const TURN_DIGITS: usize = 9;

/// How many [`Feeds`] there were: two that post to one gateway as the same worker must not name batches alike.
static MAKERS: AtomicU64 = AtomicU64::new(0);

/// When the feeds of a batch happened.
#[derive(Debug, Clone, Copy)]
pub enum Times {
    /// All now.
    Now,
    /// One after the other, so far apart; the first is the first feed of the first batch.
    From(Timestamp, Duration),
}

/// Posts of one worker: feeds like those of the spec, about 180 bytes each, in batches that may be sent again, as our own
/// worker's are: each has a `batch_id`, and no two of a process the same.
#[derive(Debug)]
pub struct Feeds {
    bytes: Vec<u8>,
    head_time: usize,
    batch_turn: usize,
    slots: Vec<Slot>,
    symbols: Range<u64>,
    sources: Range<u64>,
    times: Times,
    /// Where in its names the worker begins.
    offset: u64,
    clock: SystemClock,
}

/// Where the parts of one feed stand in the bytes.
#[derive(Debug, Default)]
struct Slot {
    symbol: usize,
    price: usize,
    volume: usize,
    source: usize,
    time: usize,
    bid: usize,
    ask: usize,
}

impl Feeds {
    /// Makes the requests of a worker with so many feeds each; symbols (at most 1,000) and sources (at most 10) are
    /// gone through in turn, from a place that differs by worker.
    pub fn new(worker: usize, feeds: usize, symbols: Range<u64>, sources: Range<u64>) -> Self {
        let mut body = Text::default();
        body.push(&format!(r#"{{"worker_id":"bench-{worker:03}","timestamp":""#));
        let head_time = body.slot(TIME);
        let maker = MAKERS.fetch_add(1, Ordering::Relaxed);
        body.push(&format!(r#"","batch_id":"bench.{maker:0MAKER_DIGITS$}."#));
        let batch_turn = body.slot(&"0".repeat(TURN_DIGITS));
        body.push(r#"","feeds":["#);
        let slots: Vec<_> = (0..feeds).map(|idx| body.feed(idx)).collect();
        body.push("]}");
        let head = format!(
            "POST /internal/ingest HTTP/1.1\r\nHost: bench\r\nX-API-Key: {INTERNAL_KEY}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.0.len()
        );
        let by = head.len();
        Self {
            bytes: [head.into_bytes(), body.0].concat(),
            head_time: head_time + by,
            batch_turn: batch_turn + by,
            slots: slots.into_iter().map(|slot| slot.moved(by)).collect(),
            symbols,
            sources,
            times: Times::Now,
            offset: worker as u64 * WORKER_STEP,
            clock: SystemClock::new(),
        }
    }

    /// Says when the feeds happened.
    #[must_use]
    pub fn at(mut self, times: Times) -> Self {
        self.times = times;
        self
    }

    /// Gives the body alone.
    pub fn body(&self) -> &[u8] {
        let from = memchr::memmem::find(&self.bytes, b"\r\n\r\n").map_or(0, |at| at + 4);
        self.bytes.get(from..).unwrap_or_default()
    }

    fn write(&mut self, at: usize, text: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + text.len()) {
            place.copy_from_slice(text);
        }
    }

    fn digits(&mut self, at: usize, length: usize, mut number: u64) {
        for place in self.bytes.get_mut(at..at + length).unwrap_or_default().iter_mut().rev() {
            *place = b'0' + u8::try_from(number % 10).unwrap_or(0);
            number /= 10;
        }
    }

    fn feed(&mut self, slot: &Slot, number: u64) {
        let noise = scrambled(number ^ (self.symbols.start << 48) ^ (self.offset << 32));
        let in_turn = |range: &Range<u64>| range.start + number % (range.end - range.start);
        let (symbol, source) = (in_turn(&self.symbols), in_turn(&self.sources));
        let cents = PRICE_CENTS + noise % PRICE_SPREAD_CENTS;
        self.digits(slot.symbol, 3, symbol);
        self.digits(slot.source, 1, source);
        for at in [slot.price, slot.bid, slot.ask] {
            self.digits(at, 5, cents / 100);
        }
        self.digits(slot.price + 6, 2, cents % 100);
        self.digits(slot.volume, 6, (noise >> 32) % 1_000_000);
    }
}

impl Request for Feeds {
    fn prepare(&mut self, turn: u64) {
        let now = self.clock.now();
        let slots = std::mem::take(&mut self.slots);
        let first = turn * slots.len() as u64;
        let text = printed(now);
        self.write(self.head_time, text.as_bytes());
        self.digits(self.batch_turn, TURN_DIGITS, turn);
        for (number, slot) in (first..).zip(&slots) {
            self.feed(slot, number + self.offset);
            match self.times {
                Times::Now => self.write(slot.time, text.as_bytes()),
                Times::From(start, step) => {
                    let at = start.plus(step * u32::try_from(number).unwrap_or(u32::MAX));
                    self.write(slot.time, printed(at).as_bytes());
                }
            }
        }
        self.slots = slots;
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Slot {
    fn moved(self, by: usize) -> Self {
        let Self { symbol, price, volume, source, time, bid, ask } = self;
        Self {
            symbol: symbol + by,
            price: price + by,
            volume: volume + by,
            source: source + by,
            time: time + by,
            bid: bid + by,
            ask: ask + by,
        }
    }
}

/// A body under construction.
#[derive(Default)]
struct Text(Vec<u8>);

impl Text {
    fn push(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Adds a text and gives where it stands.
    fn slot(&mut self, text: &str) -> usize {
        let at = self.0.len();
        self.push(text);
        at
    }

    fn feed(&mut self, idx: usize) -> Slot {
        let mut slot = Slot::default();
        self.push(if idx == 0 { r#"{"symbol":"S"# } else { r#",{"symbol":"S"# });
        slot.symbol = self.slot("000");
        self.push(r#"/USD","price":""#);
        slot.price = self.slot("60000.00");
        self.push(r#"","volume":"0."#);
        slot.volume = self.slot("000000");
        self.push(r#"","source":"bench-"#);
        slot.source = self.slot("0");
        self.push(r#"","timestamp":""#);
        slot.time = self.slot(TIME);
        self.push(r#"","metadata":{"bid":""#);
        slot.bid = self.slot("60000");
        self.push(r#".25","ask":""#);
        slot.ask = self.slot("60000");
        self.push(r#".75"}}"#);
        slot
    }
}

/// Prints a time to the microsecond, which the gateway does only where there are any.
fn printed(time: Timestamp) -> String {
    let mut text = time.tick_text().to_string();
    if text.len() < TIME.len() {
        text.insert_str(text.len() - 1, "000");
    }
    text
}

/// Scatters numbers, so that prices and volumes compress no better than real ones (splitmix64, Steele et al. 2014).
fn scrambled(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_turn_is_sound_json_of_the_same_length() {
        let start = Timestamp::parse_rfc3339("2024-01-01T00:00:00Z").unwrap();
        let mut feeds =
            Feeds::new(7, 3, 20..22, 1..4).at(Times::From(start, Duration::from_mins(1)));
        feeds.prepare(2);
        let body: serde_json::Value = serde_json::from_slice(feeds.body()).unwrap();
        assert_eq!(body["worker_id"], "bench-007");
        let feed = &body["feeds"][1];
        assert_eq!(feed["symbol"], "S020/USD");
        assert_eq!(feed["source"], "bench-3");
        assert_eq!(feed["timestamp"], "2024-01-01T00:07:00.000000Z");
        assert!(feed["price"].as_str().unwrap().starts_with("600"), "{feed}");
        let bytes = feeds.bytes().len();
        feeds.prepare(3);
        assert_eq!(feeds.bytes().len(), bytes);
    }

    #[test]
    fn no_two_batches_have_the_same_name() {
        let mut names = HashSet::new();
        for mut feeds in [Feeds::new(1, 2, 0..3, 0..1), Feeds::new(1, 2, 0..3, 0..1)] {
            for turn in [0, 1, 99_999] {
                feeds.prepare(turn);
                let body: serde_json::Value = serde_json::from_slice(feeds.body()).unwrap();
                names.insert(body["batch_id"].as_str().unwrap().to_owned());
            }
        }
        assert_eq!(names.len(), 6, "{names:?}");
    }
}
