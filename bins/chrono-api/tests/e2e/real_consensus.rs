//! The consensus over recorded prices, asked over HTTP: every figure equals an independent computation, and what is
//! stored equals what is computed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono_client::{Client, Feed as Posted, IngestBatch};
use chrono_domain::{
    Arrival, Clock, ConsensusPolicy, Feed, OrderKey, Price, Source, SystemClock, Timestamp,
};
use chrono_testkit::{CandleRow, TickRow, data_dir, read_rows};
use serde_json::Value;

use crate::oracle::{Expected, expect};
use crate::recordings::plain;
use crate::service::{SEALED, Service};

/// The last millisecond of a minute's bar.
const BAR_END: Duration = Duration::from_millis(59_999);
/// Every so many minutes of a day of bars are asked for.
const BAR_STEP: usize = 20;
/// All five markets as if their quotes were one currency, which makes five votes a window.
const POOLED: &str = "BTC/POOLED";
/// A market whose ticks come in now.
const LIVE: &str = "LIVE/USD";
/// Milliseconds between stored answers.
const INTERVAL_MS: &str = "500";
/// Tries until something is stored, and the pause between them.
const TRIES: usize = 600;
const PAUSE: Duration = Duration::from_millis(50);

/// A gateway and the feeds that it was given, by symbol, in the order in which it was given them.
struct Ledger {
    service: Service,
    feeds: BTreeMap<String, Vec<Feed>>,
    posted: u64,
}

impl Ledger {
    fn start(settings: &[(&str, &str)]) -> Self {
        Self { service: Service::start_with(settings), feeds: BTreeMap::new(), posted: 0 }
    }

    /// Posts rows in batches, one after the other, so that they arrive in their order.
    async fn post(&mut self, rows: Vec<Posted>) {
        let worker: Client = self.service.worker();
        for rows in rows.chunks(100) {
            let timestamp = rows[0].timestamp.clone();
            let batch =
                IngestBatch { worker_id: "e2e".to_owned(), timestamp, feeds: rows.to_vec() };
            assert_eq!(worker.ingest(&batch, None).await.unwrap().ingested, rows.len());
            for row in rows {
                let key = OrderKey {
                    timestamp: Timestamp::parse_rfc3339(&row.timestamp).unwrap(),
                    arrival: Arrival(self.posted),
                };
                let source = Source::try_new(&row.source).unwrap();
                let feed = Feed { source, price: Price::try_new(&row.price).unwrap(), key };
                self.feeds.entry(row.symbol.clone()).or_default().push(feed);
                self.posted += 1;
            }
        }
    }

    /// Asks for all symbols at a time, with votes, and compares each with the independent computation.
    fn compare(&self, at: Timestamp) -> usize {
        let policy = ConsensusPolicy::default();
        let wanted: BTreeMap<&str, Option<Expected>> = self
            .feeds
            .iter()
            .map(|(symbol, feeds)| (symbol.as_str(), expect(at, &within(feeds, at), &policy)))
            .collect();
        let symbols: Vec<&str> = wanted.keys().copied().collect();
        let path = format!("/aggregates/consensus?symbols={}&timestamp={at}", symbols.join(","));
        if wanted.values().all(Option::is_none) {
            self.service.get(&path).error(404, "NOT_FOUND");
            return 0;
        }
        let plain = self.service.get(&path).ok();
        let explained = self.service.get(&format!("{path}&explain=true")).ok();
        let (found, votes) = (by_symbol(&plain), by_symbol(&explained));
        let missing: Vec<&str> = wanted
            .iter()
            .filter(|(_, wanted)| wanted.is_none())
            .map(|(symbol, _)| *symbol)
            .collect();
        assert_eq!(plain["missing"], Value::from(missing), "{at}");
        for (symbol, wanted) in wanted.iter().filter(|(_, wanted)| wanted.is_some()) {
            assert_eq!(Some(form(&votes[*symbol])), *wanted, "{symbol} {at}");
            assert_eq!(without_votes(&votes[*symbol]), found[*symbol], "{symbol} {at}");
        }
        assert_eq!(found.len(), wanted.values().flatten().count());
        found.len()
    }
}

/// Gives the feeds that can matter at a time.
fn within(feeds: &[Feed], at: Timestamp) -> Vec<Feed> {
    let from = at.minus(ConsensusPolicy::default().lookback());
    feeds
        .iter()
        .filter(|feed| from <= feed.key.timestamp && feed.key.timestamp <= at)
        .copied()
        .collect()
}

fn by_symbol(answer: &Value) -> BTreeMap<String, Value> {
    let rows = answer["data"].as_array().unwrap().iter();
    rows.map(|row| (row["symbol"].as_str().unwrap().to_owned(), row.clone())).collect()
}

fn without_votes(row: &Value) -> Value {
    let mut row = row.clone();
    row.as_object_mut().unwrap().remove("votes").unwrap();
    row
}

/// Puts an answer with votes into the form of the independent computation.
fn form(row: &Value) -> Expected {
    let text = |field: &str| row[field].as_str().map(str::to_owned);
    let sources: Vec<String> = row["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(row["num_sources"], sources.len());
    let vote = |vote: &Value| {
        let name = known(&["counted", "outlier", "stale", "same_group"], &vote["verdict"]);
        (vote["source"].as_str().unwrap().to_owned(), name)
    };
    Expected {
        price: text("price"),
        status: known(&["ok", "thin", "disputed", "no_quorum"], &row["status"]),
        median: text("median").unwrap(),
        mean: text("mean").unwrap(),
        std_dev: text("std_dev"),
        sources,
        num_feeds: usize::try_from(row["num_feeds"].as_u64().unwrap()).unwrap(),
        verdicts: row["votes"].as_array().unwrap().iter().map(vote).collect(),
    }
}

fn known(names: &[&'static str], found: &Value) -> &'static str {
    names.iter().copied().find(|name| *found == **name).unwrap_or_else(|| panic!("{found}"))
}

fn feeds_of(file: &Path) -> Vec<Posted> {
    let rows = read_rows::<TickRow>(file).unwrap().into_iter();
    rows.map(|row| Posted {
        symbol: row.symbol,
        price: plain(&row.price),
        volume: row.volume.as_deref().map(plain),
        source: row.source,
        timestamp: row.timestamp,
        metadata: None,
    })
    .collect()
}

fn closes_of(file: &Path) -> Vec<Posted> {
    let rows = read_rows::<CandleRow>(file).unwrap().into_iter();
    rows.map(|row| Posted {
        symbol: row.symbol,
        price: row.close,
        volume: Some(row.volume),
        source: row.source,
        timestamp: Timestamp::parse_rfc3339(&row.open_time).unwrap().plus(BAR_END).to_string(),
        metadata: None,
    })
    .collect()
}

#[tokio::test]
async fn every_figure_over_recorded_trades_equals_the_independent_computation() {
    figures_over_trades_are_right(&[], |_ledger| ()).await;
}

#[tokio::test]
async fn every_figure_over_recorded_trades_is_right_also_from_pages_and_after_a_restart() {
    let seal = |ledger: &Ledger| ledger.service.seal();
    let Some(sealed) = figures_over_trades_are_right(&[SEALED], seal).await else { return };
    let sealed = Ledger { service: sealed.service.restart(), ..sealed };
    compare_trades(&sealed);
}

async fn figures_over_trades_are_right(
    settings: &[(&str, &str)],
    seal: impl Fn(&Ledger),
) -> Option<Ledger> {
    let dir = data_dir()?;
    let mut ledger = Ledger::start(settings);
    for name in ["BTC", "ETH", "LTC", "BCH"] {
        let file =
            dir.join(format!("ticks/consensus/2021-04-17-{name}-by-exchange-time.ndjson.gz"));
        ledger.post(feeds_of(&file)).await;
    }
    seal(&ledger);
    compare_trades(&ledger);
    Some(ledger)
}

fn compare_trades(ledger: &Ledger) {
    let window = ConsensusPolicy::default().window;
    let moments = ledger.feeds.values().flatten().flat_map(|feed| {
        let leaves = feed.key.timestamp.plus(window);
        [feed.key.timestamp, leaves, leaves.plus(Duration::from_micros(1))]
    });
    let mut moments: Vec<Timestamp> = moments.collect();
    moments.sort_unstable();
    moments.dedup();
    let compared: usize = moments.iter().map(|at| ledger.compare(*at)).sum();
    println!("{compared} answers at {} times", moments.len());
    assert_eq!(ledger.posted, 626);
    assert!(compared > moments.len());
}

#[tokio::test]
async fn every_figure_over_five_markets_equals_the_independent_computation() {
    let Some(dir) = data_dir() else { return };
    let mut ledger = Ledger::start(&[]);
    let closes = closes_of(&dir.join("candles/apache/five-markets-2022-12-13/candles.ndjson.gz"));
    let pooled = closes.iter().map(|close| Posted { symbol: POOLED.to_owned(), ..close.clone() });
    ledger.post(pooled.collect()).await;
    ledger.post(closes).await;
    let mut moments: Vec<Timestamp> =
        ledger.feeds[POOLED].iter().map(|feed| feed.key.timestamp).collect();
    moments.sort_unstable();
    moments.dedup();
    let asked: Vec<Timestamp> = moments.iter().copied().step_by(BAR_STEP).collect();
    let compared: usize = asked.iter().map(|at| ledger.compare(*at)).sum();
    println!("{compared} answers at {} times", asked.len());
    assert_eq!((ledger.posted, moments.len(), asked.len()), (2 * 5_761, 1_440, 72));
    // The pooled market has five votes until noon, and three later.
    let statuses = asked.iter().map(|at| {
        let path = format!("/aggregates/consensus?symbols={POOLED}&timestamp={at}&min_sources=4");
        ledger.service.get(&path).ok()["data"][0]["status"].as_str().unwrap().to_owned()
    });
    let quorums = statuses.filter(|status| status == "ok").count();
    assert!((36..=37).contains(&quorums), "{quorums}");
}

#[tokio::test]
async fn what_is_stored_equals_what_is_computed_also_after_a_late_tick() {
    let mut ledger = Ledger::start(&[("CONSENSUS_INTERVAL", INTERVAL_MS)]);
    let clock = SystemClock::new();
    let quotes = [
        ("binance", "67230.00"),
        ("coinbase", "67231.5"),
        ("kraken", "67240"),
        ("okx", "67229.125"),
    ];
    let start = clock.now();
    for (idx, (source, price)) in quotes.iter().enumerate() {
        let at = start.minus(Duration::from_millis(100 * idx as u64));
        ledger.post(vec![quote(source, price, at)]).await;
    }
    let stored_at = next_multiple(start);
    let first = wait_for_revision(&ledger, stored_at, 4, 0).await;

    ledger.post(vec![quote("late", "70000", start.minus(Duration::from_secs(1)))]).await;
    let second = wait_for_revision(&ledger, stored_at, 5, 1).await;
    assert_ne!((&first["mean"], &first["median"]), (&second["mean"], &second["median"]));

    // What was stored is read back after a restart.
    let Ledger { service, feeds, posted } = ledger;
    let ledger = Ledger { service: service.restart(), feeds, posted };
    assert_eq!(wait_for_revision(&ledger, stored_at, 5, 1).await, second);
}

fn quote(source: &str, price: &str, at: Timestamp) -> Posted {
    Posted {
        symbol: LIVE.to_owned(),
        price: price.to_owned(),
        volume: None,
        source: source.to_owned(),
        timestamp: at.to_string(),
        metadata: None,
    }
}

fn next_multiple(at: Timestamp) -> Timestamp {
    let interval = INTERVAL_MS.parse::<i64>().unwrap() * 1_000;
    Timestamp::from_micros((at.micros() / interval + 1) * interval).unwrap()
}

/// Asks until the stored and the computed answer of a time know of `num_feeds` feeds, and the stored one has a revision.
///
/// An answer about the last minutes may be a second old; it is then the one that was right a second ago.
async fn wait_for_revision(
    ledger: &Ledger,
    at: Timestamp,
    num_feeds: usize,
    revision: u64,
) -> Value {
    let path = format!("/aggregates/consensus?symbols={LIVE}&timestamp={at}");
    let feeds = &ledger.feeds[LIVE];
    for _ in 0..TRIES {
        if SystemClock::new().now() > at {
            let mut found = ledger.service.get(&path).ok()["data"][0].take();
            let mut computed =
                ledger.service.get(&format!("{path}&explain=true")).ok()["data"][0].take();
            let answered = form(&computed);
            let known = &feeds[..answered.num_feeds];
            assert_eq!(Some(answered), expect(at, known, &ConsensusPolicy::default()));
            let stored = found["revision"].take();
            assert!(computed["revision"].take().is_null());
            if stored == revision && computed["num_feeds"] == num_feeds {
                assert_eq!(found, without_votes(&computed));
                return found;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("no revision {revision} was stored for {at}")
}
