//! From the bus to the clients.

use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::Duration;

use chrono_cache::{Bus, BusEntry, BusRead, LatestBook};
use chrono_domain::Seq;

use super::{BusHealth, Core, Hub};
use crate::frame::{Encoder, Frame};
use crate::values::Values;

/// Pause after a failed read of the bus.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

impl Hub {
    /// Publishes what the bus carries, for as long as it is polled and somebody listens; one call at a time.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: the next call goes on after the last update published.
    pub async fn run(&self, bus: &dyn Bus, book: &LatestBook) {
        self.finish_fan_out();
        loop {
            self.rest_unheard().await;
            let head = self.lock().head;
            if head >= bus.head() {
                self.note_awake();
            }
            match bus.read(head).await {
                Ok(BusRead::Entries(entries)) => {
                    for entry in entries {
                        self.publish(&entry, book);
                    }
                    // The clients just woken may sit in this worker's queue.
                    tokio::task::yield_now().await;
                }
                Ok(BusRead::Lost(after)) => self.skip_to(after, book),
                Err(fault) => {
                    tracing::warn!(error = &fault as &dyn std::error::Error, "bus not readable");
                    self.note_failing();
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    /// Sends the updates of one entry to whoever is subscribed.
    pub(super) fn publish(&self, entry: &BusEntry, book: &LatestBook) {
        let head = self.lock().head;
        if entry.first > head.next() {
            self.skip_to(Seq(entry.first.0 - 1), book);
        }
        let mut encoder = self.encoder.lock().unwrap_or_else(PoisonError::into_inner);
        // Woken after the whole entry: the ticks of one commit share a write.
        let mut wakers = Wakers::default();
        for frame in encoder.encode(entry, head) {
            // The lock is taken anew for each frame, so that clients that come or catch up wait for one at most.
            self.lock().admit(&Arc::new(frame), self.settings.queue_frames_max, &mut wakers);
        }
        drop(wakers);
        let lag = self.clock.now().since(entry.published_at);
        self.lock().bus = BusHealth::Reading(lag);
    }

    /// Goes on after a hole in what the bus gave; clients get to know by a gap.
    pub(super) fn skip_to(&self, after: Seq, book: &LatestBook) {
        if self.is_awake() || self.connections() > 0 {
            tracing::warn!(after = after.0, "updates lost by the bus");
        } else {
            tracing::debug!(after = after.0, "what came while nobody listened is skipped");
        }
        let mut encoder = self.encoder.lock().unwrap_or_else(PoisonError::into_inner);
        let mut core = self.lock();
        for outbox in core.registry.outboxes() {
            outbox.lock().leave_behind(core.head);
        }
        core.ring.restart(after);
        (core.head, core.floor) = (after, after);
        seed(&mut encoder, &mut core.values, book, after);
        for outbox in core.registry.outboxes() {
            outbox.wake();
        }
    }

    /// Offers again what a fan-out that was cut short by a panic may not have reached.
    pub(super) fn finish_fan_out(&self) {
        let mut core = self.lock();
        let unfinished: Vec<_> = core.ring.after(core.head).cloned().collect();
        let mut wakers = Wakers::default();
        for frame in unfinished {
            core.fan_out(&frame, self.settings.queue_frames_max, &mut wakers);
        }
    }

    fn note_failing(&self) {
        let now = self.clock.uptime();
        let mut core = self.lock();
        if let BusHealth::Reading(_) = core.bus {
            core.bus = BusHealth::Failing(now);
        }
    }
}

/// Whom to wake, which is done when this is dropped: a panic amid a fan-out forgets nobody.
#[derive(Debug, Default)]
struct Wakers(Vec<Waker>);

impl Drop for Wakers {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}

impl Core {
    fn admit(&mut self, frame: &Arc<Frame>, queue_max: usize, wakers: &mut Wakers) {
        self.ring.push(Arc::clone(frame));
        self.fan_out(frame, queue_max, wakers);
    }

    fn fan_out(&mut self, frame: &Arc<Frame>, queue_max: usize, wakers: &mut Wakers) {
        self.values.apply(frame);
        #[cfg(feature = "failpoints")]
        chrono_storage::failpoint::hit("mid_fan_out");
        let outboxes = self.registry.subscribers(&frame.symbol);
        wakers.0.extend(outboxes.filter_map(|outbox| outbox.offer(frame, queue_max)));
        self.head = frame.seq;
    }
}

/// Takes the book's values as current as of `head`.
pub(super) fn seed(encoder: &mut Encoder, values: &mut Values, book: &LatestBook, head: Seq) {
    for entry in book.entries() {
        entry.by_source.iter().for_each(|stored| encoder.note(stored));
        values.seed(&Arc::new(encoder.seed(head, &entry.newest)));
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_panic_amid_a_fan_out_forgets_nobody_who_was_to_be_woken() {
        let bell = Arc::new(Bell::default());
        let cut_short = catch_unwind(AssertUnwindSafe(|| {
            let mut wakers = Wakers::default();
            wakers.0.extend([(); 2].map(|()| Waker::from(Arc::clone(&bell))));
            panic!("amid it");
        }));
        assert!(cut_short.is_err());
        assert_eq!(bell.0.load(Ordering::SeqCst), 2);
    }
}
