//! Stops that come before the gateway listens: they end it at once, however long its store takes to open.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chrono_domain::{Clock, SystemClock};
use chrono_testkit::scratch;

use crate::service::{BINARY, Service};

/// How soon it must end, on a busy machine, and how soon it must say what it does.
const AT_ONCE: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_mins(1);

#[test]
fn a_signal_while_the_store_is_opened_ends_it_at_once() {
    for signal in ["-TERM", "-INT"] {
        let dir = scratch().unwrap();
        // As a disk that hangs: opening this for writing waits until somebody reads it.
        let waits = dir.path().join("chrono.db.lock");
        assert!(Command::new("mkfifo").arg(&waits).status().unwrap().success());
        let (mut child, log) = spawn(dir.path());
        let mut lines = BufReader::new(log).lines();
        let opening = lines.find(|line| is_said(line.as_ref().unwrap(), "opening the store"));
        // Nobody is let in who would have to wait.
        let address = address_in(&opening.unwrap().unwrap());
        let refused = TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

        let pid = child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        assert_eq!(end_of(&mut child), Some(0), "{signal}");
        assert!(lines.any(|line| is_said(&line.unwrap(), "stopped before the start was done")));
        fs::remove_file(waits).unwrap();
        let service = Service::start_in(dir);
        assert_eq!(service.ask("GET", "/health/ready", &[], "").status, 200);
    }
}

/// On Linux alone, which gives a port that nobody listens at to whoever asks as servers do.
#[cfg(target_os = "linux")]
#[test]
fn a_start_that_fails_at_its_end_leaves_one_file_as_a_stop_does() {
    let dir = scratch().unwrap();
    let waits = dir.path().join("chrono.db.lock");
    assert!(Command::new("mkfifo").arg(&waits).status().unwrap().success());
    let (mut child, log) = spawn(dir.path());
    let mut lines = BufReader::new(log).lines();
    let opening = lines.find(|line| is_said(line.as_ref().unwrap(), "opening the store"));
    let address = address_in(&opening.unwrap().unwrap());
    let taken = std::net::TcpListener::bind(address).unwrap();
    let _opens = fs::File::open(waits).unwrap();
    assert!(lines.any(|line| line.unwrap().contains("the port is taken")));
    assert_eq!(end_of(&mut child), Some(1));
    drop(taken);
    let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["chrono.db", "chrono.db.lock", "keys.txt"]);
}

/// Starts a gateway; gives its log, which a wait for a line of it may end.
fn spawn(directory: &Path) -> (Child, UnixStream) {
    let (log, written) = UnixStream::pair().unwrap();
    log.set_read_timeout(Some(SOON)).unwrap();
    let mut command = Command::new(BINARY);
    command.env_clear().env("CHRONO_DATA_DIR", directory).env("HOST", "127.0.0.1").env("PORT", "0");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(OwnedFd::from(written));
    (command.spawn().unwrap(), log)
}

fn is_said(line: &str, words: &str) -> bool {
    line.contains(&format!("\"message\":\"{words}"))
}

fn address_in(line: &str) -> SocketAddr {
    let (_, rest) = line.split_once("\"address\":\"").unwrap();
    rest.split_once('"').unwrap().0.parse().unwrap()
}

fn end_of(child: &mut Child) -> Option<i32> {
    let clock = SystemClock::new();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if clock.uptime() > AT_ONCE {
            child.kill().unwrap();
            panic!("it runs on, then {}", child.wait().unwrap());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
