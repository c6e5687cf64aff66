//! Bodies that are no batches: nested, encoded, cut, padded. Each is refused as a whole and costs little.

use std::net::SocketAddr;

use chrono_testkit::INTERNAL_KEY;
use futures_util::future::join_all;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::SOON;
use crate::feeds::{INGEST, PAST, batch, feed, feed_with, post_head};
use crate::honest::Honest;
use crate::service::Service;

/// What the gateway may grow by: buffers of a megabyte, in each thread.
const COST_KIB_MAX: u64 = 48 * 1_024;
/// Senders of bodies without an end.
const ENDLESS: usize = 16;
/// How much of a body is thrown away, in bytes, and what both kernels may hold beside it.
const DISCARDED: usize = 8 * 1_024 * 1_024;
const BETWEEN_MAX: usize = 16 * 1_024 * 1_024;
/// The deepest that a body has room for.
const DEPTHS: [usize; 5] = [17, 129, 1_025, 10_000, 1_000_000];

#[tokio::test(flavor = "multi_thread")]
async fn no_depth_of_nesting_ends_the_process() {
    let service = Service::start();
    let honest = Honest::start(&service).await;
    assert_eq!(service.post_text(INGEST, &[], &batch(&[feed("1")])).status, 200);
    let before_kib = service.gateway.resident_kib().unwrap();
    for depth in DEPTHS {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]"), ("[", "")] {
            // As deep as a body's megabyte holds.
            let depth = depth.min(1_000_000 / (open.len() + close.len()).max(1));
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for body in places_of(&deep) {
                let answer = service.post_text(INGEST, &[], &body);
                answer.error(400, "VALIDATION_ERROR");
                let path = "/internal/delegations";
                service.post_text(path, &[], &body).error(400, "VALIDATION_ERROR");
            }
        }
    }
    let cost_kib = service.gateway.resident_kib().unwrap().saturating_sub(before_kib);
    assert!(cost_kib < COST_KIB_MAX, "{cost_kib} KiB");
    honest.end().await;
    assert!(service.gateway.stop().unwrap().success());
}

/// Bodies with a deep value in every place where one may stand.
fn places_of(deep: &str) -> Vec<String> {
    let envelope = |field: &str| {
        let rest = batch(&[feed("1")]).replacen('{', "", 1).replace("\"worker_id\":\"w\",", "");
        format!("{{\"{field}\":{deep},{rest}")
    };
    let fields = ["metadata", "price", "symbol", "extra"];
    let mut bodies: Vec<_> = fields.iter().map(|field| batch(&[feed_with(field, deep)])).collect();
    bodies.extend([deep.to_owned(), envelope("worker_id"), envelope("extra")]);
    bodies.push(format!(r#"{{"worker_id":"w","timestamp":"{PAST}","feeds":{deep}}}"#));
    bodies.push(format!(r#"{{"delegations":[{{"delegator_id":"a","metadata":{deep}}}]}}"#));
    bodies
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_batch_is_refused_as_a_whole() {
    let service = Service::start();
    let honest = Honest::start(&service).await;
    let good = batch(&[feed("1")]);
    let with = |from: &str, to: &str| good.replacen(from, to, 1);
    for (field, body) in [
        ("body", String::new()),
        ("body", " ".to_owned()),
        ("body", "[]".to_owned()),
        ("body", "null".to_owned()),
        ("body", "\"{}\"".to_owned()),
        ("body", format!("\u{feff}{good}")),
        ("body", format!("{good}x")),
        ("body", format!("{good}{good}")),
        ("body", format!("{good}\0")),
        ("body", format!("//\n{good}")),
        ("body", good.replace('"', "'")),
        ("body", with("}]", "},]")),
        ("body", with("\"w\"", "\"w\"\n\"x\"")),
        ("body", with("\"w\"", "\"\u{1}\"")),
        ("body", with("\"w\"", "\"\\ud800\"")),
        ("body", with("\"w\"", "\"\\x41\"")),
        ("body", with("\"w\"", "NaN")),
        ("body", with("\"w\"", "01")),
        ("body", with("\"w\"", "1e400")),
        ("body", good[..good.len() - 1].to_owned()),
        ("worker_id", "{}".to_owned()),
        ("worker_id", with("\"w\"", "\"\\u0000\"")),
        ("worker_id", with("\"w\"", "\"w\",\"work\\u0065r_id\":\"w\"")),
        ("timestamp", with("\"timestamp\"", "\"Timestamp\"")),
        ("timestamp", with(&format!("\"{PAST}\""), "1760013296123")),
        ("feeds", with("\"feeds\"", "\"feeds\":[],\"f\\u0065eds\"")),
        ("feeds", batch(&[])),
        ("feeds", batch(&vec![feed("1"); 101])),
        ("feeds", batch(&vec!["0".to_owned(); 400_000])),
    ] {
        let error = service.post_text(INGEST, &[], &body).error(400, "VALIDATION_ERROR");
        let shown = &body[..body.len().min(200)];
        assert_eq!(error["details"]["field"], field, "{shown} {error}");
    }
    honest.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_an_end_is_refused_and_its_connection_closed() {
    let service = Service::start();
    let honest = Honest::start(&service).await;
    let before_kib = service.gateway.resident_kib().unwrap();
    let senders = (0..ENDLESS).map(|_| send_without_end(service.gateway.address()));
    for (answer, sent) in join_all(senders).await {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["error"]["code"], "PAYLOAD_TOO_LARGE", "{body}");
        assert!((DISCARDED..DISCARDED + BETWEEN_MAX).contains(&sent), "{sent} bytes taken");
    }
    let cost_kib = service.gateway.resident_kib().unwrap().saturating_sub(before_kib);
    assert!(cost_kib < COST_KIB_MAX, "{cost_kib} KiB");
    honest.end().await;
    assert!(service.gateway.stop().unwrap().success());
}

/// Sends chunks until the gateway takes no more; gives what it answered before it closed, and how much was sent.
async fn send_without_end(address: SocketAddr) -> (String, usize) {
    let (mut reading, mut writing) = TcpStream::connect(address).await.unwrap().into_split();
    let head = format!("{}Transfer-Encoding: chunked\r\n\r\n", post_head());
    writing.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
    let sending = async {
        let mut sent = 0;
        while writing.write_all(chunk.as_bytes()).await.is_ok() {
            sent += 0x4000;
        }
        sent
    };
    let reading = async {
        let mut answer = Vec::new();
        // Closed or reset, but the answer comes first.
        while matches!(reading.read_buf(&mut answer).await, Ok(1..)) {}
        String::from_utf8(answer).unwrap()
    };
    let both = async { tokio::join!(reading, sending) };
    timeout(SOON, both).await.expect("the connection stays open")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoded_body_is_refused_before_it_is_read() {
    let service = Service::start();
    let bearer = format!("Bearer {INTERNAL_KEY}");
    // What it would grow to does not matter: nobody decodes it.
    let bomb = "\u{1f}".repeat(1 << 20);
    for encoding in ["gzip", "x-gzip", "deflate", "br", "zstd", "compress", "gzip, gzip", "aes", ""]
    {
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
            ("Content-Encoding", encoding),
        ];
        let error = service.ask("POST", INGEST, &headers, &bomb).error(400, "VALIDATION_ERROR");
        assert_eq!(error["details"]["field"], "Content-Encoding");
    }
    // Two types of one body are none.
    let good = batch(&[feed("1")]);
    let twice = [("Content-Type", "text/plain")];
    let error = service.post_text(INGEST, &twice, &good).error(400, "VALIDATION_ERROR");
    assert_eq!(error["details"]["field"], "Content-Type");
    assert!(service.gateway.stop().unwrap().success());
}
