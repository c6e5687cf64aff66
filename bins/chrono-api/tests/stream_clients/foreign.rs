//! Clients in other languages, each a process of its own, written from the spec's text alone.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use chrono_testkit::Gateway;
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// How long to wait for a line, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the client is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Node,
    Python,
}

/// Where the client puts its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyPlace {
    Query,
    FirstMessage,
}

/// A running client; killed when dropped.
#[derive(Debug)]
pub(crate) struct Foreign {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What a client heard, and when by its own clock.
#[derive(Debug, Deserialize)]
pub(crate) struct Heard {
    after_ms: f64,
    #[serde(default)]
    pub(crate) message: Value,
    pub(crate) closed: Option<Closed>,
}

/// How a stream ended.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Closed {
    pub(crate) code: u16,
    pub(crate) reason: String,
}

impl Foreign {
    /// Starts a client of these symbols and waits until it is subscribed.
    pub(crate) async fn start(
        language: Language,
        place: KeyPlace,
        gateway: &Gateway,
        key: &str,
        symbols: &[&str],
    ) -> Self {
        let url = format!("{}/stream", gateway.url().replacen("http", "ws", 1));
        let place = if place == KeyPlace::Query { "query" } else { "message" };
        let mut command = language.command().await;
        command.args([&*url, key, place]).args(symbols);
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut client = Self { _child: child, lines };
        client.until(|heard| heard.message["type"] == "subscribed").await;
        client
    }

    /// Waits for the next line.
    pub(crate) async fn next(&mut self) -> Heard {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("nothing is heard");
        let line = line.unwrap().expect("the client ended; what it says is above");
        serde_json::from_str(&line).unwrap()
    }

    /// Gives all lines up to the first that is `last`, with it.
    pub(crate) async fn until(&mut self, mut last: impl FnMut(&Heard) -> bool) -> Vec<Heard> {
        let mut all = Vec::new();
        loop {
            let heard = self.next().await;
            let is_last = last(&heard);
            all.push(heard);
            if is_last {
                return all;
            }
        }
    }
}

impl Heard {
    /// When it was heard, since the client's start.
    pub(crate) fn after(&self) -> Duration {
        Duration::from_secs_f64(self.after_ms / 1_000.0)
    }

    /// Whether it is a message of this type.
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.message["type"] == kind
    }
}

impl Language {
    /// The client's program, ready for its arguments.
    async fn command(self) -> Command {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stream_clients");
        let mut command;
        match self {
            Self::Node => {
                command = Command::new("node");
                // Up to Node 21 its WebSocket is behind a flag, which later ones need not know.
                if !succeeds(&mut node_with_websocket()).await {
                    command.arg("--experimental-websocket");
                }
                command.arg(sources.join("client.mjs"));
            }
            Self::Python => {
                command = Command::new(python().await);
                command.arg(sources.join("client.py"));
            }
        }
        command
    }
}

fn node_with_websocket() -> Command {
    let mut node = Command::new("node");
    node.args(["--eval", "new WebSocket('ws://127.0.0.1:1').onerror = () => {}"]);
    node
}

/// A Python that has `websockets`: the environment that `cargo xtask test` makes, or the machine's own.
async fn python() -> PathBuf {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/ci-venv/bin/python3");
    for python in [made, PathBuf::from("python3")] {
        if succeeds(Command::new(&python).args(["-c", "import websockets"])).await {
            return python;
        }
    }
    panic!("no Python with websockets: run `cargo xtask test` once, or pip install websockets");
}

async fn succeeds(probe: &mut Command) -> bool {
    let output = probe.stdin(Stdio::null()).output().await;
    matches!(output, Ok(Output { status, .. }) if status.success())
}
