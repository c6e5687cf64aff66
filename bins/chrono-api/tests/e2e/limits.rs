//! Limits of the running gateway: bursts of many keys, junk keys by the thousand, workers that try to evade.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use chrono_auth::{CreatedKey, Role, Tier};
use chrono_testkit::{ADMIN_KEY, INTERNAL_KEY, PUBLIC_KEY};
use serde_json::json;

use crate::ask::Answer;
use crate::office::{Office, text_of, wait_for};
use crate::scene::{PAST, feed, past};
use crate::service::Service;

const DAY: Duration = Duration::from_hours(24);
const INTERVALS: &str = "/metadata/intervals";

fn number(answer: &Answer, header: &str) -> u32 {
    let text = answer.header(header).unwrap_or_else(|| panic!("no {header}: {answer:?}"));
    text.parse().unwrap_or_else(|_| panic!("{header} is {text}"))
}

/// Checks that the headers say the same as each other, and how much is left.
fn expect_headers(answer: &Answer, limit: u32, left: u32) {
    expect_headers_of(answer, "key", limit, left);
}

fn expect_headers_of(answer: &Answer, name: &str, limit: u32, left: u32) {
    let reset = number(answer, "x-ratelimit-reset");
    assert_eq!(number(answer, "x-ratelimit-limit"), limit);
    assert_eq!(number(answer, "x-ratelimit-remaining"), left);
    let policy = format!("\"{name}\";q={limit};w=60");
    assert_eq!(answer.header("ratelimit-policy"), Some(policy.as_str()));
    let state = format!("\"{name}\";r={left};t={reset}");
    assert_eq!(answer.header("ratelimit"), Some(state.as_str()));
    assert!((1..=120).contains(&reset), "{reset}");
}

#[test]
fn fifty_keys_at_ten_times_their_limit_pass_exactly_it_at_once() {
    const LIMIT: u32 = 4;
    let service = Service::start_with(&[("RATE_LIMIT_PUBLIC_FREE", "4")]);
    let office = Office::open(service.data_dir(), Duration::ZERO);
    let keys: Vec<String> =
        (0..50).map(|number| office.create(&format!("c{number}"), Tier::Free, DAY)).collect();
    // Of another tier, so that waiting spends nothing of what is counted.
    wait_for(&service, &office.create("paid", Tier::Paid, DAY), 200);
    for turn in 0..10 * LIMIT {
        for key in &keys {
            let answer = service.ask("GET", INTERVALS, &[("X-API-Key", key)], "");
            if turn < LIMIT {
                answer.ok();
                expect_headers(&answer, LIMIT, LIMIT - 1 - turn);
                assert_eq!(answer.header("retry-after"), None);
            } else {
                answer.error(429, "RATE_LIMIT_EXCEEDED");
                expect_headers(&answer, LIMIT, 0);
                // A quarter of a minute after the next one begins, a quarter of four has left the window.
                let wait = number(&answer, "retry-after");
                assert!((15..=75).contains(&wait), "{wait}");
                assert_eq!(number(&answer, "x-ratelimit-reset"), wait);
            }
        }
    }
}

#[test]
fn whoever_waits_as_told_is_not_refused_again() {
    let service = Service::start_with(&[("RATE_LIMIT_PUBLIC_PAID", "30")]);
    let ask = || service.get(INTERVALS);
    let refused = std::iter::repeat_with(ask).take(31).find(|answer| answer.status == 429);
    let wait = number(&refused.expect("31 of 30 passed"), "retry-after");
    assert!((1..=62).contains(&wait), "{wait}");
    std::thread::sleep(Duration::from_secs(wait.into()));
    ask().ok();
}

/// Asks once with each key over one connection, and counts the answers by status.
fn ask_with_each(service: &Service, keys: impl Iterator<Item = String>) -> BTreeMap<u16, usize> {
    let host = service.url().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut counts = BTreeMap::new();
    let mut unread = Vec::new();
    let request =
        |key| format!("GET {INTERVALS} HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {key}\r\n\r\n");
    let requests: Vec<String> = keys.map(request).collect();
    for some in requests.chunks(50) {
        stream.write_all(some.concat().as_bytes()).unwrap();
        for _ in some {
            *counts.entry(next_status(&mut stream, &mut unread)).or_insert(0) += 1;
        }
    }
    counts
}

/// Reads one answer, whose length is given, and gives its status.
fn next_status(stream: &mut TcpStream, unread: &mut Vec<u8>) -> u16 {
    loop {
        let text = String::from_utf8_lossy(unread);
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let end = head.len() + 4 + length.unwrap().parse::<usize>().unwrap();
            if unread.len() >= end {
                let status = head.get(9..12).unwrap().parse().unwrap();
                unread.drain(..end);
                return status;
            }
        }
        let mut chunk = [0; 16 * 1024];
        let count = stream.read(&mut chunk).unwrap();
        assert!(count > 0, "closed");
        unread.extend_from_slice(&chunk[..count]);
    }
}

/// Gives keys that open nothing: well-formed ones of nobody, wrong checksums, opaque ones, noise.
fn junk(numbers: std::ops::Range<u32>) -> impl Iterator<Item = String> {
    let made = text_of(&CreatedKey::unstored(Role::Public).unwrap());
    numbers.map(move |number| match number % 4 {
        0 => text_of(&CreatedKey::unstored(Role::Public).unwrap()),
        1 => format!("{}{number:08}", &made[..made.len() - 8]),
        2 => format!("chrono_internal_of_nobody_{number}"),
        _ => format!("noise-{number}"),
    })
}

/// Gives the memory that a process holds; a bare Linux may lack `ps`, and others lack `/proc`.
#[cfg(target_os = "linux")]
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[cfg(not(target_os = "linux"))]
fn resident_kib(pid: u32) -> u64 {
    let mut ps = std::process::Command::new("ps");
    let output = ps.args(["-o", "rss=", "-p", &pid.to_string()]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn a_hundred_thousand_junk_keys_grow_nothing_and_keep_nobody_out() {
    let service = Service::start();
    // The allocator and the log's buffers get what they need to work at all.
    ask_with_each(&service, junk(0..5_000));
    let before = resident_kib(service.pid());
    let counts = ask_with_each(&service, junk(5_000..105_000));
    let after = resident_kib(service.pid());
    assert_eq!(counts.values().sum::<usize>(), 100_000);
    assert!(counts.keys().all(|status| matches!(status, 401 | 429)), "{counts:?}");
    assert!(after < before + 4 * 1024, "from {before} to {after} KiB");
    assert_eq!(ask_with_each(&service, std::iter::once(PUBLIC_KEY.to_owned()))[&200], 1);
}

fn post_as(service: &Service, key: &str, worker: &str, price: &str) -> Answer {
    let feeds = [feed("s", price, None, past())];
    let batch = json!({"worker_id": worker, "timestamp": PAST, "feeds": feeds}).to_string();
    let headers = [("X-API-Key", key), ("Content-Type", "application/json")];
    service.ask("POST", "/internal/ingest", &headers, &batch)
}

#[test]
fn each_worker_behind_a_shared_key_has_a_limit_of_its_own() {
    const LIMIT: u32 = 5;
    let service = Service::start_with(&[("RATE_LIMIT_INTERNAL", "14"), ("RATE_LIMIT_WORKER", "5")]);
    let post = |worker: &str| post_as(&service, INTERNAL_KEY, worker, "1");
    for left in (0..LIMIT).rev() {
        let answer = post("busy");
        answer.ok();
        expect_headers_of(&answer, "worker", LIMIT, left);
    }
    let refused = post("busy");
    refused.error(429, "RATE_LIMIT_EXCEEDED");
    expect_headers_of(&refused, "worker", LIMIT, 0);
    // A fifth of a minute after the next one begins, a fifth of five has left the window.
    let wait = number(&refused, "retry-after");
    assert!((12..=72).contains(&wait), "{wait}");
    assert_eq!(number(&refused, "x-ratelimit-reset"), wait);
    // The other has all of its own, until less is left of the key's, which the refused one counted for as well.
    for left in (1..LIMIT).rev() {
        let answer = post("calm");
        answer.ok();
        expect_headers_of(&answer, "worker", LIMIT, left);
    }
    assert_eq!(post("busy").status, 429);
    for left in (0..3).rev() {
        let answer = post(&format!("other-{left}"));
        answer.ok();
        expect_headers(&answer, 14, left);
    }
    let refused = post("calm");
    refused.error(429, "RATE_LIMIT_EXCEEDED");
    expect_headers(&refused, 14, 0);
    // An administrator is not counted, nor are the workers behind its key.
    for _ in 0..2 * LIMIT {
        let answer = post_as(&service, ADMIN_KEY, "busy", "1");
        answer.ok();
        assert_eq!(answer.header("x-ratelimit-limit"), None);
    }
}

#[test]
fn a_refused_batch_too_says_what_is_left_of_the_limit_that_is_met_first() {
    let service = Service::start_with(&[("RATE_LIMIT_INTERNAL", "14"), ("RATE_LIMIT_WORKER", "5")]);
    let refused = post_as(&service, INTERNAL_KEY, "w", "-1");
    refused.error(400, "VALIDATION_ERROR");
    expect_headers_of(&refused, "worker", 5, 4);
}

#[test]
fn neither_new_worker_ids_nor_a_shared_one_nor_bad_batches_evade_a_limit() {
    let other = "chrono_internal_other_0123456789";
    let keys = format!("{INTERNAL_KEY},{other}");
    let service =
        Service::start_with(&[("RATE_LIMIT_INTERNAL", "20"), ("INTERNAL_API_KEYS", &keys)]);
    // A new id each time, and a bad batch each third time.
    let statuses: Vec<u16> = (0..40)
        .map(|number| {
            let price = if number % 3 == 0 { "-1" } else { "1" };
            post_as(&service, INTERNAL_KEY, &format!("w-{number}"), price).status
        })
        .collect();
    assert!(statuses[..20].iter().all(|status| matches!(status, 200 | 400)), "{statuses:?}");
    assert!(statuses[20..].iter().all(|status| *status == 429), "{statuses:?}");
    // The other key's workers have their own counts, also under the same ids.
    let passed = (0..40).filter(|_| post_as(&service, other, "w-1", "1").status == 200).count();
    assert_eq!(passed, 20);
}
