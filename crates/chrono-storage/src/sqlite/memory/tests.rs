//! What is counted is what the process takes, whatever the ticks are like.
//!
//! Memory that was freed stays with a process, so each kind of ticks has one of its own: this test binary again, running
//! one test in a directory that holds a plan.

use std::process::Command;
use std::{env, fs, process};

use bytes::Bytes;
use chrono_domain::{Metadata, Price, Timestamp, Volume};
use chrono_testkit::resident_kib;

use super::*;
use crate::IdempotencyKey;
use crate::sqlite::packed::log::LoggedBatch;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
/// Ticks of a commit.
const COMMIT: usize = 1_000;
/// What else a process comes to take meanwhile, in bytes.
const BESIDE: u64 = 2 << 20;
/// File that says which kind of ticks a process is to hold.
const PLAN: &str = "kind-of-ticks";

/// A kind of ticks: how many there are, and the nth of them as (symbol, source, time, letters of metadata).
struct Kind {
    name: &'static str,
    ticks: u32,
    nth: fn(u32) -> (u32, u32, i64, usize),
    /// Ticks of a batch, each with an idempotency key; none for a batch a commit, without a key.
    keyed: Option<usize>,
}

const KINDS: [Kind; 7] = [
    Kind {
        name: "a tick an hour",
        ticks: 60_000,
        nth: |nth| (nth % 200, 1, i64::from(nth / 200) * HOUR, 0),
        keyed: None,
    },
    Kind {
        name: "a tick a minute, newest first",
        ticks: 60_000,
        nth: |nth| (nth % 20, 1, i64::from(9_000 - nth / 20) * MINUTE, 0),
        keyed: None,
    },
    Kind {
        name: "a tick a second of each of five sources",
        ticks: 200_000,
        nth: |nth| (nth % 200, nth / 200 % 5, i64::from(nth / 1_000) * SECOND, 0),
        keyed: None,
    },
    Kind {
        name: "late ones all over",
        ticks: 60_000,
        nth: |nth| {
            (nth % 50, nth % 7, i64::from(nth.wrapping_mul(2_654_435_761) >> 12) * SECOND, 0)
        },
        keyed: None,
    },
    Kind {
        name: "a tick a symbol",
        ticks: 60_000,
        nth: |nth| (nth, 1, i64::from(nth % 7) * SECOND, 0),
        keyed: None,
    },
    Kind {
        name: "metadata",
        ticks: 60_000,
        nth: |nth| (nth % 200, 1, i64::from(nth) * SECOND, 300),
        keyed: None,
    },
    Kind {
        name: "idempotency keys",
        ticks: 60_000,
        nth: |nth| (nth % 200, 1, i64::from(nth) * SECOND, 0),
        keyed: Some(1),
    },
];

fn logged((symbol_id, source_id, at, letters): (u32, u32, i64, usize)) -> LoggedTick {
    LoggedTick {
        symbol_id,
        source_id,
        timestamp: Timestamp::from_micros(at).unwrap(),
        price: Price::try_new("67230.01").unwrap(),
        volume: Some(Volume::try_new("0.5").unwrap()),
        metadata: (letters > 0).then(|| Metadata::from_canonical("x".repeat(letters))),
    }
}

/// Takes all ticks of a kind into memory.
fn filled(kind: &Kind) -> Memory {
    let memory = Memory::default();
    let mut ticks = (0..kind.ticks).map(kind.nth).map(logged);
    for (number, first) in (1..).zip((1..=u64::from(kind.ticks)).step_by(COMMIT)) {
        let batch = |nth: usize| LoggedBatch {
            worker_id: 1,
            received_at: Timestamp::MIN,
            repeatable: kind.keyed.map(|_| {
                // As they come: in no order.
                let key = format!("{:016x}-{number}", (nth as u64).wrapping_mul(u64::MAX / 97));
                let key = IdempotencyKey::try_new(&key).unwrap();
                (Idempotency { key, fingerprint: [7; 32] }, Bytes::from(vec![b'r'; 150]))
            }),
            ticks: ticks.by_ref().take(kind.keyed.unwrap_or(COMMIT)).collect(),
        };
        let batches = (0..COMMIT / kind.keyed.unwrap_or(COMMIT)).map(batch).collect();
        memory.fold(number, LoggedCommit { first_arrival: first, batches });
    }
    assert_eq!(memory.load().ticks, u64::from(kind.ticks));
    memory
}

#[test]
fn the_process_that_is_measured() {
    let Ok(plan) = fs::read_to_string(PLAN) else { return };
    let kind = KINDS.iter().find(|kind| kind.name == plan).unwrap();
    let before = resident_kib(process::id()).unwrap();
    let memory = filled(kind);
    let taken = (resident_kib(process::id()).unwrap() - before) * 1_024;
    let counted = memory.load().bytes;
    println!("{plan}: {taken} bytes taken, {counted} counted, {} ticks", kind.ticks);
    assert!(taken <= counted + counted / 5 + BESIDE, "{taken} bytes taken, {counted} counted");
    assert!(counted <= 2 * (taken + BESIDE), "{taken} bytes taken, {counted} counted");
}

#[test]
fn what_is_counted_is_what_the_process_takes() {
    for kind in &KINDS {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(PLAN), kind.name).unwrap();
        let ended = Command::new(env::current_exe().unwrap())
            .args(["--exact", "sqlite::memory::tests::the_process_that_is_measured", "--nocapture"])
            .current_dir(dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success(), "{}: {said}", kind.name);
        assert!(said.contains("bytes taken"), "nothing was measured: {said}");
        println!("{}", said.lines().find(|line| line.contains("bytes taken")).unwrap());
    }
}

#[test]
fn what_a_reader_has_while_it_is_changed_is_counted_once() {
    let memory = Memory::default();
    let mut shared = Vec::new();
    for nth in 0..300_i64 {
        let batch = LoggedBatch {
            worker_id: 1,
            received_at: Timestamp::MIN,
            repeatable: None,
            ticks: vec![logged((1, 1, nth / 3 * 20 * SECOND, 0))],
        };
        let first_arrival = u64::try_from(nth).unwrap() + 1;
        memory.fold(first_arrival, LoggedCommit { first_arrival, batches: vec![batch] });
        let hours = memory.copy(|part| part.series.get(&1).map(|series| series.hours.clone()));
        shared = hours.parts;
    }
    let counted = memory.load().bytes;
    drop(shared);
    let held = memory.read();
    let series = held.active.series.get(&1).unwrap();
    let hours: usize = series.hours.values().map(|hour| hour.bytes()).sum();
    let least = (series.ticks.bytes() + hours) as u64;
    assert!((least..least + 2_000).contains(&counted), "{counted} counted, {least} there");
}
