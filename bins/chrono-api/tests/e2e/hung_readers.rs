//! A store whose readers hang: whatever watches the gateway is answered all the same.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chrono_domain::{Clock, SystemClock};

use crate::service::Service;

/// The bound of a probe is a second; the rest is for a busy machine. Readers hang twice as long.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// How long readers may take to come back.
const WELL_AGAIN: Duration = Duration::from_mins(1);
const STEP: Duration = Duration::from_millis(50);
/// Takes the locks of readers (<https://www.sqlite.org/walformat.html#locks>), which hang then until they give up.
const HOLD: &str = "import fcntl, sys; file = open(sys.argv[1], 'r+b'); \
    fcntl.lockf(file, fcntl.LOCK_EX, 5, 123); print('held', flush=True); sys.stdin.read()";

#[test]
fn metrics_and_readiness_are_answered_while_readers_hang() {
    let service = Service::start();
    let mut holder = hold(&service.data_dir().join("chrono.db-shm"));
    let clock = SystemClock::new();
    let metrics = service.ask("GET", "/metrics", &[], "");
    assert!(clock.uptime() < ANSWERED_WITHIN, "metrics took {:?}", clock.uptime());
    assert!(metrics.status == 200 && metrics.body.contains("uptime_seconds"), "{metrics:?}");
    let ready = service.ask("GET", "/health/ready", &[], "");
    assert!(ready.status == 503 && ready.body.contains("the store does not answer"), "{ready:?}");

    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    let clock = SystemClock::new();
    while service.ask("GET", "/health/ready", &[], "").status != 200 {
        assert!(clock.uptime() < WELL_AGAIN, "readers hang on");
        std::thread::sleep(STEP);
    }
    assert!(service.ask("GET", "/metrics", &[], "").body.contains("\nstore_ticks 0\n"));
}

/// Keeps readers from reading for as long as its input is open.
fn hold(file: &Path) -> Child {
    let mut python = Command::new("python3");
    python.args(["-c", HOLD]).arg(file).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = python.spawn().unwrap();
    let mut said = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "held\n");
    holder
}
