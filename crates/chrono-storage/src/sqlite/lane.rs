//! A lane: a bounded queue of jobs and the blocking loop that runs them over one connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, after, select, select_biased};
use tokio::sync::oneshot;

use super::connection::{Reader, Writer};
use super::fault::Fault;
use super::open::StoreFile;

/// Places of a queue that only cycles take: one call of theirs waits at a time, those before it were given up. Too few, and
/// a cycle stands still while others fill the queue.
const RESERVED: usize = 4;

/// Calls that may wait to be the next ones. Too few, and a probe beside others is refused though all is well; too many, and
/// they hold up those that have waited.
const FIRST: usize = 8;

/// How long the writer waits at the end for those that read: a stop as a whole has four seconds for it.
const READERS_END: Duration = Duration::from_secs(3);

/// What a job asks of the lane after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The connection is as good as before.
    Keep,
    /// The job failed: the next one gets a fresh connection.
    Reopen,
}

/// Work on a connection, or on the failure to open one; it answers its caller itself.
pub(super) type Job<C> = Box<dyn FnOnce(Result<&mut C, Fault>) -> Next + Send>;

/// The lanes' end of a queue.
#[derive(Debug)]
pub(super) struct Jobs<C> {
    first: Receiver<Job<C>>,
    others: Receiver<Job<C>>,
}

/// The callers' end of a lane; once closed it takes no more jobs.
#[derive(Debug)]
pub(super) struct Calls<C> {
    senders: Mutex<Option<Senders<C>>>,
    /// Jobs that may wait before a call is refused; there is room for [`RESERVED`] more.
    waiting_max: usize,
}

#[derive(Debug)]
struct Senders<C> {
    first: Sender<Job<C>>,
    others: Sender<Job<C>>,
}

/// Where in a queue a job waits.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// Before all others.
    First,
    /// Behind fewer than so many.
    Behind(usize),
}

/// The thread that writes: [`WriterLane::run`] is its whole body.
#[derive(Debug)]
pub struct WriterLane {
    pub(super) jobs: Jobs<Writer>,
    pub(super) file: Arc<StoreFile>,
    /// Hears of each reader's end.
    pub(super) readers: Receiver<()>,
}

/// A thread that reads: [`ReaderLane::run`] is its whole body.
#[derive(Debug)]
pub struct ReaderLane {
    pub(super) jobs: Jobs<Reader>,
    pub(super) file: Arc<StoreFile>,
    /// Tells the writer of its end.
    pub(super) ended: Sender<()>,
}

impl WriterLane {
    /// Writes until the store is closed and all that waited is done.
    ///
    /// It blocks, so it wants a thread of its own. A job that panics takes the loop with it: its caller gets an
    /// error, its transaction is rolled back, and running the lane again goes on with the next job over a fresh
    /// connection.
    ///
    /// When the readers have ended too, it brings the log file over into the database and takes it away, so that the
    /// one file holds everything. What keeps it from that is logged as an error, and never holds it up for long: the
    /// next start reads the log file.
    pub fn run(&self) {
        serve(&self.jobs, || Writer::open(&self.file), Writer::rest);
        let settled = self.readers_ended().and_then(|()| self.file.settle());
        let settled = settled.map_err(|fault| self.file.health.note(fault));
        if let Err(fault) = settled {
            tracing::error!(
                error = &fault as &dyn std::error::Error,
                path = %self.file.settings.path.display(),
                "the store's file does not hold everything without the -wal file beside it: keep both"
            );
        }
    }

    fn readers_ended(&self) -> Result<(), Fault> {
        let deadline = after(READERS_END);
        // And the lane of upkeep.
        for _lane in 0..=self.file.settings.readers.get() {
            select! {
                // They have also ended when they were dropped.
                recv(self.readers) -> _ => {}
                recv(deadline) -> _ => return Err(Fault::Busy),
            }
        }
        Ok(())
    }
}

impl ReaderLane {
    /// Reads until the store is closed and all that waited is done; as [`WriterLane::run`].
    pub fn run(&self) {
        serve(&self.jobs, || Reader::open(&self.file), |_reader| ());
        if self.ended.try_send(()).is_err() {
            tracing::debug!("the writer has not waited for a reader");
        }
    }
}

/// Makes a queue that holds `waiting_max` jobs, and some of cycles beside.
pub(super) fn queue<C>(waiting_max: usize) -> (Calls<C>, Jobs<C>) {
    let (first, first_jobs) = crossbeam_channel::bounded(FIRST);
    let (others, other_jobs) = crossbeam_channel::bounded(waiting_max.saturating_add(RESERVED));
    let senders = Mutex::new(Some(Senders { first, others }));
    (Calls { senders, waiting_max }, Jobs { first: first_jobs, others: other_jobs })
}

impl<C> Clone for Jobs<C> {
    fn clone(&self) -> Self {
        Self { first: self.first.clone(), others: self.others.clone() }
    }
}

impl<C> Jobs<C> {
    /// Waits for the next job; none once the queue is closed and empty.
    fn next(&self) -> Option<Job<C>> {
        let job = select_biased! {
            recv(self.first) -> job => job.or_else(|_closed| self.others.recv()),
            recv(self.others) -> job => job.or_else(|_closed| self.first.recv()),
        };
        job.ok()
    }
}

impl<C: 'static> Calls<C> {
    /// Queues work and waits for its result.
    ///
    /// # Cancel safety
    /// Work whose caller has gone before its turn is not done; work that has begun is finished, unless it looks after
    /// its caller itself, as reads do.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut C) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        self.call_at(Turn::Behind(self.waiting_max), work).await
    }

    /// As [`Calls::call`], for cycles, which find room when others have filled the queue.
    pub(super) async fn call_of_cycle<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut C) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        self.call_at(Turn::Behind(usize::MAX), work).await
    }

    /// As [`Calls::call`], before all that wait: for what asks whether they are served.
    pub(super) async fn call_first<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut C) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        self.call_at(Turn::First, work).await
    }

    async fn call_at<T: Send + 'static>(
        &self,
        turn: Turn,
        work: impl FnOnce(&mut C) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (reply, answer) = oneshot::channel();
        let job: Job<C> = Box::new(move |connection| {
            if reply.is_closed() {
                return Next::Keep;
            }
            let outcome = connection.and_then(work);
            let next = if outcome.is_ok() { Next::Keep } else { Next::Reopen };
            // A caller that has gone does not want its answer.
            drop(reply.send(outcome));
            next
        });
        self.send(job, turn)?;
        answer.await.unwrap_or(Err(Fault::Lost))
    }

    /// Takes no more calls; those that wait are still served.
    pub(super) fn close(&self) {
        *self.senders() = None;
    }

    /// Tells whether it takes no more calls.
    pub(super) fn is_closed(&self) -> bool {
        self.senders().is_none()
    }

    fn send(&self, job: Job<C>, turn: Turn) -> Result<(), Fault> {
        // Held meanwhile: two that count together would take a place that is not theirs.
        let senders = self.senders();
        let senders = senders.as_ref().ok_or(Fault::Closed)?;
        let sender = match turn {
            Turn::First => &senders.first,
            Turn::Behind(waiting_max) if senders.others.len() < waiting_max => &senders.others,
            Turn::Behind(_) => return Err(Fault::Full),
        };
        sender.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => Fault::Full,
            TrySendError::Disconnected(_) => Fault::Closed,
        })
    }

    fn senders(&self) -> MutexGuard<'_, Option<Senders<C>>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs jobs until every sender is gone; opens a connection for the first one and after each failure.
///
/// After each job, when its caller has its answer, the connection may `rest`.
fn serve<C>(jobs: &Jobs<C>, open: impl Fn() -> Result<C, Fault>, rest: impl Fn(&mut C)) {
    let mut held = None;
    while let Some(job) = jobs.next() {
        let connection = match held.take() {
            Some(connection) => Ok(connection),
            None => open(),
        };
        match connection {
            Ok(mut connection) => {
                if job(Ok(&mut connection)) == Next::Keep {
                    rest(&mut connection);
                    held = Some(connection);
                }
            }
            Err(fault) => drop(job(Err(fault))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Serves until closed, again after each panic, and counts the connections.
    fn supervise(jobs: &Jobs<u32>, opened: &AtomicU32) {
        let open = || Ok(opened.fetch_add(1, Ordering::SeqCst));
        while catch_unwind(AssertUnwindSafe(|| serve(jobs, open, |_| ()))).is_err() {}
    }

    #[test]
    fn a_panic_loses_its_own_call_and_the_connection_only() {
        let (calls, jobs) = queue::<u32>(8);
        let opened = AtomicU32::new(0);
        let work = async {
            assert_eq!(calls.call(|nth| Ok(*nth)).await.unwrap(), 0);
            let lost = calls.call(|_| -> Result<(), Fault> { panic!("as planned") }).await;
            assert!(matches!(lost, Err(Fault::Lost)));
            assert_eq!(calls.call(|nth| Ok(*nth)).await.unwrap(), 1);
            let failed = calls.call(|_| -> Result<(), Fault> { Err(Fault::Full) }).await;
            assert!(matches!(failed, Err(Fault::Full)));
            assert_eq!(calls.call(|nth| Ok(*nth)).await.unwrap(), 2);
            calls.close();
            assert!(matches!(calls.call(|nth| Ok(*nth)).await, Err(Fault::Closed)));
        };
        std::thread::scope(|scope| {
            scope.spawn(|| supervise(&jobs, &opened));
            tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work);
        });
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_failed_opening_answers() {
        let (calls, jobs) = queue::<u32>(1);
        let mut waiting = std::pin::pin!(calls.call(|nth| Ok(*nth)));
        assert!(poll(waiting.as_mut()).is_pending());
        assert!(matches!(calls.call(|nth| Ok(*nth)).await, Err(Fault::Full)));
        calls.close();
        serve(&jobs, || Err(Fault::Closed), |_| ());
        assert!(matches!(waiting.await, Err(Fault::Closed)));
    }

    #[tokio::test]
    async fn a_cycle_finds_room_in_a_queue_that_others_have_filled() {
        let (calls, jobs) = queue::<u32>(2);
        let mut of_cycle = std::pin::pin!(calls.call_of_cycle(|nth| Ok(*nth)));
        assert!(poll(of_cycle.as_mut()).is_pending());
        let mut waiting = std::pin::pin!(calls.call(|nth| Ok(*nth)));
        assert!(poll(waiting.as_mut()).is_pending());
        for _ in 0..9 {
            assert!(matches!(calls.call(|nth| Ok(*nth)).await, Err(Fault::Full)));
        }
        let mut another = std::pin::pin!(calls.call_of_cycle(|nth| Ok(*nth)));
        assert!(poll(another.as_mut()).is_pending());
        calls.close();
        serve(&jobs, || Ok(7), |_| ());
        assert!(matches!((of_cycle.await, waiting.await, another.await), (Ok(7), Ok(7), Ok(7))));
    }

    #[tokio::test]
    async fn a_call_that_asks_whether_others_are_served_comes_before_them_however_many_wait() {
        let (calls, jobs) = queue::<u32>(2);
        let count = |nth: &mut u32| {
            *nth += 1;
            Ok(*nth)
        };
        let mut one = std::pin::pin!(calls.call(count));
        let mut two = std::pin::pin!(calls.call(count));
        assert!(poll(one.as_mut()).is_pending() && poll(two.as_mut()).is_pending());
        assert!(matches!(calls.call(count).await, Err(Fault::Full)));
        let mut first = Vec::new();
        for _ in 0..FIRST {
            first.push(Box::pin(calls.call_first(count)));
        }
        assert!(first.iter_mut().all(|first| poll(first.as_mut()).is_pending()));
        assert!(matches!(calls.call_first(count).await, Err(Fault::Full)));
        calls.close();
        assert!(matches!(calls.call_first(count).await, Err(Fault::Closed)));
        serve(&jobs, || Ok(0), |_| ());
        let mut turn = 0;
        for first in first {
            turn += 1;
            assert_eq!(first.await.unwrap(), turn);
        }
        assert_eq!((one.await.unwrap(), two.await.unwrap()), (turn + 1, turn + 2));
    }

    #[tokio::test]
    async fn a_caller_that_left_is_not_served() {
        let (calls, jobs) = queue::<u32>(1);
        {
            let mut left =
                std::pin::pin!(calls.call(|_| -> Result<(), Fault> { panic!("served") }));
            assert!(poll(left.as_mut()).is_pending());
        }
        calls.close();
        serve(&jobs, || Ok(0), |_| ());
    }

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
        future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }
}
