//! A gateway whose process may have few descriptors, and peers that want more.

use std::net::SocketAddr;
use std::time::Duration;

use chrono_testkit::GatewayCommand;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::ask::ask;
use crate::client::{Client, SOON};
use crate::honest::Honest;
use crate::service::Service;

/// Descriptors of the process, and the connections that fit beside the 64 that are kept and the 16 of the operators.
const DESCRIPTORS: usize = 256;
const FIT: usize = DESCRIPTORS - 64 - 16;
/// Sockets that a flood opens.
const FLOOD: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_takes_neither_the_descriptors_of_the_store_nor_the_operators_door() {
    let limit = format!("ulimit -n {DESCRIPTORS}; exec \"$0\"");
    let with = |command: GatewayCommand| {
        command.under(&["sh", "-c", &limit]).with("METRICS_ADDR", "127.0.0.1:0")
    };
    let service = Service::start_as(with);
    let operators = service.gateway.metrics_address().unwrap();
    let honest = Honest::start(&service).await;

    let mut flood = Vec::new();
    for _ in 0..FLOOD {
        flood.push(TcpStream::connect(service.gateway.address()).await.unwrap());
    }
    until(operators, |body| figure(body, "http_connections_refused_total{reason=\"all\"}") > 0)
        .await;
    let metrics = metrics_of(operators);
    let open = figure(&metrics, "http_connections_active");
    // Those of the honest client are among them; this look and the one before, which may not be closed yet, are beside.
    assert!(open <= FIT + 2, "{open} connections");
    assert_eq!(figure(&metrics, "http_connections_refused_total{reason=\"accept\"}"), 0);
    // Whoever is in is served, the store included, while nobody else gets in.
    let mut newcomer = Client::connect(service.gateway.address()).await;
    newcomer.expect_close().await;

    drop(flood);
    until(operators, |body| figure(body, "http_connections_active") < FIT / 2).await;
    let mut newcomer = Client::connect(service.gateway.address()).await;
    assert_eq!(newcomer.ask("GET", "/health/ready", &[]).await.status, 200);
    honest.end().await;
    assert!(service.gateway.stop().unwrap().success());
}

fn metrics_of(operators: SocketAddr) -> String {
    ask(&format!("http://{operators}"), "GET", "/metrics", &[], "").body
}

/// Waits until the metrics say so.
pub(crate) async fn until(operators: SocketAddr, holds: impl Fn(&str) -> bool) {
    until_within(SOON, operators, holds).await;
}

/// Waits until the metrics say so, for so long.
pub(crate) async fn until_within(
    within: Duration,
    operators: SocketAddr,
    holds: impl Fn(&str) -> bool,
) {
    let wait = async {
        while !holds(&metrics_of(operators)) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(within, wait).await.expect("it never came true");
}

/// Reads one figure; one that is not there is nothing.
pub(crate) fn figure(metrics: &str, name: &str) -> usize {
    let found = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.map_or(0, |text| text.parse().unwrap())
}
