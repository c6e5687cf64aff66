//! Steps stay small however much of one symbol there is, and what they make is whole.

use chrono_domain::{Arrival, ManualClock, Price, Timestamp};

use super::super::super::generation::{Generation, Held};
use super::super::super::levels::HOUR;
use super::super::super::open::{Settings, StoreFile};
use super::*;
use crate::sqlite::pages;

const PAGE_ROWS: usize = 64;
/// Pages of a step at most: those of its ticks with what was stored among them, or of a day's candles.
const STEP_MAX: usize = 26;

/// Makes a generation of a symbol with a tick at each time.
fn generation(first_arrival: u64, times: impl Iterator<Item = i64>) -> Generation {
    let mut generation = Generation::default();
    for (arrival, at) in (first_arrival..).zip(times) {
        let timestamp = Timestamp::from_micros(at).unwrap();
        let held = Held {
            source_id: 1,
            worker_id: 1,
            price: Price::try_new("1.5").unwrap(),
            volume: None,
            ingested_at: timestamp,
            metadata: None,
        };
        generation.add(1, OrderKey { timestamp, arrival: Arrival(arrival) }, held);
    }
    generation
}

/// Seals a generation as the next cycle; gives the most pages of a step.
fn seal(connection: &rusqlite::Connection, cycle: i64, generation: &Generation) -> usize {
    let before = Pages { connection, cycle: cycle - 1 };
    let (mut most, mut next) = (0, Some(Made::Nothing));
    while let Some(made) = next {
        let mut ready = VecDeque::new();
        let series = generation.series.get(&1).unwrap();
        next = step(&before, (1, made), series, PAGE_ROWS, &mut ready).unwrap();
        most = most.max(ready.len());
        for page in ready {
            // Each page is made once.
            assert!(
                before.version(page.chain, page.place, cycle).unwrap().is_none(),
                "{:?} twice",
                page.place
            );
            pages::put(connection, &page, cycle).unwrap();
        }
    }
    most
}

/// Reads the times of all ticks, and checks that each page holds what it covers.
fn times(connection: &rusqlite::Connection, cycle: i64) -> Vec<i64> {
    let pages = Pages { connection, cycle };
    let chain = Chain::of(Family::Ticks, 1);
    let (mut times, mut next) = (Vec::new(), pages.at(chain, Place::FIRST).unwrap());
    while let Some(page) = next {
        let end = pages.next_place(chain, page.place).unwrap();
        let rows = whole_page(&pages, 1, &page, Detail::Plain).unwrap();
        assert!((1..=PAGE_ROWS).contains(&rows.len()), "{} rows", rows.len());
        for (row, _) in rows {
            let place = Place::of(row.key);
            assert!(place >= page.place && end.is_none_or(|end| place < end));
            times.push(place.start);
        }
        next = pages.after(chain, page.place).unwrap();
    }
    times
}

#[test]
fn a_step_is_small_however_much_of_one_symbol_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp::MIN);
    let file = StoreFile::open(Settings::new(dir.path().join("chrono.db")), &clock).unwrap();
    let connection = file.connect_writer().unwrap();
    connection.execute_batch("BEGIN").unwrap();
    // A tick an hour; then many more in one of the hours, late; then at the end; then among all of them.
    let cycles: [Vec<i64>; 4] = [
        (0..3_000).map(|nth| nth * HOUR).collect(),
        (1..3_000).map(|nth| 1_500 * HOUR + nth * 1_000_000).collect(),
        (0..3_000).map(|nth| 3_000 * HOUR + nth * 1_000_000).collect(),
        (0..3_000).map(|nth| nth * HOUR + 2_000_000_000).collect(),
    ];
    let (mut all, mut cycle) = (Vec::new(), 0);
    for times_of_cycle in cycles {
        cycle += 1;
        let generation = generation(all.len() as u64 + 1, times_of_cycle.iter().copied());
        let most = seal(&connection, cycle, &generation);
        assert!(most <= STEP_MAX, "{most} pages in a step of cycle {cycle}");
        all.extend(times_of_cycle);
        all.sort_unstable();
        assert_eq!(times(&connection, cycle), all, "cycle {cycle}");
        let pages = Pages { connection: &connection, cycle };
        let counts = |level| {
            let span = Span { from: 0, until: i64::MAX };
            let candles = levels::read_all(&pages, 1, level, span).unwrap();
            let of = |source| {
                let candles = candles.iter().filter(|((source_id, _), _)| *source_id == source);
                candles.map(|(_, candle)| candle.count).sum::<u64>()
            };
            (of(ALL_SOURCES), of(1))
        };
        for level in [Interval::M1, Interval::H1, Interval::D1] {
            assert_eq!(counts(level), (all.len() as u64, all.len() as u64), "{level:?}");
        }
    }
}
