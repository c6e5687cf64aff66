//! What an ingest batch is, after `serde_json` and the documented grammar.
//!
//! Listed differences to `serde_json`: a value nobody asked for may nest 16 deep and metadata 64, where `serde_json`
//! stops at 127; a body that nests deeper is refused as a whole.

use chrono_domain::Tick;

use super::grammar::{self, Exact};
use super::json::{Json, repeated};
use super::time::rfc3339;

/// Most feeds of a batch.
const FEEDS_MAX: usize = 100;
/// How far ahead a tick may be, in microseconds.
const AHEAD_MAX: i64 = 5_000_000;
/// Deepest nesting of a value that nobody asked for.
const DEPTH_MAX: usize = 16;
/// Deepest nesting of metadata that does not fail the body, and that does not fail the feed.
const METADATA_DEPTHS: (usize, usize) = (64, 8);
/// Longest metadata, in bytes of its canonical text.
const METADATA_BYTES_MAX: usize = 4_096;

const ENVELOPE: [&str; 4] = ["worker_id", "timestamp", "batch_id", "feeds"];
const FEED: [&str; 6] = ["symbol", "price", "volume", "source", "timestamp", "metadata"];

/// A batch whose envelope is right.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    /// Who sent it.
    pub worker: String,
    /// Its key.
    pub batch_id: Option<String>,
    /// Of each feed the tick, or the field that is at fault.
    pub feeds: Vec<Result<Sent, String>>,
    /// Fields that nobody asked for.
    pub unknown_fields: u32,
}

/// A tick in the texts that it must print as.
#[derive(Debug, PartialEq, Eq)]
pub struct Sent {
    /// As sent.
    pub symbol: String,
    /// As sent.
    pub source: String,
    /// As sent.
    pub price: String,
    /// As sent.
    pub volume: Option<String>,
    /// Microseconds since 1970.
    pub micros: i64,
    /// Canonical.
    pub metadata: Option<String>,
}

impl From<&Tick> for Sent {
    fn from(tick: &Tick) -> Self {
        Self {
            symbol: tick.symbol.to_string(),
            source: tick.source.to_string(),
            price: tick.price.to_string(),
            volume: tick.volume.map(|volume| volume.to_string()),
            micros: tick.timestamp.micros(),
            metadata: tick.metadata.as_ref().map(|text| text.as_str().to_owned()),
        }
    }
}

/// Puts ticks, and the places and fields of feeds that were refused, in the order of the feeds.
pub fn in_order<'a>(
    ticks: &[Tick],
    faults: impl IntoIterator<Item = (usize, &'a str)>,
) -> Vec<Result<Sent, String>> {
    let mut feeds: Vec<_> = ticks.iter().map(|tick| Ok(Sent::from(tick))).collect();
    for (index, field) in faults {
        feeds.insert(index, Err(field.to_owned()));
    }
    feeds
}

/// Judges a body at a time, given in microseconds since 1970.
///
/// # Errors
/// The field that is at fault, `body` for what is no JSON object.
pub fn judge(body: &[u8], now: i64) -> Result<Batch, &'static str> {
    let Some(Json::Object(fields)) = Json::read(body) else { return Err("body") };
    if fields.iter().any(|(key, value)| is_too_deep(key, value)) {
        return Err("body");
    }
    let known: Vec<_> =
        fields.iter().filter(|(key, _)| ENVELOPE.contains(&&**key)).cloned().collect();
    if let Some(twice) = repeated(&known) {
        return Err(name_of(twice, &ENVELOPE));
    }
    let text = |name: &'static str, fits: fn(&str) -> bool| {
        find(&known, name).and_then(Json::text).filter(|text| fits(text)).ok_or(name)
    };
    let worker = text("worker_id", grammar::is_worker)?.to_owned();
    text("timestamp", |text| rfc3339(text).is_some())?;
    let batch_id = match find(&known, "batch_id") {
        None | Some(Json::Null) => None,
        Some(_) => Some(text("batch_id", grammar::is_idempotency_key)?.to_owned()),
    };
    let Some(Json::Array(feeds)) = find(&known, "feeds") else { return Err("feeds") };
    if feeds.is_empty() || feeds.len() > FEEDS_MAX {
        return Err("feeds");
    }
    let unknown = fields.len() - known.len() + feeds.iter().map(unknown_fields).sum::<usize>();
    let feeds = feeds.iter().map(|feed| judge_feed(feed, now).map_err(str::to_owned)).collect();
    let unknown_fields = u32::try_from(unknown).expect("a short body");
    Ok(Batch { worker, batch_id, feeds, unknown_fields })
}

/// Tells whether a field of the envelope nests so deep that the body is refused.
fn is_too_deep(key: &str, value: &Json) -> bool {
    match value {
        Json::Array(feeds) if key == "feeds" => {
            feeds.iter().enumerate().any(|(index, feed)| match feed {
                Json::Object(fields) if index < FEEDS_MAX => fields.iter().any(|(key, value)| {
                    let most = if key == "metadata" { METADATA_DEPTHS.0 } else { DEPTH_MAX };
                    value.depth() > most
                }),
                feed => feed.depth() > DEPTH_MAX,
            })
        }
        value => value.depth() > DEPTH_MAX,
    }
}

fn unknown_fields(feed: &Json) -> usize {
    let Json::Object(fields) = feed else { return 0 };
    fields.iter().filter(|(key, _)| !FEED.contains(&&**key)).count()
}

fn judge_feed(feed: &Json, now: i64) -> Result<Sent, &'static str> {
    let Json::Object(fields) = feed else { return Err("feed") };
    let known: Vec<_> = fields.iter().filter(|(key, _)| FEED.contains(&&**key)).cloned().collect();
    if let Some(twice) = repeated(&known) {
        return Err(name_of(twice, &FEED));
    }
    let text = |name: &'static str| find(&known, name).and_then(Json::text).ok_or(name);
    let symbol = text("symbol").and_then(|text| holds(grammar::is_symbol(text), text, "symbol"))?;
    let source = text("source").and_then(|text| holds(grammar::is_source(text), text, "source"))?;
    let price = text("price")?;
    let price_value = grammar::decimal(price, true).map_err(|_fault| "price")?;
    let volume = match find(&known, "volume") {
        None | Some(Json::Null) => None,
        Some(_) => Some(text("volume")?),
    };
    let volume_value: Option<Exact> = match volume {
        None => None,
        Some(text) => Some(grammar::decimal(text, false).map_err(|_fault| "volume")?),
    };
    let micros = rfc3339(text("timestamp")?).ok_or("timestamp")?;
    let metadata = find(&known, "metadata").map_or(Ok(None), judge_metadata)?;
    if volume_value.is_some_and(|volume| !volume.times(&price_value).fits_sums()) {
        return Err("volume");
    }
    if micros > now + AHEAD_MAX {
        return Err("timestamp");
    }
    let (symbol, source, price) = (symbol.to_owned(), source.to_owned(), price.to_owned());
    Ok(Sent { symbol, source, price, volume: volume.map(str::to_owned), micros, metadata })
}

fn judge_metadata(value: &Json) -> Result<Option<String>, &'static str> {
    if *value == Json::Null {
        return Ok(None);
    }
    let mut canonical = String::new();
    value.canonical(&mut canonical);
    let fits = matches!(value, Json::Object(_))
        && value.depth() <= METADATA_DEPTHS.1
        && !value.repeats()
        && canonical.len() <= METADATA_BYTES_MAX;
    holds(fits, Some(canonical), "metadata")
}

fn holds<T>(holds: bool, value: T, field: &'static str) -> Result<T, &'static str> {
    if holds { Ok(value) } else { Err(field) }
}

fn find<'a>(fields: &'a [(String, Json)], name: &str) -> Option<&'a Json> {
    fields.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn name_of(name: &str, names: &[&'static str]) -> &'static str {
    names.iter().find(|known| **known == name).expect("a known name")
}
