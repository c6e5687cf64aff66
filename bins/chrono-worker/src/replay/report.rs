//! What a replay did, in numbers.

use std::fmt;
use std::time::Duration;

use chrono_client::ClientError;

use super::Run;
use super::reader::ReadTally;
use crate::poster::write_reasons;
use crate::{Tally, WorkerError};

/// What a replay did.
#[derive(Debug)]
pub struct ReplayReport {
    /// The run, to be resumed when it was interrupted.
    pub run: Run,
    /// Whether an earlier replay began it.
    pub resumed: bool,
    /// Ticks read.
    pub rows: u64,
    /// Lines that are no ticks.
    pub unreadable: u64,
    /// The first of them, with file, line and reason.
    pub unreadable_reasons: Vec<String>,
    /// What became of the ticks.
    pub tally: Tally,
    /// How long it took.
    pub duration: Duration,
    /// What ended it before its time.
    pub stopped: Option<WorkerError>,
    /// Whether it was told to end.
    pub interrupted: bool,
}

impl ReplayReport {
    pub(super) fn new(run: Run, resumed: bool, reads: ReadTally, duration: Duration) -> Self {
        Self {
            run,
            resumed,
            rows: reads.rows,
            unreadable: reads.unreadable,
            unreadable_reasons: reads.reasons,
            tally: Tally::default(),
            duration,
            stopped: reads.stopped,
            interrupted: false,
        }
    }

    /// Tells whether every line of every file was read, posted and stored.
    pub fn is_complete(&self) -> bool {
        self.stopped.is_none()
            && !self.interrupted
            && self.unreadable == 0
            && self.tally.refused == 0
            && self.tally.stored() == self.rows
    }

    /// Tells whether the gateway knows an idempotency key of this run with other ticks.
    fn posts_other_ticks(&self) -> bool {
        let Some(WorkerError::Gateway { source: ClientError::Refused(refusal), .. }) =
            &self.stopped
        else {
            return false;
        };
        refusal.code == "IDEMPOTENCY_MISMATCH"
    }

    /// Gives ticks per second that are stored by now, repeats included.
    fn rate(&self) -> u128 {
        u128::from(self.tally.stored()) * 1_000 / self.duration.as_millis().max(1)
    }
}

impl fmt::Display for ReplayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "run               {}", self.run)?;
        writeln!(f, "rows read         {}", self.rows)?;
        writeln!(f, "unreadable        {}", self.unreadable)?;
        write_reasons(f, &self.unreadable_reasons, self.unreadable)?;
        write!(f, "{}", self.tally)?;
        writeln!(f, "duration          {} ms", self.duration.as_millis())?;
        writeln!(f, "rows per second   {}", self.rate())?;
        if self.resumed && self.tally.batches > 0 && self.tally.replayed_batches == 0 {
            f.write_str(
                "nothing of this run was stored in the last 24 h by this worker from these files\n",
            )?;
        }
        if self.posts_other_ticks() {
            f.write_str("not finished: the files are not what this run posted before; replay them as a new run\n")?;
        } else if self.interrupted || self.stopped.is_some() {
            writeln!(f, "not finished: go on with --run {}", self.run)?;
        }
        Ok(())
    }
}
