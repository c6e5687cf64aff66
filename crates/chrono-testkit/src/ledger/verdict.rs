//! The comparison of what was promised with what is there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use chrono_client::RangeTick;

use super::book::Place;
use super::numbers::tick_time;
use super::readback::{CandlesSeen, Readback, WindowSeen};
use super::recount::{Figures, recount};
use super::{Batch, Book, Fate, SentFeed};

/// Examples kept of each kind of fault; all are counted.
const EXAMPLES_MAX: usize = 3;

/// A kind of broken promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// Acknowledged, and not readable.
    Lost,
    /// Readable more than once.
    Duplicate,
    /// Readable, and never sent.
    Phantom,
    /// Readable, though it was refused or was gone before.
    Ghost,
    /// A batch of which a part is stored.
    Torn,
    /// Readable with another time, symbol, source, volume or metadata than was sent.
    Altered,
    /// Against the order of (time, arrival), as far as the ledger knows it.
    Misordered,
    /// Sent again under its key, and answered as if it were new.
    StoredAnew,
    /// A candle that differs from its recount.
    Candle,
    /// A latest price that is not the newest by (time, arrival).
    Stale,
    /// A latest price behind one that was acknowledged or shown before, or that is not there any more.
    Regressed,
    /// Came on a stream, and is not stored, or came twice.
    Early,
}

/// Everything that was found.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    counts: BTreeMap<Wrong, u64>,
    examples: BTreeMap<Wrong, Vec<String>>,
    /// Feeds that were found as they should be.
    pub feeds: u64,
    /// Candles that were compared.
    pub candles: u64,
    /// Looks at the latest prices, and ticks of streams, that were compared.
    pub shown: u64,
    /// Batches without key and answer of which it is known now whether they are stored.
    pub found: Vec<(usize, bool)>,
}

impl Verdict {
    /// Counts the faults of a kind.
    pub fn count(&self, wrong: Wrong) -> u64 {
        self.counts.get(&wrong).copied().unwrap_or_default()
    }

    /// Tells whether every promise was kept.
    pub fn is_clean(&self) -> bool {
        self.counts.is_empty()
    }

    /// Gives the number of faults by kind.
    pub const fn counts(&self) -> &BTreeMap<Wrong, u64> {
        &self.counts
    }

    pub(super) fn note(&mut self, wrong: Wrong, example: impl FnOnce() -> String) {
        *self.counts.entry(wrong).or_default() += 1;
        let examples = self.examples.entry(wrong).or_default();
        if examples.len() < EXAMPLES_MAX {
            examples.push(example());
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} feeds, {} candles and {} times shown compared",
            self.feeds, self.candles, self.shown
        )?;
        for (wrong, count) in &self.counts {
            write!(f, "\n  {wrong:?}: {count}")?;
            for example in self.examples.get(wrong).into_iter().flatten() {
                write!(f, "\n    {example}")?;
            }
        }
        Ok(())
    }
}

/// How much of a batch was found.
#[derive(Default)]
struct Tally {
    present: usize,
    missing: usize,
}

struct Judge<'a> {
    book: &'a Book,
    verdict: Verdict,
    /// Where each feed that was found stands among the ticks of its window.
    found: HashMap<Place, usize>,
}

impl Book {
    /// Compares the book with what a quiet gateway gave back; batches with a key must have been settled before.
    ///
    /// When everything was read, all that was shown is checked too.
    pub fn judge(&self, seen: &Readback) -> Verdict {
        let mut judge = Judge { book: self, verdict: Verdict::default(), found: HashMap::new() };
        for batch in &self.stored_anew {
            judge.verdict.note(Wrong::StoredAnew, || format!("batch {batch}"));
        }
        for window in &seen.windows {
            judge.ticks(window);
        }
        judge.batches(seen);
        for window in &seen.windows {
            judge.candles(window);
        }
        judge.latest(seen);
        if seen.whole {
            super::history::judge(self, seen, &mut judge.verdict);
        }
        judge.verdict
    }
}

impl<'a> Judge<'a> {
    /// Compares each tick with the feed it claims to be, and their order.
    fn ticks(&mut self, seen: &WindowSeen) {
        let mut order = Order::default();
        for (position, tick) in seen.ticks.iter().enumerate() {
            let known = self.book.place(&tick.price);
            let Some((place, (batch, feed))) =
                known.and_then(|place| Some((place, self.book.feed(place)?)))
            else {
                self.verdict.note(Wrong::Phantom, || format!("{}: {tick:?}", seen.window.symbol));
                continue;
            };
            if self.found.insert(place, position).is_some() {
                self.verdict.note(Wrong::Duplicate, || format!("{place:?} {feed:?}"));
                continue;
            }
            if !is_same(tick, feed) || feed.symbol != seen.window.symbol {
                self.verdict.note(Wrong::Altered, || format!("{feed:?} is {tick:?}"));
            }
            if !batch.may_hold(place.1) {
                self.verdict.note(Wrong::Ghost, || format!("{place:?} {feed:?}"));
            }
            if let Err(reason) = order.take(place, feed.at, batch) {
                self.verdict.note(Wrong::Misordered, || format!("{place:?} {reason} {feed:?}"));
            }
        }
    }

    /// Looks for what is missing, and for batches that are there in part.
    fn batches(&mut self, seen: &Readback) {
        let mut tallies: BTreeMap<usize, Tally> = BTreeMap::new();
        let windows = seen.windows.iter();
        for place in windows.flat_map(|seen| self.book.places_in(&seen.window)) {
            let Some((batch, _)) = self.book.feed(place) else { continue };
            if !batch.may_hold(place.1) {
                continue;
            }
            let tally = tallies.entry(place.0).or_default();
            if self.found.contains_key(&place) {
                tally.present += 1;
            } else {
                tally.missing += 1;
                if batch.fate != Fate::Open {
                    self.verdict.note(Wrong::Lost, || format!("{place:?} of {:?}", batch.sent.key));
                }
            }
        }
        for (number, tally) in tallies {
            if tally.present > 0 && tally.missing > 0 {
                let Tally { present, missing } = tally;
                self.verdict.note(Wrong::Torn, || {
                    format!("batch {number}: {present} there, {missing} missing")
                });
                continue;
            }
            self.verdict.feeds += tally.present as u64;
            let whole = |batch: &Batch| batch.sent.feeds.len() == tally.present + tally.missing;
            let nameless = |batch: &Batch| batch.fate == Fate::Open && batch.sent.key.is_none();
            if self.book.batches().get(number).is_some_and(|held| nameless(held) && whole(held)) {
                self.verdict.found.push((number, tally.present > 0));
            }
        }
    }

    fn candles(&mut self, seen: &WindowSeen) {
        let feeds = self.stored_in_order(seen);
        for shown in &seen.candles {
            let of_source = |feed: &&SentFeed| {
                shown.source.as_ref().is_none_or(|source| *source == feed.source)
            };
            let expected = recount(shown.interval, feeds.iter().copied().filter(of_source));
            self.compare_candles(&seen.window.symbol, shown, expected);
        }
    }

    fn compare_candles(
        &mut self,
        symbol: &str,
        shown: &CandlesSeen,
        expected: Option<Vec<Figures>>,
    ) {
        let found: Vec<Figures> = shown.candles.iter().map(Figures::from).collect();
        let expected = expected.unwrap_or_default();
        let shared = found.iter().zip(&expected);
        let differing = shared.filter(|(found, expected)| found != expected);
        for (found, expected) in differing {
            let name = shown.interval.name();
            self.verdict.note(Wrong::Candle, || {
                format!("{symbol} {name} {:?}: {found:?}, counted {expected:?}", shown.source)
            });
        }
        if found.len() != expected.len() {
            self.verdict.note(Wrong::Candle, || {
                let name = shown.interval.name();
                format!("{symbol} {name}: {} candles, counted {}", found.len(), expected.len())
            });
        }
        self.verdict.candles += found.len() as u64;
    }

    /// Compares each latest price with the newest feed, where that lies in a window.
    fn latest(&mut self, seen: &Readback) {
        for window in &seen.windows {
            let symbol = &window.window.symbol;
            let newest = self.book.newest(symbol, |place| self.is_stored(place));
            if newest.is_none_or(|at| !(window.window.from..=window.window.to).contains(&at)) {
                continue;
            }
            let expected = self.stored_in_order(window).last().map(|feed| feed.price.as_str());
            let shown = seen.latest.get(symbol).map(String::as_str);
            if shown != expected {
                self.verdict
                    .note(Wrong::Stale, || format!("{symbol} {shown:?}, newest {expected:?}"));
            }
        }
    }

    /// Gives the feeds of a window that are stored, or should be, by (time, arrival).
    fn stored_in_order(&self, seen: &WindowSeen) -> Vec<&'a SentFeed> {
        let stored = self.book.places_in(&seen.window).filter(|place| self.is_stored(*place));
        let mut feeds: Vec<_> = stored
            .filter_map(|place| {
                let (_, feed) = self.book.feed(place)?;
                Some((feed.at, self.found.get(&place).copied().unwrap_or(usize::MAX), feed))
            })
            .collect();
        feeds.sort_by_key(|(at, position, _)| (*at, *position));
        feeds.into_iter().map(|(_, _, feed)| feed).collect()
    }

    fn is_stored(&self, place: Place) -> bool {
        let batch = self.book.feed(place).map(|(batch, _)| batch);
        batch.is_some_and(|batch| match batch.fate {
            Fate::Open => self.found.contains_key(&place),
            Fate::Stored(_) | Fate::NotStored => batch.may_hold(place.1),
        })
    }
}

fn is_same(tick: &RangeTick, feed: &SentFeed) -> bool {
    tick.timestamp == tick_time(feed.at)
        && tick.source == feed.source
        && tick.volume == feed.volume
        && tick.metadata.as_ref().map(|json| json.get()) == feed.metadata.as_deref()
}

/// The order of a window's ticks so far.
#[derive(Default)]
struct Order {
    at: i64,
    /// The last tick of this time.
    last: Option<Place>,
    /// Batches that had ticks of this time.
    batches: HashSet<usize>,
    /// The latest first send among them.
    first_line: u64,
}

impl Order {
    /// Takes the next tick, or says what is wrong with its place.
    fn take(&mut self, place: Place, at: i64, batch: &Batch) -> Result<(), &'static str> {
        if at < self.at {
            return Err("comes after a later one");
        }
        if at > self.at {
            *self = Self { at, ..Self::default() };
        }
        let last = self.last.replace(place);
        if last.is_some_and(|last| last.0 == place.0) {
            return if last < Some(place) { Ok(()) } else { Err("comes after one sent later") };
        }
        if !self.batches.insert(place.0) {
            return Err("is apart from its batch");
        }
        // Answered before the other was sent, so it arrived first.
        let before = batch.settled_line.is_some_and(|line| line < self.first_line);
        self.first_line = self.first_line.max(batch.first_line);
        if before { Err("arrived before the one in front of it") } else { Ok(()) }
    }
}
