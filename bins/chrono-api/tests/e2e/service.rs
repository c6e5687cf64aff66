//! A freshly started gateway with a data directory of its own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chrono_client::Client;
use chrono_domain::{Clock, SystemClock};
use chrono_testkit::{Gateway, GatewayCommand, INTERNAL_KEY, PUBLIC_KEY, scratch};
use serde_json::Value;
use tempfile::TempDir;

use crate::ask::{Answer, ask};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_chrono-api");

/// Makes a gateway seal ticks as soon as they are there.
pub(crate) const SEALED: (&str, &str) = ("STORE_CYCLE_TICKS", "1");
/// How long that may take for all recordings, on a busy machine, and the pause between two looks.
const SEALED_WITHIN: Duration = Duration::from_mins(2);
const STEP: Duration = Duration::from_millis(50);

pub(crate) struct Service {
    pub(crate) gateway: Gateway,
    command: GatewayCommand,
    dir: TempDir,
}

impl Service {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts with further settings.
    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Self {
        let with =
            |command: GatewayCommand, (name, value): &(&str, &str)| command.with(name, value);
        Self::start_as(|command| settings.iter().fold(command, with))
    }

    /// Starts by a command that is changed before.
    pub(crate) fn start_as(change: impl FnOnce(GatewayCommand) -> GatewayCommand) -> Self {
        let dir = scratch().unwrap();
        let command = change(GatewayCommand::new(BINARY, dir.path()));
        Self { gateway: command.start().unwrap(), command, dir }
    }

    /// Starts on a directory that is there already.
    pub(crate) fn start_in(dir: TempDir) -> Self {
        let command = GatewayCommand::new(BINARY, dir.path());
        Self { gateway: command.start().unwrap(), command, dir }
    }

    /// Stops the gateway and leaves its directory.
    pub(crate) fn stopped(self) -> TempDir {
        assert!(self.gateway.stop().unwrap().success());
        self.dir
    }

    /// Stops the gateway as an operator does, and starts it again on the same data.
    pub(crate) fn restart(self) -> Self {
        let Self { gateway, command, dir } = self;
        let ended = gateway.stop().unwrap();
        assert!(ended.success(), "{ended}");
        Self { gateway: command.start().unwrap(), command, dir }
    }

    /// Waits until every tick is sealed into pages; the setting [`SEALED`] makes that soon.
    pub(crate) fn seal(&self) {
        let clock = SystemClock::new();
        while self.sql("SELECT count(*) FROM log") != "0" {
            assert!(clock.uptime() < SEALED_WITHIN, "the log is not sealed");
            std::thread::sleep(STEP);
        }
        assert_ne!(self.sql("SELECT count(*) FROM pages WHERE family = 1"), "0");
    }

    /// Asks the file itself, beside the gateway.
    fn sql(&self, query: &str) -> String {
        let file = self.data_dir().join("chrono.db");
        let mut shell = Command::new("sqlite3");
        let output = shell.arg("-readonly").arg(file).arg(query).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn url(&self) -> &str {
        self.gateway.url()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.gateway.pid()
    }

    pub(crate) fn worker(&self) -> Client {
        self.gateway.client(INTERNAL_KEY).unwrap()
    }

    pub(crate) fn reader(&self) -> Client {
        self.gateway.client(PUBLIC_KEY).unwrap()
    }

    /// Sends a request as it is, without a key.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        ask(self.gateway.url(), method, path, headers, body)
    }

    /// Asks with the key of a reader.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[("X-API-Key", PUBLIC_KEY)], "")
    }

    /// Posts JSON with the key of a worker, and further headers.
    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.post_text(path, headers, &body.to_string())
    }

    /// Posts a body that says it is JSON.
    pub(crate) fn post_text(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let bearer = format!("Bearer {INTERNAL_KEY}");
        let own = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        self.ask("POST", path, &[&own, headers].concat(), body)
    }
}
