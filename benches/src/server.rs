//! What is measured: a gateway or a limit program, each a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use chrono_testkit::{Gateway, GatewayCommand};
use tempfile::TempDir;

/// A server that listens on this machine; it ends when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    pid: u32,
    /// What ends with the server.
    _running: Running,
}

#[derive(Debug)]
enum Running {
    /// The gateway comes first: it ends before its directory goes.
    Gateway(
        #[expect(dead_code, reason = "held until the server is dropped")]
        (Gateway, Option<TempDir>),
    ),
    Limit(Child),
    /// Somebody else's.
    Elsewhere,
}

/// Gives where the release binary is.
pub fn binary() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/chrono-api")
}

/// The release binary on a data directory, with limits so high that none is met and no line of log per request.
///
/// # Errors
/// When it is not built.
pub fn gateway(directory: &Path) -> anyhow::Result<GatewayCommand> {
    let binary = binary();
    ensure!(binary.exists(), "build it first: cargo build --release -p chrono-api");
    Ok(GatewayCommand::new(binary, directory)
        .with("LOG_LEVEL", "warn,chrono_api::serve=info")
        .with("HTTP_MAX_CONNECTIONS_PER_IP", "12000")
        .with("WS_MAX_CONNECTIONS_PER_KEY", "12000")
        .with("WS_MAX_CONNECTIONS_PER_IP", "12000"))
}

/// Starts the release binary on a new data directory that goes with it.
///
/// # Errors
/// When it is not built or does not start.
pub fn scratch_gateway() -> anyhow::Result<Server> {
    let directory = tempfile::tempdir()?;
    let gateway = gateway(directory.path())?.start()?;
    Server::of_gateway(gateway, Some(directory))
}

impl Server {
    /// Takes a gateway that runs.
    ///
    /// # Errors
    /// When its URL is no address.
    pub fn from_gateway(gateway: Gateway) -> anyhow::Result<Self> {
        Self::of_gateway(gateway, None)
    }

    /// Measures a gateway that is held elsewhere, so that it can be stopped.
    ///
    /// # Errors
    /// As [`Server::from_gateway`].
    pub fn attach(gateway: &Gateway) -> anyhow::Result<Self> {
        let address = address_of(gateway)?;
        Ok(Self { address, pid: gateway.pid(), _running: Running::Elsewhere })
    }

    fn of_gateway(gateway: Gateway, directory: Option<TempDir>) -> anyhow::Result<Self> {
        let address = address_of(&gateway)?;
        let pid = gateway.pid();
        Ok(Self { address, pid, _running: Running::Gateway((gateway, directory)) })
    }

    /// Starts the program `limits`, whose first line says where it listens.
    ///
    /// # Errors
    /// When it does not start.
    pub fn limit(program: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            // It ends when this pipe closes, however this process ends.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let mut line = String::new();
        let output = child.stdout.take().context("a piped output")?;
        let read = BufReader::new(output).read_line(&mut line);
        let (pid, running) = (child.id(), Running::Limit(child));
        read?;
        let address =
            line.trim().parse().with_context(|| format!("limits {arguments:?} said {line:?}"))?;
        Ok(Self { address, pid, _running: running })
    }

    /// Gives where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }
}

fn address_of(gateway: &Gateway) -> anyhow::Result<SocketAddr> {
    Ok(gateway.url().strip_prefix("http://").context("a URL")?.parse()?)
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Limit(child) = self {
            // Both fail only when it has ended already.
            drop(child.kill());
            drop(child.wait());
        }
    }
}
