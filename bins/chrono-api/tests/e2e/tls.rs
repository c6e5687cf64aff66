//! The gateway with a certificate: every surface through it, its reload, its end, and who believes it.

mod authority;
mod handshakes;
mod secure;

use std::io::ErrorKind;
use std::process::ExitCode;
use std::time::Duration;

use chrono_client::{ClientError, Event, Feed, IngestBatch, StreamOptions};
use chrono_domain::{Clock, SystemClock};
use chrono_testkit::{INTERNAL_KEY, PUBLIC_KEY, scratch};
use rustls::version::{TLS12, TLS13};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::operator::{USAGE, run, text};
use crate::scene::PAST;
use authority::Authority;
use secure::{Secure, get, get_head, read_until};

/// Far longer than anything here takes.
const SOON: Duration = Duration::from_secs(30);
/// How long a new certificate may take to be served.
const FOLLOW: Duration = Duration::from_secs(10);
/// Pause between two looks.
const STEP: Duration = Duration::from_millis(100);

fn batch(price: &str) -> IngestBatch {
    let feed = Feed {
        symbol: "BTC/USD".to_owned(),
        price: price.to_owned(),
        volume: None,
        source: "s".to_owned(),
        timestamp: SystemClock::new().now().to_string(),
        metadata: None,
    };
    IngestBatch { worker_id: "w".to_owned(), timestamp: PAST.to_owned(), feeds: vec![feed] }
}

async fn next_price(stream: &mut chrono_client::Stream) -> String {
    loop {
        let event = timeout(SOON, stream.next()).await.expect("no update").unwrap();
        if let Event::PriceUpdate(update) = event {
            return update.price;
        }
    }
}

#[tokio::test]
async fn http_websocket_and_events_are_served_over_tls() {
    let secure = Secure::start(&[]);
    let (worker, reader) = (secure.client(INTERNAL_KEY), secure.client(PUBLIC_KEY));
    let mut stream = reader.stream(StreamOptions::default()).await.unwrap();
    stream.subscribe(&["BTC/USD"]).await.unwrap();
    let taken = worker.ingest(&batch("1.50"), None).await.unwrap();
    assert_eq!(taken.ingested, 1);
    assert_eq!(reader.latest(&["BTC/USD"]).await.unwrap().data[0].price, "1.50");
    assert_eq!(next_price(&mut stream).await, "1.50");
    let mut events = secure.connect().await.unwrap();
    let head = get_head(&mut events, "/stream/sse?symbols=BTC/USD", PUBLIC_KEY).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let text = read_until(&mut events, "price_update").await;
    assert!(text.contains("data: "), "{text}");
}

#[tokio::test]
async fn both_versions_of_tls_and_only_http_1_1_are_spoken() {
    let secure = Secure::start(&[]);
    for version in [&TLS12, &TLS13] {
        let mut stream = secure.connect_with(&[version], &[b"http/1.1"]).await.unwrap();
        let (_, session) = stream.get_ref();
        assert_eq!(session.protocol_version(), Some(version.version));
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert!(get(&mut stream, "/health/live").await.contains("alive"));
    }
    // A client that names no protocol is taken to mean the only one.
    assert!(secure.connect_with(&[&TLS13], &[]).await.is_ok());
    assert!(secure.connect_with(&[&TLS13], &[b"h2"]).await.is_err());
}

#[tokio::test]
async fn a_new_certificate_is_served_and_no_stream_drops() {
    let secure = Secure::start(&[]);
    let (worker, reader) = (secure.client(INTERNAL_KEY), secure.client(PUBLIC_KEY));
    let mut stream = reader.stream(StreamOptions::default()).await.unwrap();
    stream.subscribe(&["BTC/USD"]).await.unwrap();
    let mut events = secure.connect().await.unwrap();
    get_head(&mut events, "/stream/sse?symbols=BTC/USD", PUBLIC_KEY).await;
    worker.ingest(&batch("1.50"), None).await.unwrap();
    assert_eq!(next_price(&mut stream).await, "1.50");

    let other = Authority::new();
    secure.write_pair(&other.issue());
    secure.wait_for(&other).await;
    assert!(secure.connect().await.is_err(), "the old certificate is still shown");
    // A connection that is kept sends on; new ones meet a stranger.
    worker.ingest(&batch("2.50"), None).await.unwrap();
    assert_eq!(next_price(&mut stream).await, "2.50");
    read_until(&mut events, "2.50").await;
    let fault = secure.client(PUBLIC_KEY).latest(&["BTC/USD"]).await.unwrap_err();
    assert!(matches!(fault, ClientError::Untrusted(_)), "{fault:?}");

    // A pair that does not belong together changes nothing, and is counted.
    let (cert, _) = Authority::new().issue();
    secure.write_pair(&(cert, "no key".to_owned()));
    let failed = "tls_reloads_total{result=\"failed\"}";
    let waited = SystemClock::new();
    while !secure.metrics(&other).await.contains(failed) {
        assert!(waited.uptime() < FOLLOW, "no {failed}");
        tokio::time::sleep(STEP).await;
    }
    assert!(secure.connect_trusting(&other).await.is_ok());
    worker.ingest(&batch("3.50"), None).await.unwrap();
    assert_eq!(next_price(&mut stream).await, "3.50");
}

#[tokio::test]
async fn an_orderly_stop_says_close_notify_and_a_crash_cannot() {
    for orderly in [true, false] {
        let secure = Secure::start(&[]);
        let mut idle = secure.connect().await.unwrap();
        get(&mut idle, "/health/live").await;
        let mut stream = secure.client(PUBLIC_KEY).stream(StreamOptions::default()).await.unwrap();
        stream.subscribe(&["BTC/USD"]).await.unwrap();
        let mut events = secure.connect().await.unwrap();
        get_head(&mut events, "/stream/sse?symbols=BTC/USD", PUBLIC_KEY).await;
        let stopped = std::thread::Builder::new().spawn(move || secure.end(orderly)).unwrap();
        let mut rest = Vec::new();
        let idle_end = timeout(SOON, idle.read_to_end(&mut rest)).await.unwrap();
        let events_end = timeout(SOON, events.read_to_end(&mut rest)).await.unwrap();
        let stream_end = loop {
            match timeout(SOON, stream.next()).await.unwrap() {
                Ok(_) => {}
                Err(fault) => break fault,
            }
        };
        if orderly {
            idle_end.unwrap();
            events_end.unwrap();
            assert!(
                matches!(stream_end, ClientError::Closed { code: Some(1012), .. }),
                "{stream_end:?}"
            );
        } else {
            assert_eq!(idle_end.unwrap_err().kind(), ErrorKind::UnexpectedEof);
            assert_eq!(events_end.unwrap_err().kind(), ErrorKind::UnexpectedEof);
            assert!(matches!(stream_end, ClientError::Transport(_)), "{stream_end:?}");
        }
        stopped.join().unwrap();
    }
}

#[tokio::test]
async fn a_client_refuses_a_gateway_that_nobody_it_trusts_vouches_for() {
    let secure = Secure::start(&[]);
    let stranger = Authority::new();
    let by_system = secure.gateway().client(PUBLIC_KEY).unwrap();
    let by_other = secure.client_trusting(&stranger);
    for client in [by_system, by_other] {
        let fault = client.latest(&["BTC/USD"]).await.unwrap_err();
        assert!(matches!(fault, ClientError::Untrusted(_)) && !fault.is_retryable(), "{fault:?}");
        let fault = client.stream(StreamOptions::default()).await.unwrap_err();
        assert!(matches!(fault, ClientError::Untrusted(_)), "{fault:?}");
    }
    assert!(secure.client(PUBLIC_KEY).health().await.is_ok());
}

#[test]
fn a_worker_posts_over_tls() {
    let secure = Secure::start(&[]);
    let ca = secure.ca_file().display().to_string();
    let words = ["chrono-worker", "sim", "--url", secure.gateway().url(), "--ca-file", &ca];
    let more = ["--key", INTERNAL_KEY, "--duration", "1", "--rate", "20"];
    let words = words.into_iter().chain(more).map(Into::into);
    let mut out = Vec::new();
    let code = chrono_worker::cli::main(words, &mut out);
    let summary = text(&out);
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS), "{summary}");
    let ingested = summary.lines().find_map(|line| line.strip_prefix("ingested")).unwrap();
    assert!(ingested.trim().parse::<u32>().unwrap() > 0, "{summary}");
}

#[test]
fn files_that_are_no_pair_are_named_with_every_other_fault() {
    let dir = scratch().unwrap();
    let authority = Authority::new();
    let (cert, key) = authority.issue();
    let (_, stranger) = authority.issue();
    // Cut where reading ends, it would be the same pair.
    let endless = |pem: &str| format!("{pem}{}", "#\n".repeat(512 * 1024));
    let (long_cert, long_key) = (endless(&cert), endless(&key));
    for (name, text) in [
        ("cert", &cert),
        ("key", &key),
        ("stranger", &stranger),
        ("long-cert", &long_cert),
        ("long-key", &long_key),
    ] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let path = |name: &str| dir.path().join(name).display().to_string();
    for (cert, key, named) in [
        (Some("cert"), None, "TLS_KEY: expected the PEM file"),
        (None, Some("key"), "TLS_CERT: expected the PEM file"),
        (Some("key"), Some("key"), "TLS_CERT is"),
        (Some("none"), Some("key"), "No such file"),
        (Some("cert"), Some("cert"), "TLS_KEY is"),
        (Some("cert"), Some("stranger"), "TLS_KEY is"),
        (Some("long-cert"), Some("key"), "larger than 1048576 bytes"),
        (Some("cert"), Some("long-key"), "larger than 1048576 bytes"),
        (Some("/dev/zero"), Some("key"), "larger than 1048576 bytes"),
    ] {
        let paths = [("TLS_CERT", cert.map(path)), ("TLS_KEY", key.map(path))];
        let mut settings = vec![("PORT", "seventy")];
        settings.extend(paths.iter().filter_map(|(name, path)| Some((*name, path.as_deref()?))));
        let output = run(dir.path(), &settings, &["serve"]);
        let log = text(&output.stderr);
        assert_eq!(output.status.code(), Some(USAGE), "{log}");
        assert!(log.contains("2 bad settings") && log.contains("PORT"), "{log}");
        assert!(log.contains(named), "{named}: {log}");
        assert!(!log.contains("PRIVATE KEY"), "{log}");
    }
    let fine = [("TLS_CERT", path("cert")), ("TLS_KEY", path("key"))];
    let fine = fine.each_ref().map(|(name, path)| (*name, path.as_str()));
    assert!(run(dir.path(), &fine, &["config"]).status.success());
    let demo =
        run(dir.path(), &[], &["demo", "--tls-cert", &path("cert"), "--tls-key", &path("key")]);
    assert!(!demo.status.success() && text(&demo.stderr).contains("plain HTTP"));
}
