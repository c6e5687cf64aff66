//! Whether what was shown as latest ever went back, and whether streams showed what is not there.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::readback::Readback;
use super::verdict::{Verdict, Wrong};
use super::{Batch, Book, Fate};

/// Checks every sighting against those before it, and against what was acknowledged before it was asked for.
///
/// A price's rank is its place in the whole history by (time, arrival).
pub(super) fn judge(book: &Book, seen: &Readback, verdict: &mut Verdict) {
    let ranks: HashMap<&str, usize> = seen
        .windows
        .iter()
        .flat_map(|window| window.ticks.iter().enumerate())
        .map(|(rank, tick)| (tick.price.as_str(), rank))
        .collect();
    judge_streams(book, &ranks, verdict);
    let mut settled = settled(book).into_iter().peekable();
    // The least rank that may be shown from now on, by symbol.
    let mut floors: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for sighting in book.sightings() {
        verdict.shown += 1;
        while let Some((_, batch)) = settled.next_if(|(line, _)| *line <= sighting.asked) {
            for feed in &batch.sent.feeds {
                if let Some(rank) = ranks.get(feed.price.as_str()) {
                    raise(&mut floors, &feed.symbol, (*rank, &feed.price));
                }
            }
        }
        for (symbol, floor) in &floors {
            if !sighting.prices.contains_key(*symbol) {
                verdict
                    .note(Wrong::Regressed, || format!("{symbol} showed nothing after {floor:?}"));
            }
        }
        for (symbol, price) in &sighting.prices {
            let rank = ranks.get(price.as_str()).copied();
            let floor = floors.get(symbol.as_str()).copied();
            if rank.is_none() || rank < floor.map(|(rank, _)| rank) {
                verdict.note(Wrong::Regressed, || {
                    format!("{symbol} showed {price} (rank {rank:?}) after {floor:?}")
                });
            }
            raise(&mut floors, symbol, (rank.unwrap_or_default(), price));
        }
    }
}

/// Checks that every tick that came on a stream is stored, and came once.
fn judge_streams(book: &Book, ranks: &HashMap<&str, usize>, verdict: &mut Verdict) {
    for stream in book.followed() {
        let mut came = HashSet::new();
        for price in stream {
            if !ranks.contains_key(price.as_str()) || !came.insert(price) {
                verdict.note(Wrong::Early, || format!("{price} came, {:?}", book.place(price)));
            }
        }
        verdict.shown += stream.len() as u64;
    }
}

fn raise<'a>(
    floors: &mut BTreeMap<&'a str, (usize, &'a str)>,
    symbol: &'a str,
    shown: (usize, &'a str),
) {
    let floor = floors.entry(symbol).or_insert(shown);
    *floor = (*floor).max(shown);
}

/// Gives the batches that are known to be stored, by the line since when.
fn settled(book: &Book) -> Vec<(u64, &Batch)> {
    let stored = book.batches().iter().filter(|batch| matches!(batch.fate, Fate::Stored(_)));
    let mut settled: Vec<_> =
        stored.filter_map(|batch| Some((batch.settled_line?, batch))).collect();
    settled.sort_by_key(|(line, _)| *line);
    settled
}
