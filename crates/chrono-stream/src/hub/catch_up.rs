//! How a client that is not fed live gets what it is owed.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono_domain::Seq;

use super::{Core, Hub};
use crate::batch::{Batch, Outgoing};
use crate::frame::Frame;
use crate::outbox::{Behind, ClientId, Mode, Outbox, Snapshot, State};

/// How missing updates are made up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// Every update from the ring.
    Replay,
    /// The newest value of every symbol that changed.
    Conflate,
    /// Neither: a declared gap, then snapshots.
    Gap,
}

impl Hub {
    /// Takes the next slice of snapshots, then of missed updates; answers whether there is more.
    ///
    /// One call looks at a bounded number of frames, so that the lock is never held long.
    pub(super) fn catch_up(&self, outbox: &Outbox, batch: &mut Batch) -> bool {
        let core = self.lock();
        let mut state = outbox.lock();
        let looks = self.settings.slice_frames_max.max(1);
        let mut slice = Slice { core: &core, id: outbox.id, looks, batch };
        slice.snapshots(&mut state.snapshots);
        if state.snapshots.is_empty()
            && let Some(mut behind) = state.behind.take()
        {
            let remedy = core.remedy(state.mode, &behind);
            let done = match remedy {
                Remedy::Replay => slice.replay(state.mode, &mut behind),
                Remedy::Conflate => slice.conflate(&mut behind),
                Remedy::Gap => slice.gap(&behind, &mut state),
            };
            match (remedy, done) {
                (_, false) => state.behind = Some(behind),
                (Remedy::Gap, true) => self.meters.gap(),
                (_, true) => self.meters.conflated(behind.owed),
            }
        }
        !state.snapshots.is_empty() || state.behind.is_some() || !state.live.is_empty()
    }
}

impl Core {
    fn remedy(&self, mode: Mode, behind: &Behind) -> Remedy {
        let promised = mode == Mode::All || behind.synced < behind.promised;
        if behind.synced < self.floor {
            Remedy::Gap
        } else if behind.conflate && !promised {
            Remedy::Conflate
        } else if self.ring.reaches(behind.synced) {
            Remedy::Replay
        } else if promised {
            Remedy::Gap
        } else {
            Remedy::Conflate
        }
    }

    /// Queues snapshots of every topic a client holds.
    pub(super) fn queue_all_snapshots(&self, id: ClientId, state: &mut State, upto: Seq) {
        let queued = self.registry.held(id).map(|topic| Snapshot { topic, done: 0, upto });
        state.snapshots = queued.collect();
    }
}

/// One bounded step of catching up.
struct Slice<'a> {
    core: &'a Core,
    id: ClientId,
    /// How many more frames may be looked at.
    looks: usize,
    batch: &'a mut Batch,
}

impl Slice<'_> {
    fn is_spent(&self) -> bool {
        self.looks == 0 || self.batch.is_full()
    }

    /// Sends the values of the queued topics. Values with numbers above a topic's bound come live, so they are left
    /// out here; and a symbol that the client holds in a narrower topic too is left to that one.
    fn snapshots(&mut self, queue: &mut VecDeque<Snapshot>) {
        while let Some(next) = queue.front_mut()
            && !self.is_spent()
        {
            self.looks -= 1;
            let topic = self.core.registry.topic(next.topic);
            let value = topic.and_then(|topic| {
                let value = self.core.values.member(&topic, next.done)?;
                Some((topic.rank(), value))
            });
            let Some((rank, value)) = value else {
                queue.pop_front();
                continue;
            };
            next.done += 1;
            let registry = &self.core.registry;
            if value.seq <= next.upto && !registry.holds_narrower(self.id, &value.symbol, rank) {
                self.batch.push(Outgoing::Snapshot(Arc::clone(value)));
            }
        }
        if queue.is_empty() {
            *queue = VecDeque::new();
        }
    }

    fn replay(&mut self, mode: Mode, behind: &mut Behind) -> bool {
        let frames = self.core.ring.after(behind.synced);
        self.send(frames.filter(|frame| mode == Mode::All || !frame.late), behind)
    }

    fn conflate(&mut self, behind: &mut Behind) -> bool {
        self.send(self.core.values.after(behind.synced), behind)
    }

    /// Sends those of the frames that the client is entitled to; answers whether it is up to date now.
    fn send<'f>(
        &mut self,
        frames: impl Iterator<Item = &'f Arc<Frame>>,
        behind: &mut Behind,
    ) -> bool {
        for frame in frames.take_while(|frame| frame.seq <= self.core.head) {
            if self.is_spent() {
                return false;
            }
            self.looks -= 1;
            behind.synced = frame.seq;
            if self.core.registry.is_entitled(self.id, &frame.symbol, frame.seq) {
                behind.owed = behind.owed.saturating_sub(1);
                self.batch.push(Outgoing::Live(Arc::clone(frame)));
            }
        }
        true
    }

    fn gap(&mut self, behind: &Behind, state: &mut State) -> bool {
        let (from, to) = (behind.synced, self.core.head);
        if self.core.registry.held_len(self.id) > 0 {
            self.batch.push(Outgoing::Gap { from, to });
            self.core.queue_all_snapshots(self.id, state, to);
        }
        true
    }
}
