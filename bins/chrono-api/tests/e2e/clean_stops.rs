//! After a stop by either signal, amid reads, the one file holds every acknowledged tick.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use chrono_domain::{Clock, SystemClock};
use chrono_testkit::{PUBLIC_KEY, scratch};
use serde_json::json;

use crate::service::Service;

/// Batches that are posted, and feeds of each.
const BATCHES: usize = 60;
const FEEDS: usize = 100;
/// Clients that read all the time, and what each must have read before the stop.
const READERS: usize = 4;
const READ: usize = 3;
/// How long a stop may take, and the pause between two looks at what was read.
const STOP: Duration = Duration::from_secs(25);
const STEP: Duration = Duration::from_millis(5);

#[test]
fn a_stop_by_either_signal_leaves_one_file_with_every_acknowledged_tick() {
    for signal in ["-TERM", "-INT"] {
        stopped_amid_reads(signal);
    }
}

fn stopped_amid_reads(signal: &str) {
    let mut service = Service::start();
    let feed = |nth: usize| {
        let timestamp = format!("2025-10-09T12:34:56.{nth:06}Z");
        json!({"symbol": "A/B", "source": "s", "price": "1.5", "timestamp": timestamp})
    };
    for batch in 0..BATCHES {
        let feeds: Vec<_> = (batch * FEEDS..(batch + 1) * FEEDS).map(feed).collect();
        let body = json!({"worker_id": "w", "timestamp": "2025-10-09T12:34:57Z", "feeds": feeds});
        assert_eq!(service.post("/internal/ingest", &[], &body).ok()["ingested"], FEEDS);
    }
    let read = AtomicUsize::new(0);
    let (url, pid) = (service.url().to_owned(), service.pid());
    let status = thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| read_on(&url, &read));
        }
        let clock = SystemClock::new();
        while read.load(Ordering::SeqCst) < READERS * READ {
            assert!(clock.uptime() < STOP, "nothing is read");
            thread::sleep(STEP);
        }
        assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
        service.gateway.wait(STOP).unwrap()
    });
    assert!(status.success(), "{signal}: {status}");
    assert_eq!(service.gateway.errors(), [""; 0], "{signal}");
    let names = fs::read_dir(service.data_dir()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["chrono.db", "chrono.db.lock"], "{signal}");

    let copy = scratch().unwrap();
    fs::copy(service.data_dir().join("chrono.db"), copy.path().join("chrono.db")).unwrap();
    let system = Service::start_in(copy).get("/metadata/system").ok();
    assert_eq!(system["store"]["ticks"], BATCHES * FEEDS, "{signal}");
}

/// Reads long answers, none of which is cached, until nobody answers any more.
fn read_on(url: &str, read: &AtomicUsize) {
    let host = url.strip_prefix("http://").unwrap();
    let span = "from=2025-10-09T00:00:00Z&to=2025-10-10T00:00:00Z";
    for limit in (1..BATCHES * FEEDS).rev() {
        let path = format!("/prices/range?symbol=A/B&{span}&limit={limit}");
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {PUBLIC_KEY}\r\n");
        let mut answer = Vec::new();
        let asked = TcpStream::connect(host).and_then(|mut stream| {
            stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
            stream.read_to_end(&mut answer)
        });
        if asked.is_err() || !answer.starts_with(b"HTTP/1.1 200") {
            return;
        }
        read.fetch_add(1, Ordering::SeqCst);
    }
}
