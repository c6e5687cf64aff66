//! A timer that is set again only where it would ring too late.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use chrono_domain::Clock;
use tokio::time::{Sleep, sleep};

/// Rings at a deadline that moves. Most moves are to a later time and cost nothing: the alarm rings once for the earlier
/// one and is set anew.
#[derive(Debug)]
pub(super) struct Alarm {
    clock: Arc<dyn Clock>,
    /// The uptime for which the timer is set.
    set_for: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Alarm {
    pub(super) fn new(clock: Arc<dyn Clock>, deadline: Duration) -> Self {
        let timer = Box::pin(sleep(deadline.saturating_sub(clock.uptime())));
        Self { clock, set_for: deadline, timer }
    }

    /// Is ready once the deadline has come; else the task is woken then.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, deadline: Duration) -> Poll<()> {
        if deadline < self.set_for {
            self.set(deadline);
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            self.set(deadline);
            if self.clock.uptime() >= deadline {
                return Poll::Ready(());
            }
        }
    }

    fn set(&mut self, deadline: Duration) {
        self.set_for = deadline;
        self.timer.set(sleep(deadline.saturating_sub(self.clock.uptime())));
    }
}
