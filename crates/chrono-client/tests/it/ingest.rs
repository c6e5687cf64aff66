//! Posting: headers, bodies, retries.

use std::time::Duration;

use chrono_client::{Backoff, Client, ClientError, Feed, IngestBatch};

use crate::gateway::{Gateway, Step};

const OVERLOADED: &str =
    r#"{"error":{"code":"OVERLOADED","message":"queue full","request_id":"r"},"status":503}"#;

fn batch() -> IngestBatch {
    let feed = Feed {
        symbol: "BTC/USD".to_owned(),
        price: "67234.56".to_owned(),
        volume: Some("1.50".to_owned()),
        source: "binance".to_owned(),
        timestamp: "2025-10-09T12:34:56.123Z".to_owned(),
        metadata: None,
    };
    IngestBatch {
        worker_id: "w".to_owned(),
        timestamp: "2025-10-09T12:34:56.789Z".to_owned(),
        feeds: vec![feed],
    }
}

fn stored() -> Step {
    Step::Answer(200, &[], reply())
}

fn reply() -> String {
    r#"{"status":"success","ingested":1,"failed":0,"latency_ms":1,"message":"1 stored"}"#.to_owned()
}

fn quick(retries_max: u32) -> Backoff {
    Backoff {
        first: Duration::from_millis(1),
        longest: Duration::from_millis(4),
        retries_max,
        ..Backoff::new(7)
    }
}

#[tokio::test]
async fn posts_as_the_spec_says() {
    let gateway = Gateway::start([stored()]).await;
    let reply = gateway.client().ingest(&batch(), Some("key-1")).await.unwrap();
    assert_eq!((reply.ingested, reply.failed, reply.replayed), (1, 0, false));
    let got = gateway.got();
    let [got] = got.as_slice() else { panic!("one request: {got:?}") };
    assert_eq!((got.method.as_str(), got.path.as_str()), ("POST", "/gateway/internal/ingest"));
    assert_eq!(got.header("authorization"), Some("Bearer chrono_internal_secret"));
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert_eq!(got.header("idempotency-key"), Some("key-1"));
    assert_eq!(got.body, serde_json::to_vec(&batch()).unwrap());
}

#[tokio::test]
async fn without_a_key_sends_no_idempotency_header() {
    let gateway = Gateway::start([stored()]).await;
    gateway.client().ingest(&batch(), None).await.unwrap();
    assert_eq!(gateway.got().first().unwrap().header("idempotency-key"), None);
}

#[tokio::test]
async fn retries_every_passing_fault_with_the_same_key_and_body() {
    let gateway = Gateway::start([
        Step::Answer(503, &[("retry-after", "0")], OVERLOADED.to_owned()),
        Step::Close,
        Step::Answer(429, &[], String::new()),
        Step::Hang,
        Step::Answer(408, &[], String::new()),
        Step::Answer(502, &[], "<html>bad gateway</html>".to_owned()),
        Step::Answer(200, &[("idempotent-replayed", "true")], reply()),
    ])
    .await;
    let delivery = gateway.client().ingest_with_retry(&batch(), "key-1", &quick(20)).await.unwrap();
    assert_eq!((delivery.retries, delivery.reply.replayed), (6, true));
    let got = gateway.got();
    assert_eq!(got.len(), 7);
    let body = serde_json::to_vec(&batch()).unwrap();
    for got in got {
        assert_eq!((got.header("idempotency-key"), got.body.as_ref()), (Some("key-1"), &*body));
    }
}

#[tokio::test]
async fn never_retries_a_refusal() {
    let refusal = r#"{"error":{"code":"VALIDATION_ERROR","message":"Invalid symbol"},"status":400,
        "errors":[{"index":0,"code":"VALIDATION_ERROR","message":"Invalid symbol"}]}"#;
    let gateway = Gateway::start([Step::Answer(400, &[], refusal.to_owned())]).await;
    let fault =
        gateway.client().ingest_with_retry(&batch(), "key-1", &quick(20)).await.unwrap_err();
    let ClientError::Refused(refusal) = fault else { panic!("not refused: {fault}") };
    assert_eq!((refusal.status, refusal.errors.len()), (400, 1));
    assert_eq!(gateway.got().len(), 1);
}

#[tokio::test]
async fn gives_up_after_the_last_retry() {
    let steps = (0..3).map(|_| Step::Answer(503, &[], OVERLOADED.to_owned()));
    let gateway = Gateway::start(steps).await;
    let fault = gateway.client().ingest_with_retry(&batch(), "key-1", &quick(2)).await.unwrap_err();
    assert!(matches!(fault, ClientError::Unavailable { ref code, .. } if code == "OVERLOADED"));
    assert_eq!(gateway.got().len(), 3);
}

#[tokio::test]
async fn nobody_there_is_a_transport_fault() {
    let client = Client::new("http://127.0.0.1:1", "key".into()).unwrap();
    let fault = client.ingest(&batch(), None).await.unwrap_err();
    assert!(matches!(fault, ClientError::Transport(_)) && fault.is_retryable(), "{fault}");
}

#[tokio::test]
async fn a_page_that_is_no_reply_is_a_protocol_fault() {
    let gateway = Gateway::start([Step::Answer(200, &[], "<html>hello</html>".to_owned())]).await;
    let fault = gateway.client().ingest(&batch(), None).await.unwrap_err();
    assert!(matches!(fault, ClientError::Protocol(_)), "{fault}");
}

#[test]
fn the_key_is_never_printed() {
    let client = Client::new("http://127.0.0.1:1", "chrono_internal_secret".into()).unwrap();
    assert!(!format!("{client:?}").contains("secret"));
    let fault = Client::new("http://127.0.0.1:1", "chrono_internal_secret\n".into()).unwrap_err();
    assert!(!format!("{fault} {fault:?}").contains("secret"));
}
