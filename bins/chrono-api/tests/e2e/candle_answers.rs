//! Candles as readers get them: each interval's shape and buckets, their status, late ticks.

use chrono_domain::{Clock, SystemClock, Timestamp};
use serde_json::{Value, json};

use crate::scene::{feed, keys, post};
use crate::service::Service;

/// The starts of the buckets that hold the ticks of [`post_weeks`], newest first, without year and seconds.
const STARTS: [(&str, &str); 7] = [
    ("1m", "10-06T03:59 10-06T00:14 10-06T00:00 10-05T23:59 09-29T00:00 09-28T23:59"),
    ("5m", "10-06T03:55 10-06T00:10 10-06T00:00 10-05T23:55 09-29T00:00 09-28T23:55"),
    ("15m", "10-06T03:45 10-06T00:00 10-05T23:45 09-29T00:00 09-28T23:45"),
    ("1h", "10-06T03:00 10-06T00:00 10-05T23:00 09-29T00:00 09-28T23:00"),
    ("4h", "10-06T00:00 10-05T20:00 09-29T00:00 09-28T20:00"),
    ("1d", "10-06T00:00 10-05T00:00 09-29T00:00 09-28T00:00"),
    ("1w", "10-06T00:00 09-29T00:00 09-22T00:00"),
];
/// The fields of a candle: the spec's, and two of our own.
const FIELDS: [&str; 9] =
    ["close", "high", "low", "num_feeds", "open", "status", "timestamp", "volume", "vwap"];
/// Four weeks, cut at their bounds.
const WEEKS: &str = "from=2025-09-22T00:00:00Z&to=2025-10-12T23:59:59.999999Z";

/// Ticks of four weeks, at places where buckets of every length begin and end.
fn post_weeks(service: &Service) {
    let at = |text| Timestamp::parse_rfc3339(text).unwrap();
    post(
        service,
        &[
            feed("a", "10", Some("1.0"), at("2025-09-28T23:59:59.999999Z")),
            feed("a", "11.0", Some("2.00"), at("2025-09-29T00:00:00Z")),
            feed("b", "13", None, at("2025-10-05T23:59:59.999Z")),
            feed("a", "12", Some("0.5"), at("2025-10-06T00:00:00Z")),
            feed("a", "9.5", Some("1"), at("2025-10-06T00:00:59.999999Z")),
            feed("b", "12.5", Some("0.25"), at("2025-10-06T00:14:59Z")),
            feed("a", "12.50", Some("0.25"), at("2025-10-06T03:59:59Z")),
        ],
    );
}

fn ask(service: &Service, query: &str) -> Value {
    service.get(&format!("/prices/range?symbol=BTC/USD&{query}")).ok()
}

fn texts(answer: &Value, field: &str) -> Vec<String> {
    let rows = answer["data"].as_array().unwrap().iter();
    rows.map(|row| row[field].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_interval_has_its_buckets_and_the_spec_s_shape() {
    let service = Service::start();
    post_weeks(&service);
    for (interval, starts) in STARTS {
        let answer = ask(&service, &format!("{WEEKS}&interval={interval}"));
        assert_eq!(keys(&answer), ["count", "data", "interval", "latency_ms", "next_cursor"]);
        let mut starts: Vec<String> =
            starts.split(' ').map(|start| format!("2025-{start}:00Z")).collect();
        assert_eq!(texts(&answer, "timestamp"), starts, "{interval}");
        assert_eq!(answer["interval"], interval);
        assert_eq!(answer["count"], starts.len());
        assert!(answer["data"].as_array().unwrap().iter().all(|row| keys(row) == FIELDS));
        let upwards = ask(&service, &format!("{WEEKS}&interval={interval}&order=asc"));
        starts.reverse();
        assert_eq!(texts(&upwards, "timestamp"), starts, "{interval}");
    }
}

#[test]
fn figures_of_a_candle_are_exact_and_null_without_volume() {
    let service = Service::start();
    post_weeks(&service);
    // vwap: (12 × 0.5 + 9.5 × 1 + 12.5 × 0.25 + 12.50 × 0.25) ÷ 2
    let week = json!({
        "timestamp": "2025-10-06T00:00:00Z", "open": "12", "high": "12.50", "low": "9.5", "close": "12.50",
        "volume": "2.00", "vwap": "10.875", "num_feeds": 4, "status": "closed",
    });
    assert_eq!(ask(&service, &format!("{WEEKS}&interval=1w"))["data"][0], week);
    let silent = json!({
        "timestamp": "2025-10-05T00:00:00Z", "open": "13", "high": "13", "low": "13", "close": "13",
        "volume": null, "vwap": null, "num_feeds": 1, "status": "closed",
    });
    assert_eq!(ask(&service, &format!("{WEEKS}&interval=1d"))["data"][1], silent);
    let of_b = ask(&service, &format!("{WEEKS}&interval=1d&source=b"));
    assert_eq!(texts(&of_b, "open"), ["12.5", "13"]);
}

#[test]
fn a_bucket_says_whether_it_is_closed_cut_or_not_over() {
    let service = Service::start();
    post_weeks(&service);
    let ask = |query: &str| ask(&service, &format!("interval={query}"));
    let statuses = |answer: &Value| texts(answer, "status");
    // Cut in its middle: only the ticks within count.
    let cut = ask("1d&from=2025-10-06T00:00:30Z&to=2025-10-06T00:14:59Z");
    assert_eq!((&cut["data"][0]["open"], &cut["data"][0]["num_feeds"]), (&json!("9.5"), &json!(2)));
    assert_eq!(
        (&cut["data"][0]["timestamp"], statuses(&cut)),
        (&json!("2025-10-06T00:00:00Z"), vec!["partial".to_owned()])
    );
    let whole = ask("1d&from=2025-10-06T00:00:00Z&to=2025-10-06T23:59:59.999999Z");
    assert_eq!(statuses(&whole), ["closed"]);

    let now = SystemClock::new().now();
    post(&service, &[feed("a", "20", None, now)]);
    let open = ask("1w");
    assert_eq!(
        (&open["data"][0]["close"], statuses(&open)),
        (&json!("20"), vec!["open".to_owned()])
    );

    // Empty buckets are flat from the first tick on, and none comes before it.
    let filled = ask(
        "1h&from=2025-09-28T20:00:00Z&to=2025-09-29T02:59:59.999999Z&include_empty=true&order=asc",
    );
    let rows = filled["data"].as_array().unwrap();
    let counts: Vec<_> = rows.iter().map(|row| row["num_feeds"].as_u64().unwrap()).collect();
    assert_eq!((&rows[0]["timestamp"], counts), (&json!("2025-09-28T23:00:00Z"), vec![1, 1, 0, 0]));
    let flat = json!({
        "timestamp": "2025-09-29T01:00:00Z", "open": "11.0", "high": "11.0", "low": "11.0", "close": "11.0",
        "volume": null, "vwap": null, "num_feeds": 0, "status": "closed",
    });
    assert_eq!(rows[2], flat);
}

#[test]
fn a_late_tick_changes_its_candle_at_once() {
    let service = Service::start();
    post_weeks(&service);
    let path = "/prices/range?symbol=BTC/USD&interval=1d&from=2025-10-06T00:00:00Z&to=2025-10-06T23:59:59.999999Z";
    let before = service.get(path).ok()["data"][0].take();
    assert_eq!((&before["high"], &before["num_feeds"]), (&json!("12.50"), &json!(4)));
    let late = Timestamp::parse_rfc3339("2025-10-06T05:00:00Z").unwrap();
    post(&service, &[feed("c", "99", Some("1"), late)]);
    let after = service.get(path).ok()["data"][0].take();
    assert_eq!(
        (&after["high"], &after["close"], &after["num_feeds"]),
        (&json!("99"), &json!("99"), &json!(5))
    );
    assert_eq!(after["volume"], "3.00");
}
