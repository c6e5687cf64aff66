//! The program as a process: what it says on standard error, and which files it takes a key from.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use crate::gateway::{Fault, Gateway};

const ROW: &str =
    r#"{"symbol":"BTC/USD","price":"1","source":"s","timestamp":"2021-04-17T16:00:00Z"}"#;
const KEYS: &str =
    "# Made at the first start\ninternal=chrono_internal_a\npublic=chrono_public_b\n";

/// Gives an address where nobody listens.
fn unused() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn replay(address: SocketAddr, key_file: &str) -> (tempfile::TempDir, Child) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ticks.ndjson"), ROW).unwrap();
    std::fs::write(dir.path().join("keys.txt"), KEYS).unwrap();
    std::fs::write(dir.path().join("public.txt"), "public=chrono_public_b\nadmin=\n").unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_chrono-worker"))
        .args(["replay", "ticks.ndjson", "--key-file", key_file, "--url"])
        .arg(format!("http://{address}"))
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (dir, child)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_said_once_and_its_end_once_and_without_colours() {
    let address = unused();
    let (_dir, mut child) = replay(address, "keys.txt");
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let outage = format!("cannot reach http://{address}/, retrying");
    let mut said: Vec<String> = Vec::new();
    while !said.last().is_some_and(|line| line.contains(&outage)) {
        said.push(log.next().unwrap_or_else(|| panic!("nothing more after {said:?}")));
    }
    let gateway = Gateway::start_at(address, |_request| Fault::None).await;
    said.extend(log);
    assert!(child.wait().unwrap().success(), "{said:?}");
    let count = |words: &str| said.iter().filter(|line| line.contains(words)).count();
    assert_eq!((count("cannot reach"), count(&format!("http://{address}/ is well again"))), (1, 1));
    assert!(said.iter().all(|line| !line.contains('\u{1b}')), "{said:?}");
    assert_eq!(gateway.feeds().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_stores_nothing_is_said_once_with_its_words() {
    let address = unused();
    let refuses = |request| if request <= 3 { Fault::Overloaded } else { Fault::None };
    let gateway = Gateway::start_at(address, refuses).await;
    let (_dir, child) = replay(address, "keys.txt");
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let outage = format!("http://{address}/ does not store what is sent, retrying");
    assert_eq!((said.matches(&outage).count(), said.matches("is well again").count()), (1, 1));
    assert!(said.contains("OVERLOADED"), "{said}");
    assert_eq!(gateway.feeds().len(), 1);
}

#[test]
fn a_file_without_a_key_is_named() {
    let (_dir, child) = replay(unused(), "public.txt");
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("public.txt holds no key"), "{said}");
}

#[test]
fn the_help_of_a_replay_shows_a_line_that_a_gateway_takes() {
    let output = Command::new(env!("CARGO_BIN_EXE_chrono-worker"))
        .args(["replay", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let line = help.lines().map(str::trim).find(|line| line.starts_with('{')).unwrap();
    let feed = chrono_worker::read_row(line.as_bytes(), chrono_worker::TickerVolume::Keep).unwrap();
    assert!(chrono_domain::Symbol::try_new(&feed.symbol).is_ok(), "{line}");
    assert!(help.contains("--run <ID>") && help.contains("a second time"), "{help}");
}
