//! Panics at chosen places: one request fails, the rest lives, and whoever looks is told.

use std::time::Duration;

use chrono_domain::{Clock, SystemClock};
use chrono_testkit::{GatewayCommand, INTERNAL_KEY, PUBLIC_KEY, scratch};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::ask::{Answer, ask};
use crate::service::{BINARY, Service};
use crate::socket::Socket;

const INGEST: &str = "/internal/ingest";
/// Batches of a test, and the one that meets the panic.
const BATCHES: usize = 6;
const PANICS_AT: usize = 3;
/// Ticks of a batch: some come before the one at which the hub panics, and several after it.
const TICKS: usize = 6;
/// How soon whatever panicked works again: its restart waits 50 ms.
const RESTARTED: Duration = Duration::from_secs(5);
/// How long readiness names a task that was restarted.
const SETTLED: Duration = Duration::from_secs(20);
/// How long a stop takes at most.
const STOPPED: Duration = Duration::from_secs(25);
const STEP: Duration = Duration::from_millis(20);

fn start(place: &str) -> Service {
    Service::start_with(&[("CHRONO_PANIC", &format!("{place}:{PANICS_AT}"))])
}

/// Posts the next prices under a key of their own.
fn post(url: &str, number: usize) -> Answer {
    let at = |tick: usize| format!("2025-10-09T12:34:{number:02}.{tick:03}Z");
    let feeds: Vec<_> = (1..=TICKS)
        .map(|tick| {
            let price = (number - 1) * TICKS + tick;
            json!({"symbol": "A/B", "price": price.to_string(), "source": "s", "timestamp": at(tick)})
        })
        .collect();
    let batch = json!({"worker_id": "w", "timestamp": at(0), "feeds": feeds});
    let key = format!("run-{number}");
    let headers = [
        ("Content-Type", "application/json"),
        ("Idempotency-Key", key.as_str()),
        ("X-API-Key", INTERNAL_KEY),
    ];
    ask(url, "POST", INGEST, &headers, &batch.to_string())
}

/// Posts again, as a worker does, until the batch is acknowledged.
fn post_until_taken(url: &str, number: usize) -> Answer {
    let clock = SystemClock::new();
    loop {
        let answer = post(url, number);
        if answer.status == 200 {
            return answer;
        }
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(clock.uptime() < RESTARTED, "nothing is taken any more: {}", answer.body);
        std::thread::sleep(STEP);
    }
}

/// Every price that was posted, in order.
fn prices() -> Vec<Value> {
    (1..=BATCHES * TICKS).map(|price| Value::from(price.to_string())).collect()
}

/// Every price was stored once, and is shown.
fn assert_whole(service: &Service) {
    let range = "/prices/range?symbol=A/B&from=2025-10-09T00:00:00Z&to=2025-10-10T00:00:00Z";
    let data = service.get(&format!("{range}&order=asc")).ok()["data"].take();
    let stored: Vec<_> =
        data.as_array().unwrap().iter().map(|tick| tick["price"].clone()).collect();
    assert_eq!(stored, prices());
    let latest = service.get("/prices/latest?symbols=A/B").ok();
    assert_eq!(Some(&latest["data"][0]["price"]), prices().last());
}

/// The panic was counted, and readiness names the task until it has settled.
fn assert_told(service: &Service, task: &str) {
    let metrics = service.ask("GET", "/metrics", &[], "").body;
    for name in ["task_panics_total", "task_restarts_total"] {
        let line = format!("{name}{{task=\"{task}\"}} 1");
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
    let ready = service.ask("GET", "/health/ready", &[], "");
    assert_eq!(ready.status, 503, "{}", ready.body);
    assert!(ready.body.contains(&format!("{task} was restarted")), "{}", ready.body);
    let clock = SystemClock::new();
    while service.ask("GET", "/health/ready", &[], "").status != 200 {
        assert!(clock.uptime() < SETTLED, "it never settles");
        std::thread::sleep(STEP);
    }
}

#[test]
fn a_panic_in_a_handler_fails_one_request() {
    let place = format!("handler:{PANICS_AT}");
    // Of the log only what tests need: a panic is told in any case.
    let settings = [("CHRONO_PANIC", place.as_str()), ("LOG_LEVEL", "chrono_api::serve=info")];
    let mut service = Service::start_with(&settings);
    let answers: Vec<u16> =
        (1..=BATCHES).map(|number| post(service.url(), number).status).collect();
    assert_eq!(answers, [200, 200, 500, 200, 200, 200]);
    post(service.url(), PANICS_AT).ok();
    assert_whole(&service);
    let metrics = service.ask("GET", "/metrics", &[], "").body;
    assert!(metrics.contains("task_panics_total{task=\"request\"} 1"), "{metrics}");
    assert_eq!(service.ask("GET", "/health/ready", &[], "").status, 200);
    service.gateway.terminate().unwrap();
    assert!(service.gateway.wait(STOPPED).unwrap().success());
    let errors = service.gateway.errors();
    assert!(errors.iter().any(|line| line.contains("panicked")), "{errors:?}");
}

#[test]
fn a_panic_of_the_writer_before_it_publishes_loses_and_doubles_nothing() {
    let service = start("before_publish");
    for number in 1..=BATCHES {
        let answer = post(service.url(), number);
        if number == PANICS_AT {
            answer.error(503, "OUTCOME_UNKNOWN");
            // The same key tells what became of it.
            let again = post_until_taken(service.url(), number);
            assert_eq!(again.header("idempotent-replayed"), Some("true"));
        } else {
            answer.ok();
        }
    }
    assert_whole(&service);
    assert_told(&service, "writer");
    assert!(service.gateway.stop().unwrap().success());
}

#[test]
fn a_panic_of_the_store_s_thread_within_a_commit_stores_nothing_of_it() {
    let service = start("before_commit");
    for number in 1..=BATCHES {
        let answer = post(service.url(), number);
        if number == PANICS_AT {
            assert_eq!(answer.status, 503, "{}", answer.body);
            let again = post_until_taken(service.url(), number);
            assert_eq!(again.header("idempotent-replayed"), None, "it was rolled back");
        } else {
            answer.ok();
        }
    }
    assert_whole(&service);
    assert_told(&service, "store-writer");
    assert!(service.gateway.stop().unwrap().success());
}

#[test]
fn a_thread_that_panics_is_started_again_while_nobody_reads_the_log() {
    let dir = scratch().unwrap();
    let command = GatewayCommand::new(BINARY, dir.path());
    let panics = command.with("CHRONO_PANIC", &format!("before_commit:{PANICS_AT}"));
    let gateway = panics.start_unread().unwrap();
    for number in 1..=BATCHES {
        post_until_taken(gateway.url(), number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_the_hub_amid_an_update_keeps_every_stream_whole() {
    let service = start("mid_fan_out");
    let mut sockets = Vec::new();
    for mode in ["latest", "all"] {
        let mut socket = Socket::open(&service.gateway, PUBLIC_KEY).await;
        socket.subscribe(&["A/B"], mode).await;
        sockets.push(socket);
    }
    for number in 1..=BATCHES {
        post(service.url(), number).ok();
    }
    for socket in &mut sockets {
        let mut told = Vec::new();
        while told.last() != prices().last() {
            // Whoever was to be woken by the update that was cut short is woken, too.
            let next = timeout(RESTARTED, socket.updates(1)).await;
            let (mut updates, _) = next.expect("nothing is told any more");
            told.push(updates[0]["price"].take());
        }
        assert_eq!(told, prices());
    }
    assert_whole(&service);
    assert_told(&service, "hub");
    assert!(service.gateway.stop().unwrap().success());
}
