//! `sql` and `export`: what is stored, read beside a running gateway and after it.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use chrono_testkit::{INTERNAL_KEY, scratch};
use serde_json::{Value, json};

use crate::operator::{USAGE, run, text};
use crate::scene::{feed, minutes, past, post};
use crate::service::{BINARY, Service};

/// Runs a command that must succeed, and gives what it printed.
fn printed(dir: &Path, arguments: &[&str]) -> String {
    let output = run(dir, &[], arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn feeds(count: u64) -> Vec<Value> {
    let one = |at: u64| {
        let source = if at.is_multiple_of(2) { "binance" } else { "kraken" };
        let volume = at.is_multiple_of(3).then_some("0.250");
        let mut feed = feed(source, &format!("67230.{at:02}"), volume, past().plus(minutes(at)));
        if at.is_multiple_of(5) {
            feed["metadata"] = json!({"bid": "67231.00", "note": "a,\"b\"", "volume_kind": "24h"});
        }
        if at.is_multiple_of(7) {
            feed["symbol"] = json!("-1/2");
        }
        feed
    };
    (0..count).map(one).collect()
}

#[test]
fn ticks_are_read_by_sql_beside_the_gateway_and_after_it() {
    let service = Service::start();
    post(&service, &feeds(20));
    let newest = "SELECT timestamp, price, source FROM price_feeds WHERE symbol = 'BTC/USD' ORDER BY timestamp DESC LIMIT 2";
    let table = "timestamp                    price     source\n\
        ---------------------------  --------  -------\n\
        2025-10-09T12:49:00.000000Z  67230.19  kraken\n\
        2025-10-09T12:48:00.000000Z  67230.18  binance\n";
    assert_eq!(printed(service.data_dir(), &["sql", newest, "--format", "table"]), table);
    let dir = service.stopped();
    assert_eq!(printed(dir.path(), &["sql", newest, "--format", "table"]), table);
    // Where nobody looks it is CSV.
    let count = "SELECT count(*) AS n, max(CAST(price AS REAL)) AS most FROM price_feeds";
    assert_eq!(printed(dir.path(), &["sql", count]), "n,most\r\n20,67230.19\r\n");
    let line = printed(
        dir.path(),
        &["sql", "SELECT price, NULL AS x FROM price_feeds WHERE id = 1", "--format", "ndjson"],
    );
    assert_eq!(line, "{\"price\":\"67230.00\",\"x\":null}\n");
}

/// Takes away what a gateway gives anew.
fn sent(export: &str) -> Vec<Value> {
    let lines = export.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        for own in ["id", "ingested_at"] {
            assert!(line.as_object_mut().unwrap().remove(own).is_some());
        }
        line
    });
    lines.collect()
}

#[test]
fn an_export_that_is_replayed_into_a_fresh_gateway_is_exported_again() {
    let first = Service::start();
    post(&first, &feeds(60));
    let dir = scratch().unwrap();
    let file = dir.path().join("ticks.ndjson");
    let path = file.to_str().unwrap();
    assert_eq!(printed(first.data_dir(), &["export", "--metadata", "--output", path]), "");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing unfinished is left");

    let second = Service::start();
    let words = ["chrono-worker", "replay", path, "--url", second.url(), "--key", INTERNAL_KEY];
    let more = ["--worker-id", "w", "--keep-ticker-volume", "--strict"];
    let mut out = Vec::new();
    let code = chrono_worker::cli::main(words.into_iter().chain(more).map(Into::into), &mut out);
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS), "{}", text(&out));

    let again = printed(second.data_dir(), &["export", "--metadata"]);
    let (before, after) = (sent(&fs::read_to_string(&file).unwrap()), sent(&again));
    assert_eq!((before.len(), before), (60, after));
}

#[test]
fn an_export_is_filtered_and_harmless_in_a_spreadsheet() {
    let service = Service::start();
    post(&service, &feeds(20));
    let export = |more: &[&str]| {
        printed(service.data_dir(), &[&["export", "--format", "csv"], more].concat())
    };
    let rows = |more: &[&str]| export(more).lines().count() - 1;
    assert_eq!((rows(&[]), rows(&["--symbol", "btc-usd"]), rows(&["--symbol=-1/2"])), (20, 17, 3));
    assert_eq!(rows(&["--source", "kraken"]), 10);
    assert_eq!(rows(&["--from", "2025-10-09T12:31:00Z", "--to", "2025-10-09T12:33:00Z"]), 3);
    assert!(
        export(&["--symbol=-1/2"])
            .contains("\r\n1,'-1/2,67230.00,0.250,2025-10-09T12:30:00.000000Z,binance,")
    );
}

#[test]
fn a_wrong_command_or_statement_is_a_usage_error_and_a_missing_store_none() {
    let service = Service::start();
    post(&service, &feeds(1));
    for wrong in [
        &["sql"][..],
        &["sql", "SELEC 1"],
        &["sql", "DELETE FROM symbols"],
        &["sql", "SELECT hash FROM api_keys"],
        &["sql", "SELECT 1", "--format", "xml"],
        &["export", "--symbol", "btc"],
        &["export", "--source", "Binance!"],
        &["export", "--from", "yesterday"],
        &["export", "--format", "table"],
    ] {
        let output = run(service.data_dir(), &[], wrong);
        assert_eq!(output.status.code(), Some(USAGE), "{wrong:?} {}", text(&output.stderr));
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    let unknown = run(service.data_dir(), &[], &["export", "--symbol", "NO/SUCH"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("no tick of NO/SUCH"), "{}", text(&unknown.stderr));

    let empty = scratch().unwrap();
    for command in [&["sql", "SELECT 1"][..], &["export"]] {
        let output = run(empty.path(), &[], command);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("--data-dir"), "{}", text(&output.stderr));
    }
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0, "nothing is made");
}

#[test]
fn a_closed_pipe_ends_both_without_a_word() {
    let service = Service::start();
    post(&service, &feeds(20));
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    for arguments in [&["export"][..], &["sql", endless]] {
        let mut child = Command::new(BINARY);
        child.env_clear().env("CHRONO_DATA_DIR", service.data_dir()).args(arguments);
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    }
}

#[test]
fn a_signal_leaves_nothing_of_an_unfinished_export() {
    let service = Service::start();
    for _ in 0..10 {
        post(&service, &feeds(60));
    }
    for (signal, status) in [("-INT", 130), ("-TERM", 143)] {
        let dir = scratch().unwrap();
        let (whole, part) = (dir.path().join("ticks"), dir.path().join("ticks.part"));
        // A pipe in the place of the unfinished file: the export stands still, however fast it is, once that is full.
        assert!(Command::new("mkfifo").arg(&part).status().unwrap().success());
        let mut export = Command::new(BINARY);
        export.env_clear().env("CHRONO_DATA_DIR", service.data_dir()).arg("export");
        export.arg("--output").arg(&whole).stdout(Stdio::null()).stderr(Stdio::piped());
        let export = export.spawn().unwrap();
        let mut pipe = File::open(&part).unwrap();
        pipe.read_exact(&mut [0]).unwrap();
        let kill = Command::new("kill").args([signal, &export.id().to_string()]).status();
        assert!(kill.unwrap().success());
        let output = export.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{signal} {}", text(&output.stderr));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{signal}");
    }
}
