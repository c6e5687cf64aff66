//! The one owner of every task and thread: it catches panics, restarts, counts, reports and stops.
//!
//! Three kinds of work run here. A **task** or **thread** lives as long as the process, by a [`Policy`], and is
//! restarted with backoff when it dies. A **connection** lives as long as its peer and is not restarted. Stopping has
//! two steps: *draining* asks connections and listeners to finish, *halting* drops what is left; between them requests
//! in flight still find every task they need.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use chrono_domain::Clock;
use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio::task::JoinError;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The first wait before a restart; each further one is twice as long.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// The longest wait before a restart.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A task that ran so long is well: its backoff starts anew, and readiness forgets its restart.
const SETTLED: Duration = Duration::from_secs(10);
/// How long halted tasks and threads may take to end beyond the deadline of a shutdown.
const HALT_GRACE: Duration = Duration::from_secs(4);

/// What the end of a task means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// It runs until it is dropped at the halt; returning before is a fault.
    Forever,
    /// It ends by itself, when it is told to drain or when its queue closes; the halt waits for it.
    ToEnd,
}

/// Runs, watches and stops everything; cheap to clone.
#[derive(Debug, Clone)]
pub struct Supervisor {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    connections: TaskTracker,
    drain: CancellationToken,
    halt: CancellationToken,
    states: Mutex<BTreeMap<&'static str, State>>,
}

/// What readiness wants to know of a task.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    running: bool,
    restarts: u32,
    /// Uptime of the clock when it last started.
    started: Duration,
}

/// Why an attempt at running a task is over.
enum Ended {
    Returned,
    Halted,
    Failed(String),
}

impl Supervisor {
    /// Starts with nothing to watch.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let shared = Shared {
            clock,
            tasks: TaskTracker::new(),
            connections: TaskTracker::new(),
            drain: CancellationToken::new(),
            halt: CancellationToken::new(),
            states: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Runs a task, and makes a new one with `factory` whenever it dies.
    ///
    /// `name` labels the metrics `task_panics_total` and `task_restarts_total`.
    pub fn task<F, Fut>(&self, name: &'static str, policy: Policy, factory: F)
    where
        F: Fn() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let halt = self.shared.halt.clone();
        let attempt = move || {
            // The factory may panic as well as what it makes.
            let made = catch_unwind(AssertUnwindSafe(&factory));
            let halt = halt.clone();
            async move {
                let running = match made {
                    Ok(running) => AssertUnwindSafe(running).catch_unwind(),
                    Err(payload) => return ended_of(Err(payload)),
                };
                tokio::select! {
                    biased;
                    () = halt.cancelled(), if policy == Policy::Forever => Ended::Halted,
                    ended = running => ended_of(ended),
                }
            }
        };
        self.spawn_watch(name, policy, attempt);
    }

    /// Runs blocking work on a thread of its own until it returns, anew when it panics.
    ///
    /// A thread cannot be dropped: it must end when its queue closes or at the halt.
    pub fn thread<F>(&self, name: &'static str, run: F)
    where
        F: Fn() + Send + Sync + 'static,
    {
        let run = Arc::new(run);
        let attempt = move || {
            let run = Arc::clone(&run);
            let (done, ended) = oneshot::channel();
            let body = move || {
                let ended = catch_unwind(AssertUnwindSafe(|| run()));
                // Nobody listens any more only when the runtime is gone.
                drop(done.send(ended));
            };
            let spawned = thread::Builder::new().name(name.to_owned()).spawn(body);
            async move {
                match spawned {
                    Ok(_detached) => match ended.await {
                        Ok(ended) => ended_of(ended),
                        Err(_gone) => Ended::Failed("the thread vanished".to_owned()),
                    },
                    Err(fault) => Ended::Failed(format!("the thread did not start: {fault}")),
                }
            }
        };
        self.spawn_watch(name, Policy::ToEnd, attempt);
    }

    /// Runs the work of one connection; a panic ends it alone, and the halt drops it.
    pub fn connection<Fut>(&self, serve: Fut)
    where
        Fut: Future<Output = ()> + Send + 'static,
    {
        // A child of its own: connections must not meet at one lock whenever they are polled.
        let halt = self.shared.halt.child_token();
        let guarded = async move {
            tokio::select! {
                biased;
                () = halt.cancelled() => {}
                ended = AssertUnwindSafe(serve).catch_unwind() => {
                    if let Err(payload) = ended {
                        note_panic("connection", &message_of(&*payload));
                    }
                }
            }
        };
        spawn(&self.shared.connections, guarded);
    }

    /// Gives the token that asks listeners and connections to finish.
    pub fn draining(&self) -> CancellationToken {
        self.shared.drain.clone()
    }

    /// Gives the token that is cancelled once every connection has ended: for what closes a thread's queue.
    pub fn halting(&self) -> CancellationToken {
        self.shared.halt.clone()
    }

    /// Names what does not run as it should; empty when all is well.
    ///
    /// A task that was restarted counts until it has run for ten seconds.
    pub fn faults(&self) -> Vec<String> {
        let now = self.shared.clock.uptime();
        let fault = |(name, state): (&&'static str, &State)| {
            let unsettled = state.restarts > 0 && now.saturating_sub(state.started) < SETTLED;
            match state {
                State { running: false, restarts, .. } => {
                    Some(format!("{name} is down after {restarts} restarts"))
                }
                State { restarts, .. } if unsettled => {
                    Some(format!("{name} was restarted, {restarts} times so far"))
                }
                State { .. } => None,
            }
        };
        self.shared.states().iter().filter_map(fault).collect()
    }

    /// Drains until `deadline` has passed or nothing is connected any more, then halts; names what did not end.
    pub async fn shutdown(&self, deadline: Duration) -> Vec<&'static str> {
        let Shared { tasks, connections, drain, halt, .. } = &*self.shared;
        drain.cancel();
        connections.close();
        if timeout(deadline, connections.wait()).await.is_err() {
            tracing::warn!(connections = connections.len(), "connections cut at the deadline");
        }
        halt.cancel();
        tasks.close();
        if timeout(HALT_GRACE, tasks.wait()).await.is_ok() {
            return Vec::new();
        }
        self.shared.states().keys().copied().collect()
    }

    fn spawn_watch<F, Fut>(&self, name: &'static str, policy: Policy, attempt: F)
    where
        F: Fn() -> Fut + Send + 'static,
        Fut: Future<Output = Ended> + Send,
    {
        let shared = Arc::clone(&self.shared);
        let watch = async move { shared.watch(name, policy, attempt).await };
        spawn(&self.shared.tasks, watch);
    }
}

impl Shared {
    /// Attempts again and again until the end is meant.
    async fn watch<F, Fut>(&self, name: &'static str, policy: Policy, attempt: F)
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Ended>,
    {
        // There from the first scrape, so that an alert tells zero from nothing.
        for figure in ["task_panics_total", "task_restarts_total"] {
            metrics::counter!(figure, "task" => name).increment(0);
        }
        let mut backoff = BACKOFF_MIN;
        loop {
            let started = self.clock.uptime();
            self.update(name, |state| (state.running, state.started) = (true, started));
            match attempt().await {
                Ended::Halted => break,
                Ended::Returned if policy == Policy::ToEnd => break,
                Ended::Returned => tracing::error!(task = name, "task returned"),
                Ended::Failed(message) => note_panic(name, &message),
            }
            self.update(name, |state| {
                state.running = false;
                state.restarts = state.restarts.saturating_add(1);
            });
            if self.clock.uptime().saturating_sub(started) >= SETTLED {
                backoff = BACKOFF_MIN;
            }
            if self.halt.run_until_cancelled(sleep(backoff)).await.is_none() {
                break;
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
            metrics::counter!("task_restarts_total", "task" => name).increment(1);
        }
        self.states().remove(name);
    }

    fn update(&self, name: &'static str, change: impl FnOnce(&mut State)) {
        change(self.states().entry(name).or_default());
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<&'static str, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs blocking work once, on a thread that is left to itself when the future is dropped.
#[expect(clippy::disallowed_methods, reason = "this is the supervisor")]
pub(crate) async fn once<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    tokio::task::spawn_blocking(work).await
}

/// Runs the last work of a process on a thread that is left to itself when it takes longer; tells whether it ended.
pub(crate) fn within(time: Duration, work: impl FnOnce() + Send + 'static) -> bool {
    let (working, worked) = sync_channel::<()>(0);
    let body = move || {
        work();
        drop(working);
    };
    let spawned = thread::Builder::new().name("last-words".to_owned()).spawn(body);
    spawned.is_ok() && worked.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
}

/// The only place in the program where work that goes on is handed to the runtime.
#[expect(clippy::disallowed_methods, reason = "this is the supervisor")]
fn spawn<Fut>(tracker: &TaskTracker, work: Fut)
where
    Fut: Future<Output = ()> + Send + 'static,
{
    // The handle is not needed: the tracker knows when the work is over, and panics were caught inside.
    drop(tracker.spawn(work));
}

fn ended_of(ended: thread::Result<()>) -> Ended {
    ended.map_or_else(|payload| Ended::Failed(message_of(&*payload)), |()| Ended::Returned)
}

fn note_panic(name: &'static str, message: &str) {
    metrics::counter!("task_panics_total", "task" => name).increment(1);
    tracing::error!(task = name, panic = message, "task panicked");
}

/// Reads what a panic said.
pub(crate) fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}

#[cfg(test)]
mod tests;
