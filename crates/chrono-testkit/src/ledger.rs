//! The durability ledger: what a gateway was sent and what it said, kept by the other side.
//!
//! It shares no code with the gateway. Whoever posts writes and syncs a line before each send and after each answer,
//! so that whatever dies, the file says what was promised. [`Book::judge`] then compares it with what the public API
//! gives back, and counts every promise that was broken.
//!
//! A feed is known by its price: the sender gives every price once only.

mod book;
mod history;
mod numbers;
mod readback;
mod recount;
mod verdict;

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Context;

pub use book::{Answer, Batch, Book, Fate, SentBatch, SentFeed, Sighting};
pub use numbers::rfc3339;
pub use readback::{Plan, Readback, latest};
pub use verdict::{Verdict, Wrong};

use book::Line;

/// A book that is on the disk before it is believed.
#[derive(Debug)]
pub struct Ledger {
    file: File,
    book: Book,
}

impl Ledger {
    /// Starts an empty ledger in a new file.
    ///
    /// # Errors
    /// When the file exists or cannot be made.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create_new(path).with_context(|| path.display().to_string())?;
        Ok(Self { file, book: Book::default() })
    }

    /// Gives what is written so far.
    pub const fn book(&self) -> &Book {
        &self.book
    }

    /// Notes that a batch is about to be sent for the first time; gives its number.
    ///
    /// # Errors
    /// When the line cannot be written and synced.
    pub fn sending(&mut self, sent: SentBatch) -> anyhow::Result<usize> {
        let batch = self.book.batches().len();
        self.put(Line::Sending { batch, sent })?;
        Ok(batch)
    }

    /// Notes that a batch is about to be sent again, under its key.
    ///
    /// # Errors
    /// As [`Ledger::sending`].
    pub fn sending_again(&mut self, batch: usize) -> anyhow::Result<()> {
        self.put(Line::SendingAgain { batch })
    }

    /// Notes what came back.
    ///
    /// # Errors
    /// As [`Ledger::sending`].
    pub fn answered(&mut self, batch: usize, answer: Answer) -> anyhow::Result<()> {
        self.put(Line::Answered { batch, answer })
    }

    /// Notes that a batch without an answer and without a key was found stored, or not, after the gateway's end.
    ///
    /// # Errors
    /// As [`Ledger::sending`].
    pub fn found(&mut self, batch: usize, stored: bool) -> anyhow::Result<()> {
        self.put(Line::Found { batch, stored })
    }

    /// Notes the latest prices that somebody was shown.
    ///
    /// # Errors
    /// As [`Ledger::sending`].
    pub fn saw(&mut self, sighting: Sighting) -> anyhow::Result<()> {
        self.put(Line::Saw(sighting))
    }

    /// Notes the prices that came on one stream, without the snapshots, in their order.
    ///
    /// # Errors
    /// As [`Ledger::sending`].
    pub fn followed(&mut self, prices: Vec<String>) -> anyhow::Result<()> {
        self.put(Line::Followed { prices })
    }

    fn put(&mut self, line: Line) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        self.file.write_all(&text)?;
        // Only what is sent and answered is a promise.
        if !matches!(line, Line::Saw(_) | Line::Followed { .. }) {
            self.file.sync_data()?;
        }
        self.book.apply(line)
    }
}

#[cfg(test)]
mod tests;
