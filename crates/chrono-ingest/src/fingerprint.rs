//! What tells a repeated batch from another one under the same key.

use std::fmt::{Display, Write as _};

use chrono_domain::Tick;
use sha2::{Digest, Sha256};

use crate::metadata::Found;
use crate::scalar::Scalar;

/// SHA-256 over a batch's feeds as they were understood, without the envelope's time and without the server's.
///
/// A feed that was refused for its form counts with all that was sent of its fields; a verdict that depends on the server's clock comes
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

    /// Adds a feed that was refused for its form, by its digest.
    pub(crate) fn malformed(&mut self, digest: &[u8; 32]) {
        let parts = &mut self.parts;
        parts.bytes.clear();
        parts.add("refused");
        parts.bytes.extend_from_slice(digest);
        self.hash.update(&parts.bytes);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.hash.finalize().into()
    }
}

/// Texts, each behind its length, so that no two sequences of them read alike; room for a usual tick is made at once.
struct Parts {
    bytes: Vec<u8>,
    shown: String,
}

impl Default for Parts {
    fn default() -> Self {
        Self { bytes: Vec::with_capacity(256), shown: String::with_capacity(32) }
    }
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

/// SHA-256 over what was sent where no tick came of it: each value behind its kind, each text behind its length, so
/// that no two read alike.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent(Sha256);

impl Sent {
    /// Adds a field, or that there was none.
    pub(crate) fn add_field(&mut self, name: &str, found: Option<&Scalar<'_>>) {
        self.add(&Scalar::Text(name));
        match found {
            Some(found) => self.add(found),
            None => self.0.update(b"-"),
        }
    }

    /// Adds a field of metadata, or that there was none.
    pub(crate) fn add_metadata(&mut self, found: Option<&Found>) {
        self.add(&Scalar::Text("metadata"));
        match found {
            None => self.0.update(b"-"),
            Some(Found::Absent) => self.add(&Scalar::Null),
            Some(Found::Object(metadata)) => self.add(&Scalar::Text(metadata.as_str())),
            Some(Found::Bad { sent, .. }) => self.add(&Scalar::Object(sent.clone())),
        }
    }

    /// Adds a value.
    pub(crate) fn add(&mut self, value: &Scalar<'_>) {
        match value {
            Scalar::Text(text) => {
                self.0.update(b"\"");
                self.0.update((text.len() as u64).to_be_bytes());
                self.0.update(text);
            }
            Scalar::Null => self.0.update(b"n"),
            Scalar::Bool(value) => self.0.update(if *value { b"t" } else { b"f" }),
            Scalar::Integer(value) => {
                self.0.update(b"i");
                self.0.update(value.to_be_bytes());
            }
            Scalar::Natural(value) => {
                self.0.update(b"u");
                self.0.update(value.to_be_bytes());
            }
            Scalar::Float(value) => {
                self.0.update(b".");
                self.0.update(value.to_bits().to_be_bytes());
            }
            Scalar::Array(digest) => {
                self.0.update(b"a");
                self.0.update(digest.as_slice());
            }
            Scalar::Object(digest) => {
                self.0.update(b"o");
                self.0.update(digest.as_slice());
            }
        }
    }

    /// Begins an array; its values follow, then its end.
    pub(crate) fn begin_array(&mut self) {
        self.0.update(b"[");
    }

    /// Begins an object; its keys and values follow, then its end.
    pub(crate) fn begin_object(&mut self) {
        self.0.update(b"{");
    }

    /// Ends what was begun last.
    pub(crate) fn end(&mut self) {
        self.0.update(b"]");
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}
