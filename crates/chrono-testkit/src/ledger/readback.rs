//! What the public API gives back.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use chrono_client::{
    Client, ClientError, Order, RangeCandle, RangeData, RangePage, RangeQuery, RangeTick,
};

use super::Book;
use super::numbers::rfc3339;
use super::recount::Interval;

/// Most pages that one answer may have.
const PAGES_MAX: usize = 10_000;
/// Rows of a page; the API's own bound.
const PAGE_ROWS: u32 = 10_000;

/// A stretch of a symbol's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    /// `BASE/QUOTE`.
    pub(super) symbol: String,
    /// First moment, inclusive, in microseconds since 1970.
    pub(super) from: i64,
    /// Last moment, inclusive.
    pub(super) to: i64,
}

/// Candles of a window.
#[derive(Debug, Clone)]
pub(super) struct CandlesSeen {
    /// Their length.
    pub(super) interval: Interval,
    /// One source, or all.
    pub(super) source: Option<String>,
    /// Oldest first.
    pub(super) candles: Vec<RangeCandle>,
}

/// What a window holds.
#[derive(Debug, Clone)]
pub(super) struct WindowSeen {
    /// The window.
    pub(super) window: Window,
    /// Its ticks, oldest first, equal times in order of arrival.
    pub(super) ticks: Vec<RangeTick>,
    /// Its candles.
    pub(super) candles: Vec<CandlesSeen>,
}

/// Everything that was read at one quiet moment.
#[derive(Debug, Clone, Default)]
pub struct Readback {
    /// The windows, none overlapping another.
    pub(super) windows: Vec<WindowSeen>,
    /// The latest price by symbol.
    pub(super) latest: BTreeMap<String, String>,
    /// Whether the windows hold everything.
    pub(super) whole: bool,
}

impl Readback {
    /// Reads what the batches of a book from a number on touch, with its one-minute candles.
    ///
    /// # Errors
    /// When the gateway does not answer, or not as documented.
    pub async fn since(client: &Client, book: &Book, batch: usize) -> anyhow::Result<Self> {
        let mut windows = Vec::new();
        for window in book.windows_since(batch) {
            let minutes = candles(client, &window, Interval::Minute, None).await?;
            let ticks = ticks(client, &window).await?;
            windows.push(WindowSeen { window, ticks, candles: vec![minutes] });
        }
        Ok(Self { windows, latest: latest(client, book).await?, whole: false })
    }

    /// Reads everything that a book knows of, with candles of three lengths, and of each source.
    ///
    /// # Errors
    /// As [`Readback::since`].
    pub async fn whole(client: &Client, book: &Book) -> anyhow::Result<Self> {
        let mut windows = Vec::new();
        for window in book.whole_windows() {
            let mut held = Vec::new();
            for interval in Interval::ALL {
                held.push(candles(client, &window, interval, None).await?);
            }
            for source in sources(book, &window) {
                held.push(candles(client, &window, Interval::Minute, Some(source)).await?);
            }
            let ticks = ticks(client, &window).await?;
            windows.push(WindowSeen { window, ticks, candles: held });
        }
        Ok(Self { windows, latest: latest(client, book).await?, whole: true })
    }
}

async fn latest(client: &Client, book: &Book) -> anyhow::Result<BTreeMap<String, String>> {
    let symbols: Vec<_> = book.symbols().collect();
    if symbols.is_empty() {
        return Ok(BTreeMap::new());
    }
    match client.latest(&symbols).await {
        Ok(found) => Ok(found.data.into_iter().map(|row| (row.symbol, row.price)).collect()),
        Err(ClientError::Refused(refusal)) if refusal.code == "NOT_FOUND" => Ok(BTreeMap::new()),
        Err(fault) => Err(fault.into()),
    }
}

async fn ticks(client: &Client, window: &Window) -> anyhow::Result<Vec<RangeTick>> {
    let query = RangeQuery { metadata: true, ..query(window) };
    let mut ticks = Vec::new();
    for page in pages(client, query).await? {
        let RangeData::Ticks(rows) = page.data else { anyhow::bail!("candles in place of ticks") };
        ticks.extend(rows);
    }
    Ok(ticks)
}

async fn candles(
    client: &Client,
    window: &Window,
    interval: Interval,
    source: Option<String>,
) -> anyhow::Result<CandlesSeen> {
    let query = RangeQuery {
        interval: Some(interval.name().to_owned()),
        source: source.clone(),
        ..query(window)
    };
    let mut candles = Vec::new();
    for page in pages(client, query).await? {
        let RangeData::Candles(rows) = page.data else {
            anyhow::bail!("ticks in place of candles")
        };
        candles.extend(rows);
    }
    Ok(CandlesSeen { interval, source, candles })
}

fn query(window: &Window) -> RangeQuery {
    RangeQuery {
        symbol: window.symbol.clone(),
        from: rfc3339(window.from, 6),
        to: rfc3339(window.to, 6),
        order: Order::Oldest,
        limit: Some(PAGE_ROWS),
        ..RangeQuery::default()
    }
}

/// Reads every page of an answer; a symbol that the gateway has not stored has none.
async fn pages(client: &Client, mut query: RangeQuery) -> anyhow::Result<Vec<RangePage>> {
    let mut pages = Vec::new();
    loop {
        let mut page = match client.range(&query).await {
            Err(ClientError::Refused(refusal)) if refusal.code == "NOT_FOUND" => break,
            answer => answer?,
        };
        query.cursor = page.next_cursor.take();
        pages.push(page);
        ensure!(pages.len() < PAGES_MAX, "the pages do not end");
        if query.cursor.is_none() {
            break;
        }
    }
    Ok(pages)
}

fn sources(book: &Book, window: &Window) -> BTreeSet<String> {
    let feeds = book.places_in(window).filter_map(|place| book.feed(place));
    feeds.map(|(_, feed)| feed.source.clone()).collect()
}
