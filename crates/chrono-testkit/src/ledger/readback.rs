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

/// What to read.
#[derive(Debug, Clone)]
pub struct Plan {
    windows: Vec<(Window, Vec<Series>)>,
    symbols: Vec<String>,
    whole: bool,
}

/// Candles to read: their length, and one source or all.
type Series = (Interval, Option<String>);

impl Book {
    /// Plans to read what the batches from a number on touch, with its one-minute candles.
    pub fn plan_since(&self, batch: usize) -> Plan {
        let minutes = |window| (window, vec![(Interval::Minute, None)]);
        let windows = self.windows_since(batch).into_iter().map(minutes).collect();
        Plan { windows, symbols: self.symbols().map(str::to_owned).collect(), whole: false }
    }

    /// Plans to read everything, with candles of three lengths, and the minutes of each source.
    pub fn plan_whole(&self) -> Plan {
        let with_series = |window: Window| {
            // The API does not take the names of sources for which feeds are refused.
            let feeds = self.places_in(&window).filter_map(|place| {
                let (batch, feed) = self.feed(place)?;
                batch.may_hold(place.1).then_some(feed)
            });
            let sources: BTreeSet<_> = feeds.map(|feed| feed.source.clone()).collect();
            let all = Interval::ALL.map(|interval| (interval, None)).into_iter();
            let series = all.chain(sources.into_iter().map(|name| (Interval::Minute, Some(name))));
            let series = series.collect();
            (window, series)
        };
        let windows = self.whole_windows().into_iter().map(with_series).collect();
        Plan { windows, symbols: self.symbols().map(str::to_owned).collect(), whole: true }
    }
}

impl Plan {
    /// Reads from a gateway that takes nothing in meanwhile.
    ///
    /// # Errors
    /// When the gateway does not answer, or not as documented.
    pub async fn read(self, client: &Client) -> anyhow::Result<Readback> {
        let mut windows = Vec::new();
        for (window, series) in self.windows {
            let mut held = Vec::new();
            for (interval, source) in series {
                held.push(candles(client, &window, interval, source).await?);
            }
            let ticks = ticks(client, &window).await?;
            windows.push(WindowSeen { window, ticks, candles: held });
        }
        let latest = latest(client, &self.symbols).await?;
        Ok(Readback { windows, latest, whole: self.whole })
    }
}

/// Asks for the latest price of each symbol; those that have none are left out.
///
/// # Errors
/// As [`Client::latest`].
pub async fn latest(
    client: &Client,
    symbols: &[String],
) -> Result<BTreeMap<String, String>, ClientError> {
    let symbols: Vec<_> = symbols.iter().map(String::as_str).collect();
    if symbols.is_empty() {
        return Ok(BTreeMap::new());
    }
    match client.latest(&symbols).await {
        Ok(found) => Ok(found.data.into_iter().map(|row| (row.symbol, row.price)).collect()),
        Err(ClientError::Refused(refusal)) if refusal.code == "NOT_FOUND" => Ok(BTreeMap::new()),
        Err(fault) => Err(fault),
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
