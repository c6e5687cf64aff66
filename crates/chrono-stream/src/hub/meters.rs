//! What the stream counts.

use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};

use crate::close::CloseReason;

/// Handles of the metrics that hot paths touch, looked up once.
pub(super) struct Meters {
    frames_sent: Counter,
    frames_conflated: Counter,
    gaps: Counter,
    fan_out_seconds: Histogram,
}

impl Meters {
    pub(super) fn new() -> Self {
        Self {
            frames_sent: counter!("stream_frames_sent_total"),
            frames_conflated: counter!("stream_frames_conflated_total"),
            gaps: counter!("stream_gaps_total"),
            fan_out_seconds: histogram!("stream_fanout_seconds"),
        }
    }

    /// Counts frames written; `age` is how long ago the oldest of them was published.
    pub(super) fn written(&self, frames: usize, age: Option<Duration>) {
        self.frames_sent.increment(frames as u64);
        if let Some(age) = age {
            self.fan_out_seconds.record(age);
        }
    }

    /// Counts updates in whose place a newer one was sent.
    pub(super) fn conflated(&self, frames: u64) {
        self.frames_conflated.increment(frames);
    }

    pub(super) fn gap(&self) {
        self.gaps.increment(1);
    }

    pub(super) fn closed(reason: CloseReason) {
        counter!("stream_closes_total", "reason" => reason.label()).increment(1);
    }
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meters").finish_non_exhaustive()
    }
}
