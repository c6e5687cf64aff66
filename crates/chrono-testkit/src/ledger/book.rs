//! What the ledger's lines add up to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::readback::Window;

/// Feeds closer than this, in microseconds, are read back in one stretch: too little, and there are many short ones; too
/// much, and what lies between is read again and again.
const APART: i64 = 10_000_000;

/// A feed as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentFeed {
    /// `BASE/QUOTE`.
    pub symbol: String,
    /// The source.
    pub source: String,
    /// The source's time, in microseconds since 1970.
    pub at: i64,
    /// The price's text; no two feeds of a ledger have prices of the same value.
    pub price: String,
    /// The volume's text.
    pub volume: Option<String>,
    /// A JSON object in canonical form.
    pub metadata: Option<String>,
}

/// A batch as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentBatch {
    /// Who sent it.
    pub worker: String,
    /// Its idempotency key; a batch without one is sent once.
    pub key: Option<String>,
    /// The feeds, in their order.
    pub feeds: Vec<SentFeed>,
}

/// What came back for a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It is stored, but for some feeds.
    Stored {
        /// The places in the batch of the feeds that were refused.
        refused: Vec<usize>,
        /// Whether an earlier send had stored it.
        repeated: bool,
    },
    /// It is not stored, and will not be.
    Refused,
    /// Nothing that says whether it is stored.
    Unknown,
}

/// Latest prices, as somebody was shown them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// How many lines the ledger had when they were asked for.
    pub asked: u64,
    /// Price by symbol.
    pub prices: BTreeMap<String, String>,
}

/// What is known of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Stored or not: whole or not at all.
    Open,
    /// Stored, but for the feeds at these places.
    Stored(Vec<usize>),
    /// Not stored.
    NotStored,
}

/// A batch and what became of it.
#[derive(Debug, Clone)]
pub struct Batch {
    /// What was sent.
    pub sent: SentBatch,
    /// What is known of it.
    pub fate: Fate,
    /// The line of its first send: it arrived after everything that was settled before.
    pub first_line: u64,
    /// The line since which its fate is known: it arrived before everything first sent after.
    pub settled_line: Option<u64>,
}

impl Batch {
    /// Tells whether what came back leaves it open that a feed is stored, or says so.
    pub(super) fn may_hold(&self, feed: usize) -> bool {
        match &self.fate {
            Fate::Open => true,
            Fate::Stored(refused) => !refused.contains(&feed),
            Fate::NotStored => false,
        }
    }
}

/// A line of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Line {
    Sending { batch: usize, sent: SentBatch },
    SendingAgain { batch: usize },
    Answered { batch: usize, answer: Answer },
    Found { batch: usize, stored: bool },
    Saw(Sighting),
    Followed { prices: Vec<String> },
}

/// A feed's place: the batch's number, and the feed's in it.
pub(super) type Place = (usize, usize);

/// Everything that was sent, answered and seen.
#[derive(Debug, Clone, Default)]
pub struct Book {
    lines: u64,
    batches: Vec<Batch>,
    sightings: Vec<Sighting>,
    /// Prices that came on streams, a list for each.
    followed: Vec<Vec<String>>,
    /// Batches that were answered as stored before, and as new when they were sent again.
    pub(super) stored_anew: Vec<usize>,
    /// By price.
    places: HashMap<String, Place>,
    /// By symbol and time, in the order of sending.
    series: BTreeMap<String, BTreeMap<i64, Vec<Place>>>,
}

impl Book {
    /// Reads a ledger's file.
    ///
    /// # Errors
    /// When it cannot be read, or a line is none of a ledger's.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let mut book = Self::default();
        for line in BufReader::new(file).lines() {
            book.apply(serde_json::from_str(&line?)?)?;
        }
        Ok(book)
    }

    /// Gives what came on each stream.
    pub(super) fn followed(&self) -> &[Vec<String>] {
        &self.followed
    }

    /// Counts the lines.
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// Gives every batch, in the order in which they were first sent.
    pub fn batches(&self) -> &[Batch] {
        &self.batches
    }

    /// Gives every sighting, in order.
    pub(super) fn sightings(&self) -> &[Sighting] {
        &self.sightings
    }

    /// Gives the numbers of the batches of which nothing certain is known.
    pub fn open(&self) -> impl Iterator<Item = usize> + '_ {
        self.numbered().filter(|(_, batch)| batch.fate == Fate::Open).map(|(number, _)| number)
    }

    /// Gives every symbol that a feed was sent for.
    pub fn symbols(&self) -> impl Iterator<Item = &str> {
        self.series.keys().map(String::as_str)
    }

    /// Gives the stretches of time that the batches from a number on touch, apart by more than [`APART`].
    pub(super) fn windows_since(&self, first: usize) -> Vec<Window> {
        let mut times: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
        for feed in self.batches.iter().skip(first).flat_map(|batch| &batch.sent.feeds) {
            times.entry(&feed.symbol).or_default().insert(feed.at);
        }
        let mut windows: Vec<Window> = Vec::new();
        for (symbol, at) in times.iter().flat_map(|(symbol, of)| of.iter().map(|at| (*symbol, *at)))
        {
            match windows.last_mut() {
                Some(last) if last.symbol == symbol && at - last.to <= APART => last.to = at,
                _ => windows.push(Window { symbol: symbol.to_owned(), from: at, to: at }),
            }
        }
        windows
    }

    /// Gives one stretch of time a symbol, over everything that was sent.
    pub(super) fn whole_windows(&self) -> Vec<Window> {
        let window = |(symbol, series): (&String, &BTreeMap<i64, Vec<Place>>)| {
            let (from, to) = (*series.first_key_value()?.0, *series.last_key_value()?.0);
            Some(Window { symbol: symbol.clone(), from, to })
        };
        self.series.iter().filter_map(window).collect()
    }

    /// Finds where a price was sent.
    pub(super) fn place(&self, price: &str) -> Option<Place> {
        self.places.get(price).copied()
    }

    /// Gives the feed at a place.
    pub(super) fn feed(&self, (batch, feed): Place) -> Option<(&Batch, &SentFeed)> {
        let batch = self.batches.get(batch)?;
        Some((batch, batch.sent.feeds.get(feed)?))
    }

    /// Gives the places of the feeds sent for a window, by time.
    pub(super) fn places_in<'a>(&'a self, window: &Window) -> impl Iterator<Item = Place> + 'a {
        let series = self.series.get(&window.symbol);
        let (from, to) = (window.from, window.to);
        series
            .into_iter()
            .flat_map(move |series| series.range(from..=to))
            .flat_map(|(_, at)| at)
            .copied()
    }

    /// Finds the time of a symbol's newest feed that `counts`.
    pub(super) fn newest(&self, symbol: &str, counts: impl Fn(Place) -> bool) -> Option<i64> {
        let mut times = self.series.get(symbol)?.iter().rev();
        times.find(|(_, places)| places.iter().any(|place| counts(*place))).map(|(at, _)| *at)
    }

    /// Gives every batch with its number.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (usize, &Batch)> {
        self.batches.iter().enumerate()
    }

    /// Takes a line in.
    pub(super) fn apply(&mut self, line: Line) -> anyhow::Result<()> {
        self.lines += 1;
        match line {
            Line::Sending { batch, sent } => {
                ensure!(batch == self.batches.len(), "batch {batch} is not the next");
                self.add(batch, sent)?;
            }
            Line::SendingAgain { batch } => {
                ensure!(self.batch_mut(batch)?.sent.key.is_some(), "batch {batch} has no key");
            }
            Line::Answered { batch, answer: Answer::Stored { refused, repeated } } => {
                let again = matches!(self.batch_mut(batch)?.fate, Fate::Stored(_));
                if again && !repeated {
                    self.stored_anew.push(batch);
                }
                self.settle(batch, Fate::Stored(refused))?;
            }
            Line::Answered { batch, answer: Answer::Refused } => {
                self.settle(batch, Fate::NotStored)?;
            }
            Line::Answered { batch, answer: Answer::Unknown } => {
                self.batch_mut(batch)?;
            }
            Line::Found { batch, stored } => {
                let fate = if stored { Fate::Stored(Vec::new()) } else { Fate::NotStored };
                self.settle(batch, fate)?;
            }
            Line::Followed { prices } => self.followed.push(prices),
            Line::Saw(sighting) => self.sightings.push(sighting),
        }
        Ok(())
    }

    fn add(&mut self, number: usize, sent: SentBatch) -> anyhow::Result<()> {
        for (index, feed) in sent.feeds.iter().enumerate() {
            let known = self.places.insert(feed.price.clone(), (number, index));
            ensure!(known.is_none(), "the price {} was sent before", feed.price);
            let series = self.series.entry(feed.symbol.clone()).or_default();
            series.entry(feed.at).or_default().push((number, index));
        }
        let first_line = self.lines;
        self.batches.push(Batch { sent, fate: Fate::Open, first_line, settled_line: None });
        Ok(())
    }

    fn settle(&mut self, number: usize, fate: Fate) -> anyhow::Result<()> {
        let line = self.lines;
        let batch = self.batch_mut(number)?;
        if batch.fate == Fate::Open {
            batch.fate = fate;
            batch.settled_line = Some(line);
        }
        Ok(())
    }

    fn batch_mut(&mut self, number: usize) -> anyhow::Result<&mut Batch> {
        self.batches.get_mut(number).with_context(|| format!("no batch {number}"))
    }
}
