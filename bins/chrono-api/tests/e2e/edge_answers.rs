//! What stands between transport and use cases, from outside: keys, roles, limits, origins, errors, health, metrics.

use std::time::Duration;

use chrono_client::StreamOptions;
use chrono_testkit::{ADMIN_KEY, PUBLIC_KEY};
use serde_json::json;

use crate::service::Service;

const LATEST: &str = "/prices/latest?symbols=BTC/USD";
/// What an SVG element must be called, in full.
const SVG_NAMESPACE: &str = "http://www.w3.org/2000/svg";
const ORIGIN: &str = "https://app.example";

/// Looks for a metric, and the pause between two.
const TRIES: usize = 200;
const PAUSE: Duration = Duration::from_millis(50);

fn post_one(service: &Service) {
    let feed = json!({"symbol": "BTC/USD", "price": "1", "source": "s", "timestamp": "2025-10-09T12:34:56Z"});
    let batch = json!({"worker_id": "w", "timestamp": "2025-10-09T12:34:56Z", "feeds": [feed]});
    service.post("/internal/ingest", &[], &batch).ok();
}

#[test]
fn what_is_not_there_is_said_in_the_same_shape() {
    let service = Service::start();
    service.get("/nothing").error(404, "NOT_FOUND");
    service.get("/prices").error(404, "NOT_FOUND");
    service.get("/prices/latest/").error(404, "NOT_FOUND");
    for (method, path, allow) in [
        ("POST", LATEST, "GET, HEAD, OPTIONS"),
        ("DELETE", "/health", "GET, HEAD, OPTIONS"),
        ("GET", "/internal/ingest", "POST, OPTIONS"),
    ] {
        let answer = service.ask(method, path, &[("X-API-Key", ADMIN_KEY)], "");
        answer.error(405, "METHOD_NOT_ALLOWED");
        assert_eq!(answer.header("allow"), Some(allow));
    }
    let head = service.ask("HEAD", "/health", &[], "");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let long = format!("/prices/latest?symbols={}", "A".repeat(9_000));
    service.get(&long).error(414, "VALIDATION_ERROR");
}

#[test]
fn a_request_keeps_a_sane_id_and_gets_one_otherwise() {
    let service = Service::start();
    let id = |headers: &[(&str, &str)]| {
        let answer = service.ask("GET", "/health/live", headers, "");
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(id(&[("X-Request-ID", "req_abc123")]), "req_abc123");
    let made = [id(&[]), id(&[]), id(&[("X-Request-ID", "two words")])];
    assert!(made.iter().all(|id| id.len() == 36 && id.as_bytes()[14] == b'7'), "{made:?}");
    assert!(made[0] != made[1] && made[1] != made[2]);
}

#[test]
fn a_spent_limit_says_when_to_come_again() {
    let service =
        Service::start_with(&[("RATE_LIMIT_PUBLIC_PAID", "3"), ("RATE_LIMIT_INTERNAL", "2")]);
    for remaining in ["2", "1", "0"] {
        let answer = service.get("/metadata/intervals");
        answer.ok();
        assert_eq!(
            (answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining")),
            (Some("3"), Some(remaining))
        );
        let reset: u64 = answer.header("x-ratelimit-reset").unwrap().parse().unwrap();
        assert!((1..=120).contains(&reset), "{reset}");
    }
    let answer = service.get("/metadata/intervals");
    answer.error(429, "RATE_LIMIT_EXCEEDED");
    let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=120).contains(&after), "{after}");
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("0"));
    // Another key has a limit of its own; an administrator none.
    post_one(&service);
    for _ in 0..10 {
        service.ask("GET", LATEST, &[("X-API-Key", ADMIN_KEY)], "").ok();
    }
}

#[test]
fn pages_of_other_origins_may_read_public_paths_only() {
    let service = Service::start();
    let asked = ("Origin", ORIGIN);
    let answer = service.ask("GET", LATEST, &[asked, ("X-API-Key", PUBLIC_KEY)], "");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let exposed = answer.header("access-control-expose-headers").unwrap();
    for name in [
        "X-Request-ID",
        "X-RateLimit-Limit",
        "X-RateLimit-Remaining",
        "X-RateLimit-Reset",
        "RateLimit",
        "Retry-After",
    ] {
        assert!(exposed.split(", ").any(|exposed| exposed == name), "{name} in {exposed}");
    }
    let preflight = [
        asked,
        ("Access-Control-Request-Method", "GET"),
        ("Access-Control-Request-Headers", "x-api-key"),
    ];
    let answer = service.ask("OPTIONS", LATEST, &preflight, "");
    assert_eq!(
        (answer.status, answer.header("access-control-allow-methods")),
        (204, Some("GET, HEAD, OPTIONS"))
    );
    assert!(answer.header("access-control-allow-headers").unwrap().contains("X-API-Key"));
    let internal = service.ask("OPTIONS", "/internal/ingest", &preflight, "");
    assert_eq!(internal.header("access-control-allow-origin"), None);

    let service = Service::start_with(&[("CORS_ORIGINS", "https://app.example,https://b.example")]);
    let allowed = service.ask("GET", "/health/live", &[asked], "");
    assert_eq!(
        (allowed.header("access-control-allow-origin"), allowed.header("vary")),
        (Some(ORIGIN), Some("origin"))
    );
    let other = service.ask("GET", "/health/live", &[("Origin", "https://evil.example")], "");
    assert_eq!((other.status, other.header("access-control-allow-origin")), (200, None));
}

#[test]
fn health_has_the_spec_s_shape() {
    let service = Service::start();
    let health = service.ask("GET", "/health", &[], "").ok();
    let keys: Vec<&String> = health.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["services", "status", "timestamp", "uptime_seconds"]);
    assert_eq!(health["status"], "healthy");
    assert_eq!(
        health["services"],
        json!({"database": "embedded", "redis": "embedded", "websocket": "healthy"})
    );
    assert!(health["uptime_seconds"].is_u64());
    assert_eq!(service.ask("GET", "/health/live", &[], "").ok()["status"], "alive");
    for path in ["/health/ready", "/health/ready?role=read"] {
        assert_eq!(service.ask("GET", path, &[], "").ok(), json!({"ready": true, "reasons": []}));
    }
    service.ask("GET", "/health/ready?role=write", &[], "").error(400, "VALIDATION_ERROR");
}

#[test]
fn metrics_have_the_spec_s_names_labels_and_buckets() {
    let service = Service::start();
    post_one(&service);
    service.get(LATEST).ok();
    service.get("/prices/latest?symbols=NO/SUCH").error(404, "NOT_FOUND");
    let answer = service.ask("GET", "/metrics", &[], "");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for le in ["10", "50", "100", "200", "500", "1000", "2000", "5000", "+Inf"] {
        let bucket = format!(
            r#"http_request_duration_ms_bucket{{method="GET",route="/prices/latest",status_code="200",le="{le}"}}"#
        );
        assert!(answer.body.contains(&bucket), "{bucket} in {}", answer.body);
    }
    for line in [
        "# TYPE http_request_duration_ms histogram",
        r#"http_request_duration_ms_count{method="GET",route="/prices/latest",status_code="404"} 1"#,
        r#"http_request_duration_ms_count{method="POST",route="/internal/ingest",status_code="200"} 1"#,
        "# HELP http_request_duration_ms HTTP request duration in milliseconds",
        "# TYPE price_ingestions_total counter",
        "# HELP price_ingestions_total Total number of price feeds ingested",
        r#"price_ingestions_total{worker_id="w",symbol="BTC/USD",status="ok"} 1"#,
        "# TYPE websocket_connections_active gauge",
        "# HELP websocket_connections_active Number of active WebSocket connections",
        "websocket_connections_active 0",
        "candles_recount_mismatches_total 0",
        r#"cache_requests_total{cache="latest",result="hit"} 1"#,
        "ingest_commit_ticks_sum 1",
        "store_ticks 1",
    ] {
        assert!(answer.body.lines().any(|found| found == line), "{line} in {}", answer.body);
    }
    // Neither paths nor symbols that nobody knows become labels.
    service.get("/no/such/path/1").error(404, "NOT_FOUND");
    let body = service.ask("GET", "/metrics", &[], "").body;
    assert!(
        body.contains(r#"route="unmatched",status_code="404""#)
            && !body.contains("/no/such")
            && !body.contains("NO/SUCH")
    );
}

#[tokio::test]
async fn open_websocket_connections_are_counted() {
    let service = Service::start();
    let reader = service.reader();
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(reader.stream(StreamOptions::default()).await.unwrap());
    }
    wait_for_gauge(&service, "websocket_connections_active 3").await;
    drop(streams.pop());
    wait_for_gauge(&service, "websocket_connections_active 2").await;
}

/// Looks until a line stands among the metrics.
async fn wait_for_gauge(service: &Service, line: &str) {
    for _ in 0..TRIES {
        let metrics = service.ask("GET", "/metrics", &[], "").body;
        if metrics.lines().any(|found| found == line) {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("no {line}");
}

#[test]
fn metrics_may_be_off_or_elsewhere() {
    let service = Service::start_with(&[("METRICS_ENABLED", "false")]);
    service.ask("GET", "/metrics", &[], "").error(404, "NOT_FOUND");

    let service = Service::start_with(&[("METRICS_ADDR", "127.0.0.1:0")]);
    let address = service.gateway.metrics_address().unwrap();
    service.ask("GET", "/metrics", &[], "").error(404, "NOT_FOUND");
    let apart = crate::ask::ask(&format!("http://{address}"), "GET", "/metrics", &[], "");
    assert!(apart.status == 200 && apart.body.contains("chrono_build_info"));
    crate::ask::ask(&format!("http://{address}"), "GET", "/health", &[], "")
        .error(404, "NOT_FOUND");
}

#[test]
fn the_live_page_needs_no_key_and_loads_nothing_from_elsewhere() {
    let service = Service::start();
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/assets/live.css", "text/css; charset=utf-8"),
        ("/assets/live.js", "text/javascript; charset=utf-8"),
    ] {
        let answer = service.ask("GET", path, &[], "");
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)));
        assert!(
            answer.header("content-security-policy").unwrap().starts_with("default-src 'none'")
        );
        // A namespace is a name: nothing is fetched for it.
        let body = answer.body.replace(SVG_NAMESPACE, "");
        assert!(!body.contains("https://") && !body.contains("http://"), "{path}");
    }
}
