//! What is made of many ticks: consensus, and what the gateway knows of itself.

use chrono_domain::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::scene::{PAST, expect_refused, feed, keys, minutes, past, post};
use crate::service::Service;

/// Every interval and its length in seconds.
const INTERVALS: [(&str, u64); 7] = [
    ("1m", 60),
    ("5m", 300),
    ("15m", 900),
    ("1h", 3_600),
    ("4h", 14_400),
    ("1d", 86_400),
    ("1w", 604_800),
];

#[test]
fn a_consensus_has_the_spec_s_shape_and_its_own_additions() {
    let service = Service::start();
    let at = past();
    post(
        &service,
        &[
            feed("binance", "67230.00", None, at),
            feed("coinbase", "67230.00", None, at),
            feed("kraken", "67245.36", None, at),
        ],
    );
    let path = format!("/aggregates/consensus?symbols=BTC/USD,NO/SUCH&timestamp={at}");
    let answer = service.get(&path).ok();
    assert_eq!(keys(&answer), ["data", "latency_ms", "missing"]);
    assert_eq!(answer["missing"], json!(["NO/SUCH"]));
    let wanted = json!({
        "symbol": "BTC/USD", "price": "67230.00", "median": "67230.00", "mean": "67235.12", "std_dev": "8.86810013",
        "num_sources": 3, "timestamp": "2025-10-09T12:30:00Z", "sources": ["binance", "coinbase", "kraken"],
        "status": "ok", "num_feeds": 3, "revision": null,
    });
    assert_eq!(answer["data"][0], wanted);
    let explained = service.get(&format!("{path}&explain=true")).ok()["data"][0].take();
    let vote = json!({
        "source": "kraken", "group": "kraken", "price": "67245.36", "timestamp": PAST, "age_ms": 0, "weight": 1,
        "verdict": "counted",
    });
    assert_eq!(explained["votes"][2], vote);
    let few = service.get(&format!("{path}&min_sources=4")).ok()["data"][0].take();
    assert_eq!(
        (&few["status"], &few["price"], &few["median"]),
        (&json!("no_quorum"), &Value::Null, &json!("67230.00"))
    );

    service
        .get(&format!("/aggregates/consensus?symbols=BTC/USD&timestamp={}", at.minus(minutes(1))))
        .error(404, "NOT_FOUND");
    service.get("/aggregates/consensus?symbols=BTC/USD").error(404, "NOT_FOUND");
    post(&service, &[feed("okx", "5", None, SystemClock::new().now())]);
    let latest = service.get("/aggregates/consensus?symbols=BTC/USD").ok()["data"][0].take();
    assert_eq!(
        (&latest["status"], &latest["price"], &latest["std_dev"]),
        (&json!("thin"), &json!("5"), &Value::Null)
    );
    for (query, field) in [
        ("", "symbols"),
        ("symbols=A", "symbols"),
        ("symbols=A/B&timestamp=2125-01-01T00:00:00Z", "timestamp"),
        ("symbols=A/B&timestamp=noon", "timestamp"),
        ("symbols=A/B&min_sources=0", "min_sources"),
        ("symbols=A/B&min_sources=1001", "min_sources"),
        ("symbols=A/B&explain=yes", "explain"),
    ] {
        expect_refused(&service, &format!("/aggregates/consensus?{query}"), field);
    }
}

#[test]
fn metadata_tells_symbols_and_sources() {
    let service = Service::start();
    post(
        &service,
        &[feed("binance", "1", None, past()), feed("kraken", "2", None, past().plus(minutes(1)))],
    );
    let eth = json!({"symbol": "ETH/EUR", "price": "1", "source": "kraken", "timestamp": PAST});
    post(&service, &[eth]);
    let btc = json!({
        "symbol": "BTC/USD", "base": "BTC", "quote": "USD", "sources": ["binance", "kraken"],
        "last_timestamp": "2025-10-09T12:31:00.000Z",
    });
    let mut symbols = service.get("/metadata/symbols").ok();
    assert!(symbols.as_object_mut().unwrap().remove("latency_ms").unwrap().is_u64());
    assert_eq!((&symbols["count"], &symbols["next_cursor"]), (&json!(2), &Value::Null));
    assert_eq!((&symbols["data"][0], &symbols["data"][1]["symbol"]), (&btc, &json!("ETH/EUR")));
    assert_eq!(service.get("/metadata/symbols?quote=usd").ok()["data"], json!([btc]));
    assert_eq!(service.get("/metadata/symbols?source=binance").ok()["data"], json!([btc]));
    let first = service.get("/metadata/symbols?limit=1").ok();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = service.get(&format!("/metadata/symbols?limit=1&cursor={cursor}")).ok();
    assert_eq!((&first["data"][0], &second["data"][0]["symbol"]), (&btc, &json!("ETH/EUR")));
    assert_eq!(second["next_cursor"], Value::Null);

    let sources = service.get("/metadata/sources").ok();
    let binance = json!({"source": "binance", "num_symbols": 1, "last_timestamp": PAST});
    assert_eq!((&sources["count"], &sources["data"][0]), (&json!(2), &binance));
    assert_eq!(
        (&sources["data"][1]["source"], &sources["data"][1]["num_symbols"]),
        (&json!("kraken"), &json!(2))
    );
}

#[test]
fn metadata_tells_intervals_and_the_system_s_figures() {
    let service = Service::start();
    post(&service, &[feed("binance", "1", None, past()), feed("kraken", "2", None, past())]);
    let intervals = service.get("/metadata/intervals").ok();
    let row = |(name, seconds): (&str, u64)| json!({"interval": name, "seconds": seconds});
    assert_eq!(intervals["data"], Value::from(INTERVALS.map(row).to_vec()));
    assert_eq!(intervals["count"], INTERVALS.len());

    let system = service.get("/metadata/system").ok();
    assert_eq!(
        (&system["store"]["ticks"], &system["num_symbols"], &system["num_sources"]),
        (&json!(2), &json!(1), &json!(2))
    );
    assert_eq!(
        system["limits"],
        json!({"symbols_max": 100, "rows_max": 10_000, "raw_days_max": 90, "candle_days_max": 731})
    );
    assert_eq!(system["consensus_interval_ms"], 5_000);
    for path in [
        "/metadata/sources?x=1",
        "/metadata/intervals?x=1",
        "/metadata/system?x=1",
        "/metadata/symbols?x=1",
    ] {
        expect_refused(&service, path, "query");
    }
    expect_refused(&service, "/metadata/symbols?limit=0", "limit");
    expect_refused(&service, "/metadata/symbols?cursor=x", "cursor");
}
