//! The deadline of a request's head, armed anew for each request of a connection.
//!
//! hyper asks for a fresh sleep per request and drops it when the head is there. Entering the runtime's timers and
//! leaving them takes their lock each time; a sleep that stays in them is only put off, which takes none.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;

/// Makes the sleeps of one connection out of one, as long as it has one at a time.
///
/// A sleep that nobody waits for may wake the connection's task once, when its last deadline passes.
#[derive(Debug, Clone, Default)]
pub(super) struct HeadTimer {
    idle: Arc<Mutex<Option<Tokio>>>,
}

type Tokio = Pin<Box<tokio::time::Sleep>>;

/// A sleep that goes back to its timer when it is dropped.
struct Lent {
    sleep: Option<Tokio>,
    timer: HeadTimer,
}

impl HeadTimer {
    /// Keeps an idle sleep and gives the one kept before.
    fn exchange(&self, sleep: Option<Tokio>) -> Option<Tokio> {
        std::mem::replace(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner), sleep)
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let sleep = match self.exchange(None) {
            Some(mut idle) => {
                idle.as_mut().reset(deadline.into());
                idle
            }
            None => Box::pin(tokio::time::sleep_until(deadline.into())),
        };
        Box::pin(Lent { sleep: Some(sleep), timer: self.clone() })
    }

    fn now(&self) -> Instant {
        TokioTimer::new().now()
    }
}

impl Sleep for Lent {}

impl Future for Lent {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().map_or(Poll::Ready(()), |sleep| sleep.as_mut().poll(cx))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let sleep = self.sleep.take();
        self.timer.exchange(sleep);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::advance;

    use super::*;

    const SPAN: Duration = Duration::from_secs(30);

    async fn is_over(sleep: &mut Pin<Box<dyn Sleep>>) -> bool {
        poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx).is_ready())).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleep_used_again_ends_at_its_new_deadline() {
        let timer = HeadTimer::default();
        for _ in 0..3 {
            let mut sleep = timer.sleep(SPAN);
            assert!(!is_over(&mut sleep).await);
            advance(SPAN / 2).await;
            assert!(!is_over(&mut sleep).await, "the deadline before it counts no more");
        }
        let mut sleep = timer.sleep(SPAN);
        advance(SPAN * 2).await;
        assert!(is_over(&mut sleep).await);
        drop(sleep);
        let mut again = timer.sleep(SPAN);
        assert!(!is_over(&mut again).await, "one that has ended starts anew");
        again.await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_sleep_at_the_same_time_is_one_of_its_own() {
        let timer = HeadTimer::default();
        let (mut long, mut short) = (timer.sleep(SPAN), timer.sleep(SPAN / 2));
        advance(SPAN / 2 + Duration::from_millis(1)).await;
        assert!(is_over(&mut short).await);
        assert!(!is_over(&mut long).await);
    }
}
