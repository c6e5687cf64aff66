//! Routes, keys, limits, errors and the headers of every answer.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono_api::edge::Origins;
use chrono_api::http::Settings;
use hyper::header::HeaderValue;
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::client::Client;
use crate::toy::{ADMIN, FAILURES, INTERNAL, LIMIT, PAID, PUBLIC, Running};

fn key(key: &str) -> String {
    format!("Authorization: Bearer {key}")
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_apart() {
    let server = Running::start().await;
    let mut client = Client::connect(server.address).await;
    let answer = client.ask("GET", "/nothing", &[]).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "NOT_FOUND"));
    let answer = client.ask("DELETE", "/open", &[]).await;
    assert_eq!((answer.status, answer.code().as_str()), (405, "METHOD_NOT_ALLOWED"));
    assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
    let answer = client.ask("GET", "/internal/echo", &[]).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS")));
    assert_eq!(client.ask("GET", "/open/", &[]).await.status, 404);
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let server = Running::start().await;
    let mut client = Client::connect(server.address).await;
    let answer = client.ask("HEAD", "/open", &[]).await;
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("13")));
    assert_eq!(client.ask("HEAD", "/nothing", &[]).await.status, 404);
    let answer = client.ask("GET", "/open", &[]).await;
    assert_eq!(answer.body, "{\"open\":true}", "nothing was left over");
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let server = Running::start().await;
    let mut client = Client::connect(server.address).await;
    let answer = client.ask("GET", "/open", &["X-Request-ID: req_abc123"]).await;
    assert_eq!(answer.header("x-request-id"), Some("req_abc123"));
    let made = client.ask("GET", "/nothing", &["X-Request-ID: not <sane>"]).await;
    let made = made.header("x-request-id").unwrap();
    assert_eq!((made.len(), made.get(14..15)), (36, Some("7")));
}

#[tokio::test]
async fn path_and_query_are_decoded_and_checked() {
    let server = Running::start().await;
    let mut client = Client::connect(server.address).await;
    let key = key(ADMIN);
    let answer = client.ask("GET", "/prices/BTC%2FUSD?source=a%62c", &[&key]).await;
    assert_eq!(answer.body, "{\"source\":\"abc\",\"symbol\":\"BTC/USD\"}\n");
    for path in ["/prices/BTC%2", "/prices/x?form=1", "/prices/x?source=a&source=b"] {
        let answer = client.ask("GET", path, &[&key]).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "VALIDATION_ERROR"), "{path}");
    }
    let answer = client.ask("GET", "/prices/x?form=1", &[&key]).await;
    assert!(answer.body.contains("parameters among source"), "{}", answer.body);
}

#[tokio::test]
async fn a_panic_in_a_handler_is_an_answer_and_the_connection_lives() {
    let server = Running::start().await;
    let mut client = Client::connect(server.address).await;
    let answer = client.ask("GET", "/panic", &["X-Request-ID: req_1"]).await;
    assert_eq!((answer.status, answer.code().as_str()), (500, "INTERNAL_ERROR"));
    assert_eq!(answer.header("x-request-id"), Some("req_1"));
    assert!(!answer.body.contains("broke"), "{}", answer.body);
    assert_eq!(client.ask("GET", "/open", &[]).await.status, 200);
}

#[tokio::test]
async fn every_role_opens_its_own_routes_only() {
    let server = Running::start().await;
    let mut client = Client::connect(server.address).await;
    let routes = [
        ("GET", "/open"),
        ("GET", "/prices/x"),
        ("POST", "/internal/echo"),
        ("GET", "/admin/keys"),
    ];
    for (presented, expected) in [
        (None, [200, 401, 401, 401]),
        (Some(PUBLIC), [200, 200, 403, 403]),
        (Some(PAID), [200, 200, 403, 403]),
        (Some(INTERNAL), [200, 403, 200, 403]),
        (Some(ADMIN), [200, 200, 200, 200]),
        (Some("chrono_admin_of_nobody"), [200, 401, 401, 401]),
        (Some("junk"), [200, 401, 401, 401]),
    ] {
        let line = presented.map(key);
        let headers: Vec<&str> = line.as_deref().into_iter().collect();
        for ((method, path), expected) in routes.into_iter().zip(expected) {
            let answer = client.ask(method, path, &headers).await;
            assert_eq!(answer.status, expected, "{method} {path} {presented:?}");
            match expected {
                401 => {
                    assert_eq!(answer.code(), "UNAUTHORIZED");
                    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
                }
                403 => assert_eq!(answer.code(), "FORBIDDEN"),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn two_different_keys_open_nothing() {
    let server = Running::start().await;
    let mut client = Client::connect(server.address).await;
    let (bearer, direct) = (key(PUBLIC), format!("X-API-Key: {PUBLIC}"));
    assert_eq!(client.ask("GET", "/prices/x", &[&bearer, &direct]).await.status, 200);
    let other = format!("X-API-Key: {ADMIN}");
    assert_eq!(client.ask("GET", "/prices/x", &[&bearer, &other]).await.status, 401);
}

#[tokio::test]
async fn only_streams_take_a_key_from_the_query_or_later() {
    let server = Running::start().await;
    let mut client = Client::connect(server.address).await;
    let answer = client.ask("GET", &format!("/stream?key={PUBLIC}"), &[]).await;
    assert_eq!(answer.body, "{\"who\":\"public\"}");
    assert_eq!(client.ask("GET", "/stream", &[]).await.body, "{\"who\":\"nobody\"}");
    assert_eq!(client.ask("GET", "/stream?key=junk", &[]).await.status, 401);
    assert_eq!(client.ask("GET", &format!("/stream?key={INTERNAL}"), &[]).await.status, 403);
    let answer = client.ask("GET", &format!("/prices/x?key={PUBLIC}"), &[]).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_key_is_limited_and_told_so() {
    let server = Running::start().await;
    let mut client = Client::connect(server.address).await;
    let (public, paid) = (key(PUBLIC), key(PAID));
    for left in (0..LIMIT).rev() {
        let answer = client.ask("GET", "/prices/x", &[&public]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit"), Some("5"));
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(left.to_string().as_str()));
        assert_eq!(answer.header("ratelimit-policy"), Some("\"key\";q=5;w=60"));
    }
    let refused = client.ask("GET", "/prices/x", &[&public]).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "RATE_LIMIT_EXCEEDED"));
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
    assert_eq!(refused.header("ratelimit"), Some("\"key\";r=0;t=72"));
    assert_eq!(refused.header("x-ratelimit-reset"), Some("72"));
    assert_eq!(refused.header("retry-after"), Some("72"));
    let other = client.ask("GET", "/prices/x", &[&paid]).await;
    assert_eq!((other.status, other.header("x-ratelimit-limit")), (200, Some("10")));
    let admin = client.ask("GET", "/prices/x", &[&key(ADMIN)]).await;
    assert_eq!((admin.status, admin.header("x-ratelimit-limit")), (200, None));
    server.clock.advance(Duration::from_secs(72));
    assert_eq!(client.ask("GET", "/prices/x", &[&public]).await.status, 200);
}

#[tokio::test]
async fn failures_of_an_address_are_limited_but_valid_keys_pass() {
    let server = Running::start().await;
    let mut client = Client::connect(server.address).await;
    for _ in 0..FAILURES {
        assert_eq!(client.ask("GET", "/prices/x", &["X-API-Key: junk"]).await.status, 401);
    }
    let answer = client.ask("GET", "/prices/x", &["X-API-Key: junk"]).await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "RATE_LIMIT_EXCEEDED"));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(client.ask("GET", "/prices/x", &[&key(PUBLIC)]).await.status, 200);
}

#[tokio::test]
async fn pages_of_any_origin_may_read_public_paths_only() {
    let server = Running::start().await;
    let mut client = Client::connect(server.address).await;
    let origin = "Origin: https://example.org";
    let answer = client.ask("GET", "/prices/x", &[origin, &key(PUBLIC)]).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let exposed = answer.header("access-control-expose-headers").unwrap();
    assert!(exposed.contains("X-Request-ID") && exposed.contains("Retry-After"), "{exposed}");
    let asked = ["Access-Control-Request-Method: GET", origin];
    let preflight = client.ask("OPTIONS", "/prices/x", &asked).await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, HEAD, OPTIONS"));
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("Authorization"));
    assert_eq!(preflight.header("access-control-max-age"), Some("600"));
    for path in ["/internal/echo", "/admin/keys"] {
        let preflight = client.ask("OPTIONS", path, &asked).await;
        assert_eq!(
            (preflight.status, preflight.header("access-control-allow-origin")),
            (204, None)
        );
        assert!(preflight.header("allow").is_some());
    }
    let refused = client.ask("GET", "/prices/x", &[origin]).await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, Some("*")));
}

#[tokio::test]
async fn listed_origins_are_echoed_and_others_get_nothing() {
    let listed = Origins::Only(vec![HeaderValue::from_static("https://example.org")]);
    let server = Running::start_with(Settings::default(), listed).await;
    let mut client = Client::connect(server.address).await;
    let mut allowed = async |origin: &str| {
        let answer = client.ask("GET", "/open", &[origin]).await;
        assert_eq!(answer.header("vary"), Some("origin"));
        answer.header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(
        allowed("Origin: https://example.org").await.as_deref(),
        Some("https://example.org")
    );
    assert_eq!(allowed("Origin: https://example.com").await, None);
    assert_eq!(allowed("a: b").await, None);
}

#[tokio::test]
async fn requests_are_timed_by_pattern_and_never_by_path() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let server = Running::start().await;
    let mut client = Client::connect(server.address).await;
    client.ask("GET", "/prices/BTC-USD", &[&key(PUBLIC)]).await;
    client.ask("BREW", "/no/such/path", &[]).await;
    let text = metrics.render();
    for labels in [
        "{method=\"GET\",route=\"/prices/{symbol}\",status_code=\"200\"",
        "{method=\"OTHER\",route=\"unmatched\",status_code=\"404\"",
    ] {
        assert!(text.contains(&format!("http_request_duration_ms_count{labels}")), "{text}");
    }
    assert!(!text.contains("BTC") && !text.contains("such"), "{text}");
}

/// What was logged.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_request_is_one_line_in_the_log_without_its_key() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone());
    let subscriber = subscriber.with_max_level(tracing::Level::INFO).finish();
    let _installed = tracing::subscriber::set_default(subscriber);
    let server = Running::start().await;
    let mut client = Client::connect(server.address).await;
    let parent = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let path = format!("/stream?key={PUBLIC}");
    client.ask("GET", &path, &["X-Request-ID: req_1", parent]).await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let [line] = lines[..] else { panic!("not one line: {text}") };
    assert!(!line.contains("test_key"), "{line}");
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let fields = &line["fields"];
    assert_eq!(fields["request_id"], "req_1");
    assert_eq!((&fields["method"], &fields["route"]), (&"GET".into(), &"/stream".into()));
    assert_eq!((&fields["status"], &fields["bytes"]), (&200.into(), &16.into()));
    assert_eq!(fields["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(fields["key"].as_str().map(str::len), Some(8));
}
