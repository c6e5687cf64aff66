//! What tells a repeated batch from another one under the same key.

use std::fmt::{Display, Write as _};

use chrono_domain::Tick;
use sha2::{Digest, Sha256};

use crate::feed::RawFeed;

/// SHA-256 over a batch's feeds as they were understood, without the envelope's time and without the server's.
///
/// A feed that was refused for its form counts with what was sent; a verdict that depends on the server's clock comes
/// later, so a repeat has the fingerprint of the first try.
#[derive(Default)]
pub(crate) struct Fingerprint {
    hash: Sha256,
    parts: Parts,
}

impl Fingerprint {
    pub(crate) fn tick(&mut self, tick: &Tick) {
        let parts = &mut self.parts;
        parts.bytes.clear();
        parts.add("tick");
        parts.add(tick.symbol.as_str());
        parts.add(tick.source.as_str());
        parts.add_shown(tick.price);
        match tick.volume {
            Some(volume) => parts.add_shown(volume),
            None => parts.add(""),
        }
        parts.bytes.extend_from_slice(&tick.timestamp.micros().to_be_bytes());
        parts.add(tick.metadata.as_ref().map_or("", |metadata| metadata.as_str()));
        self.hash.update(&parts.bytes);
    }

    /// Adds a feed that was refused for its form, as [`Fingerprint::of_malformed`] gave it.
    pub(crate) fn bytes(&mut self, malformed: &[u8]) {
        self.hash.update(malformed);
    }

    /// Gives what of a feed that was refused for its form goes into the fingerprint: what was sent.
    pub(crate) fn of_malformed(feed: &RawFeed<'_>) -> Vec<u8> {
        let mut parts = Parts::default();
        parts.add("refused");
        for sent in [&feed.symbol, &feed.price, &feed.volume, &feed.source, &feed.timestamp] {
            match sent {
                Some(sent) => parts.add_shown(sent),
                None => parts.add(""),
            }
        }
        parts.add(&format!("{:?}", feed.metadata));
        parts.bytes
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.hash.finalize().into()
    }
}

/// Texts, each behind its length, so that no two sequences of them read alike.
#[derive(Default)]
struct Parts {
    bytes: Vec<u8>,
    shown: String,
}

impl Parts {
    fn add(&mut self, text: &str) {
        self.bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn add_shown(&mut self, value: impl Display) {
        let mut shown = std::mem::take(&mut self.shown);
        shown.clear();
        // Writing to a string cannot fail.
        write!(shown, "{value}").unwrap_or_default();
        self.add(&shown);
        self.shown = shown;
    }
}
