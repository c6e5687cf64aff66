//! The one owner of subscriptions and values.

mod catch_up;
mod census;
mod meters;
mod publish;
mod rest;
mod subscribe;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use chrono_cache::{Bus, LatestBook};
use chrono_domain::{Clock, Epoch, Seq};

use crate::batch::{Batch, Outgoing};
use crate::close::CloseReason;
use crate::frame::Encoder;
use crate::outbox::{ClientId, Flow, Outbox};
use crate::registry::Registry;
use crate::ring::Ring;
use crate::settings::StreamSettings;
use crate::values::Values;

pub use census::{KeyId, Refused};
pub use rest::Roused;
pub use subscribe::{Resume, Resumption, Subscribe, Subscribed, Unsubscribed};

use census::Census;
use meters::Meters;
use rest::Rest;

/// Fans updates out to clients: it decides who gets what, and knows no socket.
///
/// - A client's whole state is its position: every update up to it that the client is entitled to was handed over.
///   Live delivery, catching up, resuming and conflation all move that one number on.
/// - Updates have strictly growing numbers within a connection, and none comes twice, unless a client that holds nothing
///   asks to resume from before what it had.
/// - The publisher never waits for a client: a client costs it a push or a count.
/// - One lock guards subscriptions and values, so a snapshot and the updates after it have no seam.
/// - While nobody is connected the bus is left alone; the first to come waits until it is read ([`Hub::rouse`]).
#[derive(Debug)]
pub struct Hub {
    settings: StreamSettings,
    clock: Arc<dyn Clock>,
    epoch: Epoch,
    encoder: Mutex<Encoder>,
    core: Mutex<Core>,
    meters: Meters,
    rest: Rest,
}

/// What the lock guards. Locked after the encoder and before any outbox.
#[derive(Debug)]
struct Core {
    /// Every frame up to here went through the fan-out.
    head: Seq,
    /// What came up to here was lost by the bus; a client behind it has a hole.
    floor: Seq,
    ring: Ring,
    values: Values,
    registry: Registry,
    census: Census,
    next_id: u64,
    bus: BusHealth,
}

/// How far the bus is behind its publishers.
#[derive(Debug, Clone, Copy)]
enum BusHealth {
    /// The newest entry took this long to get here.
    Reading(Duration),
    /// Reading fails since this uptime.
    Failing(Duration),
}

impl Hub {
    /// Makes a hub that continues a bus from its head, with the book's values as current.
    pub fn new(
        bus: &dyn Bus,
        book: &LatestBook,
        clock: Arc<dyn Clock>,
        settings: StreamSettings,
    ) -> Self {
        let (epoch, head) = (bus.epoch(), bus.head());
        let mut core = Core {
            head,
            floor: head,
            ring: Ring::new(head, settings.ring_frames_max, settings.ring_bytes_max),
            values: Values::default(),
            registry: Registry::default(),
            census: Census::default(),
            next_id: 0,
            bus: BusHealth::Reading(Duration::ZERO),
        };
        let mut encoder = Encoder::new(epoch);
        publish::seed(&mut encoder, &mut core.values, book, head);
        Self {
            settings,
            clock,
            epoch,
            encoder: Mutex::new(encoder),
            core: Mutex::new(core),
            meters: Meters::new(),
            rest: Rest::new(),
        }
    }

    /// Names the life of the sequence that this hub continues.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Gives the bounds this hub keeps.
    pub fn settings(&self) -> &StreamSettings {
        &self.settings
    }

    /// Gives the clock that everything here goes by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Gives a place to a new connection.
    ///
    /// # Errors
    /// [`Refused`], by the total, by the address, or because the server goes away.
    pub fn connect(self: &Arc<Self>, from: IpAddr) -> Result<Client, Refused> {
        let mut core = self.lock();
        core.census.enter(from, &self.settings)?;
        let id = ClientId(core.next_id);
        core.next_id += 1;
        let outbox = Arc::new(Outbox::new(id));
        core.registry.join(Arc::clone(&outbox));
        drop(core);
        self.rest.call();
        Ok(Client { hub: Arc::clone(self), outbox, from, key: None })
    }

    /// Gives the keys that connections hold, each once.
    pub fn keys(&self) -> Vec<KeyId> {
        self.lock().census.keys()
    }

    /// Ends every stream of a key that is no longer valid.
    pub fn close_key(&self, key: &KeyId) {
        let core = self.lock();
        let ids = core.census.clients_of(key);
        ids.filter_map(|id| core.registry.outbox(id))
            .for_each(|outbox| outbox.close(CloseReason::KeyGone));
    }

    /// Ends every stream, now and from now on; the hints when to come back are spread over `window`.
    pub fn drain(&self, window: Duration) {
        let mut core = self.lock();
        core.census.shut();
        let count = u32::try_from(core.registry.outboxes().count()).unwrap_or(u32::MAX).max(1);
        for (idx, outbox) in (0..count).zip(core.registry.outboxes()) {
            outbox.close(CloseReason::Draining(window * idx / count));
        }
    }

    /// Gives how many connections there are.
    pub fn connections(&self) -> usize {
        self.lock().census.total()
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place in the hub; dropping it leaves.
#[derive(Debug)]
pub struct Client {
    hub: Arc<Hub>,
    outbox: Arc<Outbox>,
    from: IpAddr,
    key: Option<KeyId>,
}

impl Client {
    /// Notes whose connection this is; another key takes the place of the one before.
    ///
    /// # Errors
    /// [`Refused::Key`] when the key has as many connections as it may; whose it was stays.
    pub fn identify(&mut self, key: KeyId) -> Result<(), Refused> {
        if self.key.as_ref() == Some(&key) {
            return Ok(());
        }
        let mut core = self.hub.lock();
        core.census.identify(self.outbox.id, key.clone(), &self.hub.settings)?;
        if let Some(before) = self.key.replace(key) {
            core.census.disown(self.outbox.id, &before);
        }
        Ok(())
    }

    /// Tells whose connection this is.
    pub fn key(&self) -> Option<&KeyId> {
        self.key.as_ref()
    }

    /// Gives the hub this is a place in.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Moves what is to be sent next into the batch; answers whether there is more to take at once.
    pub fn take(&self, batch: &mut Batch) -> bool {
        let mut state = self.outbox.lock();
        if state.behind.is_some() || !state.snapshots.is_empty() {
            drop(state);
            return self.hub.catch_up(&self.outbox, batch);
        }
        while !batch.is_full()
            && let Some(frame) = state.live.pop_front()
        {
            batch.push(Outgoing::Live(frame));
        }
        !state.live.is_empty()
    }

    /// Tells the hub how the socket takes frames.
    pub fn set_flow(&self, flow: Flow) {
        self.outbox.set_flow(flow);
    }

    /// Counts updates that were written, the oldest of which was published then.
    pub fn note_written(&self, frames: usize, oldest: Option<chrono_domain::Timestamp>) {
        self.hub.meters.written(frames, oldest.map(|at| self.hub.clock.now().since(at)));
    }

    /// Gives why the stream is to end, if it is.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.outbox.lock().close
    }

    /// Counts the end of a stream that the server decided on.
    pub fn note_closed(&self, reason: CloseReason) {
        Meters::closed(reason);
    }

    /// Tells how far this connection is; nothing while snapshots are still to come.
    pub fn heartbeat(&self) -> Option<Pulse> {
        let core = self.hub.lock();
        let state = self.outbox.lock();
        let lag = match core.bus {
            BusHealth::Reading(lag) => lag,
            BusHealth::Failing(since) => self.hub.clock.uptime().saturating_sub(since),
        };
        state.snapshots.is_empty().then(|| Pulse { position: state.position(core.head), lag })
    }

    /// Is ready once after there came something to take or a reason to end; else the task is woken then.
    ///
    /// For one task at a time: the last to ask is woken.
    pub fn poll_woken(&self, cx: &Context<'_>) -> Poll<()> {
        self.outbox.poll_woken(cx)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let mut core = self.hub.lock();
        core.registry.leave(self.outbox.id);
        core.census.exit(self.outbox.id, self.from, self.key.as_ref());
    }
}

/// What a heartbeat says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// Every update up to this one that the client is entitled to was handed over.
    pub position: Seq,
    /// How far the bus is behind.
    pub lag: Duration,
}
