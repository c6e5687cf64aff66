//! Candles made of recorded trades, against those that the exchanges published: field by field, as decimals.
//!
//! Compared are the minutes strictly between a symbol's first and last recorded trade, for only there all trades are
//! known. Each exchange has a database of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chrono_client::{Client, Feed, IngestBatch, Order, RangeCandle, RangeData, RangeQuery};
use chrono_domain::{Arrival, Candle, ExactSum, Interval, OrderKey, Price, Timestamp, Volume};
use chrono_testkit::{CandleRow, TickRow, data_dir, read_rows};
use chrono_worker::TickerVolume;
use rust_decimal::Decimal;

use crate::recordings::replay;
use crate::service::Service;

/// Rows of a page, the most there may be.
const PAGE: u32 = 10_000;

/// Open, high, low, close and volume.
type Figures = [Decimal; 5];

/// What an exchange's recordings hold.
struct Exchange {
    trades: PathBuf,
    /// By symbol, the minutes strictly between first and last trade.
    inner: BTreeMap<String, (Timestamp, Timestamp)>,
    /// By symbol and minute, within those minutes.
    published: BTreeMap<(String, Timestamp), Figures>,
}

impl Exchange {
    fn read(dir: &Path, name: &str) -> Self {
        let dir = dir.join("candles").join(name);
        let trades = dir.join("trades.ndjson.gz");
        let mut inner: BTreeMap<String, (Timestamp, Timestamp)> = BTreeMap::new();
        for trade in read_rows::<TickRow>(&trades).unwrap() {
            let minute = minute_of(&trade.timestamp);
            let (first, last) = inner.entry(trade.symbol).or_insert((minute, minute));
            (*first, *last) = (minute.min(*first), minute.max(*last));
        }
        let mut published = BTreeMap::new();
        for candle in read_rows::<CandleRow>(&dir.join("candles.ndjson.gz")).unwrap() {
            let minute = minute_of(&candle.open_time);
            let within =
                inner.get(&candle.symbol).filter(|(first, last)| *first < minute && minute < *last);
            if within.is_some() {
                // The last row of a minute that was published more than once counts.
                let figures = figures_of_row(&candle);
                published.insert((candle.symbol, minute), figures);
            }
        }
        Self { trades, inner, published }
    }

    /// Posts the trades, and reads the candles between a symbol's first and last trade.
    async fn candles(
        &self,
        service: &Service,
        include_empty: bool,
    ) -> BTreeMap<(String, Timestamp), RangeCandle> {
        let mut found = BTreeMap::new();
        for (symbol, (first, last)) in &self.inner {
            let (from, to) = (Interval::M1.bucket_end(*first), just_before(*last));
            if from > to {
                continue;
            }
            let query = candles_of(symbol, from, to);
            for candle in candles(&service.reader(), &RangeQuery { include_empty, ..query }).await {
                assert_eq!(candle.status.as_deref(), Some("closed"));
                let minute = Timestamp::parse_rfc3339(&candle.timestamp).unwrap();
                let known = found.insert((symbol.clone(), minute), candle);
                assert!(known.is_none(), "{symbol} {minute} twice");
            }
        }
        found
    }
}

fn candles_of(symbol: &str, from: Timestamp, to: Timestamp) -> RangeQuery {
    RangeQuery {
        symbol: symbol.to_owned(),
        from: from.to_string(),
        to: to.to_string(),
        interval: Some("1m".to_owned()),
        order: Order::Oldest,
        limit: Some(PAGE),
        ..RangeQuery::default()
    }
}

async fn candles(reader: &Client, query: &RangeQuery) -> Vec<RangeCandle> {
    let mut query = query.clone();
    let mut found = Vec::new();
    loop {
        let page = reader.range(&query).await.unwrap();
        assert_eq!(page.interval, "1m");
        let RangeData::Candles(candles) = page.data else { panic!("no candles") };
        found.extend(candles);
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            return found;
        }
    }
}

fn minute_of(time: &str) -> Timestamp {
    Interval::M1.bucket(Timestamp::parse_rfc3339(time).unwrap())
}

fn just_before(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.micros() - 1).unwrap()
}

fn decimal(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap()
}

fn figures_of_row(row: &CandleRow) -> Figures {
    [&row.open, &row.high, &row.low, &row.close, &row.volume].map(|text| decimal(text))
}

/// Gives the figures of an answer; trades always have a volume.
fn figures(candle: &RangeCandle) -> Figures {
    let volume = candle.volume.as_ref().unwrap();
    [&candle.open, &candle.high, &candle.low, &candle.close, volume].map(|text| decimal(text))
}

#[tokio::test]
async fn kraken_agrees_in_every_minute_with_and_without_trades() {
    let Some(dir) = data_dir() else { return };
    let exchange = Exchange::read(&dir, "lgpl/kraken-2025-11-10");
    let service = Service::start();
    replay(service.worker(), std::slice::from_ref(&exchange.trades), TickerVolume::Keep).await;

    let traded = exchange.candles(&service, false).await;
    let filled = exchange.candles(&service, true).await;
    assert!(filled.keys().eq(exchange.published.keys()));
    let mut without_trades = 0;
    for (place, published) in &exchange.published {
        let found = &filled[place];
        if let Some(candle) = traded.get(place) {
            assert_eq!(figures(candle), *published, "{place:?}");
            assert_eq!((candle.num_feeds > 0, figures(found)), (true, *published));
        } else {
            // Kraken publishes a zero where we say that there was no volume.
            let [open, high, low, close, volume] = *published;
            assert_eq!((found.num_feeds, found.volume.as_deref()), (0, None), "{place:?}");
            let flat =
                [&found.open, &found.high, &found.low, &found.close].map(|text| decimal(text));
            assert_eq!((flat, volume), ([open, high, low, close], Decimal::ZERO), "{place:?}");
            without_trades += 1;
        }
    }
    assert_eq!((exchange.published.len(), without_trades, traded.len()), (409, 137, 409 - 137));
}

#[tokio::test]
async fn hitbtc_agrees_in_every_minute() {
    let Some(dir) = data_dir() else { return };
    let exchange = Exchange::read(&dir, "hitbtc-2021-07-15");
    let service = Service::start();
    replay(service.worker(), std::slice::from_ref(&exchange.trades), TickerVolume::Keep).await;
    let found = exchange.candles(&service, false).await;
    let found: BTreeMap<_, _> =
        found.iter().map(|(place, candle)| (place.clone(), figures(candle))).collect();
    assert_eq!(found, exchange.published);
    assert_eq!(found.len(), 428);
}

/// Bitget's candles open at the previous close, which is not the first trade: a gateway that makes candles of trades
/// is right to differ. What does not depend on the open agrees.
#[tokio::test]
async fn bitget_differs_by_its_own_convention_only() {
    let Some(dir) = data_dir() else { return };
    let exchange = Exchange::read(&dir, "bitget-2022-04-07");
    let service = Service::start();
    replay(service.worker(), std::slice::from_ref(&exchange.trades), TickerVolume::Keep).await;
    let found = exchange.candles(&service, false).await;
    assert!(found.keys().eq(exchange.published.keys()));
    let (mut agree, mut differ) = (0, [0; 5]);
    for (place, published) in &exchange.published {
        let found = figures(&found[place]);
        agree += usize::from(found == *published);
        for (count, (found, published)) in differ.iter_mut().zip(found.iter().zip(published)) {
            *count += usize::from(found != published);
        }
        let [open, high, low, close, volume] = found;
        let opened = published[0];
        assert_eq!(
            [opened, high.max(opened), low.min(opened), close, volume],
            *published,
            "{place:?} {open}"
        );
    }
    assert_eq!((exchange.published.len(), agree, differ), (55, 3, [52, 7, 4, 0, 0]));
}

/// Binance publishes a running candle again and again; each names the first and last of its trades.
#[tokio::test]
async fn binance_agrees_with_every_running_candle() {
    let Some(dir) = data_dir() else { return };
    let dir = dir.join("candles/binance-2021-04-04");
    let mut trades: BTreeMap<String, Vec<TickRow>> = BTreeMap::new();
    for trade in read_rows::<TickRow>(&dir.join("trades.ndjson.gz")).unwrap() {
        trades.entry(trade.symbol.clone()).or_default().push(trade);
    }
    let mut updates: Vec<CandleRow> = read_rows(&dir.join("candles.ndjson.gz")).unwrap();
    updates.retain(|update| is_covered(update, &trades[&update.symbol]));
    updates.sort_by_key(last_of_update);

    let service = Service::start();
    let (worker, reader) = (service.worker(), service.reader());
    let mut posted: BTreeMap<&str, usize> = BTreeMap::new();
    for update in &updates {
        let (of_symbol, posted) =
            (&trades[&update.symbol], posted.entry(&update.symbol).or_default());
        let end = of_symbol.partition_point(|trade| last_of_trade(trade) <= last_of_update(update));
        post(&worker, &of_symbol[*posted..end]).await;
        *posted = end;

        let minute = minute_of(&update.open_time);
        let query =
            candles_of(&update.symbol, minute, just_before(Interval::M1.bucket_end(minute)));
        let found = candles(&reader, &query).await;
        let [candle] = found.as_slice() else { panic!("{update:?}: {found:?}") };
        assert_eq!(figures(candle), figures_of_row(update), "{update:?}");
    }
    let symbols: BTreeSet<&str> = posted.into_keys().collect();
    assert_eq!((updates.len(), symbols.len()), (51, 3));
}

/// Tells whether an update's first and last trade were recorded, and so all between them.
fn is_covered(update: &CandleRow, trades: &[TickRow]) -> bool {
    let (first, last) = (update.first_id.as_deref().unwrap(), update.last_id.as_deref().unwrap());
    trades.iter().any(|trade| trade.metadata["first_id"] == first)
        && trades.iter().any(|trade| trade.metadata["last_id"] == last)
}

fn last_of_update(update: &CandleRow) -> u64 {
    update.last_id.as_ref().unwrap().parse().unwrap()
}

fn last_of_trade(trade: &TickRow) -> u64 {
    trade.metadata["last_id"].as_str().unwrap().parse().unwrap()
}

async fn post(worker: &Client, trades: &[TickRow]) {
    for trades in trades.chunks(100) {
        let feeds = trades.iter().map(|trade| Feed {
            symbol: trade.symbol.clone(),
            price: trade.price.clone(),
            volume: trade.volume.clone(),
            source: trade.source.clone(),
            timestamp: trade.timestamp.clone(),
            metadata: None,
        });
        let timestamp = trades[0].timestamp.clone();
        let batch = IngestBatch { worker_id: "e2e".to_owned(), timestamp, feeds: feeds.collect() };
        let reply = worker.ingest(&batch, None).await.unwrap();
        assert_eq!(reply.ingested, trades.len());
    }
}

/// These recordings hold no trades: bars of a second are merged into minutes through the domain's monoid, in an order
/// that has nothing to do with time.
#[test]
fn coinbase_seconds_merge_into_its_minutes() {
    let Some(dir) = data_dir() else { return };
    for (day, minutes) in [("2016-10-07", 1_419), ("2016-10-08", 1_400)] {
        let dir = dir.join(format!("candles/apache/coinbase-{day}"));
        let bars: Vec<CandleRow> = read_rows(&dir.join("bars.ndjson.gz")).unwrap();
        let mut merged: BTreeMap<Timestamp, Option<Candle>> = BTreeMap::new();
        for bar in shuffled(&bars) {
            Candle::merge_into(
                merged.entry(minute_of(&bar.open_time)).or_default(),
                candle_of(bar),
            );
        }
        let merged: BTreeMap<Timestamp, Figures> = merged
            .into_iter()
            .map(|(minute, candle)| (minute, figures_of_candle(&candle.unwrap())))
            .collect();
        let published: Vec<CandleRow> = read_rows(&dir.join("candles.ndjson.gz")).unwrap();
        let published: BTreeMap<Timestamp, Figures> =
            published.iter().map(|row| (minute_of(&row.open_time), figures_of_row(row))).collect();
        assert_eq!(merged, published, "{day}");
        assert_eq!(merged.len(), minutes);
    }
}

/// Gives every row once, far from its neighbours.
fn shuffled(bars: &[CandleRow]) -> impl Iterator<Item = &CandleRow> {
    const STRIDE: usize = 1_009;
    assert!(!bars.len().is_multiple_of(STRIDE), "the stride is prime, so it meets every row");
    (0..bars.len()).map(|idx| &bars[idx * STRIDE % bars.len()])
}

fn candle_of(bar: &CandleRow) -> Candle {
    let price = |text: &str| Price::try_new(text).unwrap();
    let at = |arrival| OrderKey {
        timestamp: Timestamp::parse_rfc3339(&bar.open_time).unwrap(),
        arrival: Arrival(arrival),
    };
    Candle {
        open: price(&bar.open),
        open_at: at(0),
        high: price(&bar.high),
        low: price(&bar.low),
        close: price(&bar.close),
        close_at: at(1),
        volume: Some(ExactSum::of_volume(Volume::try_new(&bar.volume).unwrap())),
        notional: None,
        count: 1,
    }
}

fn figures_of_candle(candle: &Candle) -> Figures {
    let volume = candle.volume.unwrap().to_string();
    let prices =
        [candle.open, candle.high, candle.low, candle.close].map(|price| price.to_string());
    let [open, high, low, close] = prices.map(|text| decimal(&text));
    [open, high, low, close, decimal(&volume)]
}
