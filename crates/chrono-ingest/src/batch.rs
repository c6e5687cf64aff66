//! A whole batch: the envelope is right or refused; its feeds get a verdict each.

use std::fmt;
use std::time::Duration;

use chrono_domain::{Tick, Timestamp, WorkerId};
use chrono_storage::IdempotencyKey;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::{BatchFault, FeedFault, ONCE};
use crate::feed::{FeedSeed, RawFeed};
use crate::fingerprint::Fingerprint;
use crate::metadata::Canonical;
use crate::scalar::{Drain, Scalar, visit_scalars};

/// Most feeds in a batch.
pub const FEEDS_MAX: usize = 100;
/// How far a source's clock may be ahead of ours.
const AHEAD_MAX: Duration = Duration::from_secs(5);

/// A batch whose envelope is right.
#[derive(Debug)]
pub struct ParsedBatch {
    /// Who sent it.
    pub worker: WorkerId,
    /// The key in its body, if any.
    pub batch_id: Option<IdempotencyKey>,
    /// The feeds that passed, in their order.
    pub ticks: Vec<Tick>,
    /// The others.
    pub faults: Vec<FeedFault>,
    /// Fields nobody asked for, in the envelope and the feeds.
    pub unknown_fields: u32,
    /// What the fingerprint holds of the others, by their places.
    refused: Vec<(usize, Refused)>,
}

/// What is remembered of a feed that was refused.
#[derive(Debug)]
enum Refused {
    /// A tick whose time is too far ahead.
    Early(Tick),
    /// The digest of a feed of the wrong form.
    Malformed([u8; 32]),
}

impl ParsedBatch {
    /// Reads a body, in place, against the time `now`.
    ///
    /// # Errors
    /// A [`BatchFault`] when the body is no JSON, the envelope is wrong, or it has no feed or more than 100.
    pub fn parse(body: &mut [u8], now: Timestamp) -> Result<Self, BatchFault> {
        if body.is_empty() {
            return Err(BatchFault::new("body", None, "a JSON object"));
        }
        let envelope = simd_json::Deserializer::from_slice(body)
            .and_then(|mut json| EnvelopeSeed { now }.deserialize(&mut json))
            .map_err(|broken| BatchFault::not_json(&broken))?;
        envelope.judge()
    }

    /// Gives SHA-256 over all feeds as they were understood, whatever became of them.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut fingerprint = Fingerprint::default();
        let (mut ticks, mut refused) = (self.ticks.iter(), self.refused.iter().peekable());
        for index in 0..self.ticks.len() + self.refused.len() {
            match refused.next_if(|(place, _)| *place == index) {
                Some((_, Refused::Early(tick))) => fingerprint.tick(tick),
                Some((_, Refused::Malformed(sent))) => fingerprint.malformed(sent),
                None => ticks.next().into_iter().for_each(|tick| fingerprint.tick(tick)),
            }
        }
        fingerprint.finish()
    }
}

#[derive(Default)]
struct Envelope<'a> {
    worker_id: Option<Scalar<'a>>,
    timestamp: Option<Scalar<'a>>,
    batch_id: Option<Scalar<'a>>,
    feeds: Option<Feeds<'a>>,
    unknown_fields: u32,
    twice: Option<&'static str>,
}

impl Envelope<'_> {
    fn judge(self) -> Result<ParsedBatch, BatchFault> {
        if let Some(field) = self.twice {
            return Err(BatchFault::new(field, Some("the field twice"), ONCE));
        }
        let worker = text("worker_id", self.worker_id)?;
        let worker = WorkerId::try_new(worker)
            .map_err(|broken| BatchFault::new("worker_id", Some(worker), broken.expected()))?;
        let sent = text("timestamp", self.timestamp)?;
        Timestamp::parse_rfc3339(sent)
            .map_err(|broken| BatchFault::new("timestamp", Some(sent), broken.expected()))?;
        let batch_id = match self.batch_id {
            None | Some(Scalar::Null) => None,
            id => {
                let id = text("batch_id", id)?;
                let key = IdempotencyKey::try_new(id);
                Some(
                    key.map_err(|broken| BatchFault::new("batch_id", Some(id), broken.expected()))?,
                )
            }
        };
        let expected = "an array of 1 to 100 feeds";
        let feeds = match self.feeds {
            None => return Err(BatchFault::new("feeds", None, expected)),
            Some(Feeds::Odd(found)) => {
                return Err(BatchFault::new("feeds", Some(&found.to_string()), expected));
            }
            Some(Feeds::TooMany(count)) => {
                return Err(BatchFault::new("feeds", Some(&format!("{count} feeds")), expected));
            }
            Some(Feeds::Array(verdicts)) if verdicts.count == 0 => {
                return Err(BatchFault::new("feeds", Some("no feed"), expected));
            }
            Some(Feeds::Array(verdicts)) => verdicts,
        };
        Ok(ParsedBatch {
            worker,
            batch_id,
            ticks: feeds.ticks,
            faults: feeds.faults,
            unknown_fields: self.unknown_fields.saturating_add(feeds.unknown_fields),
            refused: feeds.refused,
        })
    }
}

/// What was made of the feeds read so far.
#[derive(Default)]
struct Verdicts {
    count: usize,
    ticks: Vec<Tick>,
    faults: Vec<FeedFault>,
    refused: Vec<(usize, Refused)>,
    unknown_fields: u32,
}

impl Verdicts {
    /// Judges the next feed against the time `now`.
    fn judge(&mut self, feed: &RawFeed<'_>, now: Timestamp) {
        let index = self.count;
        self.count += 1;
        self.unknown_fields = self.unknown_fields.saturating_add(feed.unknown_fields);
        match feed.judge(index) {
            Ok(tick) if tick.timestamp > now.plus(AHEAD_MAX) => {
                // As it was sent: a client looks for its own text.
                let sent = feed.timestamp.as_ref().map(Scalar::to_string).unwrap_or_default();
                let expected = format!("a time at most 5 s ahead of the gateway's, which is {now}");
                self.faults.push(FeedFault::new(index, "timestamp", Some(&sent), &expected));
                self.refused.push((index, Refused::Early(tick)));
            }
            Ok(tick) => self.ticks.push(tick),
            Err(fault) => {
                self.faults.push(*fault);
                self.refused.push((index, Refused::Malformed(feed.digest())));
            }
        }
    }
}

struct EnvelopeSeed {
    now: Timestamp,
}

impl<'de> DeserializeSeed<'de> for EnvelopeSeed {
    type Value = Envelope<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EnvelopeSeed {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object with worker_id, timestamp and feeds")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope<'de>, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(key) = map.next_key::<&'de str>()? {
            let (slot, name) = match key {
                "worker_id" => (&mut envelope.worker_id, "worker_id"),
                "timestamp" => (&mut envelope.timestamp, "timestamp"),
                "batch_id" => (&mut envelope.batch_id, "batch_id"),
                "feeds" => {
                    let feeds = map.next_value_seed(FeedsSeed { now: self.now })?;
                    if envelope.feeds.replace(feeds).is_some() {
                        envelope.twice.get_or_insert("feeds");
                    }
                    continue;
                }
                _ => {
                    map.next_value_seed(Drain::default())?;
                    envelope.unknown_fields = envelope.unknown_fields.saturating_add(1);
                    continue;
                }
            };
            if slot.replace(map.next_value()?).is_some() {
                envelope.twice.get_or_insert(name);
            }
        }
        Ok(envelope)
    }
}

enum Feeds<'a> {
    Array(Verdicts),
    TooMany(usize),
    Odd(Scalar<'a>),
}

struct FeedsSeed {
    now: Timestamp,
}

impl<'de> DeserializeSeed<'de> for FeedsSeed {
    type Value = Feeds<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FeedsSeed {
    type Value = Feeds<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of feeds")
    }

    visit_scalars!(self, found => Ok(Feeds::Odd(found)));

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Feeds<'de>, A::Error> {
        let capacity = seq.size_hint().unwrap_or(0).min(FEEDS_MAX);
        let mut verdicts = Verdicts { ticks: Vec::with_capacity(capacity), ..Verdicts::default() };
        let mut canonical = Canonical::default();
        while verdicts.count < FEEDS_MAX {
            match seq.next_element_seed(FeedSeed { canonical: &mut canonical })? {
                Some(feed) => verdicts.judge(&feed, self.now),
                None => return Ok(Feeds::Array(verdicts)),
            }
        }
        let mut count = verdicts.count;
        while seq.next_element_seed(Drain::default())?.is_some() {
            count += 1;
        }
        Ok(if count > FEEDS_MAX { Feeds::TooMany(count) } else { Feeds::Array(verdicts) })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Feeds<'de>, A::Error> {
        Scalar::of_object(map).map(Feeds::Odd)
    }
}

fn text<'a>(field: &'static str, sent: Option<Scalar<'a>>) -> Result<&'a str, BatchFault> {
    match sent {
        Some(Scalar::Text(text)) => Ok(text),
        Some(other) => Err(BatchFault::new(field, Some(&other.to_string()), "a string")),
        None => Err(BatchFault::new(field, None, "a string")),
    }
}

#[cfg(test)]
mod tests;
