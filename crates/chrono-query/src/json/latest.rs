//! Latest prices: pieces that are made once per tick, joined with the age of the moment.

use chrono_cache::LatestEntry;
use chrono_domain::{Source, Symbol, Timestamp};

use super::{List, OrNull, Text};
use crate::latest::{Found, LatestPrice, Origin, Scope};

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
        let tick = match source {
            None => {
                body.push_str(entry.rendered(|entry| piece(entry, None).into()));
                Some(&entry.newest)
            }
            Some(source) => {
                body.push_str(&piece(entry, Some(source)));
                entry.of_source(source)
            }
        };
        let age = tick.map_or(0, |stored| now.since(stored.tick.timestamp).as_millis());
        body.push_str(number.format(age));
        body.push('}');
    }
    body.push_str(r#"],"missing":"#);
    body.push_str(&List(found.missing.iter().map(Text::<&Symbol>)).to_string());
    body.push_str(r#","cached":"#);
    body.push_str(if found.origin == Origin::Book { "true" } else { "false" });
    body.push_str(r#","latency_ms":"#);
    body
}

/// Writes a price up to the number of its staleness.
fn piece(entry: &LatestEntry, source: Option<Source>) -> String {
    let Some(LatestPrice { tick, scope, .. }) = LatestPrice::of(entry, source, Timestamp::MIN)
    else {
        return String::new();
    };
    let tick = &tick.tick;
    let source = match scope {
        Scope::OneSource => Text(tick.source).to_string(),
        Scope::AllSources => format!(r#""aggregated","last_source":"{}""#, tick.source),
    };
    let volume = OrNull(tick.volume.map(Text));
    format!(
        r#"{{"symbol":"{}","price":"{}","volume":{volume},"source":{source},"timestamp":"{}","staleness_ms":"#,
        tick.symbol, tick.price, tick.timestamp
    )
}
