//! Posts ticks and remembers them: what was posted is what every client must be told.

use std::time::Duration;

use chrono_client::{Client, Feed, IngestBatch};
use chrono_domain::{Clock, SystemClock, Timestamp};
use chrono_testkit::{Gateway, GatewayCommand, INTERNAL_KEY};
use serde_json::{Value, json};

/// Ticks start so long ago: none is ahead of the gateway's clock, however many are posted.
const AGO: Duration = Duration::from_hours(1);

/// A gateway of this build on a directory.
pub(crate) fn gateway(directory: &tempfile::TempDir) -> GatewayCommand {
    GatewayCommand::new(env!("CARGO_BIN_EXE_chrono-api"), directory.path())
}

/// One exchange worker and its book.
pub(crate) struct Ticker {
    client: Client,
    start: Timestamp,
    posted: Vec<Feed>,
}

impl Ticker {
    /// Opens an empty book.
    pub(crate) fn new(gateway: &Gateway) -> Self {
        let client = gateway.client(INTERNAL_KEY).unwrap();
        Self { client, start: SystemClock::new().now().minus(AGO), posted: Vec::new() }
    }

    /// Opens an empty book whose ticks are newer than any of another, however fast the gateway was started again.
    pub(crate) fn after(gateway: &Gateway, before: &Self) -> Self {
        let start = before.start.plus(Duration::from_mins(1));
        Self { start, ..Self::new(gateway) }
    }

    /// Posts one batch of `(symbol, source, price, volume)`, each tick a millisecond after the one before.
    pub(crate) async fn post(&mut self, ticks: &[(&str, &str, &str, Option<&str>)]) {
        let first = u64::try_from(self.posted.len()).unwrap();
        let feeds = (first..).zip(ticks).map(|(number, (symbol, source, price, volume))| Feed {
            symbol: (*symbol).to_owned(),
            price: (*price).to_owned(),
            volume: volume.map(str::to_owned),
            source: (*source).to_owned(),
            timestamp: self.start.plus(Duration::from_millis(number)).to_string(),
            metadata: None,
        });
        self.post_feeds(feeds.collect()).await;
    }

    /// Posts `count` ticks of a symbol in one batch, each with a price of its own.
    pub(crate) async fn post_run(&mut self, symbol: &str, count: usize) {
        let first = self.posted.len();
        let prices: Vec<_> =
            (first..first + count).map(|number| format!("{}.50", number + 1)).collect();
        let ticks: Vec<_> =
            prices.iter().map(|price| (symbol, "kraken", &**price, Some("0.10"))).collect();
        self.post(&ticks).await;
    }

    async fn post_feeds(&mut self, feeds: Vec<Feed>) {
        let count = feeds.len();
        self.posted.extend(feeds.iter().cloned());
        let batch = IngestBatch {
            worker_id: "ticker".to_owned(),
            timestamp: SystemClock::new().now().to_string(),
            feeds,
        };
        let reply = self.client.ingest(&batch, None).await.unwrap();
        assert_eq!((reply.ingested, reply.failed), (count, 0), "{:?}", reply.errors);
    }

    /// How many ticks were posted.
    pub(crate) fn len(&self) -> usize {
        self.posted.len()
    }

    /// What a client of these symbols must be told after the first `from` ticks: each tick's `data`, in order.
    pub(crate) fn data_of(&self, symbols: &[&str], from: usize) -> Vec<Value> {
        let wanted = self.posted.iter().skip(from).filter(|feed| symbols.contains(&&*feed.symbol));
        wanted.map(data).collect()
    }
}

/// `data` of a `price_update`, as the spec has it.
fn data(feed: &Feed) -> Value {
    json!({
        "symbol": feed.symbol,
        "price": feed.price,
        "volume": feed.volume,
        "source": feed.source,
        "timestamp": feed.timestamp,
    })
}
