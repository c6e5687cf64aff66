//! What tells a repeated batch from another one under the same key.

use chrono_domain::Tick;
use sha2::{Digest, Sha256};

use crate::feed::RawFeed;

/// SHA-256 over a batch's feeds as they were understood, without the envelope's time and without the server's.
///
/// A feed that was refused for its form counts with what was sent; a verdict that depends on the server's clock comes
/// later, so a repeat has the fingerprint of the first try.
pub(crate) struct Fingerprint(Sha256);

impl Fingerprint {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(crate) fn tick(&mut self, tick: &Tick) {
        self.part("tick");
        self.part(tick.symbol.as_str());
        self.part(tick.source.as_str());
        self.part(&tick.price.to_string());
        self.part(&tick.volume.map_or_else(String::new, |volume| volume.to_string()));
        self.0.update(tick.timestamp.micros().to_be_bytes());
        self.part(tick.metadata.as_ref().map_or("", |metadata| metadata.as_str()));
    }

    /// Adds a feed that was refused for its form, by what was sent.
    pub(crate) fn refused(&mut self, feed: &RawFeed<'_>) {
        self.part("refused");
        for sent in [&feed.symbol, &feed.price, &feed.volume, &feed.source, &feed.timestamp] {
            self.part(&sent.map_or_else(String::new, |sent| sent.to_string()));
        }
        self.part(&format!("{:?}", feed.metadata));
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    /// Adds a text with its length, so that no two sequences of parts read alike.
    fn part(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_be_bytes());
        self.0.update(text.as_bytes());
    }
}
