//! Which stored rows and which raw ticks make up a stretch of time.
//!
//! Stored rows of the three levels cover the ticks before the watermark, but for dirty hours and their days. The
//! coarsest rows that fit are taken, finer ones at the edges that the stretch cuts and around dirty hours, and ticks
//! for the rest: a day with one dirty hour costs 23 hour rows and the ticks of one hour.

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

/// What is known of the stored rows of one symbol and source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'a> {
    /// Rows cover the ticks before this; a whole minute.
    pub(crate) watermark: i64,
    /// Starts of the hours whose rows must not be used, in order.
    pub(crate) dirty_hours: &'a [i64],
}

impl Stored<'_> {
    /// Splits a span into pieces, in order of time, that touch each of its ticks once; no row is coarser than `level`.
    pub(crate) fn plan(self, level: Interval, span: Span) -> Vec<Piece> {
        let mut plan = Plan { stored: self, pieces: Vec::new() };
        let before = Span { from: 0, until: self.watermark };
        let after = Span { from: self.watermark, until: i64::MAX };
        plan.cover(span.within(before), level);
        plan.ticks(span.within(after));
        plan.pieces
    }
}

struct Plan<'a> {
    stored: Stored<'a>,
    pieces: Vec<Piece>,
}

impl Plan<'_> {
    /// Covers a span before the watermark.
    fn cover(&mut self, span: Span, level: Interval) {
        if span.is_empty() {
            return;
        }
        let length = micros(level);
        let first = span.from + (length - span.from % length) % length;
        // The bucket that the watermark cuts is whole as far as rows go: they hold nothing beyond.
        let last = if span.until == self.stored.watermark {
            span.until
        } else {
            span.until - span.until % length
        };
        if first >= last {
            self.cover_finer(span, level);
            return;
        }
        self.cover_finer(Span { until: first, ..span }, level);
        self.cover_whole(Span { from: first, until: last }, level);
        self.cover_finer(Span { from: last, ..span }, level);
    }

    fn cover_finer(&mut self, span: Span, level: Interval) {
        match level {
            Interval::D1 => self.cover(span, Interval::H1),
            Interval::H1 => self.cover(span, Interval::M1),
            _ => self.ticks(span),
        }
    }

    /// Covers whole buckets before the watermark: rows between the dirty hours, or days with dirty hours.
    fn cover_whole(&mut self, span: Span, level: Interval) {
        let unusable = micros(level.max(Interval::H1));
        let hours = self.stored.dirty_hours;
        let first = hours.partition_point(|hour| hour + micros(Interval::H1) <= span.from);
        let mut from = span.from;
        for hour in hours.iter().skip(first).take_while(|hour| **hour < span.until) {
            let start = hour - hour % unusable;
            let block = Span { from: start, until: start + unusable }.within(Span { from, ..span });
            if block.is_empty() {
                continue;
            }
            self.rows(level, Span { from, until: block.from });
            if level == Interval::D1 {
                self.cover(block, Interval::H1);
            } else {
                self.ticks(block);
            }
            from = block.until;
        }
        self.rows(level, Span { from, ..span });
    }

    fn rows(&mut self, level: Interval, span: Span) {
        if !span.is_empty() {
            self.pieces.push(Piece::Rows(level, span));
        }
    }

    fn ticks(&mut self, span: Span) {
        match self.pieces.last_mut() {
            _ if span.is_empty() => {}
            Some(Piece::Ticks(last)) if last.until == span.from => last.until = span.until,
            _ => self.pieces.push(Piece::Ticks(span)),
        }
    }
}

#[cfg(test)]
mod tests;
