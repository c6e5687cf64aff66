//! Log lines on their way to standard error: gathered in memory, written by a thread, so that no request waits for it.

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

/// The lines that wait for the thread in [`LogQueue::run`]; before it runs and after its end they are written at once.
#[derive(Debug, Clone, Default)]
pub struct LogQueue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Signalled for the first line, an urgent one, and the end.
    filled: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// A thread writes.
    served: bool,
    urgent: bool,
    closed: bool,
}

impl LogQueue {
    /// Writes what comes, until the queue is closed.
    pub fn run(&self) {
        let mut lines = Vec::new();
        let mut more = true;
        while more {
            more = self.take(&mut lines);
            // Nobody is left to tell when standard error is gone.
            drop(io::stderr().write_all(&lines));
            lines.clear();
        }
    }

    /// Lets the thread write what waits and end.
    pub fn close(&self) {
        self.0.waiting().closed = true;
        self.0.filled.notify_one();
    }

    /// Waits for lines and takes them; tells whether there may be more.
    fn take(&self, lines: &mut Vec<u8>) -> bool {
        let Shared { filled, .. } = &*self.0;
        let mut waiting = self.0.waiting();
        waiting.served = true;
        waiting = filled
            .wait_while(waiting, |waiting| waiting.lines.is_empty() && !waiting.closed)
            .unwrap_or_else(PoisonError::into_inner);
        waiting = filled
            .wait_timeout_while(waiting, GATHER, |waiting| !waiting.urgent && !waiting.closed)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        std::mem::swap(&mut waiting.lines, lines);
        waiting.urgent = false;
        waiting.served = !waiting.closed;
        waiting.served
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
        if !waiting.served {
            drop(waiting);
            return io::stderr().write(line);
        }
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

    #[test]
    fn lines_come_out_in_order_and_the_last_before_the_end() {
        let queue = LogQueue::default();
        queue.0.waiting().served = true;
        line(&queue, false, b"one\n");
        line(&queue, true, b"two\n");
        let mut lines = Vec::new();
        assert!(queue.take(&mut lines));
        assert_eq!(lines, b"one\ntwo\n");
        lines.clear();
        line(&queue, false, b"three\n");
        queue.close();
        assert!(!queue.take(&mut lines));
        assert_eq!(lines, b"three\n");
    }

    #[test]
    fn what_no_longer_fits_is_dropped_and_never_waited_for() {
        let queue = LogQueue::default();
        queue.0.waiting().served = true;
        let text = [b'x'; 1_000];
        for _ in 0..2_000 {
            line(&queue, false, &text);
        }
        let kept = queue.0.waiting().lines.len();
        assert_eq!(kept, BYTES_MAX / 1_000 * 1_000);
    }

    #[test]
    fn a_thread_writes_until_the_queue_is_closed() {
        let queue = LogQueue::default();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| queue.run());
            queue.close();
            writer.join().unwrap();
        });
        assert!(!queue.0.waiting().served);
    }
}
