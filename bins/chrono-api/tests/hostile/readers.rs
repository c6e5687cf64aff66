//! Readers that ask for the largest answer there is and take nothing of it, or a little now and then: they share a bounded
//! memory, whoever finds none left is told so, and all are cut.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chrono_testkit::{Gateway, PUBLIC_KEY};
use futures_util::future::join_all;
use serde_json::{Value, json};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::client::SOON;
use crate::descriptors::{figure, until, until_within};
use crate::feeds::{INGEST, PAST};
use crate::honest::Honest;
use crate::service::Service;

/// Readers of each kind: those who take nothing, and those who take a little.
const EACH: usize = 200;
/// How many of them ask at the same time.
const AT_ONCE: usize = 40;
/// Rows of the largest answer, some 1.8 MB.
pub(crate) const ROWS: usize = 10_000;
const FEEDS: usize = 100;
/// What all large answers may take together, and what is made of them, read and logged beside; without a bound it would
/// be 700 MB.
const COST_KIB_MAX: u64 = (256 + 96) * 1_024;
/// What a reader takes who takes a little, each time and how often: more than nothing in 30 seconds, and less than the
/// least rate.
const SIP: usize = 4 * 1_024;
const SIP_EVERY: Duration = Duration::from_secs(1);
/// When the last is cut: 30 seconds for all, as many again for half a megabyte, which is more than they take with what
/// the kernel takes for them, and room for a busy machine.
const CUT_WITHIN: Duration = Duration::from_secs(30 + 30 + 30);
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A segment and a window as on a long wire, so that little of an answer hides in the readers' kernel; what hides in the
/// gateway's is looked at in `unsent`.
const SEGMENT_BYTES: u32 = 536;
const WINDOW_BYTES: u32 = 8 * 1_024;
/// Where honest clients come from.
const HONEST: Ipv4Addr = Ipv4Addr::LOCALHOST;
pub(crate) const LARGEST: &str =
    "/prices/range?symbol=A/B&limit=10000&from=2025-10-09T00:00:00Z&to=2025-10-10T00:00:00Z";

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_take_their_time_share_a_bounded_memory_and_are_cut() {
    let service = Service::start_with(&[("METRICS_ADDR", "127.0.0.1:0")]);
    let operators = service.gateway.metrics_address().unwrap();
    fill(&service);
    assert!(service.get(LARGEST).body.len() > ROWS * 150);
    let honest = Honest::start(&service).await;
    let (gateway, before_kib) = (&service.gateway, service.gateway.resident_kib().unwrap());
    let dawdle = async {
        let mut held = JoinSet::new();
        let mut refused = 0;
        for round in 0..2 * EACH / AT_ONCE {
            let customer = customer(round / 2);
            let asking = (0..AT_ONCE).map(|_| ask(gateway.address(), customer));
            for (nr, peer) in join_all(asking).await.into_iter().enumerate() {
                match peer {
                    Some(peer) => drop(held.spawn(take(peer, nr % 2))),
                    None => refused += 1,
                }
            }
            if round == 1 && customer != HONEST {
                let other = ask(gateway.address(), HONEST).await;
                assert!(other.is_some(), "one customer leaves no room for another");
            }
        }
        let cut = |body: &str| figure(body, "http_write_stalls_total") == held.len();
        until_within(CUT_WITHIN, operators, cut).await;
        (held.len(), refused)
    };
    let ((held, refused), most_kib) = sampled(gateway, dawdle).await;
    let cost_kib = most_kib.saturating_sub(before_kib);
    assert!(cost_kib < COST_KIB_MAX, "{cost_kib} KiB for {held} answers");
    assert!(held > AT_ONCE / 2 && refused > AT_ONCE, "{held} held, {refused} refused");
    // Those of the honest client and of whoever looks are left, and there is room for all again.
    until(operators, |body| figure(body, "http_connections_active") < 5).await;
    let answers = join_all((0..AT_ONCE / 4).map(|_| ask(gateway.address(), HONEST))).await;
    assert!(answers.iter().all(Option::is_some), "the room did not come back");
    drop(answers);
    honest.end().await;
    assert!(service.gateway.stop().unwrap().success());
}

/// Gives an address to come from; systems other than Linux have one only.
fn customer(nr: usize) -> Ipv4Addr {
    let last = if cfg!(target_os = "linux") { 2 + u8::try_from(nr).unwrap() } else { 1 };
    Ipv4Addr::new(127, 0, 0, last)
}

/// Asks for the largest answer and waits until it begins, reading nothing of it; none if it is refused as it should be.
async fn ask(address: SocketAddr, customer: Ipv4Addr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((customer, 0).into()).unwrap();
    SockRef::from(&socket).set_tcp_mss(SEGMENT_BYTES).unwrap();
    socket.set_recv_buffer_size(WINDOW_BYTES).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let ask = format!("GET {LARGEST} HTTP/1.1\r\nHost: a\r\nX-API-Key: {PUBLIC_KEY}\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    let begins = async {
        while stream.peek(&mut status).await.unwrap() < status.len() {
            sleep(LOOK_EVERY).await;
        }
    };
    timeout(SOON, begins).await.expect("no answer begins");
    if &status == b"HTTP/1.1 200" {
        return Some(stream);
    }
    expect_refusal(stream).await;
    None
}

/// Reads an answer that must be a refusal, and says when to come again.
async fn expect_refusal(mut stream: TcpStream) {
    let mut answer = Vec::new();
    while !answer.ends_with(b"}\n") {
        let read = timeout(SOON, stream.read_buf(&mut answer)).await.expect("it breaks off");
        assert_ne!(read.unwrap(), 0, "{}", String::from_utf8_lossy(&answer));
    }
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.lines().any(|line| line == "retry-after: 1"), "{head}");
    assert_eq!(body["error"]["code"], "OVERLOADED", "{body}");
}

/// Takes nothing, or a little now and then, for ever.
async fn take(mut stream: TcpStream, sips: usize) {
    let mut sip = vec![0; sips * SIP];
    while sip.is_empty() || matches!(stream.read(&mut sip).await, Ok(1..)) {
        sleep(SIP_EVERY).await;
    }
}

/// Does something, and gives the most memory that the gateway had meanwhile.
async fn sampled<T>(gateway: &Gateway, doing: impl Future<Output = T>) -> (T, u64) {
    let mut most_kib = 0;
    let sampling = async {
        loop {
            most_kib = most_kib.max(gateway.resident_kib().unwrap());
            sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        done = doing => (done, most_kib),
        never = sampling => never,
    }
}

/// Stores rows that are as long as rows can be.
pub(crate) fn fill(service: &Service) {
    let feed = |nr: usize| {
        json!({
            "symbol": "A/B", "source": format!("{:x<32}", "s"), "timestamp": PAST,
            "price": format!("1234567{nr:03}.123456789012345678"), "volume": "1234567890.123456789012345678"
        })
    };
    let feeds: Vec<Value> = (0..FEEDS).map(feed).collect();
    let batch = json!({ "worker_id": "w", "timestamp": PAST, "feeds": feeds });
    for _ in 0..ROWS / FEEDS {
        assert_eq!(service.post(INGEST, &[], &batch).ok()["ingested"], FEEDS);
    }
}
