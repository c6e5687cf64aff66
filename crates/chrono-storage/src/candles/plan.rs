//! Which stored rows and which raw ticks make up a stretch of time.
//!
//! Stored rows of the three levels cover all ticks of their buckets. The coarsest rows that fit are taken, finer ones
//! at the edges that the stretch cuts, and ticks for the minutes that it cuts.

use chrono_domain::Interval;

use super::span::{Span, micros};

/// A part of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The stored rows of a level whose buckets start within the span.
    Rows(Interval, Span),
    /// The ticks within the span.
    Ticks(Span),
}

/// Splits a span into pieces, in order of time, that touch each of its ticks once; no row is coarser than `level`.
pub(crate) fn plan(level: Interval, span: Span) -> Vec<Piece> {
    let mut pieces = Vec::new();
    cover(&mut pieces, level, span);
    pieces
}

fn cover(pieces: &mut Vec<Piece>, level: Interval, span: Span) {
    if span.is_empty() {
        return;
    }
    let length = micros(level);
    let first = span.from + (length - span.from % length) % length;
    let last = span.until - span.until % length;
    if first >= last {
        cover_finer(pieces, level, span);
        return;
    }
    cover_finer(pieces, level, Span { until: first, ..span });
    pieces.push(Piece::Rows(level, Span { from: first, until: last }));
    cover_finer(pieces, level, Span { from: last, ..span });
}

fn cover_finer(pieces: &mut Vec<Piece>, level: Interval, span: Span) {
    match level {
        Interval::D1 => cover(pieces, Interval::H1, span),
        Interval::H1 => cover(pieces, Interval::M1, span),
        _ if span.is_empty() => {}
        _ => pieces.push(Piece::Ticks(span)),
    }
}

#[cfg(test)]
mod tests;
