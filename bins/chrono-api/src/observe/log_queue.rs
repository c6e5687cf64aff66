//! Log lines on their way to standard error: gathered in memory, written by a thread, so that nobody waits for a reader
//! who has stalled.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::counter;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Bytes that may wait: some thousand lines. Beyond, lines are dropped and counted.
const BYTES_MAX: usize = 1024 * 1024;
/// How long a line waits for others to share its write; warnings and errors do not wait.
const GATHER: Duration = Duration::from_millis(20);

/// The lines that wait for the thread in [`LogQueue::run`], or for [`LogQueue::write_out`].
#[derive(Debug, Clone, Default)]
pub struct LogQueue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Signalled for the first line, an urgent one, and the end.
    filled: Condvar,
    /// What is being written; locked for as long, so that lines stay in order.
    leaving: Mutex<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    urgent: bool,
    closed: bool,
}

impl LogQueue {
    /// Writes what comes, until the queue is closed.
    pub fn run(&self) {
        let mut more = true;
        while more {
            more = self.wait();
            self.write_out();
        }
    }

    /// Lets the thread write what waits and end.
    pub fn close(&self) {
        self.0.waiting().closed = true;
        self.0.filled.notify_one();
    }

    /// Writes what waits, for as long as standard error takes its time.
    pub fn write_out(&self) {
        self.write_to(&mut io::stderr());
    }

    fn write_to(&self, out: &mut dyn Write) {
        let mut leaving = self.0.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut waiting = self.0.waiting();
            std::mem::swap(&mut waiting.lines, &mut *leaving);
            waiting.urgent = false;
        }
        // Nobody is left to tell when standard error is gone.
        drop(out.write_all(&leaving));
        leaving.clear();
    }

    /// Waits for lines; tells whether there may be more after them.
    fn wait(&self) -> bool {
        let Shared { filled, .. } = &*self.0;
        let waiting = filled
            .wait_while(self.0.waiting(), |waiting| waiting.lines.is_empty() && !waiting.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let waiting = filled
            .wait_timeout_while(waiting, GATHER, |waiting| !waiting.urgent && !waiting.closed)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        !waiting.closed
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { queue: &self.0, urgent: true }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line { queue: &self.0, urgent: *meta.level() <= Level::WARN }
    }
}

/// Takes one line, which comes in one write.
#[derive(Debug)]
pub struct Line<'a> {
    queue: &'a Shared,
    urgent: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.queue.waiting();
        if waiting.lines.len() + line.len() > BYTES_MAX {
            drop(waiting);
            counter!("log_lines_dropped_total").increment(1);
            return Ok(line.len());
        }
        let wake = waiting.lines.is_empty() || self.urgent;
        waiting.lines.extend_from_slice(line);
        waiting.urgent |= self.urgent;
        drop(waiting);
        if wake {
            self.queue.filled.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(queue: &LogQueue, urgent: bool, text: &[u8]) {
        Line { queue: &queue.0, urgent }.write_all(text).unwrap();
    }

    fn written(queue: &LogQueue) -> Vec<u8> {
        let mut lines = Vec::new();
        queue.write_to(&mut lines);
        lines
    }

    #[test]
    fn lines_come_out_in_order_and_the_last_after_the_end() {
        let queue = LogQueue::default();
        line(&queue, false, b"one\n");
        line(&queue, true, b"two\n");
        assert!(queue.wait());
        assert_eq!(written(&queue), b"one\ntwo\n");
        queue.close();
        assert!(!queue.wait());
        line(&queue, false, b"three\n");
        assert_eq!(written(&queue), b"three\n");
        assert_eq!(written(&queue), b"");
    }

    #[test]
    fn what_no_longer_fits_is_dropped_and_never_waited_for() {
        let queue = LogQueue::default();
        let text = [b'x'; 1_000];
        for _ in 0..2_000 {
            line(&queue, false, &text);
        }
        assert_eq!(written(&queue).len(), BYTES_MAX / 1_000 * 1_000);
    }

    #[test]
    fn a_thread_writes_until_the_queue_is_closed() {
        let queue = LogQueue::default();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| queue.run());
            line(&queue, true, b"\n");
            queue.close();
            writer.join().unwrap();
        });
        assert_eq!(written(&queue), b"");
    }
}
