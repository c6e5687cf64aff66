//! How a client that is not fed live gets what it is owed.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Core, Hub};
use chrono_domain::Seq;

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
        let mut core = self.lock();
        let mut state = outbox.lock();
        let state = &mut *state;
        let looks = self.settings.slice_frames_max.max(1);
        let mut slice = Slice { core: &core, id: outbox.id, looks, batch };
        slice.snapshots(&mut state.snapshots);
        if state.snapshots.is_empty()
            && let Some(behind) = &mut state.behind
        {
            match core.remedy(state.mode, behind) {
                Remedy::Replay => slice.replay(state.mode, behind),
                Remedy::Conflate => slice.conflate(behind),
                Remedy::Gap => {
                    core.gap(outbox.id, state, batch);
                    self.meters.gap();
                }
            }
        }
        if let Some(behind) = state.behind.take_if(|behind| behind.synced >= core.head) {
            self.meters.conflated(behind.owed);
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

    /// Declares what cannot be sent any more, and queues the current values in its place.
    fn gap(&mut self, id: ClientId, state: &mut State, batch: &mut Batch) {
        let from = state.position(self.head);
        // After a loss of the bus the ring may go on from there; a client that the ring outran, and the loss with it,
        // starts afresh.
        let to = if self.ring.reaches(self.floor) { self.floor } else { self.head };
        if let Some(behind) = &mut state.behind {
            behind.synced = to;
        }
        let held: Vec<_> = self.registry.held(id).collect();
        if !held.is_empty() {
            batch.push(Outgoing::Gap { from, to });
            self.queue_snapshots(id, state, &held, to);
        }
    }

    /// Queues the snapshots of topics that a client holds.
    pub(super) fn queue_snapshots(
        &mut self,
        id: ClientId,
        state: &mut State,
        topics: &[u32],
        upto: Seq,
    ) {
        let mut ranked = Vec::with_capacity(topics.len());
        for topic_id in topics {
            self.registry.note_valued(id, *topic_id);
            let topic = self.registry.topic(*topic_id);
            ranked.extend(topic.map(|topic| (topic.rank(), *topic_id)));
        }
        state.queue_snapshots(&ranked, upto);
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
    /// out here; and a symbol that a narrower topic's snapshot has too is left to that one.
    fn snapshots(&mut self, queue: &mut VecDeque<Snapshot>) {
        while let Some(next) = queue.front_mut()
            && !self.is_spent()
        {
            self.looks -= 1;
            let registry = &self.core.registry;
            let topic = registry.topic(next.topic);
            let value = topic.and_then(|topic| self.core.values.member(&topic, next.done));
            let Some(value) = value else {
                queue.pop_front();
                continue;
            };
            next.done += 1;
            let narrower = registry.is_valued_narrower(self.id, &value.symbol, next.rank);
            if value.seq <= next.upto && !narrower {
                self.batch.push(Outgoing::Snapshot(Arc::clone(value)));
            }
        }
        if queue.is_empty() {
            *queue = VecDeque::new();
        }
    }

    /// Sends every missed frame; where newest values are enough, only up to what was promised.
    fn replay(&mut self, mode: Mode, behind: &mut Behind) {
        let newest_do = mode == Mode::Latest && behind.conflate;
        let upto = if newest_do { behind.promised } else { self.core.head };
        let frames = self.core.ring.after(behind.synced);
        self.send(frames.filter(|frame| mode == Mode::All || !frame.late), upto, behind);
    }

    fn conflate(&mut self, behind: &mut Behind) {
        self.send(self.core.values.after(behind.synced), self.core.head, behind);
    }

    /// Sends those of the frames up to a number that the client holds a topic of.
    fn send<'f>(
        &mut self,
        frames: impl Iterator<Item = &'f Arc<Frame>>,
        upto: Seq,
        behind: &mut Behind,
    ) {
        for frame in frames.take_while(|frame| frame.seq <= upto) {
            if self.is_spent() {
                return;
            }
            self.looks -= 1;
            behind.synced = frame.seq;
            // Whatever is held was subscribed to at or before the position, so the frame is owed.
            if self.core.registry.is_subscribed(self.id, &frame.symbol) {
                behind.owed = behind.owed.saturating_sub(1);
                self.batch.push(Outgoing::Live(Arc::clone(frame)));
            }
        }
        behind.synced = upto;
    }
}
