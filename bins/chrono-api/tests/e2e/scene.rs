//! Ticks of one symbol as tests write them, and what is asked again and again.

use std::time::Duration;

use chrono_domain::Timestamp;
use serde_json::{Value, json};

use crate::service::Service;

/// Half past twelve on a Thursday, long ago.
pub(crate) const PAST: &str = "2025-10-09T12:30:00.000Z";

pub(crate) fn past() -> Timestamp {
    Timestamp::parse_rfc3339(PAST).unwrap()
}

pub(crate) fn feed(source: &str, price: &str, volume: Option<&str>, at: Timestamp) -> Value {
    json!({"symbol": "BTC/USD", "price": price, "volume": volume, "source": source, "timestamp": at.to_string()})
}

pub(crate) fn post(service: &Service, feeds: &[Value]) {
    let batch = json!({"worker_id": "w", "timestamp": PAST, "feeds": feeds});
    assert_eq!(service.post("/internal/ingest", &[], &batch).ok()["ingested"], feeds.len());
}

pub(crate) fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

pub(crate) fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

pub(crate) fn prices(answer: &Value) -> Vec<&str> {
    answer["data"].as_array().unwrap().iter().map(|row| row["price"].as_str().unwrap()).collect()
}

/// Answers 400 and names the field.
pub(crate) fn expect_refused(service: &Service, path: &str, field: &str) {
    let error = service.get(path).error(400, "VALIDATION_ERROR");
    assert_eq!(error["details"]["field"], field, "{path} {error}");
}
