//! Every interval over every recorded symbol, over all sources and over each, equals a fold of the recorded rows.

use std::collections::{BTreeMap, BTreeSet};

use chrono_domain::Timestamp;
use chrono_testkit::data_dir;
use chrono_worker::TickerVolume;
use serde_json::Value;

use crate::fold::{Bucket, fold, micros, start_of};
use crate::recordings::{Expected, by_symbol, originals, replay};
use crate::service::{SEALED, Service};

/// Lengths of candles.
const INTERVALS: [&str; 7] = ["1m", "5m", "15m", "1h", "4h", "1d", "1w"];
/// Longest span of one question, below the gateway's two years.
const SPAN: i64 = 700 * 86_400_000_000;

#[tokio::test]
async fn candles_of_every_interval_equal_a_fold_of_the_recorded_rows() {
    candles_equal_a_fold(Service::start(), |_service| ()).await;
}

#[tokio::test]
async fn candles_of_every_interval_equal_that_fold_also_from_pages() {
    candles_equal_a_fold(Service::start_with(&[SEALED]), Service::seal).await;
}

async fn candles_equal_a_fold(service: Service, seal: impl Fn(&Service)) {
    let Some(dir) = data_dir() else { return };
    let files = originals(&dir);
    replay(service.worker(), &files, TickerVolume::Keep).await;
    seal(&service);
    let symbols = by_symbol(&files);
    let compared = compare(&service, &symbols);
    println!("{compared} candles");
    // Once more after a restart, from the file.
    assert_eq!(compare(&service.restart(), &symbols), compared);
}

fn compare(service: &Service, symbols: &BTreeMap<String, Vec<Expected>>) -> usize {
    let mut compared = 0;
    for (symbol, rows) in symbols {
        let sources: BTreeSet<&str> = rows.iter().map(|row| row.row.source.as_str()).collect();
        let several = sources.len() > 1;
        let each = sources.into_iter().map(Some).filter(|_| several);
        for source in each.chain([None]) {
            let of_source = |row: &&Expected| source.is_none_or(|source| row.row.source == source);
            let rows: Vec<&Expected> = rows.iter().filter(of_source).collect();
            for interval in INTERVALS {
                compared += compare_series(service, symbol, source, interval, &rows);
            }
        }
    }
    compared
}

fn compare_series(
    service: &Service,
    symbol: &str,
    source: Option<&str>,
    interval: &str,
    rows: &[&Expected],
) -> usize {
    let mut wanted = fold(rows, interval);
    let count = wanted.len();
    let of_source = source.map_or_else(String::new, |source| format!("&source={source}"));
    while let Some((&from, _)) = wanted.first_key_value() {
        let later = wanted.split_off(&(from + SPAN));
        let to = wanted.last_key_value().map(|(start, _)| start + micros(interval) - 1).unwrap();
        assert_eq!(start_of(from, interval), from);
        let path = format!(
            "/prices/range?symbol={symbol}&interval={interval}&from={}&to={}&limit=10000&order=asc{of_source}",
            time(from),
            time(to)
        );
        let answer = service.get(&path).ok();
        let found: BTreeMap<i64, Bucket> =
            answer["data"].as_array().unwrap().iter().map(read).collect();
        assert_eq!(found, wanted, "{path}");
        assert_eq!((&answer["count"], &answer["next_cursor"]), (&found.len().into(), &Value::Null));
        wanted = later;
    }
    count
}

fn time(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}

fn read(row: &Value) -> (i64, Bucket) {
    let text = |field: &str| row[field].as_str().map(str::to_owned);
    assert_eq!(row["status"], "closed");
    let start = Timestamp::parse_rfc3339(row["timestamp"].as_str().unwrap()).unwrap();
    let bucket = Bucket {
        open: text("open").unwrap(),
        high: text("high").unwrap(),
        low: text("low").unwrap(),
        close: text("close").unwrap(),
        volume: text("volume"),
        vwap: text("vwap"),
        num_feeds: usize::try_from(row["num_feeds"].as_u64().unwrap()).unwrap(),
    };
    (start.micros(), bucket)
}
