//! Coming to hold topics, and giving them up.

use chrono_domain::{Epoch, Seq};

use super::{Client, Core};
use crate::outbox::{ClientId, Mode};
use crate::topic::Topic;

/// What a client asks to be sent.
#[derive(Debug, Clone, Default)]
pub struct Subscribe {
    /// Symbols and patterns; one that is held already stays as it is.
    pub topics: Vec<Topic>,
    /// Sets the connection's mode; none leaves it.
    pub mode: Option<Mode>,
    /// Whether to send the current values first; a gap or a reset sends them in any case.
    pub snapshot: bool,
    /// Where an earlier connection ended.
    pub resume: Option<Resume>,
}

/// Where an earlier connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// The epoch it ran in; none is taken as another one.
    pub epoch: Option<Epoch>,
    /// The newest number it had got.
    pub since: Seq,
}

/// What became of a [`Subscribe`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribed {
    /// Topics held now.
    pub topics: Vec<Topic>,
    /// Topics beyond what a connection may hold.
    pub surplus: Vec<Topic>,
    /// The topics' updates after this one will be sent.
    pub position: Seq,
    /// The answer to [`Subscribe::resume`]; none if it was not asked.
    pub resumption: Option<Resumption>,
    /// Whether current values follow.
    pub snapshot: bool,
}

/// How a resume ends; never a silent part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumption {
    /// Every update after `from` up to `to` follows, in order.
    Resumed {
        /// The last update the client had.
        from: Seq,
        /// The newest update of all.
        to: Seq,
    },
    /// Updates after `from` up to `to` will not come; current values follow.
    Gap {
        /// The last update the client had.
        from: Seq,
        /// The last update in the gap.
        to: Seq,
    },
    /// Another epoch, or a number that this one has not reached: current values follow.
    Reset,
}

/// What became of an unsubscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribed {
    /// Topics given up.
    pub topics: Vec<Topic>,
    /// Topics that were not held.
    pub unknown: Vec<Topic>,
    /// The topics' updates up to this one were sent; none will be after it.
    pub position: Seq,
}

impl Client {
    /// Subscribes to topics. Whatever is taken after this belongs after the answer.
    pub fn subscribe(&self, request: &Subscribe) -> Subscribed {
        let mut core = self.hub.lock();
        let mut state = self.outbox.lock();
        state.mode = request.mode.unwrap_or(state.mode);
        let id = self.outbox.id;
        if core.registry.held_len(id) == 0 {
            // Whoever holds nothing misses nothing.
            state.behind = None;
        }
        let position = state.settle(core.head);
        let resumption = request.resume.map(|resume| {
            core.resume(resume, self.hub.epoch, position, core.registry.held_len(id))
        });
        let from = match resumption {
            Some(Resumption::Resumed { from, to }) => {
                state.promise(from, to);
                from
            }
            _ => position,
        };
        let snapshot = match resumption {
            None => request.snapshot,
            Some(Resumption::Resumed { .. }) => false,
            Some(Resumption::Gap { .. } | Resumption::Reset) => true,
        };
        let room = self.hub.settings.topics_max;
        let (topics, surplus) = core.hold(id, &request.topics, room);
        if snapshot {
            let asked: Vec<_> = topics.iter().map(|(_, id)| *id).collect();
            core.queue_snapshots(id, &mut state, &asked, position);
        }
        let topics = topics.into_iter().map(|(topic, _)| topic).collect();
        Subscribed { topics, surplus, position: from, resumption, snapshot }
    }

    /// Gives topics up. Whatever is taken after this belongs after the answer.
    pub fn unsubscribe(&self, topics: &[Topic]) -> Unsubscribed {
        let mut core = self.hub.lock();
        let mut state = self.outbox.lock();
        let position = state.settle(core.head);
        let (mut gone, mut unknown) = (Vec::new(), Vec::new());
        for topic in topics {
            match core.registry.unsubscribe(self.outbox.id, topic) {
                Some(id) => {
                    state.snapshots.retain(|snapshot| snapshot.topic != id);
                    gone.push(*topic);
                }
                None => unknown.push(*topic),
            }
        }
        Unsubscribed { topics: gone, unknown, position }
    }
}

impl Core {
    /// Decides how a resume ends. Only a connection that holds nothing yet can be moved to another number: with topics
    /// held, their updates would come twice or not at all.
    fn resume(&self, resume: Resume, epoch: Epoch, position: Seq, held: usize) -> Resumption {
        let (from, to) = (resume.since, self.head);
        if resume.epoch != Some(epoch) || from > to {
            Resumption::Reset
        } else if self.ring.reaches(from) && (held == 0 || from == position) {
            Resumption::Resumed { from, to }
        } else {
            Resumption::Gap { from, to: from.max(position).max(self.ring.base()) }
        }
    }

    /// Subscribes up to the bound; answers the topics held, with their ids, and the rest.
    fn hold(
        &mut self,
        id: ClientId,
        topics: &[Topic],
        topics_max: usize,
    ) -> (Vec<(Topic, u32)>, Vec<Topic>) {
        let (mut held, mut surplus) = (Vec::with_capacity(topics.len()), Vec::new());
        for topic in topics {
            let room = self.registry.held_len(id) < topics_max || self.registry.holds(id, topic);
            match room.then(|| self.registry.subscribe(id, *topic)).flatten() {
                Some(topic_id) => held.push((*topic, topic_id)),
                None => surplus.push(*topic),
            }
        }
        (held, surplus)
    }
}
