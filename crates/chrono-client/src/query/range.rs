//! History: `GET /prices/range`, raw ticks or candles, page by page.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::address::PathQuery;
use crate::client::from_json;
use crate::{Client, ClientError};

/// What `interval` says of an answer that holds ticks.
const RAW: &str = "raw";

/// Which end of the range comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Newest first, the gateway's default.
    #[default]
    Newest,
    /// Oldest first.
    Oldest,
}

/// A stretch of a symbol's history; both ends belong to it.
#[derive(Debug, Clone, Default)]
pub struct RangeQuery {
    /// `BASE/QUOTE`.
    pub symbol: String,
    /// First instant, RFC 3339 or epoch.
    pub from: String,
    /// Last instant, RFC 3339 or epoch.
    pub to: String,
    /// Candle length such as `1m`; none asks for raw ticks.
    pub interval: Option<String>,
    /// Only this source.
    pub source: Option<String>,
    /// Which end comes first.
    pub order: Order,
    /// Most rows of a page, at most 10,000; the gateway's default is 1,000.
    pub limit: Option<u32>,
    /// Where to go on: [`RangePage::next_cursor`] of the page before, with all else unchanged.
    pub cursor: Option<String>,
    /// Asks for flat candles where nothing traded.
    pub include_empty: bool,
    /// Asks for each raw tick's metadata.
    pub metadata: bool,
}

/// One page of history.
#[derive(Debug, Clone)]
pub struct RangePage {
    /// The rows.
    pub data: RangeData,
    /// `raw`, or the candle length.
    pub interval: String,
    /// Rows on this page.
    pub count: usize,
    /// Where the next page starts; none on the last.
    pub next_cursor: Option<String>,
    /// The gateway's own time for the answer, in milliseconds.
    pub latency_ms: u64,
}

/// The rows of a page.
#[derive(Debug, Clone)]
pub enum RangeData {
    /// Raw ticks, where no interval was asked for.
    Ticks(Vec<RangeTick>),
    /// Candles of the interval.
    Candles(Vec<RangeCandle>),
}

/// A raw tick.
#[derive(Debug, Clone, Deserialize)]
pub struct RangeTick {
    /// The source's time, RFC 3339.
    pub timestamp: String,
    /// Quote currency per unit of base, as sent.
    pub price: String,
    /// Size traded, in base currency, as sent.
    pub volume: Option<String>,
    /// Where the price was seen.
    pub source: String,
    /// What the worker sent along, where it was asked for.
    #[serde(default)]
    pub metadata: Option<Box<RawValue>>,
}

/// A candle.
#[derive(Debug, Clone, Deserialize)]
pub struct RangeCandle {
    /// The bucket's start, RFC 3339.
    pub timestamp: String,
    /// The first price by (time, arrival).
    pub open: String,
    /// The highest price.
    pub high: String,
    /// The lowest price.
    pub low: String,
    /// The last price by (time, arrival).
    pub close: String,
    /// The sum of the volumes; none when no tick had one.
    pub volume: Option<String>,
    /// Ticks in the bucket.
    pub num_feeds: u64,
    /// Σ price × volume ÷ Σ volume, rounded to six places more than the prices have; none without volume.
    #[serde(default)]
    pub vwap: Option<String>,
    /// `closed`, `open` (its end is not over) or `partial` (cut by the range).
    #[serde(default)]
    pub status: Option<String>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
    interval: String,
    count: usize,
    #[serde(default)]
    next_cursor: Option<String>,
    latency_ms: u64,
}

impl RangeQuery {
    fn path(&self) -> PathQuery {
        let limit = self.limit.map(|limit| limit.to_string());
        PathQuery::new("/prices/range")
            .pair("symbol", &self.symbol)
            .pair("from", &self.from)
            .pair("to", &self.to)
            .pair_if("interval", self.interval.as_deref())
            .pair_if("source", self.source.as_deref())
            .pair_if("order", (self.order == Order::Oldest).then_some("asc"))
            .pair_if("limit", limit.as_deref())
            .pair_if("cursor", self.cursor.as_deref())
            .pair_if("include_empty", self.include_empty.then_some("true"))
            .pair_if("metadata", self.metadata.then_some("true"))
    }
}

impl RangePage {
    fn read(body: &[u8]) -> Result<Self, ClientError> {
        let body: Body<'_> = from_json(body)?;
        let data = if body.interval == RAW {
            RangeData::Ticks(rows(body.data)?)
        } else {
            RangeData::Candles(rows(body.data)?)
        };
        Ok(Self {
            data,
            interval: body.interval,
            count: body.count,
            next_cursor: body.next_cursor,
            latency_ms: body.latency_ms,
        })
    }
}

fn rows<T: DeserializeOwned>(data: &RawValue) -> Result<Vec<T>, ClientError> {
    from_json(data.get().as_bytes())
}

impl Client {
    /// Asks for one page of a symbol's history.
    ///
    /// # Errors
    /// [`ClientError::Refused`] for a range or a cursor that the gateway does not take; any may be retried that is
    /// retryable.
    pub async fn range(&self, query: &RangeQuery) -> Result<RangePage, ClientError> {
        RangePage::read(&self.get_bytes(query.path().as_str()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_only_what_was_asked_for() {
        let mut query = RangeQuery {
            symbol: "BTC/USD".to_owned(),
            from: "2025-10-09T00:00:00Z".to_owned(),
            to: "1760013296".to_owned(),
            ..RangeQuery::default()
        };
        let plain = "/prices/range?symbol=BTC%2FUSD&from=2025-10-09T00%3A00%3A00Z&to=1760013296";
        assert_eq!(query.path().as_str(), plain);
        query.interval = Some("1h".to_owned());
        query.order = Order::Oldest;
        query.limit = Some(5);
        query.include_empty = true;
        assert_eq!(
            query.path().as_str(),
            format!("{plain}&interval=1h&order=asc&limit=5&include_empty=true")
        );
    }

    #[test]
    fn reads_ticks_with_their_exact_text() {
        let page = RangePage::read(
            br#"{"data":[{"timestamp":"2025-10-09T00:00:00.000Z","price":"1.10","volume":null,
                "source":"s","metadata":{"a":1.10}}],"interval":"raw","count":1,
                "next_cursor":"c","latency_ms":2}"#,
        )
        .unwrap();
        let RangeData::Ticks(ticks) = page.data else { panic!("no ticks") };
        let tick = ticks.first().unwrap();
        assert_eq!((tick.price.as_str(), tick.volume.as_deref()), ("1.10", None));
        assert_eq!(tick.metadata.as_ref().unwrap().get(), r#"{"a":1.10}"#);
        assert_eq!(page.next_cursor.as_deref(), Some("c"));
    }

    #[test]
    fn reads_the_specs_candles() {
        let page = RangePage::read(
            br#"{"data":[{"timestamp":"2025-10-09T00:00:00Z","open":"66800.00","high":"67500.00",
                "low":"66500.00","close":"67234.56","volume":"12345.678","num_feeds":3600}],
                "interval":"1h","count":24,"latency_ms":145}"#,
        )
        .unwrap();
        let RangeData::Candles(candles) = page.data else { panic!("no candles") };
        assert_eq!(candles.first().map(|candle| candle.num_feeds), Some(3_600));
        assert_eq!(page.next_cursor, None);
    }

    #[test]
    fn reads_the_volume_weighted_price_with_its_exact_text() {
        let page = RangePage::read(
            br#"{"data":[{"timestamp":"2025-10-09T00:00:00Z","open":"1.0","high":"1.0","low":"1.0",
                "close":"1.0","volume":"2","num_feeds":1,"vwap":"1.0000000","status":"closed"},
                {"timestamp":"2025-10-09T01:00:00Z","open":"1.0","high":"1.0","low":"1.0",
                "close":"1.0","volume":null,"num_feeds":1,"vwap":null,"status":"open"}],
                "interval":"1h","count":2,"next_cursor":null,"latency_ms":1}"#,
        )
        .unwrap();
        let RangeData::Candles(candles) = page.data else { panic!("no candles") };
        let vwaps: Vec<_> = candles.iter().map(|candle| candle.vwap.as_deref()).collect();
        assert_eq!(vwaps, [Some("1.0000000"), None]);
    }
}
