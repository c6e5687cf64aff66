//! What waits to be sent to one client.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::close::CloseReason;
use crate::frame::Frame;
use chrono_domain::Seq;

/// Which ticks a client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Every tick but late ones; once the socket does not keep up, one newest value per changed symbol.
    #[default]
    Latest,
    /// Every tick, late ones too; what cannot be sent is declared as a gap.
    All,
}

/// Whether the client's socket takes frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flow {
    /// The last write went through.
    #[default]
    Open,
    /// A chunk was handed to a writer that asks for more when it has room. It may ask at once, so frames still
    /// queue; if the queue fills before it asks, the socket does not keep up.
    Handed,
    /// The last write did not go through.
    Blocked,
}

/// Names a connection within a hub; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientId(pub(crate) u64);

/// A client whose frames are no longer queued: they are found again by number.
#[derive(Debug)]
pub(crate) struct Behind {
    /// Every frame up to this one that the client is entitled to was handed over.
    pub(crate) synced: Seq,
    /// Up to here every frame was promised, whatever the mode.
    pub(crate) promised: Seq,
    /// The socket did not keep up: newest values are enough in mode `latest`.
    pub(crate) conflate: bool,
    /// Frames that would have been queued, less those sent since.
    pub(crate) owed: u64,
}

/// The snapshot of one topic that is still to be sent.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// How wide the topic is.
    pub(crate) rank: usize,
    /// The topic's place in the registry.
    pub(crate) topic: u32,
    /// How many of its symbols are done.
    pub(crate) done: usize,
    /// Values with higher numbers are left out: they come live.
    pub(crate) upto: Seq,
}

/// The state of one client's stream, shared by publisher and transport.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) live: VecDeque<Arc<Frame>>,
    /// The newest frame that was offered; the same one comes again by an overlapping topic.
    pub(crate) offered: Seq,
    pub(crate) behind: Option<Behind>,
    pub(crate) snapshots: VecDeque<Snapshot>,
    pub(crate) mode: Mode,
    pub(crate) flow: Flow,
    pub(crate) close: Option<CloseReason>,
    /// There may be something to take that the transport has not looked for yet.
    roused: bool,
    /// Whom to wake, while the transport waits.
    waker: Option<Waker>,
}

impl State {
    /// Offers a frame; gives whom to wake. Costs the publisher no wait.
    fn offer(&mut self, frame: &Arc<Frame>, queue_max: usize) -> Option<Waker> {
        if frame.seq <= self.offered || (frame.late && self.mode == Mode::Latest) {
            return None;
        }
        self.offered = frame.seq;
        if let Some(behind) = &mut self.behind {
            behind.owed += 1;
            return None;
        }
        if self.flow != Flow::Blocked && self.live.len() < queue_max {
            self.live.push_back(Arc::clone(frame));
            return self.rouse();
        }
        let conflate = self.flow != Flow::Open;
        self.fall_behind(Seq(frame.seq.0 - 1), conflate);
        if let Some(behind) = &mut self.behind {
            behind.owed += 1;
        }
        // A blocked transport has its own wake-up, and looks then.
        if conflate { None } else { self.rouse() }
    }

    /// Notes that there may be something to take; gives whom to wake.
    fn rouse(&mut self) -> Option<Waker> {
        self.roused = true;
        self.waker.take()
    }

    /// Gives the number up to which every entitled frame was handed over, `head` being the newest of all.
    pub(crate) fn position(&self, head: Seq) -> Seq {
        match (&self.behind, self.live.front()) {
            (Some(behind), _) => behind.synced,
            (None, Some(next)) => Seq(next.seq.0 - 1),
            (None, None) => head.max(self.offered),
        }
    }

    /// Makes the position hold for whatever is sent next: queued frames will be found again by number.
    pub(crate) fn settle(&mut self, head: Seq) -> Seq {
        if !self.live.is_empty() {
            self.fall_behind(head, false);
        }
        self.position(head)
    }

    /// Goes on from a number, by the ring, and promises every update up to `to`.
    pub(crate) fn promise(&mut self, from: Seq, to: Seq) {
        if from < to {
            let behind = Behind { synced: from, promised: to, conflate: false, owed: 0 };
            self.behind.get_or_insert(behind).promised = to;
        }
    }

    /// Queues the snapshots of topics, given by rank and id, in place of those of the same topics queued before.
    ///
    /// Narrow topics go first: a wide one leaves out the symbols that a narrower one, still held, has done.
    pub(crate) fn queue_snapshots(&mut self, topics: &[(usize, u32)], upto: Seq) {
        let mut asked: HashSet<u32> = topics.iter().map(|(_, topic)| *topic).collect();
        self.snapshots.retain(|snapshot| !asked.contains(&snapshot.topic));
        let once = topics.iter().filter(|(_, topic)| asked.remove(topic));
        self.snapshots.extend(once.map(|&(rank, topic)| Snapshot { rank, topic, done: 0, upto }));
        self.snapshots.make_contiguous().sort_by_key(|snapshot| snapshot.rank);
    }

    /// Stops feeding live: what comes after the position will be found again by number, or declared as a gap.
    pub(crate) fn leave_behind(&mut self, head: Seq) {
        if self.behind.is_none() {
            self.fall_behind(head, false);
        }
    }

    fn fall_behind(&mut self, head: Seq, conflate: bool) {
        let synced = self.position(head).min(head);
        let owed = self.live.len() as u64;
        self.behind = Some(Behind { synced, promised: Seq(0), conflate, owed });
        self.live = VecDeque::new();
    }
}

/// One client's place in the fan-out.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) id: ClientId,
    state: Mutex<State>,
}

impl Outbox {
    pub(crate) fn new(id: ClientId) -> Self {
        Self { id, state: Mutex::default() }
    }

    /// Locks the state. Whoever holds the hub's lock may take this one, never the other way round.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers a frame; gives whom to wake.
    pub(crate) fn offer(&self, frame: &Arc<Frame>, queue_max: usize) -> Option<Waker> {
        self.lock().offer(frame, queue_max)
    }

    /// Notes how the socket takes frames.
    pub(crate) fn set_flow(&self, flow: Flow) {
        let mut state = self.lock();
        state.flow = flow;
        if let (Flow::Blocked, Some(behind)) = (flow, &mut state.behind) {
            behind.conflate = true;
        }
    }

    /// Ends the stream; the first reason stays.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.lock().close.get_or_insert(reason);
        self.wake();
    }

    pub(crate) fn wake(&self) {
        let waker = self.lock().rouse();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Is ready when there may be something to take; else the task is woken then. For one task only.
    pub(crate) fn poll_woken(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if std::mem::take(&mut state.roused) {
            return Poll::Ready(());
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}
