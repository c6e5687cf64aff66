//! Resting while nobody listens: what nobody reads is neither read from the bus nor encoded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::{BusHealth, Hub};

/// How long a newcomer waits for a hub that cannot read its bus.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether the hub follows the bus, and who wants it to.
#[derive(Debug)]
pub(super) struct Rest {
    awake: watch::Sender<bool>,
    callers: AtomicUsize,
    called: Notify,
}

impl Rest {
    pub(super) fn new() -> Self {
        Self {
            awake: watch::Sender::new(true),
            callers: AtomicUsize::new(0),
            called: Notify::new(),
        }
    }

    /// Wakes a resting hub.
    pub(super) fn call(&self) {
        self.called.notify_one();
    }
}

/// Keeps the hub awake until it is dropped.
#[derive(Debug)]
pub struct Roused(Arc<Hub>);

impl Drop for Roused {
    fn drop(&mut self) {
        self.0.rest.callers.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Hub {
    /// Waits until the hub follows its bus, for a second at most.
    ///
    /// The hub rests while nobody is connected. To be called before [`Hub::connect`], so that the newcomer's snapshots
    /// are those of now; without it they may be those of the moment when the last client left, and what came since
    /// follows them.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn rouse(self: &Arc<Self>) -> Roused {
        let roused = Roused(Arc::clone(self));
        self.rest.callers.fetch_add(1, Ordering::SeqCst);
        self.rest.call();
        let mut awake = self.rest.awake.subscribe();
        if !matches!(timeout(PATIENCE, awake.wait_for(|awake| *awake)).await, Ok(Ok(_))) {
            tracing::warn!("the stream does not catch up with the bus");
        }
        roused
    }

    /// Waits for as long as nobody listens.
    pub(super) async fn rest_unheard(&self) {
        while !self.is_heard() {
            self.rest.awake.send_replace(false);
            // Whoever called since the question left a permit, so that this wait ends at once.
            self.rest.called.notified().await;
        }
    }

    /// Says that everything on the bus was read.
    pub(super) fn note_awake(&self) {
        let woken = self.rest.awake.send_if_modified(|awake| !std::mem::replace(awake, true));
        if woken {
            // What was read late was not late on the bus.
            self.lock().bus = BusHealth::Reading(Duration::ZERO);
        }
    }

    /// Tells whether it has followed the bus since it last rested.
    pub(super) fn is_awake(&self) -> bool {
        *self.rest.awake.borrow()
    }

    fn is_heard(&self) -> bool {
        self.rest.callers.load(Ordering::SeqCst) > 0 || self.connections() > 0
    }
}
