//! Batches as text, so that they can be wrong in every way.

use chrono_testkit::INTERNAL_KEY;
use serde_json::{Value, json};

/// The path that takes them.
pub(crate) const INGEST: &str = "/internal/ingest";
/// A time that has passed.
pub(crate) const PAST: &str = "2025-10-09T12:34:56.123Z";

/// A feed that is taken, with one field written as given.
pub(crate) fn feed_with(field: &str, json: &str) -> String {
    let mut feed = json!({"symbol": "A/B", "price": "1", "source": "s", "timestamp": PAST});
    feed.as_object_mut().unwrap().remove(field);
    let rest = feed.to_string();
    format!("{{\"{field}\":{json},{}", rest.strip_prefix('{').unwrap())
}

/// A feed that is taken, with a price.
pub(crate) fn feed(price: &str) -> String {
    feed_with("price", &Value::from(price).to_string())
}

/// An envelope around feeds.
pub(crate) fn batch(feeds: &[String]) -> String {
    format!(r#"{{"worker_id":"w","timestamp":"{PAST}","feeds":[{}]}}"#, feeds.join(","))
}

/// The head of a post of a worker, but for how long its body is.
pub(crate) fn post_head() -> String {
    format!(
        "POST {INGEST} HTTP/1.1\r\nHost: a\r\nX-API-Key: {INTERNAL_KEY}\r\nContent-Type: application/json\r\n"
    )
}
