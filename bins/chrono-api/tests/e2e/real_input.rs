//! Every recorded tick goes in as the worker posts it, and comes out as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use chrono_client::{Client, Order, RangeData, RangeQuery, RangeTick};
use chrono_testkit::data_dir;
use chrono_worker::TickerVolume;
use serde_json::Value;

use crate::recordings::{Expected, by_symbol, has_exponent, originals, plain, replay, time_digits};
use crate::service::{SEALED, Service};

/// Span of one question for single ticks, below the gateway's 90 days.
const SPAN: Duration = Duration::from_hours(24 * 89);
/// Rows of a page that makes the gateway give cursors.
const SMALL_PAGE: u32 = 700;
/// Rows of the largest page.
const LARGE_PAGE: u32 = 10_000;
/// Most symbols of one question.
const SYMBOLS_MAX: usize = 100;
/// Every so many symbols are also read with metadata.
const METADATA_STEP: usize = 4;

/// What is special about the rows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    rows: usize,
    symbols: usize,
    prices_with_exponent: usize,
    volumes_with_exponent: usize,
    null_volumes: usize,
    times_finer_than_a_microsecond: usize,
}

/// What the recordings hold that the project's numbers speak of.
const KNOWN: Seen = Seen {
    rows: 23_177,
    symbols: 139,
    prices_with_exponent: 146,
    volumes_with_exponent: 3,
    null_volumes: 1_674,
    times_finer_than_a_microsecond: 1_518,
};

#[tokio::test]
async fn every_recorded_tick_reads_back_digit_by_digit() {
    every_tick_reads_back(Service::start(), |_service| ()).await;
}

/// As above, but every tick is in pages, which the recordings are too few for by themselves.
#[tokio::test]
async fn every_recorded_tick_reads_back_from_pages() {
    every_tick_reads_back(Service::start_with(&[SEALED]), Service::seal).await;
}

async fn every_tick_reads_back(service: Service, seal: impl Fn(&Service)) {
    let Some(dir) = data_dir() else { return };
    let files = originals(&dir);
    let report = replay(service.worker(), &files, TickerVolume::Keep).await;
    seal(&service);
    let symbols = by_symbol(&files);
    let seen = count(&files, &symbols);
    println!("{seen:?}");
    assert_eq!(report.rows, seen.rows as u64);
    let system = service.get("/metadata/system").ok();
    assert_eq!(system["store"]["ticks"], seen.rows);
    assert_eq!(system["num_symbols"], seen.symbols);

    let reader = service.reader();
    for (idx, (symbol, rows)) in symbols.iter().enumerate() {
        expect_rows(&reader, symbol, rows).await;
        if idx % METADATA_STEP == 0 {
            expect_metadata(&reader, symbol, rows).await;
        }
    }
    expect_latest(&reader, &symbols).await;

    // Memory is built anew from the store.
    let service = service.restart();
    seal(&service);
    expect_latest(&service.reader(), &symbols).await;
    let reader = service.reader();
    for (symbol, rows) in symbols.iter().step_by(METADATA_STEP) {
        expect_rows(&reader, symbol, rows).await;
        expect_metadata(&reader, symbol, rows).await;
    }
}

#[test]
fn the_recordings_hold_what_the_project_speaks_of() {
    let Some(dir) = data_dir() else { return };
    let files = originals(&dir);
    let seen = count(&files, &by_symbol(&files));
    // Other recordings may stand in their place; they are replayed all the same.
    if seen.rows == KNOWN.rows {
        assert_eq!(seen, KNOWN);
    }
}

fn count(files: &[PathBuf], symbols: &BTreeMap<String, Vec<Expected>>) -> Seen {
    let mut seen = Seen { symbols: symbols.len(), ..Seen::default() };
    for file in files {
        for row in chrono_testkit::read_rows::<chrono_testkit::TickRow>(file).unwrap() {
            seen.rows += 1;
            seen.prices_with_exponent += usize::from(has_exponent(&row.price));
            seen.volumes_with_exponent +=
                usize::from(row.volume.as_deref().is_some_and(has_exponent));
            seen.null_volumes += usize::from(row.volume.is_none());
            seen.times_finer_than_a_microsecond += usize::from(time_digits(&row.timestamp) > 6);
        }
    }
    seen
}

/// Reads a symbol's ticks in both orders, in small and in large pages.
async fn expect_rows(reader: &Client, symbol: &str, rows: &[Expected]) {
    let wanted: Vec<_> = rows.iter().map(texts_of_row).collect();
    for (order, limit) in [(Order::Oldest, SMALL_PAGE), (Order::Newest, LARGE_PAGE)] {
        let read = read_back(reader, rows, &ask_for(symbol, order, limit)).await;
        let texts: Vec<_> = read.iter().map(texts_of_tick).collect();
        assert_eq!(texts.len(), wanted.len(), "{symbol}");
        for (found, wanted) in texts.iter().zip(&wanted) {
            assert_eq!(found, wanted, "{symbol}");
        }
    }
}

async fn expect_metadata(reader: &Client, symbol: &str, rows: &[Expected]) {
    let query = RangeQuery { metadata: true, ..ask_for(symbol, Order::Oldest, LARGE_PAGE) };
    let read = read_back(reader, rows, &query).await;
    assert_eq!(read.len(), rows.len(), "{symbol}");
    for (found, wanted) in read.iter().zip(rows) {
        assert_eq!(metadata(found), Value::Object(wanted.row.metadata.clone()), "{symbol}");
    }
}

fn metadata(tick: &RangeTick) -> Value {
    serde_json::from_str(tick.metadata.as_ref().unwrap().get()).unwrap()
}

type Texts<'a> = (&'a str, &'a str, Option<&'a str>, &'a str);

fn texts_of_row(expected: &Expected) -> Texts<'_> {
    let row = &expected.row;
    (&expected.timestamp, &row.price, row.volume.as_deref(), &row.source)
}

fn texts_of_tick(tick: &RangeTick) -> Texts<'_> {
    (&tick.timestamp, &tick.price, tick.volume.as_deref(), &tick.source)
}

fn ask_for(symbol: &str, order: Order, limit: u32) -> RangeQuery {
    RangeQuery { symbol: symbol.to_owned(), order, limit: Some(limit), ..RangeQuery::default() }
}

/// Reads all that a query gives over the spans in which there are rows, oldest first.
async fn read_back(reader: &Client, rows: &[Expected], query: &RangeQuery) -> Vec<RangeTick> {
    let mut read = Vec::new();
    for (from, to) in spans(rows) {
        let query = RangeQuery { from, to, ..query.clone() };
        let mut part = pages(reader, query.clone()).await;
        if query.order == Order::Newest {
            part.reverse();
        }
        read.extend(part);
    }
    read
}

/// Parts the times of rows into spans that may be asked for at once; both ends belong to them.
fn spans(rows: &[Expected]) -> Vec<(String, String)> {
    let mut spans = Vec::new();
    let mut rest = rows;
    while let Some(first) = rest.first() {
        let end = rest.partition_point(|row| row.at.since(first.at) <= SPAN);
        let (part, behind) = rest.split_at(end);
        spans.push((first.timestamp.clone(), part.last().unwrap().timestamp.clone()));
        rest = behind;
    }
    spans
}

/// Follows the cursors to the end.
async fn pages(reader: &Client, mut query: RangeQuery) -> Vec<RangeTick> {
    let limit = query.limit.unwrap() as usize;
    let mut read = Vec::new();
    loop {
        let page = reader.range(&query).await.unwrap();
        let RangeData::Ticks(ticks) = page.data else { panic!("{} are no ticks", page.interval) };
        assert_eq!(page.count, ticks.len());
        assert!(ticks.len() == limit || (ticks.len() < limit && page.next_cursor.is_none()));
        read.extend(ticks);
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            return read;
        }
    }
}

/// The newest price of each symbol, over all sources and of each, is the last by (time, arrival).
async fn expect_latest(reader: &Client, symbols: &BTreeMap<String, Vec<Expected>>) {
    let names: Vec<&str> = symbols.keys().map(String::as_str).collect();
    for names in names.chunks(SYMBOLS_MAX) {
        let latest = reader.latest(names).await.unwrap();
        assert_eq!((latest.data.len(), latest.missing.len()), (names.len(), 0));
        assert!(latest.cached);
        for price in &latest.data {
            let rows = &symbols[&price.symbol];
            let newest = rows.last().unwrap();
            let sources: BTreeSet<&str> = rows.iter().map(|row| row.row.source.as_str()).collect();
            let last_source = if sources.len() == 1 {
                assert_eq!(price.last_source, None);
                &price.source
            } else {
                assert_eq!(price.source, "aggregated");
                price.last_source.as_ref().unwrap()
            };
            let found: Texts<'_> =
                (&price.timestamp, &price.price, price.volume.as_deref(), last_source);
            assert_eq!(found, texts_of_row(newest), "{}", price.symbol);
            for source in sources {
                expect_latest_of(reader, &price.symbol, source, rows).await;
            }
        }
    }
}

async fn expect_latest_of(reader: &Client, symbol: &str, source: &str, rows: &[Expected]) {
    let newest = rows.iter().rfind(|row| row.row.source == source).unwrap();
    let latest = reader.latest_of(&[symbol], source).await.unwrap();
    let [price] = latest.data.as_slice() else { panic!("{symbol} {source}: {latest:?}") };
    let found: Texts<'_> = (&price.timestamp, &price.price, price.volume.as_deref(), &price.source);
    assert_eq!(found, texts_of_row(newest), "{symbol} {source}");
}

#[tokio::test]
async fn rolling_volumes_go_to_metadata_unless_they_are_asked_for() {
    let Some(dir) = data_dir() else { return };
    let files = ["kraken-2021-04-17", "hitbtc-2021-04-17", "ftx-2021-04-17"]
        .map(|name| dir.join(format!("ticks/{name}.ndjson.gz")));
    let service = Service::start();
    replay(service.worker(), &files, TickerVolume::Move).await;
    let reader = service.reader();
    let (mut moved, mut traded) = (0, 0);
    for (symbol, rows) in &by_symbol(&files) {
        let query = RangeQuery { metadata: true, ..ask_for(symbol, Order::Oldest, LARGE_PAGE) };
        let read = read_back(&reader, rows, &query).await;
        assert_eq!(read.len(), rows.len());
        for (found, Expected { row, .. }) in read.iter().zip(rows) {
            let mut wanted = row.metadata.clone();
            let rolling = row.metadata["volume_kind"] == "24h";
            let volume = row.volume.as_deref().map(plain);
            if let Some(volume) = volume.clone().filter(|_| rolling) {
                wanted.insert("volume_24h".to_owned(), volume.into());
                moved += 1;
            }
            traded += usize::from(!rolling);
            assert_eq!(metadata(found), Value::Object(wanted));
            assert_eq!(found.volume, volume.filter(|_| !rolling), "{symbol} {}", found.timestamp);
        }
    }
    assert!(moved > 0 && traded > 0, "{moved} moved, {traded} traded");
}
