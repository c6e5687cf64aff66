//! More readers at once than may wait for the store: whoever comes too late is told when to come again, and ingest goes on.

use std::net::SocketAddr;
use std::time::Duration;

use chrono_testkit::PUBLIC_KEY;
use futures_util::future::join_all;
use tokio::time::sleep;

use crate::client::{Answer, Client};
use crate::feeds::{INGEST, batch, feed, feed_with};
use crate::honest::Honest;
use crate::service::Service;

/// Readers at once; 1,024 of them may wait.
const READERS: usize = 2_000;
/// How often all of them ask.
const ROUNDS: usize = 3;
/// The rest between two rounds, which lets what waits be read.
const REST: Duration = Duration::from_secs(1);
/// Ticks of one minute that lie between the two of another source, in the way of each read that wants both.
const TICKS: usize = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn readers_beyond_those_who_may_wait_are_told_so_and_ingest_goes_on() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let service = Service::start_with(&[("HTTP_MAX_CONNECTIONS_PER_IP", "3000")]);
    let feeds: Vec<String> = (1..=100).map(|price| feed(&format!("{price}.50"))).collect();
    let other = batch(&[feed_with("source", "\"other\"")]);
    assert_eq!(service.post_text(INGEST, &[], &other).ok()["ingested"], 1);
    for _ in 0..TICKS / feeds.len() {
        assert_eq!(service.post_text(INGEST, &[], &batch(&feeds)).ok()["ingested"], 100);
    }
    assert_eq!(service.post_text(INGEST, &[], &other).ok()["ingested"], 1);
    let honest = Honest::start(&service).await;
    let address: SocketAddr = service.gateway.address();
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(Client::connect(address).await);
    }
    let (mut given, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let asking = readers.iter_mut().enumerate().map(async |(nr, reader)| {
            reader.send(&question(round * READERS + nr)).await;
        });
        join_all(asking).await;
        for answer in join_all(readers.iter_mut().map(|reader| reader.answer(true))).await {
            match answer.status {
                200 => given += answer.body.matches(r#""source":"other""#).count(),
                _ => refused += usize::from(is_refusal(&answer)),
            }
        }
        sleep(REST).await;
    }
    assert!(given > 0 && refused > 0, "{given} given, {refused} refused");
    drop(readers);
    honest.end().await;
    assert!(service.gateway.stop().unwrap().success());
}

/// Asks for two ticks with many between them, over a span that nobody asked for before: no kept answer has it.
fn question(nr: usize) -> String {
    let to = format!("2025-10-10T{:02}:{:02}:{:02}Z", nr / 3_600, nr / 60 % 60, nr % 60);
    let path =
        format!("/prices/range?symbol=A/B&source=other&limit=2&from=2025-10-09T00:00:00Z&to={to}");
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-API-Key: {PUBLIC_KEY}\r\n\r\n")
}

/// Checks a refusal; false for one whose read waited in vain, which a busy machine may bring.
fn is_refusal(answer: &Answer) -> bool {
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer:?}");
    let code = answer.code();
    assert!(code == "OVERLOADED" || code == "DATABASE_ERROR", "{answer:?}");
    answer.body.contains("Too many reads wait")
}
