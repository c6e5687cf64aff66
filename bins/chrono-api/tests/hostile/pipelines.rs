//! Requests by the hundred thousand behind each other, from peers that read none of the answers.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::client::SOON;
use crate::honest::Honest;
use crate::service::Service;

/// Requests of each peer.
const REQUESTS: usize = 100_000;
/// Peers that do so.
const PEERS: usize = 8;
/// What a peer may cost in memory; its requests alone are four megabytes.
const COST_KIB_MAX: u64 = 1_024;
/// The rest between two looks at what the gateway answered.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// For how long a peer tries to get rid of its requests.
const SENDING: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn pipelines_that_nobody_reads_cost_little() {
    let service = Service::start();
    let honest = Honest::start(&service).await;
    let before_kib = service.gateway.resident_kib().unwrap();
    let requests = "GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n".repeat(REQUESTS);
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        peers.push(TcpStream::connect(service.gateway.address()).await.unwrap());
    }
    // What the gateway takes no more stays in the kernel, or here.
    let sending =
        peers.iter_mut().map(|peer| timeout(SENDING, peer.write_all(requests.as_bytes())));
    drop(futures_util::future::join_all(sending).await);
    let answered = answered_when_it_rests(&service).await;
    assert!(answered < REQUESTS * PEERS, "every answer found room between: more are needed");
    let cost_kib = service.gateway.resident_kib().unwrap().saturating_sub(before_kib);
    assert!(cost_kib < COST_KIB_MAX * PEERS as u64, "{cost_kib} KiB");
    // Whoever reads at last gets its answers in order, one for each request.
    let mut read = vec![0; 1 << 20];
    let mut bytes = 0;
    while bytes < read.len() {
        let got = timeout(SOON, peers[0].read(&mut read[bytes..])).await.expect("nothing comes");
        bytes += got.unwrap();
    }
    let text = String::from_utf8(read).unwrap();
    let answers = text.matches("HTTP/1.1 200 OK\r\n").count();
    assert_eq!(answers, text.matches("HTTP/1.1 ").count());
    assert!(answers.abs_diff(text.matches(r#"{"status":"alive""#).count()) <= 1);
    drop(peers);
    honest.end().await;
    assert!(service.gateway.stop().unwrap().success());
}

/// Waits until the gateway answers no more of the requests; gives how many it answered.
async fn answered_when_it_rests(service: &Service) -> usize {
    let name =
        r#"http_request_duration_ms_count{method="GET",route="/health/live",status_code="200"} "#;
    let mut last = 0;
    loop {
        sleep(LOOK_EVERY).await;
        let metrics = service.ask("GET", "/metrics", &[], "").body;
        let count = metrics.lines().find_map(|line| line.strip_prefix(name));
        let count = count.map_or(0, |text| text.parse().unwrap());
        if count > 0 && count == last {
            return count;
        }
        last = count;
    }
}
