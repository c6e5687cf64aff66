//! What a source that seldom posts costs: pages that are read, and ticks in memory that are gone through.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono_domain::{Price, SystemClock, Timestamp, WorkerId};

use super::super::candles::ticks_of;
use super::super::levels::ALL_SOURCES;
use super::super::open::{Access, CycleSettings, Settings, StoreFile};
use super::super::pages::reads;
use super::super::view::View;
use super::super::{SqliteStore, packed::log};
use super::*;
use crate::candles::span::Span;
use crate::{CandleStore, NewBatch, Progress, TickStore};

/// Ticks of the source that posts all the time, one in six hours: four pages of days, and hundreds of ticks.
const BUSY: u64 = 400;
const STEP: Duration = Duration::from_hours(6);
/// Those after which the one that seldom posts did.
const RARE: [u64; 3] = [40, 41, 200];

fn at(nth: u64) -> Timestamp {
    let first = Timestamp::parse_rfc3339("2025-01-01T00:00:30Z").unwrap();
    first.plus(STEP * u32::try_from(nth).unwrap())
}

fn tick_of(symbol: &str, source: &str, at: Timestamp) -> Tick {
    let (symbol, source) = (Symbol::try_new(symbol).unwrap(), Source::try_new(source).unwrap());
    Tick::try_new(symbol, source, Price::try_new("1").unwrap(), None, at).unwrap()
}

fn ticks() -> Vec<Tick> {
    let mut ticks = vec![tick_of("A/B", "past", at(0)), tick_of("C/D", "absent", at(0))];
    for nth in 0..BUSY {
        ticks.push(tick_of("A/B", "busy", at(nth)));
        if RARE.contains(&nth) {
            ticks.push(tick_of("A/B", "rare", at(nth).plus(Duration::from_secs(1))));
        }
    }
    ticks
}

/// Stores the ticks in pages of four, and leaves the file.
async fn fill(path: &Path) {
    let default = Settings::new(path);
    let cycle = CycleSettings { ticks: 1, page_rows: 4, ..default.cycle };
    let settings = Settings { cycle, ..default };
    let (store, lanes) = SqliteStore::open(settings, &SystemClock::new()).unwrap();
    let mut threads = vec![std::thread::Builder::new().spawn(move || lanes.writer.run()).unwrap()];
    for lane in lanes.readers.into_iter().chain([lanes.upkeep]) {
        threads.push(std::thread::Builder::new().spawn(move || lane.run()).unwrap());
    }
    let batch = NewBatch {
        worker: WorkerId::try_new("w").unwrap(),
        idempotency: None,
        ticks: ticks(),
        receipt: Bytes::new(),
        received_at: at(BUSY),
    };
    store.append(vec![Arc::new(batch)]).await.unwrap();
    while store.materialise(Timestamp::MAX).await.unwrap() != Progress::Idle {}
    store.close();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[tokio::test]
async fn a_source_costs_the_pages_that_hold_it_and_not_those_between() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chrono.db");
    fill(&path).await;
    let settings = Settings { access: Access::Tool, ..Settings::new(&path) };
    let file = Arc::new(StoreFile::open(settings, &SystemClock::new()).unwrap());
    let reader = Reader::open(&file).unwrap();
    let cost = |source: Option<&str>, order, (from, to), limit| {
        let source = source.map(|source| Source::try_new(source).unwrap());
        let symbol = Symbol::try_new("A/B").unwrap();
        let range = TickRange { source, from, to, order, limit, ..TickRange::of(symbol) };
        let before = reads(reader.lookups());
        let found = page(&reader, &range).unwrap();
        (found, reads(reader.lookups()) - before)
    };
    let always = (Timestamp::MIN, Timestamp::MAX);
    let (all, pages) = cost(None, Order::OldestFirst, always, usize::MAX);
    assert!(all.len() == ticks().len() - 1 && pages > 100, "{pages} pages of {}", all.len());

    let late = (Timestamp::MIN, at(BUSY - 50));
    let amid = (at(42), at(199));
    let cut = (at(40).plus(Duration::from_secs(2)), at(200));
    // The newest tick of each source is a page; a leap takes one to four.
    let cases = [
        ("absent", always, usize::MAX, 0, 1),
        ("past", always, 1, 1, 2),
        ("past", late, 1, 1, 2),
        ("past", (at(9), Timestamp::MAX), 1, 0, 1),
        ("rare", always, 1, 1, 8),
        ("rare", always, usize::MAX, 3, 20),
        ("rare", late, 1, 1, 8),
        ("rare", (Timestamp::MIN, at(150)), 1, 1, 8),
        ("rare", (Timestamp::MIN, at(41)), 1, 1, 8),
        ("rare", amid, usize::MAX, 0, 8),
        ("rare", cut, usize::MAX, 1, 12),
    ];
    for (source, within, limit, count, pages_max) in cases {
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let (found, pages) = cost(Some(source), order, within, limit);
            let is_wanted = |stored: &&StoredTick| {
                stored.tick.source.as_str() == source
                    && (within.0..=within.1).contains(&stored.tick.timestamp)
            };
            let mut expected: Vec<_> = all.iter().filter(is_wanted).cloned().collect();
            if order == Order::NewestFirst {
                expected.reverse();
            }
            expected.truncate(limit);
            assert!(found == expected && found.len() == count, "{source} {order:?} {within:?}");
            assert!(pages <= pages_max, "{source} {order:?} {within:?}: {pages} pages");
        }
    }
}

#[tokio::test]
async fn a_minute_that_a_range_of_candles_cuts_costs_the_pages_that_may_hold_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chrono.db");
    fill(&path).await;
    let settings = Settings { access: Access::Tool, ..Settings::new(&path) };
    let file = Arc::new(StoreFile::open(settings, &SystemClock::new()).unwrap());
    let reader = Reader::open(&file).unwrap();
    let symbol_id = find_symbol(reader.lookups(), Symbol::try_new("A/B").unwrap()).unwrap();
    let series = SeriesId { symbol_id: symbol_id.unwrap(), source_id: ALL_SOURCES };
    let read = |view: View<'_, ()>| {
        let place = view.pages.next_place(Chain::of(Family::Ticks, series.symbol_id), Place::FIRST);
        let from = place?.unwrap().start;
        let span = Span { from, until: from + 1 };
        let before = reads(reader.lookups());
        let ticks: usize =
            ticks_of(&view.pages, series, span).map(|part| part.unwrap().len()).sum();
        Ok((ticks, reads(reader.lookups()) - before))
    };
    // The page before may end with a tick of the same moment.
    assert_eq!(reader.view(|_generation| (), read).unwrap(), (1, 2));
}

#[test]
fn a_source_costs_its_own_minutes_of_what_is_in_memory() {
    let (busy, rare, absent) = (1, 2, 3);
    let tick = |source_id, timestamp| log::LoggedTick {
        symbol_id: 1,
        source_id,
        price: Price::try_new("1").unwrap(),
        volume: None,
        timestamp,
        metadata: None,
    };
    let second = |nth| at(0).plus(Duration::from_secs(nth));
    let mut ticks: Vec<_> = (0..10_000).map(|nth| tick(busy, second(nth))).collect();
    ticks.extend([2_000, 2_001, 7_000].map(|nth| tick(rare, second(nth))));
    let batch = log::LoggedBatch { worker_id: 1, received_at: second(0), repeatable: None, ticks };
    let mut generation = Generation::after(0, 1);
    generation.fold(1, log::LoggedCommit { first_arrival: 1, batches: vec![batch] });

    let series = &generation.series[&1];
    let bounds = |from, to| {
        let key = |at, arrival| OrderKey { timestamp: at, arrival: Arrival(arrival) };
        (Bound::Included(key(from, 0)), Bound::Included(key(to, u64::MAX)))
    };
    let gone_through = |source_id, bounds| {
        let spans = spans_of(series, source_id, bounds);
        spans.map(|span| series.range(span).count()).sum::<usize>()
    };
    let always = bounds(Timestamp::MIN, Timestamp::MAX);
    assert_eq!(gone_through(absent, always), 0);
    assert_eq!(gone_through(busy, always), 10_003);
    // Between the two of a minute there is one of the other source.
    assert_eq!(gone_through(rare, always), 4);
    assert_eq!(gone_through(rare, bounds(second(2_001), second(6_999))), 2);
    assert_eq!(gone_through(rare, bounds(second(6_000), second(5_000))), 0);
}
