//! Recorded ticks: which files, how they are replayed, and what a gateway must give back for them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono_client::{Backoff, Client};
use chrono_domain::{SystemClock, Timestamp, WorkerId};
use chrono_testkit::{TickRow, read_rows, tick_files};
use chrono_worker::TickerVolume;
use chrono_worker::replay::{self, ReplayOptions, ReplayReport, RunPlan, Speed, Times, Unreadable};
use indicatif::ProgressBar;
use rust_decimal::Decimal;
use tokio_util::sync::CancellationToken;

/// Digits after the point that the gateway keeps of a second.
const TIME_DIGITS: usize = 6;

/// Lists the recordings of ticks, without the copies that `consensus/` holds.
pub(crate) fn originals(dir: &Path) -> Vec<PathBuf> {
    let copies = dir.join("ticks/consensus");
    let mut files = tick_files(dir).unwrap();
    files.retain(|file| !file.starts_with(&copies));
    files
}

/// Replays files as the worker does, and checks that every row was stored.
pub(crate) async fn replay(
    client: Client,
    files: &[PathBuf],
    ticker_volume: TickerVolume,
) -> ReplayReport {
    let plan =
        RunPlan::New { nonce: 7, batch: 100, lanes: 4, speed: Speed::Max, times: Times::Original };
    let options = ReplayOptions {
        inputs: files.to_vec(),
        worker_id: WorkerId::try_new("e2e").unwrap(),
        plan,
        ticker_volume,
        unreadable: Unreadable::Stop,
        pause_max: Duration::from_mins(1),
        backoff: Backoff::new(7),
        progress: ProgressBar::hidden(),
    };
    let cancel = CancellationToken::new();
    let clock = Arc::new(SystemClock::new());
    let report = replay::run(options, client, clock, &cancel).await.unwrap();
    assert!(report.is_complete(), "{report}");
    report
}

/// What a gateway must answer for one row.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    /// The row's time to the microsecond, cut and never rounded.
    pub(crate) at: Timestamp,
    /// That time as it is printed.
    pub(crate) timestamp: String,
    pub(crate) row: TickRow,
}

/// Reads the rows of files in their order, parts them by symbol, and sorts each by time, equal ones by arrival.
pub(crate) fn by_symbol(files: &[PathBuf]) -> BTreeMap<String, Vec<Expected>> {
    let mut symbols: BTreeMap<String, Vec<Expected>> = BTreeMap::new();
    for row in files.iter().flat_map(|file| read_rows::<TickRow>(file).unwrap()) {
        symbols.entry(row.symbol.clone()).or_default().push(Expected::of(row));
    }
    for rows in symbols.values_mut() {
        rows.sort_by_key(|expected| expected.at);
    }
    symbols
}

impl Expected {
    fn of(mut row: TickRow) -> Self {
        row.price = plain(&row.price);
        row.volume = row.volume.as_deref().map(plain);
        let timestamp = cut(&row.timestamp);
        let at = Timestamp::parse_rfc3339(&timestamp).unwrap();
        Self { at, timestamp, row }
    }
}

/// Writes a number without exponent, by other arithmetic than the worker's.
pub(crate) fn plain(text: &str) -> String {
    if !has_exponent(text) {
        return text.to_owned();
    }
    Decimal::from_scientific(text).unwrap().to_string()
}

pub(crate) fn has_exponent(text: &str) -> bool {
    text.contains(['e', 'E'])
}

/// Counts the digits after the point of the second.
pub(crate) fn time_digits(text: &str) -> usize {
    text.trim_end_matches('Z').split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

/// Cuts a time to microseconds, as text; three decimals where the rest is zero.
fn cut(text: &str) -> String {
    let utc = text.strip_suffix('Z').expect("recordings are in UTC");
    let (second, fraction) = utc.split_once('.').unwrap_or((utc, ""));
    let digits = format!("{fraction:0<TIME_DIGITS$}");
    let (millis, micros) = digits.get(..TIME_DIGITS).unwrap().split_at(3);
    let micros = if micros == "000" { "" } else { micros };
    format!("{second}.{millis}{micros}Z")
}

#[test]
fn times_are_cut_and_numbers_written_out() {
    assert_eq!(cut("2021-04-17T16:39:03.9512289Z"), "2021-04-17T16:39:03.951228Z");
    assert_eq!(cut("2021-04-17T16:39:03.9519999Z"), "2021-04-17T16:39:03.951999Z");
    assert_eq!(cut("2021-04-17T16:39:03.9510009Z"), "2021-04-17T16:39:03.951Z");
    assert_eq!(cut("2021-04-17T16:39:03Z"), "2021-04-17T16:39:03.000Z");
    assert_eq!(plain("9.2E-7"), "0.00000092");
    assert_eq!(plain("1.0e-04"), "0.00010");
    assert_eq!(plain("1.01748847777E7"), "10174884.7777");
    assert_eq!(plain("67230.00"), "67230.00");
}
