//! Every figure over recorded prices, at every moment at which one enters or leaves the window.
//!
//! `CHRONO_REAL_DATA` names the directory of the recordings, by default `../shared/data` beside the workspace. Without
//! them the test says so, also where the output of what passes is not shown, and compares nothing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use chrono_domain::{
    Arrival, Consensus, ConsensusPolicy, Feed, OrderKey, Price, Source, Timestamp,
};
use flate2::read::GzDecoder;
use serde_json::Value;

use crate::oracle;

/// The last millisecond of a minute's bar, in microseconds after its start.
const BAR_END: i64 = 59_999_000;

#[expect(clippy::disallowed_methods, reason = "a test has no configuration but the environment")]
fn recordings() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let dir = std::env::var_os("CHRONO_REAL_DATA").map_or_else(beside, PathBuf::from);
    dir.join("ticks/consensus").is_dir().then_some(dir)
}

fn rows(path: &Path) -> Vec<Value> {
    let lines = BufReader::new(GzDecoder::new(File::open(path).unwrap())).lines();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap()
}

fn feed(row: &Value, price: &str, timestamp: Timestamp) -> Feed {
    Feed {
        source: Source::try_new(text(row, "source")).unwrap(),
        price: Price::try_new(text(row, price)).unwrap(),
        key: OrderKey { timestamp, arrival: Arrival(0) },
    }
}

fn tick(row: &Value) -> Feed {
    feed(row, "price", Timestamp::parse_rfc3339(text(row, "timestamp")).unwrap())
}

fn close(row: &Value) -> Feed {
    let open = Timestamp::parse_rfc3339(text(row, "open_time")).unwrap();
    feed(row, "close", Timestamp::from_micros(open.micros() + BAR_END).unwrap())
}

/// Numbers the feeds in the order given, as a store would, and parts them by symbol.
fn by_symbol(rows: &[Value], read: fn(&Value) -> Feed) -> BTreeMap<String, Vec<Feed>> {
    let mut symbols: BTreeMap<String, Vec<Feed>> = BTreeMap::new();
    for (arrival, row) in rows.iter().enumerate() {
        let mut feed = read(row);
        feed.key.arrival = Arrival(arrival as u64);
        symbols.entry(text(row, "symbol").to_owned()).or_default().push(feed);
    }
    symbols
}

/// Asks at each feed's time, when it is about to leave the window, and when it has left; gives how often.
fn compare(feeds: &[Feed], policy: &ConsensusPolicy) -> usize {
    let mut sorted = feeds.to_vec();
    sorted.sort_by_key(|feed| feed.key);
    let window = i64::try_from(policy.window.as_micros()).unwrap();
    let times = sorted
        .iter()
        .flat_map(|feed| [0, window, window + 1].map(|by| feed.key.timestamp.micros() + by));
    let mut times: Vec<i64> = times.collect();
    times.sort_unstable();
    times.dedup();
    for micros in &times {
        let at = Timestamp::from_micros(*micros).unwrap();
        let from = sorted.partition_point(|feed| feed.key.timestamp < at.minus(policy.lookback()));
        let to = sorted.partition_point(|feed| feed.key.timestamp <= at);
        let part = &sorted[from..to];
        let found = Consensus::compute(at, part.iter().rev().copied(), policy);
        assert_eq!(found.as_ref().map(oracle::form), oracle::expect(at, part, policy), "{at}");
    }
    times.len()
}

#[test]
fn every_figure_over_recorded_prices_equals_the_independent_computation() {
    let Some(dir) = recordings() else {
        // Not through `println!`, whose output a run without failures does not show.
        let line = "no recordings at ../shared/data or CHRONO_REAL_DATA: no consensus compared";
        writeln!(io::stderr(), "{line}").unwrap();
        return;
    };
    let mut asked = 0;
    let policy = ConsensusPolicy::default();
    let mut files: Vec<PathBuf> = fs::read_dir(dir.join("ticks/consensus"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in &files {
        let symbols = by_symbol(&rows(file), tick);
        asked += symbols.values().map(|feeds| compare(feeds, &policy)).sum::<usize>();
    }
    let bars = rows(&dir.join("candles/apache/five-markets-2022-12-13/candles.ndjson.gz"));
    let symbols = by_symbol(&bars, close);
    asked += symbols.values().map(|feeds| compare(feeds, &policy)).sum::<usize>();
    // All five markets as if their quotes were one currency, which makes five votes a window.
    let pooled: Vec<Feed> = symbols.into_values().flatten().collect();
    asked += compare(&pooled, &policy);
    assert_eq!((files.len(), bars.len()), (4, 5_761));
    println!("{asked} windows compared");
}

#[test]
fn a_run_that_passes_without_recordings_says_so() {
    let mut run = Command::new(std::env::current_exe().unwrap());
    let test = "every_figure_over_recorded_prices_equals_the_independent_computation";
    run.args(["--exact", &format!("real_data::{test}")]);
    let ended = run.env("CHRONO_REAL_DATA", "/nowhere").output().unwrap();
    let (said, outcome) =
        (String::from_utf8_lossy(&ended.stderr), String::from_utf8_lossy(&ended.stdout));
    assert!(ended.status.success() && outcome.contains("1 passed"), "{outcome}");
    assert!(said.contains("no recordings") && said.contains("no consensus compared"), "{said}");
}
