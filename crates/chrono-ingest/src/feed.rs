//! One feed of a batch: read field by field, judged once.

use std::fmt;

use chrono_domain::{Price, Source, Symbol, Tick, Timestamp, Volume};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::{FeedFault, ONCE};
use crate::fingerprint::Sent;
use crate::metadata::{Canonical, Found, FoundSeed};
use crate::scalar::{Drain, Scalar, visit_scalars};

/// A feed's fields as they were sent; the first fault of its form is noted, the rest is read past.
#[derive(Debug, Default)]
pub(crate) struct RawFeed<'a> {
    pub(crate) symbol: Option<Scalar<'a>>,
    pub(crate) price: Option<Scalar<'a>>,
    pub(crate) volume: Option<Scalar<'a>>,
    pub(crate) source: Option<Scalar<'a>>,
    pub(crate) timestamp: Option<Scalar<'a>>,
    pub(crate) metadata: Option<Found>,
    pub(crate) unknown_fields: u32,
    twice: Option<&'static str>,
    /// What was sent for fields that came again.
    overwritten: Option<Box<Sent>>,
    not_an_object: Option<Scalar<'a>>,
}

/// Reads a feed.
pub(crate) struct FeedSeed<'c, 'de> {
    pub(crate) canonical: &'c mut Canonical<'de>,
}

impl<'de> DeserializeSeed<'de> for FeedSeed<'_, 'de> {
    type Value = RawFeed<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FeedSeed<'_, 'de> {
    type Value = RawFeed<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a feed object")
    }

    visit_scalars!(self, found => Ok(RawFeed::odd(found)));

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawFeed<'de>, A::Error> {
        let mut feed = RawFeed::default();
        while let Some(key) = map.next_key::<&'de str>()? {
            let (slot, name) = match key {
                "symbol" => (&mut feed.symbol, "symbol"),
                "price" => (&mut feed.price, "price"),
                "volume" => (&mut feed.volume, "volume"),
                "source" => (&mut feed.source, "source"),
                "timestamp" => (&mut feed.timestamp, "timestamp"),
                "metadata" => {
                    let found =
                        map.next_value_seed(FoundSeed { canonical: &mut *self.canonical })?;
                    if let Some(first) = feed.metadata.replace(found) {
                        feed.twice.get_or_insert("metadata");
                        feed.overwritten.get_or_insert_default().add_metadata(Some(&first));
                    }
                    continue;
                }
                _ => {
                    map.next_value_seed(Drain::default())?;
                    feed.unknown_fields = feed.unknown_fields.saturating_add(1);
                    continue;
                }
            };
            if let Some(first) = slot.replace(map.next_value()?) {
                feed.twice.get_or_insert(name);
                feed.overwritten.get_or_insert_default().add_field(name, Some(&first));
            }
        }
        Ok(feed)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<RawFeed<'de>, A::Error> {
        Scalar::of_array(seq).map(RawFeed::odd)
    }
}

impl<'a> RawFeed<'a> {
    fn odd(found: Scalar<'a>) -> Self {
        Self { not_an_object: Some(found), ..Self::default() }
    }

    /// Gives SHA-256 over all that was sent of the fields that count.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut sent = self.overwritten.as_deref().cloned().unwrap_or_default();
        sent.add_field("feed", self.not_an_object.as_ref());
        sent.add_field("symbol", self.symbol.as_ref());
        sent.add_field("price", self.price.as_ref());
        sent.add_field("volume", self.volume.as_ref());
        sent.add_field("source", self.source.as_ref());
        sent.add_field("timestamp", self.timestamp.as_ref());
        sent.add_metadata(self.metadata.as_ref());
        sent.finish()
    }

    /// Makes the tick, or says what is wrong first.
    pub(crate) fn judge(&self, index: usize) -> Result<Tick, Box<FeedFault>> {
        let fault = |field, received: Option<&str>, expected: &str| {
            Box::new(FeedFault::new(index, field, received, expected))
        };
        if let Some(found) = &self.not_an_object {
            return Err(fault("feed", Some(&found.to_string()), "a JSON object"));
        }
        if let Some(field) = self.twice {
            return Err(fault(field, Some("the field twice"), ONCE));
        }
        let symbol = text(index, "symbol", self.symbol.as_ref())?;
        let symbol = Symbol::try_new(symbol).map_err(|broken| {
            let canonical = Symbol::parse_query(symbol).ok();
            let expected = canonical.as_ref().map_or(broken.expected(), Symbol::as_str);
            fault("symbol", Some(symbol), expected)
        })?;
        let source = text(index, "source", self.source.as_ref())?;
        let source = Source::try_new(source)
            .map_err(|broken| fault("source", Some(source), broken.expected()))?;
        let price = text(index, "price", self.price.as_ref())?;
        let price = Price::try_new(price)
            .map_err(|broken| fault("price", Some(price), broken.expected()))?;
        let volume = match &self.volume {
            None | Some(Scalar::Null) => None,
            Some(sent) => {
                let sent = text(index, "volume", Some(sent))?;
                let volume = Volume::try_new(sent);
                Some(volume.map_err(|broken| fault("volume", Some(sent), broken.expected()))?)
            }
        };
        let at = text(index, "timestamp", self.timestamp.as_ref())?;
        let timestamp = Timestamp::parse_rfc3339(at)
            .map_err(|broken| fault("timestamp", Some(at), broken.expected()))?;
        let metadata = match &self.metadata {
            None | Some(Found::Absent) => None,
            Some(Found::Object(metadata)) => Some(metadata.clone()),
            Some(Found::Bad { expected, .. }) => {
                return Err(fault("metadata", Some("another value"), expected));
            }
        };
        let tick = Tick::try_new(symbol, source, price, volume, timestamp).map_err(|broken| {
            fault("volume", Some(&format!("{price} × {}", VolumeText(volume))), broken.expected())
        })?;
        Ok(tick.with_metadata(metadata))
    }
}

struct VolumeText(Option<Volume>);

impl fmt::Display for VolumeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |volume| volume.fmt(f))
    }
}

/// Takes a string; a number gets a hint, since a float on its way would have changed it.
fn text<'a>(
    index: usize,
    field: &'static str,
    sent: Option<&Scalar<'a>>,
) -> Result<&'a str, Box<FeedFault>> {
    let expected = match field {
        "symbol" => "BASE/QUOTE as a string",
        "price" | "volume" => {
            "a decimal in a string, such as \"67234.56\", so that no digit is lost"
        }
        "timestamp" => "RFC 3339 with a zone in a string",
        _ => "a string",
    };
    match sent {
        Some(Scalar::Text(text)) => Ok(text),
        Some(other) => {
            Err(Box::new(FeedFault::new(index, field, Some(&other.to_string()), expected)))
        }
        None => Err(Box::new(FeedFault::new(index, field, None, expected))),
    }
}
