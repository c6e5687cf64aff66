//! How streams end: by a revoked key, and by a gateway that goes away.

use std::process::Command;
use std::time::Duration;

use chrono_client::Topic;
use chrono_domain::{Clock, SystemClock};
use chrono_testkit::{Gateway, PUBLIC_KEY, scratch};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::foreign::{Closed, Foreign, KeyPlace, Language};
use crate::socket::Socket;
use crate::ticker::{Ticker, gateway};

/// How soon a running gateway follows what an operator does with keys, 5 s, and as long again for a busy machine to show
/// it: four of the five may pass until the gateway looks.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(10);
/// How soon a stop is over when there is nothing to wait for but clients that never read: a farewell takes 2 s.
const STALLED_WITHIN: Duration = Duration::from_secs(10);
/// The promise of a stop.
const STOPPED_WITHIN: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread")]
async fn revoking_a_key_closes_its_streams_and_no_others() {
    let home = scratch().unwrap();
    let gateway = gateway(&home).start().unwrap();
    let (key, id) = create_key(&home);
    until_known(&gateway, &key).await;
    let mut revoked = [
        Foreign::start(Language::Node, KeyPlace::Query, &gateway, &key, &["BTC/USD"]).await,
        Foreign::start(Language::Python, KeyPlace::FirstMessage, &gateway, &key, &["BTC/USD"])
            .await,
    ];
    let mut other = Socket::open(&gateway, PUBLIC_KEY).await;
    other.subscribe(&["BTC/USD"], "latest").await;

    keys(&home, &["revoke", &id]);
    let clock = SystemClock::new();
    for client in &mut revoked {
        let heard = client.until(|heard| heard.closed.is_some()).await;
        let took = clock.uptime();
        assert!(took <= FOLLOWED_WITHIN, "{took:?}");
        let error = &heard[heard.len() - 2].message;
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("UNAUTHORIZED")));
        assert_eq!(heard[heard.len() - 1].closed.as_ref().unwrap().code, 4401);
    }

    let mut ticker = Ticker::new(&gateway);
    ticker.post_run("BTC/USD", 3).await;
    assert_eq!(other.updates(3).await.0, ticker.data_of(&["BTC/USD"], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_tells_clients_when_to_come_back_and_exits_with_zero() {
    let home = scratch().unwrap();
    let mut gateway = gateway(&home).start().unwrap();
    let mut clients = Vec::new();
    for language in [Language::Node, Language::Python] {
        let client = Foreign::start(language, KeyPlace::Query, &gateway, PUBLIC_KEY, &["BTC/USD"]);
        clients.push(client.await);
    }
    gateway.terminate().unwrap();
    for client in &mut clients {
        let heard = client.until(|heard| heard.closed.is_some()).await;
        let reconnect = &heard[heard.len() - 2].message;
        assert_eq!(reconnect["type"], "reconnect");
        assert!(reconnect["after_ms"].as_u64().is_some_and(|wait| wait <= 60_000), "{reconnect}");
        let closed = heard[heard.len() - 1].closed.as_ref().unwrap();
        assert_eq!(closed, &Closed { code: 1012, reason: "the server restarts".to_owned() });
    }
    assert_eq!(gateway.wait(STOPPED_WITHIN).unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_sockets_that_never_read() {
    let home = scratch().unwrap();
    let gateway = gateway(&home).start().unwrap();
    let mut stalled = Vec::new();
    for mode in ["latest", "all"] {
        let mut socket = Socket::open(&gateway, PUBLIC_KEY).await;
        socket.subscribe(&["BTC/USD"], mode).await;
        stalled.push(socket);
    }
    assert_stops_beside_stalled(gateway, STALLED_WITHIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_cuts_events_that_are_never_read() {
    let home = scratch().unwrap();
    let gateway = gateway(&home).start().unwrap();
    let address = gateway.url().strip_prefix("http://").unwrap();
    let mut stalled = TcpStream::connect(address).await.unwrap();
    let path = format!("/stream/sse?symbols=BTC/USD&mode=all&key={PUBLIC_KEY}");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stalled.write_all(request.as_bytes()).await.unwrap();
    assert_stops_beside_stalled(gateway, STOPPED_WITHIN).await;
}

/// Posts some megabytes, more than sockets between hold, and stops; a client that reads is told all of it.
async fn assert_stops_beside_stalled(mut gateway: Gateway, within: Duration) {
    let mut reader = Socket::open(&gateway, PUBLIC_KEY).await;
    reader.subscribe(&["BTC/USD"], "latest").await;
    let mut ticker = Ticker::new(&gateway);
    for _ in 0..100 {
        ticker.post_run("BTC/USD", 100).await;
        reader.updates(100).await;
    }
    gateway.terminate().unwrap();
    reader.next_of("reconnect").await;
    drop(reader);
    assert_eq!(gateway.wait(within).unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closes_is_answered() {
    let home = scratch().unwrap();
    let gateway = gateway(&home).start().unwrap();
    let mut socket = Socket::open(&gateway, PUBLIC_KEY).await;
    socket.subscribe(&["BTC/USD"], "latest").await;
    socket.close().await;
}

/// Waits until the gateway follows the new key.
async fn until_known(gateway: &Gateway, key: &str) {
    let client = gateway.client(key).unwrap();
    let known = async {
        while client.metadata(Topic::Symbols).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(FOLLOWED_WITHIN, known).await.expect("the new key is not known in time");
}

/// Makes a key as an operator does, beside the running gateway; gives it and its id.
fn create_key(home: &TempDir) -> (String, String) {
    let order = ["create", "--role", "public", "--tier", "paid", "--client", "reader"];
    let (printed, said) = keys(home, &order);
    let id = said.strip_prefix("id ").and_then(|rest| rest.split_once(';')).unwrap().0;
    (printed.trim().to_owned(), id.to_owned())
}

/// Runs `chrono-api keys`; gives what it printed and what it said beside.
fn keys(home: &TempDir, order: &[&str]) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chrono-api"));
    command.args(["keys", "--data-dir"]).arg(home.path()).args(order).env_clear();
    let output = command.output().unwrap();
    let texts = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    let [printed, said] = texts;
    assert!(output.status.success(), "{said}");
    (printed, said)
}
