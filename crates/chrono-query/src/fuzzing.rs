//! The reader of cursors by itself, for fuzz targets.

use chrono_domain::{OrderKey, Timestamp};

use crate::cursor::{Fingerprint, Place};

/// Where a page ended, and the times the first page was asked for.
pub type Ended = (Timestamp, Timestamp, OrderKey);

/// Reads a cursor of a question, none when it is not one.
pub fn read_cursor(cursor: &str, question: &str) -> Option<Ended> {
    let place = Place::read(cursor, Fingerprint::of(question)).ok()?;
    Some((place.from, place.to, place.last))
}

/// Writes a cursor of a question.
pub fn write_cursor((from, to, last): Ended, question: &str) -> String {
    Place { from, to, last }.cursor(Fingerprint::of(question))
}
