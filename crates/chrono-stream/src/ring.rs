//! The newest frames, held for those who have to catch up.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono_domain::Seq;

use crate::frame::Frame;

/// Frames of consecutive numbers, bounded by count and by bytes.
#[derive(Debug)]
pub(crate) struct Ring {
    frames: VecDeque<Arc<Frame>>,
    /// The number before the oldest frame held.
    base: Seq,
    bytes: usize,
    frames_max: usize,
    bytes_max: usize,
}

impl Ring {
    /// Makes an empty ring; the first frame will be the one after `base`.
    pub(crate) fn new(base: Seq, frames_max: usize, bytes_max: usize) -> Self {
        Self { frames: VecDeque::new(), base, bytes: 0, frames_max, bytes_max }
    }

    /// Gives the number before the oldest frame held.
    pub(crate) fn base(&self) -> Seq {
        self.base
    }

    /// Gives the number of the newest frame.
    pub(crate) fn last(&self) -> Seq {
        Seq(self.base.0 + self.frames.len() as u64)
    }

    /// Takes the frame that follows; the oldest make room.
    pub(crate) fn push(&mut self, frame: Arc<Frame>) {
        debug_assert_eq!(frame.seq, self.last().next());
        self.bytes += frame.bytes();
        self.frames.push_back(frame);
        while self.frames.len() > self.frames_max || self.bytes > self.bytes_max {
            let Some(oldest) = self.frames.pop_front() else { break };
            self.bytes -= oldest.bytes();
            self.base = oldest.seq;
        }
    }

    /// Forgets everything; the next frame will be the one after `base`.
    pub(crate) fn restart(&mut self, base: Seq) {
        self.frames.clear();
        (self.base, self.bytes) = (base, 0);
    }

    /// Tells whether every frame after a number is held.
    pub(crate) fn reaches(&self, after: Seq) -> bool {
        after >= self.base
    }

    /// Gives the frames after a number, in order; those no longer held are missing.
    pub(crate) fn after(&self, after: Seq) -> impl Iterator<Item = &Arc<Frame>> {
        let skipped = usize::try_from(after.0.saturating_sub(self.base.0)).unwrap_or(usize::MAX);
        self.frames.range(skipped.min(self.frames.len())..)
    }
}

#[cfg(test)]
mod tests {
    use chrono_domain::{Arrival, Epoch, Price, Source, StoredTick, Symbol, Tick, Timestamp};

    use super::*;

    fn frame(seq: u64) -> Arc<Frame> {
        let tick = Tick::try_new(
            Symbol::try_new("A/B").unwrap(),
            Source::try_new("s").unwrap(),
            Price::try_new("1").unwrap(),
            None,
            Timestamp::MIN,
        );
        let stored =
            StoredTick { tick: tick.unwrap(), arrival: Arrival(seq), ingested_at: Timestamp::MIN };
        Arc::new(Frame::encode(Epoch(1), Seq(seq), &stored, false, Timestamp::MIN))
    }

    fn held(ring: &Ring, after: u64) -> Vec<u64> {
        ring.after(Seq(after)).map(|frame| frame.seq.0).collect()
    }

    #[test]
    fn holds_the_newest_by_count() {
        let mut ring = Ring::new(Seq(10), 3, usize::MAX);
        assert!(ring.reaches(Seq(10)) && !ring.reaches(Seq(9)));
        (11..=15).for_each(|seq| ring.push(frame(seq)));
        assert_eq!(held(&ring, 12), [13, 14, 15]);
        assert_eq!((held(&ring, 14), held(&ring, 15), held(&ring, 99)), (vec![15], vec![], vec![]));
        assert!(ring.reaches(Seq(12)) && !ring.reaches(Seq(11)));
        assert_eq!(ring.last(), Seq(15));
    }

    #[test]
    fn holds_the_newest_by_bytes_and_restarts() {
        let mut ring = Ring::new(Seq(0), 1_000, 3 * frame(1).bytes());
        (1..=5).for_each(|seq| ring.push(frame(seq)));
        assert_eq!((ring.base(), held(&ring, 0)), (Seq(2), vec![3, 4, 5]));
        ring.restart(Seq(40));
        assert_eq!((ring.last(), held(&ring, 0)), (Seq(40), vec![]));
        ring.push(frame(41));
        assert_eq!((held(&ring, 40), ring.bytes), (vec![41], frame(41).bytes()));
    }
}
