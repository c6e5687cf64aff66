//! Latest prices: pieces that are made once per tick, joined with the age of the moment.

use chrono_cache::LatestEntry;
use chrono_domain::{Source, Timestamp};

use super::{OrNull, Text};
use crate::latest::{Found, Origin, Scope, newest};

/// Bytes of a price in the body, about: names, two numbers and a time.
const PRICE_BYTES: usize = 224;

pub(crate) fn body(found: &Found, source: Option<Source>, now: Timestamp) -> String {
    let mut body = String::with_capacity((found.entries.len() + 1) * PRICE_BYTES);
    body.push_str(r#"{"data":["#);
    let mut number = itoa::Buffer::new();
    for (idx, entry) in found.entries.iter().enumerate() {
        if idx > 0 {
            body.push(',');
        }
        match source {
            None => body.push_str(entry.rendered(|entry| piece(entry, None).into())),
            Some(source) => body.push_str(&piece(entry, Some(source))),
        }
        let at = newest(entry, source).map(|stored| stored.tick.timestamp);
        body.push_str(number.format(at.map_or(0, |at| now.since(at).as_millis())));
        body.push('}');
    }
    body.push_str(r#"],"missing":["#);
    for (idx, symbol) in found.missing.iter().enumerate() {
        body.push_str(if idx > 0 { ",\"" } else { "\"" });
        body.push_str(symbol.as_str());
        body.push('"');
    }
    body.push_str(r#"],"cached":"#);
    body.push_str(if found.origin == Origin::Book { "true" } else { "false" });
    body.push_str(r#","latency_ms":"#);
    body
}

/// Writes a price up to the number of its staleness.
fn piece(entry: &LatestEntry, source: Option<Source>) -> String {
    let Some(stored) = newest(entry, source) else { return String::new() };
    let tick = &stored.tick;
    let source = match Scope::of(entry, source) {
        Scope::OneSource => Text(tick.source).to_string(),
        Scope::AllSources => format!(r#""aggregated","last_source":"{}""#, tick.source),
    };
    let volume = OrNull(tick.volume.map(Text));
    format!(
        r#"{{"symbol":"{}","price":"{}","volume":{volume},"source":{source},"timestamp":"{}","staleness_ms":"#,
        tick.symbol, tick.price, tick.timestamp
    )
}
