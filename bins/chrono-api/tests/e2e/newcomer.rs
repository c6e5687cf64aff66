//! What a newcomer meets: words that say what to do next, commands that say what they did, one rule for every path.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chrono_testkit::{ADMIN_KEY, scratch};
use serde_json::json;

use crate::operator::{run, text};
use crate::service::{BINARY, Service};

/// How long a demo may take to start on a busy machine, and the pause between two looks.
const START: Duration = Duration::from_mins(1);
const STEP: Duration = Duration::from_millis(50);

#[test]
fn a_taken_port_and_a_foreign_directory_name_the_flag_that_helps() {
    let dir = scratch().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run(dir.path(), &[("HOST", "127.0.0.1"), ("PORT", &port)], &[]);
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("--port N"), "{said}");

    fs::write(dir.path().join("thesis.txt"), "").unwrap();
    let output = run(dir.path(), &[], &["demo", "--data-dir", ".", "--port", "0"]);
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("--data-dir DIR"), "{said}");
}

#[test]
fn a_second_gateway_of_a_store_is_told_how_to_get_its_own() {
    let service = Service::start();
    let local = [("HOST", "127.0.0.1"), ("PORT", "0")];
    let output = run(service.data_dir(), &local, &[]);
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("--data-dir DIR"), "{said}");
}

#[test]
fn a_new_key_says_where_it_was_stored() {
    let dir = scratch().unwrap();
    let create = ["keys", "create", "--role", "public", "--client", "alice"];
    let file = dir.path().join("chrono.db").display().to_string();
    for (turn, new) in [true, false].into_iter().enumerate() {
        let output = run(dir.path(), &[], &create);
        let said = text(&output.stderr);
        assert!(output.status.success() && said.contains(&file), "{said}");
        assert_eq!(said.contains("a new store"), new, "{turn}: {said}");
        assert_eq!(text(&output.stdout).lines().count(), 1, "the key alone, for scripts");
    }
    let list = text(&run(dir.path(), &[], &["keys", "list"]).stdout);
    let mut lines = list.lines();
    let client = lines.next().unwrap().find("CLIENT").unwrap();
    let mut columns = lines.map(|line| line.find("alice").unwrap());
    assert!(columns.clone().count() == 2 && columns.all(|column| column == client), "{list}");
}

/// A demo that is killed when dropped.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_demo_says_where_its_data_are_and_no_gateway_takes_them() {
    let dir = scratch().unwrap();
    let printed = dir.path().join("printed");
    let mut demo = Demo(
        Command::new(BINARY)
            .args(["demo", "--port", "0", "--data-dir", "data"])
            .env_clear()
            .current_dir(dir.path())
            .stdout(fs::File::create(&printed).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let said = || fs::read_to_string(&printed).unwrap();
    let mut waited = Duration::ZERO;
    while !said().contains("websocat") {
        assert!(waited < START, "{}", said());
        std::thread::sleep(STEP);
        waited += STEP;
    }
    let id = demo.0.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert!(demo.0.wait().unwrap().success());
    assert!(
        said().ends_with("Stopped. The data are in data; delete it when you like.\n"),
        "{}",
        said()
    );

    let data = dir.path().join("data");
    let local = [("HOST", "127.0.0.1"), ("PORT", "0")];
    let output = run(&data, &local, &[]);
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("--data-dir DIR"), "{said}");
}

#[test]
fn every_path_refuses_a_parameter_that_it_does_not_know() {
    let service = Service::start();
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/assets/live.css"),
        ("GET", "/assets/live.js"),
        ("GET", "/health"),
        ("GET", "/health/live"),
        ("GET", "/health/ready"),
        ("GET", "/metrics"),
        ("POST", "/internal/ingest"),
        ("POST", "/internal/delegations"),
        ("GET", "/prices/latest"),
        ("GET", "/prices/range"),
        ("GET", "/aggregates/consensus"),
        ("GET", "/metadata/symbols"),
        ("GET", "/metadata/sources"),
        ("GET", "/metadata/intervals"),
        ("GET", "/metadata/system"),
        ("GET", "/delegations"),
        ("GET", "/stream"),
        ("GET", "/stream/sse"),
    ] {
        let path = format!("{path}?form=1");
        let answer = service.ask(method, &path, &[("X-API-Key", ADMIN_KEY)], "");
        let error = answer.error(400, "VALIDATION_ERROR");
        assert_eq!(error["details"]["received"], "form", "{path}");
    }
}

#[test]
fn every_json_answer_ends_as_a_line() {
    let service = Service::start();
    let feed = json!({"symbol": "BTC/USD", "price": "1", "source": "s", "timestamp": "2025-10-09T12:34:56Z"});
    let batch = json!({"worker_id": "w", "timestamp": "2025-10-09T12:34:56Z", "feeds": [feed]});
    let mut answers = vec![service.post("/internal/ingest", &[], &batch)];
    for path in [
        "/prices/latest?symbols=BTC/USD",
        "/prices/range?symbol=BTC/USD",
        "/metadata/intervals",
        "/metadata/sources",
        "/metadata/symbols",
        "/metadata/system",
        "/delegations",
        "/health",
        "/nothing",
    ] {
        answers.push(service.get(path));
    }
    for answer in answers {
        assert!(answer.body.ends_with("}\n"), "{:?}", answer.body);
        let length: usize = answer.header("content-length").unwrap().parse().unwrap();
        assert_eq!(length, answer.body.len());
    }
}

#[test]
fn an_operator_s_quorum_is_a_floor_for_everyone() {
    let service = Service::start_with(&[("CONSENSUS_MIN_SOURCES", "3")]);
    let path = "/aggregates/consensus?symbols=BTC/USD&min_sources=";
    let error = service.get(&format!("{path}2")).error(400, "VALIDATION_ERROR");
    assert_eq!(error["details"]["expected"], "a number from 3, this gateway's quorum, to 1000");
    service.get(&format!("{path}3")).error(404, "NOT_FOUND");
}

#[test]
fn a_request_without_a_key_is_told_how_to_send_one() {
    let service = Service::start();
    let answer = service.ask("GET", "/metadata/system", &[], "");
    let message = answer.error(401, "UNAUTHORIZED")["message"].to_string();
    assert!(message.contains("Authorization: Bearer KEY") && message.contains("X-API-Key: KEY"));
}

#[test]
fn panics_and_restarts_are_counted_from_zero() {
    let service = Service::start();
    let metrics = service.ask("GET", "/metrics", &[], "").body;
    for line in [
        r#"task_panics_total{task="request"} 0"#,
        r#"task_panics_total{task="writer"} 0"#,
        r#"task_restarts_total{task="writer"} 0"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
}
