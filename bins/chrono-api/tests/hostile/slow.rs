//! Peers that take their time: each is cut off at its deadline and costs little until then.
//!
//! The deadlines are the contract's own, so all of them run down beside each other in one test.

use std::net::SocketAddr;
use std::time::Duration;

use chrono_domain::{Clock, SystemClock};
use chrono_testkit::PUBLIC_KEY;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::client::{Client, SOON};
use crate::feeds::{INGEST, batch, feed, post_head};
use crate::honest::Honest;
use crate::service::Service;

/// Peers of each kind.
const EACH: usize = 40;
/// How much later than its deadline a peer may be cut off, on a busy machine.
const SLACK: Duration = Duration::from_secs(8);
/// What a peer may cost in memory.
const COST_KIB_MAX: u64 = 64;
/// The rest of those who send a byte now and then.
const DRIP: Duration = Duration::from_secs(1);
/// The rest between two looks at the metrics.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Rows of the large answer, a megabyte, and how often it is asked for without being read.
const ROWS: usize = 10_000;
const LARGE_ANSWERS: usize = 20;

/// How a peer dawdles, and after how long it must be cut off.
#[derive(Debug, Clone, Copy)]
struct Dawdler {
    /// What it sends at once.
    first: &'static str,
    /// What it goes on with, a byte at a time.
    drip: &'static str,
    /// The status of the answer before the connection is closed, if there is one.
    told: &'static [u16],
    after_s: u64,
}

const DAWDLERS: [Dawdler; 9] = [
    Dawdler { first: "", drip: "", told: &[], after_s: 10 },
    Dawdler { first: "GET /health/live HTTP/1.1\r\nHo", drip: "", told: &[], after_s: 30 },
    Dawdler { first: "GET /health/live HTTP/1.1\r\nX: ", drip: "y", told: &[], after_s: 30 },
    Dawdler { first: "\r\n", drip: "\r\n", told: &[], after_s: 30 },
    Dawdler {
        first: "GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n",
        drip: "",
        told: &[200],
        after_s: 30,
    },
    Dawdler { first: "Content-Length: 100\r\n\r\n{", drip: "", told: &[408], after_s: 10 },
    Dawdler { first: "Content-Length: 100\r\n\r\n{", drip: " ", told: &[408], after_s: 10 },
    Dawdler {
        first: "Transfer-Encoding: chunked\r\n\r\n",
        drip: "1\r\n \r\n",
        told: &[408],
        after_s: 10,
    },
    Dawdler {
        first: "Content-Length: 100\r\nExpect: 100-continue\r\n\r\n",
        drip: "",
        told: &[100, 408],
        after_s: 10,
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dawdles_is_cut_off_in_time_and_nobody_else_waits() {
    let service = Service::start();
    fill(&service);
    let honest = Honest::start(&service).await;
    let before_kib = service.gateway.resident_kib().unwrap();
    let mut peers = JoinSet::new();
    for dawdler in DAWDLERS.iter().cycle().take(DAWDLERS.len() * EACH) {
        let stream = TcpStream::connect(service.gateway.address()).await.unwrap();
        peers.spawn(dawdle(stream, *dawdler));
    }
    peers.spawn(read_nothing(service.gateway.address()));
    let all = peers.len();
    until(service.gateway.address(), |metrics| connections(metrics) >= all).await;
    let cost_kib = service.gateway.resident_kib().unwrap().saturating_sub(before_kib);
    assert!(cost_kib < COST_KIB_MAX * peers.len() as u64, "{cost_kib} KiB");
    while let Some(ended) = peers.join_next().await {
        ended.unwrap();
    }
    // Those of the honest client and of whoever looks are left.
    until(service.gateway.address(), |metrics| connections(metrics) < 5).await;
    honest.end().await;
    assert!(service.gateway.stop().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_closes_its_half_or_leaves_frees_its_place() {
    let service = Service::start_with(&[("HTTP_MAX_CONNECTIONS", "50")]);
    let honest = Honest::start(&service).await;
    let post = |length: usize| format!("{}Content-Length: {length}\r\n\r\n", post_head());
    let body = batch(&[feed("1")]);
    // Each kind more often than there are places.
    for text in [String::new(), post(100), post(body.len()) + &body, "GET /he".to_owned()] {
        for _ in 0..60 {
            let mut stream = TcpStream::connect(service.gateway.address()).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut rest = Vec::new();
            // Closed or reset: it must only not be left open.
            drop(timeout(SOON, stream.read_to_end(&mut rest)).await.expect("left open"));
        }
    }
    honest.end().await;
}

/// Dawdles until it is cut off, which must be neither early nor late.
async fn dawdle(mut stream: TcpStream, dawdler: Dawdler) {
    let Dawdler { first, drip, told, after_s } = dawdler;
    let head = if first.starts_with(['C', 'T']) { post_head() } else { String::new() };
    let clock = SystemClock::new();
    stream.write_all(format!("{head}{first}").as_bytes()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let dripping = async {
        // Until the socket is closed, which the reader sees.
        while drip.is_empty() || writing.write_all(drip.as_bytes()).await.is_ok() {
            sleep(DRIP).await;
        }
        std::future::pending::<()>().await;
    };
    let mut answers = Vec::new();
    let cut = async {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = reading.read(&mut chunk).await {
            answers.extend_from_slice(&chunk[..count]);
        }
    };
    let within = async {
        tokio::select! { () = cut => {}, () = dripping => {} }
    };
    let (least, most) = (Duration::from_secs(after_s), Duration::from_secs(after_s) + SLACK);
    timeout(most + SLACK, within).await.unwrap_or_else(|_| panic!("never cut off: {dawdler:?}"));
    let took = clock.uptime();
    // The gateway let it in a little before our clock started.
    let early = least.saturating_sub(Duration::from_secs(1));
    assert!((early..=most).contains(&took), "{took:?}: {dawdler:?}");
    let answers = String::from_utf8(answers).unwrap();
    let statuses: Vec<u16> = answers
        .lines()
        .filter_map(|line| line.strip_prefix("HTTP/1.1 "))
        .map(|rest| rest[..3].parse().unwrap())
        .collect();
    assert_eq!(statuses, told, "{dawdler:?}");
    if told.contains(&408) {
        assert!(answers.contains(r#""code":"VALIDATION_ERROR""#), "{answers}");
    }
}

/// Asks for more than any buffer between holds, reads nothing of it, and waits until it is given up.
async fn read_nothing(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let path =
        "/prices/range?symbol=A/B&limit=10000&from=2025-10-09T00:00:00Z&to=2025-10-10T00:00:00Z";
    let ask = format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-API-Key: {PUBLIC_KEY}\r\n\r\n");
    stream.write_all(ask.repeat(LARGE_ANSWERS).as_bytes()).await.unwrap();
    until(address, |metrics| figure(metrics, "http_write_stalls_total") == Some(1)).await;
}

/// Stores what makes a large answer.
fn fill(service: &Service) {
    let feeds: Vec<String> = (1..=100).map(|price| feed(&format!("{price}.50"))).collect();
    let body: serde_json::Value = serde_json::from_str(&batch(&feeds)).unwrap();
    for _ in 0..ROWS / feeds.len() {
        assert_eq!(service.post(INGEST, &[], &body).ok()["ingested"], 100);
    }
}

/// Waits until the metrics say so.
async fn until(address: SocketAddr, says: impl Fn(&str) -> bool) {
    let mut watcher = Client::connect(address).await;
    let wait = async {
        while !says(&watcher.ask("GET", "/metrics", &[]).await.body) {
            sleep(LOOK_EVERY).await;
        }
    };
    timeout(SOON, wait).await.expect("the metrics never say so");
}

fn connections(metrics: &str) -> usize {
    figure(metrics, "http_connections_active").unwrap_or(0)
}

/// Reads one figure, if it is there.
fn figure(metrics: &str, name: &str) -> Option<usize> {
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    value.parse().ok()
}
