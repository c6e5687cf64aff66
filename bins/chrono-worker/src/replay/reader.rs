//! The reading side of a replay: lines to feeds to batches, on a thread of its own.

use std::time::Duration;

use chrono_client::Feed;
use chrono_domain::Timestamp;
use indicatif::ProgressBar;
use tokio::sync::mpsc;

use super::input::{Input, Line, read_line};
use super::{Batch, Batcher, Pacer, Run, Unreadable};
use crate::{TickerVolume, WorkerError, read_row};

/// Unreadable lines that are written out in a summary; all are counted.
const REASONS_MAX: usize = 10;

/// Reads recordings and hands batches to the lanes.
pub(super) struct Reader {
    pub(super) inputs: Vec<Input>,
    pub(super) run: Run,
    pub(super) pacer: Pacer,
    pub(super) ticker_volume: TickerVolume,
    pub(super) unreadable: Unreadable,
    pub(super) lanes: Vec<mpsc::Sender<Batch>>,
    pub(super) progress: ProgressBar,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct ReadTally {
    pub(super) rows: u64,
    pub(super) unreadable: u64,
    pub(super) reasons: Vec<String>,
    pub(super) stopped: Option<WorkerError>,
}

/// How long a recording is.
#[derive(Debug, Default)]
pub(super) struct Span {
    /// The newest time in it.
    pub(super) newest: Option<Timestamp>,
    /// How long its replay takes.
    pub(super) paced: Duration,
}

/// Nobody takes batches any more: the replay was interrupted or a lane failed, which the lane reports.
struct Abandoned;

impl ReadTally {
    pub(super) fn stopped(fault: WorkerError) -> Self {
        Self { stopped: Some(fault), ..Self::default() }
    }

    fn note(
        &mut self,
        place: &str,
        reason: String,
        unreadable: Unreadable,
    ) -> Result<(), WorkerError> {
        self.unreadable += 1;
        if unreadable == Unreadable::Stop {
            return Err(WorkerError::Unreadable { place: place.to_owned(), reason });
        }
        if self.reasons.len() < REASONS_MAX {
            self.reasons.push(format!("{place}: {reason}"));
        }
        Ok(())
    }
}

impl Reader {
    pub(super) fn read(mut self) -> ReadTally {
        let mut tally = ReadTally::default();
        for input in std::mem::take(&mut self.inputs) {
            match self.read_input(&input, &mut tally) {
                Ok(Ok(())) => {}
                Ok(Err(Abandoned)) => return tally,
                Err(fault) => {
                    tally.stopped = Some(fault);
                    return tally;
                }
            }
        }
        self.progress.finish();
        tally
    }

    fn read_input(
        &mut self,
        input: &Input,
        tally: &mut ReadTally,
    ) -> Result<Result<(), Abandoned>, WorkerError> {
        let run = self.run.clone();
        let mut batcher = Batcher::new(&run, &input.label(), &input.identity());
        let mut rows = Rows::open(input, self.ticker_volume, &self.progress)?;
        while let Some(Row { line, feed }) = rows.next()? {
            let mut feed = match feed {
                Ok(feed) => feed,
                Err(reason) => {
                    tally.note(&input.place(line), reason, self.unreadable)?;
                    continue;
                }
            };
            tally.rows += 1;
            let due = self.place(&mut feed);
            if let Err(Abandoned) = self.hand_over(batcher.push(line, feed, due)) {
                return Ok(Err(Abandoned));
            }
        }
        Ok(self.hand_over(batcher.finish()))
    }

    /// Moves a feed's time and tells when it is due; a time that is none is left for the gateway to refuse.
    fn place(&mut self, feed: &mut Feed) -> Duration {
        let Ok(at) = Timestamp::parse_rfc3339(&feed.timestamp) else { return self.pacer.due() };
        if self.run.shift_micros != 0
            && let Ok(moved) =
                Timestamp::from_micros(at.micros().saturating_add(self.run.shift_micros))
        {
            feed.timestamp = moved.to_string();
        }
        self.pacer.advance(at)
    }

    fn hand_over(&self, batches: Vec<(usize, Batch)>) -> Result<(), Abandoned> {
        for (lane, batch) in batches {
            let lane = self.lanes.get(lane).ok_or(Abandoned)?;
            lane.blocking_send(batch).map_err(|_closed| Abandoned)?;
        }
        Ok(())
    }
}

/// Reads recordings once to learn how long they are.
pub(super) fn span(
    inputs: &[Input],
    mut pacer: Pacer,
    ticker_volume: TickerVolume,
) -> Result<Span, WorkerError> {
    if inputs.iter().any(Input::is_stdin) {
        return Err(WorkerError::ShiftOfStdin);
    }
    for input in inputs {
        let mut rows = Rows::open(input, ticker_volume, &ProgressBar::hidden())?;
        while let Some(row) = rows.next()? {
            let at = row.feed.ok().and_then(|feed| Timestamp::parse_rfc3339(&feed.timestamp).ok());
            if let Some(at) = at {
                pacer.advance(at);
            }
        }
    }
    Ok(Span { newest: pacer.newest(), paced: pacer.due() })
}

/// A line that is not empty: its number, from 1, and its tick or why it is none.
struct Row {
    line: u64,
    feed: Result<Feed, String>,
}

/// The rows of one recording; empty lines are passed over.
struct Rows<'a> {
    input: &'a Input,
    source: Box<dyn std::io::BufRead>,
    buffer: Vec<u8>,
    line: u64,
    ticker_volume: TickerVolume,
}

impl<'a> Rows<'a> {
    fn open(
        input: &'a Input,
        ticker_volume: TickerVolume,
        progress: &ProgressBar,
    ) -> Result<Self, WorkerError> {
        let source = input.open(progress)?;
        Ok(Self { input, source, buffer: Vec::new(), line: 0, ticker_volume })
    }

    /// Gives the next row.
    fn next(&mut self) -> Result<Option<Row>, WorkerError> {
        loop {
            self.line += 1;
            let read = read_line(self.source.as_mut(), &mut self.buffer).map_err(|source| {
                WorkerError::Read { place: self.input.place(self.line), source }
            })?;
            let feed = match read {
                Line::End => return Ok(None),
                Line::TooLong => Err("longer than 64 KiB".to_owned()),
                Line::Text if self.buffer.trim_ascii().is_empty() => continue,
                Line::Text => {
                    read_row(&self.buffer, self.ticker_volume).map_err(|fault| fault.to_string())
                }
            };
            return Ok(Some(Row { line: self.line, feed }));
        }
    }
}
