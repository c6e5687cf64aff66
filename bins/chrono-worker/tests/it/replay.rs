//! Replays of small files: order, keys, retries, resumption, summaries.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono_client::Backoff;
use chrono_domain::{Clock, SystemClock, Timestamp, WorkerId};
use chrono_worker::replay::{
    self, ReplayOptions, ReplayReport, Run, RunPlan, Speed, Times, Unreadable,
};
use chrono_worker::{TickerVolume, WorkerError};
use indicatif::ProgressBar;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::gateway::{Fault, Gateway};

fn options(path: &Path, plan: RunPlan) -> ReplayOptions {
    ReplayOptions {
        inputs: vec![path.to_owned()],
        worker_id: WorkerId::try_new("replay").unwrap(),
        plan,
        ticker_volume: TickerVolume::Move,
        unreadable: Unreadable::Count,
        pause_max: Duration::from_mins(1),
        backoff: Backoff {
            first: Duration::from_millis(1),
            longest: Duration::from_millis(4),
            retries_max: 3,
            ..Backoff::new(7)
        },
        progress: ProgressBar::hidden(),
    }
}

fn new_run(batch: usize, lanes: usize) -> RunPlan {
    RunPlan::New { nonce: 7, batch, lanes, speed: Speed::Max, times: Times::Original }
}

async fn replay(gateway: &Gateway, options: ReplayOptions) -> ReplayReport {
    let cancel = CancellationToken::new();
    let clock = Arc::new(SystemClock::new());
    replay::run(options, gateway.client(), clock, &cancel).await.unwrap()
}

/// Writes `rows` ticks, one per 10 ms, over five symbols in turn; the price is the row's number.
fn recording(rows: usize) -> (TempDir, PathBuf) {
    let mut text = String::new();
    for row in 1..=rows {
        let (seconds, millis) = (row / 100, row % 100 * 10);
        writeln!(
            text,
            r#"{{"symbol":"S{}/USD","price":"{row}","volume":null,"source":"s","timestamp":"2021-04-17T16:00:{seconds:02}.{millis:03}Z"}}"#,
            row % 5
        )
        .unwrap();
    }
    write(&text)
}

fn write(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ndjson");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

fn prices(gateway: &Gateway) -> Vec<usize> {
    let feeds = gateway.feeds();
    feeds.iter().map(|feed| feed["price"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn posts_every_row_once_and_in_order_through_faults() {
    let gateway = Gateway::start(|request| match request % 4 {
        1 => Fault::Overloaded,
        2 => Fault::StoreAndClose,
        _ => Fault::None,
    })
    .await;
    let (_dir, path) = recording(1_050);
    let report = replay(&gateway, options(&path, new_run(100, 1))).await;
    assert!(report.is_complete(), "{report}");
    assert_eq!(prices(&gateway), (1..=1_050).collect::<Vec<_>>());
    assert_eq!((report.rows, report.tally.batches), (1_050, 11));
    assert!(report.tally.retries > 0 && report.tally.replayed_batches > 0, "{report}");
    assert!(gateway.stored().iter().all(|batch| batch.worker_id == "replay"));
}

#[tokio::test]
async fn lanes_keep_the_order_of_each_symbol() {
    let gateway = Gateway::start(|_request| Fault::None).await;
    let (_dir, path) = recording(1_000);
    let report = replay(&gateway, options(&path, new_run(10, 4))).await;
    assert!(report.is_complete(), "{report}");
    let prices = prices(&gateway);
    assert_eq!(prices.iter().collect::<HashSet<_>>().len(), 1_000);
    for symbol in 0..5 {
        assert!(prices.iter().filter(|&&price| price % 5 == symbol).is_sorted());
    }
}

#[tokio::test]
async fn an_interrupted_run_goes_on_under_the_same_keys() {
    let gateway = Gateway::start(|request| match request {
        3..7 => Fault::Overloaded,
        _ => Fault::None,
    })
    .await;
    let (_dir, path) = recording(1_000);
    let first = replay(&gateway, options(&path, new_run(100, 1))).await;
    assert!(matches!(first.stopped, Some(WorkerError::Gateway { .. })), "{first}");
    assert!(!first.is_complete());
    assert_eq!(gateway.stored().len(), 3);
    let run: Run = first.run.to_string().parse().unwrap();
    // However the path is spelled, it is the same file.
    let spelled = path.parent().unwrap().join(".").join(path.file_name().unwrap());
    let second = replay(&gateway, options(&spelled, RunPlan::Resume(run))).await;
    assert!(second.is_complete(), "{second}");
    assert_eq!((second.tally.batches, second.tally.replayed_batches), (10, 3));
    assert_eq!((second.tally.ingested, second.tally.repeated), (700, 300));
    let said = second.to_string();
    assert!(
        said.contains("\ningested          700\nrepeated          300\nrefused           0\n"),
        "{said}"
    );
    assert_eq!(prices(&gateway), (1..=1_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_run_that_is_repeated_over_other_ticks_says_so() {
    let gateway = Gateway::start(|request| match request {
        0..2 => Fault::None,
        _ => Fault::OtherFeeds,
    })
    .await;
    let (_dir, path) = recording(150);
    let run: Run = "00000000000000ff_100_1_max_0".parse().unwrap();
    let said = replay(&gateway, options(&path, RunPlan::Resume(run.clone()))).await.to_string();
    assert!(said.contains("\nnothing of this run was stored"), "{said}");
    let said = replay(&gateway, options(&path, RunPlan::Resume(run))).await.to_string();
    assert!(said.ends_with("replay them as a new run\n"), "{said}");
}

#[tokio::test]
async fn a_cancelled_run_ends_soon_and_says_so() {
    let gateway = Gateway::start(|_request| Fault::Overloaded).await;
    let (_dir, path) = recording(5_000);
    let mut options = options(&path, new_run(1, 2));
    options.backoff = Backoff { retries_max: u32::MAX, ..options.backoff };
    let cancel = CancellationToken::new();
    let clock = Arc::new(SystemClock::new());
    let running = replay::run(options, gateway.client(), clock, &cancel);
    let cancelling = async {
        tokio::task::yield_now().await;
        cancel.cancel();
    };
    let (report, ()) = tokio::join!(running, cancelling);
    let report = report.unwrap();
    assert!(report.interrupted && !report.is_complete());
    assert!(report.to_string().contains("go on with --run 0000000000000007_1_2_max_0"), "{report}");
}

#[tokio::test]
async fn a_gateway_that_does_not_want_the_key_ends_the_run() {
    let gateway = Gateway::start(|_request| Fault::Unauthorized).await;
    let (_dir, path) = recording(1_000);
    let report = replay(&gateway, options(&path, new_run(10, 3))).await;
    assert!(matches!(report.stopped, Some(WorkerError::Gateway { .. })), "{report}");
    assert_eq!((report.tally.sent, report.tally.retries), (0, 0));
}

const MIXED: &str = r#"{"symbol":"A/B","price":"1","source":"s","timestamp":"2021-04-17T16:00:00Z"}
not json

{"symbol":"a/b","price":"2","source":"s","timestamp":"2021-04-17T16:00:00Z"}
{"symbol":"A/B","price":3,"source":"s","timestamp":"2021-04-17T16:00:00Z"}
{"symbol":"A/B","price":"4","source":"s","timestamp":"2021-04-17T16:00:00Z"}"#;

#[tokio::test]
async fn names_the_lines_that_were_not_stored() {
    let gateway = Gateway::start(|_request| Fault::None).await;
    let (_dir, path) = write(MIXED);
    let report = replay(&gateway, options(&path, new_run(100, 1))).await;
    assert_eq!((report.rows, report.unreadable), (3, 2));
    assert_eq!((report.tally.ingested, report.tally.refused), (2, 1));
    let place = |line| format!("{}:{line}: ", path.display());
    let [json, price] = report.unreadable_reasons.as_slice() else { panic!("{report}") };
    assert!(json.starts_with(&place(2)) && price.starts_with(&place(5)), "{report}");
    assert!(price.contains("expected a string"), "{price}");
    assert_eq!(report.tally.reasons, [format!("{}m", place(4))]);
    assert!(!report.is_complete());
}

#[tokio::test]
async fn a_strict_run_ends_at_the_first_unreadable_line() {
    let gateway = Gateway::start(|_request| Fault::None).await;
    let (_dir, path) = write(MIXED);
    let options = ReplayOptions { unreadable: Unreadable::Stop, ..options(&path, new_run(1, 1)) };
    let report = replay(&gateway, options).await;
    let Some(WorkerError::Unreadable { place, .. }) = &report.stopped else { panic!("{report}") };
    assert!(place.ends_with("a.ndjson:2"), "{place}");
    assert_eq!(prices(&gateway), [1]);
}

#[tokio::test]
async fn shifted_times_keep_their_distances_and_end_now() {
    let gateway = Gateway::start(|_request| Fault::None).await;
    let (_dir, path) = recording(150);
    let plan = |speed: &str| RunPlan::New {
        nonce: 7,
        batch: 100,
        lanes: 1,
        speed: speed.parse().unwrap(),
        times: Times::EndNow,
    };
    let clock = SystemClock::new();
    for speed in ["max", "10"] {
        let before = clock.now();
        let report = replay(&gateway, options(&path, plan(speed))).await;
        let after = clock.now();
        assert!(report.is_complete(), "{report}");
        let feeds = gateway.feeds().split_off(gateway.feeds().len() - 150);
        let times: Vec<Timestamp> = feeds
            .iter()
            .map(|feed| Timestamp::parse_rfc3339(feed["timestamp"].as_str().unwrap()).unwrap())
            .collect();
        for pair in times.windows(2) {
            assert_eq!(pair[1].since(pair[0]), Duration::from_millis(10));
        }
        let last = *times.last().unwrap();
        assert!(last >= before && last <= after, "{before} {last} {after}");
        if speed == "10" {
            assert!(report.duration >= Duration::from_millis(149), "{report}");
        }
        // The same run again, later: the same times, or the gateway would refuse its keys.
        let again = replay(&gateway, options(&path, RunPlan::Resume(report.run))).await;
        assert_eq!(again.tally.replayed_batches, again.tally.batches);
    }
}

#[tokio::test]
async fn standard_input_cannot_be_shifted() {
    let gateway = Gateway::start(|_request| Fault::None).await;
    let plan =
        RunPlan::New { nonce: 7, batch: 100, lanes: 1, speed: Speed::Max, times: Times::EndNow };
    let cancel = CancellationToken::new();
    let clock = Arc::new(SystemClock::new());
    let options = options(Path::new("-"), plan);
    let fault = replay::run(options, gateway.client(), clock, &cancel).await.unwrap_err();
    assert!(matches!(fault, WorkerError::ShiftOfStdin), "{fault}");
}
