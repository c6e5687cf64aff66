//! What workers are told: every way in which a batch may be taken or refused.

use serde_json::{Value, json};

use crate::service::Service;

const INGEST: &str = "/internal/ingest";
/// A body larger than the gateway takes.
const TOO_LARGE: usize = (1 << 20) + 1;

/// The spec's own example, word by word but for the fields that it leaves out of the second feed.
fn example() -> Value {
    json!({
        "worker_id": "binance-worker-001",
        "timestamp": "2025-10-09T12:34:56.789Z",
        "feeds": [
            {
                "symbol": "BTC/USD",
                "price": "67234.56",
                "volume": "1234.567890",
                "source": "binance",
                "timestamp": "2025-10-09T12:34:56.123Z",
                "metadata": {"bid": "67230.00", "ask": "67235.00", "exchange_timestamp": 1_728_480_896_123_u64},
            },
            {
                "symbol": "ETH/USD",
                "price": "2678.90",
                "source": "binance",
                "timestamp": "2025-10-09T12:34:56.123Z",
            },
        ],
    })
}

fn feed(symbol: &str, price: &str) -> Value {
    json!({"symbol": symbol, "price": price, "source": "s", "timestamp": "2025-10-09T12:34:56.123Z"})
}

fn batch(feeds: &[Value]) -> Value {
    json!({"worker_id": "w", "timestamp": "2025-10-09T12:34:56.789Z", "feeds": feeds})
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

fn stored(service: &Service) -> Value {
    service.get("/metadata/system").ok()["store"]["ticks"].clone()
}

#[test]
fn the_spec_s_batch_is_taken_and_answered_as_the_spec_says() {
    let service = Service::start();
    let answer = service.post(INGEST, &[], &example());
    let body = answer.ok();
    assert_eq!(keys(&body), ["failed", "ingested", "latency_ms", "message", "status"]);
    assert!(body["latency_ms"].is_u64());
    assert_eq!(body["message"], "2 price feeds ingested successfully");
    assert_eq!(
        (&body["status"], &body["ingested"], &body["failed"]),
        (&json!("success"), &json!(2), &json!(0))
    );
    assert_eq!(answer.header("idempotent-replayed"), None);
    for name in [
        "X-Request-ID",
        "X-RateLimit-Limit",
        "X-RateLimit-Remaining",
        "X-RateLimit-Reset",
        "RateLimit",
        "RateLimit-Policy",
    ] {
        assert!(answer.header(name).is_some(), "{name}");
    }
    let one = service.post(INGEST, &[], &batch(&[feed("A/B", "1.50")])).ok();
    assert_eq!(one["message"], "1 price feed ingested successfully");

    let path = "/prices/range?symbol=BTC/USD&from=2025-10-09T12:34:56.123Z&to=2025-10-09T12:34:56.123Z&metadata=true";
    let tick = service.get(path).ok()["data"][0].take();
    let sent = &example()["feeds"][0];
    for field in ["price", "volume", "source", "timestamp", "metadata"] {
        assert_eq!(tick[field], sent[field]);
    }
}

#[test]
fn good_feeds_of_a_batch_are_stored_and_bad_ones_named() {
    let service = Service::start();
    let feeds =
        [feed("A/B", "1"), feed("BTC-USD", "2"), feed("A/B", "3"), feed("A/B", "1e3"), json!(7)];
    let body = service.post(INGEST, &[], &batch(&feeds)).ok();
    assert_eq!(keys(&body), ["errors", "failed", "ingested", "latency_ms", "message", "status"]);
    assert_eq!(
        (&body["status"], &body["ingested"], &body["failed"]),
        (&json!("partial"), &json!(2), &json!(3))
    );
    let errors = body["errors"].as_array().unwrap();
    let places: Vec<_> =
        errors.iter().map(|error| (&error["index"], &error["details"]["field"])).collect();
    assert_eq!(
        places,
        [(&json!(1), &json!("symbol")), (&json!(3), &json!("price")), (&json!(4), &json!("feed"))]
    );
    assert_eq!(
        errors[0],
        json!({
            "index": 1,
            "code": "VALIDATION_ERROR",
            "message": "Invalid symbol format: BTC-USD. Expected format: BASE/QUOTE",
            "details": {"field": "symbol", "received": "BTC-USD", "expected": "BTC/USD"},
        })
    );
    let ticks = service
        .get("/prices/range?symbol=A/B&from=2025-10-09T00:00:00Z&to=2025-10-10T00:00:00Z")
        .ok();
    let prices: Vec<_> =
        ticks["data"].as_array().unwrap().iter().map(|tick| &tick["price"]).collect();
    assert_eq!(prices, ["3", "1"]);
}

#[test]
fn a_batch_without_any_good_feed_is_refused_with_every_fault() {
    let service = Service::start();
    let error = service
        .post(INGEST, &[], &batch(&[feed("BTC-USD", "1"), feed("A/B", "0")]))
        .error(400, "VALIDATION_ERROR");
    assert_eq!(error["message"], "Invalid symbol format: BTC-USD. Expected format: BASE/QUOTE");
    assert_eq!(
        error["details"],
        json!({"field": "symbol", "received": "BTC-USD", "expected": "BTC/USD"})
    );
    let errors = error["errors"].as_array().unwrap();
    assert_eq!(errors.iter().map(|error| &error["index"]).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(errors[1]["details"]["field"], "price");
    assert_eq!(stored(&service), 0);
}

#[test]
fn each_fault_of_a_feed_is_named_by_its_field() {
    let service = Service::start();
    let with = |field: &str, value: Value| {
        let mut feed = feed("A/B", "1");
        feed[field] = value;
        feed
    };
    let deep = (0..9).fold(json!(1), |inner, _| json!({"x": inner}));
    let faults = [
        ("symbol", with("symbol", json!("btc/usd"))),
        ("symbol", with("symbol", json!(""))),
        ("symbol", with("symbol", Value::Null)),
        ("price", with("price", json!(67234.56))),
        ("price", with("price", json!("0"))),
        ("price", with("price", json!("-1"))),
        ("price", with("price", json!("9.2E-7"))),
        ("price", with("price", json!("01"))),
        ("price", with("price", json!("1."))),
        ("price", with("price", json!("1234567890123456789"))),
        ("price", with("price", json!("0.1234567890123456789"))),
        ("price", with("price", json!("12345678901.123456789012345678"))),
        ("volume", with("volume", json!("-0.5"))),
        ("volume", with("volume", json!(1))),
        (
            "volume",
            json!({"symbol": "A/B", "price": "999999999999999999", "volume": "999999999999999999", "source": "s", "timestamp": "2025-10-09T12:34:56Z"}),
        ),
        ("source", with("source", json!("aggregated"))),
        ("source", with("source", json!("Binance"))),
        ("timestamp", with("timestamp", json!("2025-10-09T12:34:56.123"))),
        ("timestamp", with("timestamp", json!("2125-10-09T12:34:56.123Z"))),
        ("timestamp", with("timestamp", json!(1_760_013_296))),
        ("metadata", with("metadata", json!([1]))),
        ("metadata", with("metadata", deep)),
        ("metadata", with("metadata", json!({"x": "y".repeat(4_096)}))),
        ("feed", json!("no object")),
    ];
    let feeds: Vec<Value> = faults.iter().map(|(_, feed)| feed.clone()).collect();
    let error = service.post(INGEST, &[], &batch(&feeds)).error(400, "VALIDATION_ERROR");
    let errors = error["errors"].as_array().unwrap();
    assert_eq!(errors.len(), faults.len());
    for ((index, (field, feed)), found) in faults.iter().enumerate().zip(errors) {
        assert_eq!(
            (&found["index"], &found["details"]["field"]),
            (&json!(index), &json!(field)),
            "{feed}"
        );
        let (message, expected) = (&found["message"], &found["details"]["expected"]);
        assert!(!message.as_str().unwrap().is_empty() && !expected.as_str().unwrap().is_empty());
    }
    let twice = r#"{"worker_id":"w","timestamp":"2025-10-09T12:34:56Z","feeds":[
        {"symbol":"A/B","price":"1","price":"2","source":"s","timestamp":"2025-10-09T12:34:56Z"}]}"#;
    let error = service.post_text(INGEST, &[], twice).error(400, "VALIDATION_ERROR");
    assert_eq!(error["details"]["field"], "price");
    assert_eq!(stored(&service), 0);
}

#[test]
fn a_broken_envelope_is_refused_as_a_whole() {
    let service = Service::start();
    let without = |field: &str| {
        let mut batch = batch(&[feed("A/B", "1")]);
        batch.as_object_mut().unwrap().remove(field);
        batch.to_string()
    };
    let with = |field: &str, value: Value| {
        let mut batch = batch(&[feed("A/B", "1")]);
        batch[field] = value;
        batch.to_string()
    };
    let hundred_and_one = vec![feed("A/B", "1"); 101];
    for (field, body) in [
        ("body", String::new()),
        ("body", "{".to_owned()),
        ("body", "[]".to_owned()),
        ("body", r#"{"worker_id":"w"} x"#.to_owned()),
        ("worker_id", without("worker_id")),
        ("worker_id", with("worker_id", json!("two words"))),
        ("timestamp", without("timestamp")),
        ("timestamp", with("timestamp", json!("yesterday"))),
        ("feeds", without("feeds")),
        ("feeds", with("feeds", json!([]))),
        ("feeds", with("feeds", json!({}))),
        ("feeds", batch(&hundred_and_one).to_string()),
        ("batch_id", with("batch_id", json!(""))),
    ] {
        let error = service.post_text(INGEST, &[], &body).error(400, "VALIDATION_ERROR");
        assert_eq!(error["details"]["field"], field, "{body} {error}");
    }
    let hundred = vec![feed("A/B", "1"); 100];
    assert_eq!(service.post(INGEST, &[], &batch(&hundred)).ok()["ingested"], 100);
    assert_eq!(stored(&service), 100);
}

#[test]
fn only_json_of_a_megabyte_is_read() {
    let service = Service::start();
    let large = " ".repeat(TOO_LARGE);
    service.post_text(INGEST, &[], &large).error(413, "PAYLOAD_TOO_LARGE");
    let exact = batch(&[feed("A/B", "1")]).to_string();
    let exact = " ".repeat(TOO_LARGE - 1 - exact.len()) + &exact;
    assert_eq!(service.post_text(INGEST, &[], &exact).ok()["ingested"], 1);

    let bearer = format!("Bearer {}", chrono_testkit::INTERNAL_KEY);
    let body = batch(&[feed("A/B", "1")]).to_string();
    for (name, value) in [("Content-Type", "text/plain"), ("Content-Encoding", "gzip")] {
        let mut headers = vec![("Authorization", bearer.as_str()), (name, value)];
        if name != "Content-Type" {
            headers.push(("Content-Type", "application/json"));
        }
        let error = service.ask("POST", INGEST, &headers, &body).error(400, "VALIDATION_ERROR");
        assert_eq!(error["details"]["field"], name);
    }
    assert_eq!(stored(&service), 1);
}

#[test]
fn a_repeated_batch_is_stored_once_and_answered_the_same() {
    let service = Service::start();
    let key = [("Idempotency-Key", "run-1")];
    let mut sent = batch(&[feed("A/B", "1"), feed("bad", "2")]);
    let first = service.post(INGEST, &key, &sent);
    assert_eq!(first.header("idempotent-replayed"), None);
    // The envelope's time is that of the sending, not of the batch.
    sent["timestamp"] = json!("2025-10-09T13:00:00Z");
    let again = service.post(INGEST, &key, &sent);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let without_time = |mut body: Value| {
        body.as_object_mut().unwrap().remove("latency_ms").unwrap();
        body
    };
    assert_eq!(without_time(again.ok()), without_time(first.ok()));
    assert_eq!(stored(&service), 1);

    // The body may carry the key, or both the same.
    sent["batch_id"] = json!("run-1");
    for headers in [&key[..], &[]] {
        assert_eq!(
            service.post(INGEST, headers, &sent).header("idempotent-replayed"),
            Some("true")
        );
    }
    sent["batch_id"] = json!("run-2");
    let error = service.post(INGEST, &key, &sent).error(400, "VALIDATION_ERROR");
    assert_eq!(error["details"]["field"], "Idempotency-Key");

    service.post(INGEST, &key, &batch(&[feed("A/B", "1.0")])).error(422, "IDEMPOTENCY_MISMATCH");
    // Keys are of a worker.
    let mut other = batch(&[feed("A/B", "9")]);
    other["worker_id"] = json!("other");
    assert_eq!(service.post(INGEST, &key, &other).ok()["ingested"], 1);
    service
        .post(INGEST, &[("Idempotency-Key", "two words")], &other)
        .error(400, "VALIDATION_ERROR");
    assert_eq!(stored(&service), 2);

    let service = service.restart();
    sent["batch_id"] = json!("run-1");
    let again = service.post(INGEST, &[], &sent);
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, Some("true")));
    assert_eq!(stored(&service), 2);
}

#[test]
fn unknown_fields_are_ignored_and_counted() {
    let service = Service::start();
    let mut sent = batch(&[feed("A/B", "1")]);
    sent["sender"] = json!({"deep": [1, 2]});
    sent["feeds"][0]["bid"] = json!("0.9");
    assert_eq!(service.post(INGEST, &[], &sent).ok()["status"], "success");
    let metrics = service.ask("GET", "/metrics", &[], "").body;
    assert!(metrics.contains("ingest_unknown_fields_total 2"), "{metrics}");
}

#[test]
fn delegations_are_stored_once_and_never_changed() {
    let service = Service::start();
    let path = "/internal/delegations";
    let row = |amount: &str, at: &str| json!({"delegator_id": "0xabc", "provider_id": "0xdef", "amount": amount, "percentage": "50", "timestamp": at, "metadata": null});
    let [first, second] =
        [row("1500.250", "2025-10-09T12:00:00Z"), row("7", "2025-10-09T12:00:01Z")];
    let body = service.post(path, &[], &json!({"delegations": [first, second]})).ok();
    assert_eq!(body, json!({"status": "success", "ingested": 2, "repeated": 0, "failed": 0}));
    let body = service.post(path, &[], &json!({"delegations": [first]})).ok();
    assert_eq!(body, json!({"status": "success", "ingested": 0, "repeated": 1, "failed": 0}));
    let body = service.post(path, &[], &json!({"delegations": [row("8", "2025-10-09T12:00:00Z"), row("9", "2025-10-09T12:00:02Z")]})).ok();
    assert_eq!(
        (&body["status"], &body["ingested"], &body["failed"]),
        (&json!("partial"), &json!(1), &json!(1))
    );
    assert_eq!(body["errors"][0]["index"], 0);

    let mut found = service.get("/delegations?delegator_id=0xabc&limit=2").ok();
    assert!(found["latency_ms"].take().is_u64());
    let cursor = found["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!((&found["count"], &found["data"][0]["amount"]), (&json!(2), &json!("9")));
    let rest =
        service.get(&format!("/delegations?delegator_id=0xabc&limit=2&cursor={cursor}")).ok();
    let mut oldest = first.clone();
    oldest["timestamp"] = json!("2025-10-09T12:00:00.000Z");
    assert_eq!((&rest["data"], &rest["next_cursor"]), (&json!([oldest]), &Value::Null));
    let other = service.get("/delegations?provider_id=0xother").ok();
    assert_eq!((&other["data"], &other["count"]), (&json!([]), &json!(0)));
    let within = service.get("/delegations?from=2025-10-09T12:00:01Z&to=2025-10-09T12:00:01Z").ok();
    assert_eq!(within["data"][0]["amount"], "7");

    for bad in [
        json!({}),
        json!({"delegations": []}),
        json!({"delegations": [row("-1", "2025-10-09T12:00:00Z")]}),
        json!({"delegations": [row("8", "2025-10-09T12:00:00Z")]}),
        json!({"delegations": [row("8", "2025-10-09T12:00:00Z"), row("-1", "2025-10-09T12:00:03Z")]}),
        json!([]),
    ] {
        service.post(path, &[], &bad).error(400, "VALIDATION_ERROR");
    }
    let refused =
        service.post(path, &[], &json!({"delegations": [row("8", "2025-10-09T12:00:00Z")]}));
    let error = refused.error(400, "VALIDATION_ERROR");
    assert_eq!(error["message"], error["errors"][0]["message"], "{error}");
    service
        .get("/delegations?from=2025-10-09T12:00:01Z&to=2025-10-09T12:00:00Z")
        .error(400, "VALIDATION_ERROR");
    service.get("/delegations?delegator=0xabc").error(400, "VALIDATION_ERROR");
}
