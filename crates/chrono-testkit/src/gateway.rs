//! A gateway as a process of its own: started, asked, stopped, killed.

mod log;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use chrono_client::{Client, Options};

use log::Addresses;
pub use log::fill;

use crate::resident_kib;

/// The key that tests post with.
pub const INTERNAL_KEY: &str = "chrono_internal_test_0123456789";
/// The key that tests read with; of the paid tier, so that no limit stands in a test's way.
pub const PUBLIC_KEY: &str = "chrono_public_test_0123456789";
/// The key that opens everything.
pub const ADMIN_KEY: &str = "chrono_admin_test_0123456789";

/// How long a gateway may take to listen, on a busy machine.
const START: Duration = Duration::from_mins(1);
/// How long a gateway may take to end after a signal; the contract says 25 s.
const STOP: Duration = Duration::from_secs(30);

/// How to start a gateway.
#[derive(Debug, Clone)]
pub struct GatewayCommand {
    binary: PathBuf,
    data_dir: PathBuf,
    variables: Vec<(String, String)>,
    wrapper: Vec<String>,
}

impl GatewayCommand {
    /// Starts `binary` on a data directory, on a free port of this machine, with the test keys and high limits.
    pub fn new(binary: impl Into<PathBuf>, data_dir: impl Into<PathBuf>) -> Self {
        let command = Self {
            binary: binary.into(),
            data_dir: data_dir.into(),
            variables: Vec::new(),
            wrapper: Vec::new(),
        };
        command
            .with("HOST", "127.0.0.1")
            .with("PORT", "0")
            .with("LOG_LEVEL", "info")
            .with("INTERNAL_API_KEYS", INTERNAL_KEY)
            .with("PUBLIC_PAID_API_KEYS", PUBLIC_KEY)
            .with("ADMIN_API_KEYS", ADMIN_KEY)
            .with("RATE_LIMIT_INTERNAL", "100000000")
            .with("RATE_LIMIT_WORKER", "100000000")
            .with("RATE_LIMIT_PUBLIC_PAID", "100000000")
    }

    /// Sets a variable of its environment; a later value wins.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs it under another program, such as a tracer.
    #[must_use]
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    fn scheme(&self) -> &'static str {
        if self.variables.iter().any(|(name, _)| name == "TLS_CERT") { "https" } else { "http" }
    }

    /// Starts the process and waits until it listens.
    ///
    /// # Errors
    /// When it ends before, or does not listen in time; its log is in the message.
    pub fn start(&self) -> anyhow::Result<Gateway> {
        let mut child = self.spawn(Stdio::piped())?;
        let stderr = child.stderr.take().context("no standard error")?;
        match log::listening(stderr, START) {
            Ok((addresses, errors)) => Ok(self.running(child, addresses, Log::Read(errors))),
            Err(reason) => Err(not_started(child, &reason)?),
        }
    }

    /// As [`GatewayCommand::start`]; then its log is full, and nobody reads it any more.
    ///
    /// # Errors
    /// As [`GatewayCommand::start`].
    pub fn start_unread(&self) -> anyhow::Result<Gateway> {
        let (read, written) = UnixStream::pair()?;
        let child = self.spawn(OwnedFd::from(written.try_clone()?).into())?;
        read.set_read_timeout(Some(START))?;
        match log::addresses(&read) {
            Ok(addresses) => {
                fill(&written)?;
                Ok(self.running(child, addresses, Log::Stalled { _unread: read }))
            }
            Err(reason) => Err(not_started(child, &reason)?),
        }
    }

    fn spawn(&self, log: Stdio) -> anyhow::Result<Child> {
        let mut words = self.wrapper.iter().map(String::as_str);
        let mut command = match words.next() {
            Some(program) => {
                let mut command = Command::new(program);
                command.args(words).arg(&self.binary);
                command
            }
            None => Command::new(&self.binary),
        };
        command
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
            .env("CHRONO_DATA_DIR", &self.data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        command.spawn().with_context(|| format!("cannot start {}", self.binary.display()))
    }

    fn running(&self, child: Child, addresses: Addresses, log: Log) -> Gateway {
        let url = format!("{}://{}", self.scheme(), addresses.main);
        Gateway { child, addresses, url, log }
    }
}

/// Ends what did not start, and says why.
fn not_started(mut child: Child, reason: &str) -> anyhow::Result<anyhow::Error> {
    child.kill()?;
    let status = child.wait()?;
    Ok(anyhow::anyhow!("the gateway did not start ({status}): {reason}"))
}

/// A running gateway; killed when dropped.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    addresses: Addresses,
    url: String,
    log: Log,
}

/// What becomes of a gateway's log.
#[derive(Debug)]
enum Log {
    /// It is read, and what [`Gateway::errors`] gives is gathered.
    Read(JoinHandle<Vec<String>>),
    /// It is full, and held open.
    Stalled { _unread: UnixStream },
    /// It was given.
    Given,
}

impl Gateway {
    /// Gives its base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Gives where it listens.
    pub fn address(&self) -> SocketAddr {
        self.addresses.main
    }

    /// Gives where it serves metrics, if that is elsewhere.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.addresses.metrics
    }

    /// Gives its process id; under a wrapper, that of the wrapper.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives how much of its memory is resident, in KiB.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn resident_kib(&self) -> anyhow::Result<u64> {
        resident_kib(self.pid())
    }

    /// Gives, once it has ended, the errors that it logged while it ran, and what it said to people; the second time
    /// nothing.
    pub fn errors(&mut self) -> Vec<String> {
        match std::mem::replace(&mut self.log, Log::Given) {
            Log::Read(gathering) => gathering.join().unwrap_or_default(),
            Log::Stalled { .. } | Log::Given => Vec::new(),
        }
    }

    /// Makes a client with a key.
    ///
    /// # Errors
    /// When the client refuses the URL.
    pub fn client(&self, key: &str) -> anyhow::Result<Client> {
        Ok(Client::new(&self.url, key.into())?)
    }

    /// Makes a client with a key, which trusts the authorities of a PEM file.
    ///
    /// # Errors
    /// When the client refuses the URL or the file.
    pub fn client_trusting(&self, key: &str, ca_file: &Path) -> anyhow::Result<Client> {
        let options = Options { ca_file: Some(ca_file.to_owned()), ..Options::default() };
        Ok(Client::with_options(&self.url, key.into(), options)?)
    }

    /// Ends it as a crash would, with SIGKILL.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop, with SIGTERM, and gives how it ended.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn stop(mut self) -> anyhow::Result<ExitStatus> {
        self.terminate()?;
        self.wait(STOP)
    }

    /// Asks it to stop, with SIGTERM, and does not wait.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn terminate(&self) -> anyhow::Result<()> {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        ensure!(sent.success(), "the signal was not sent");
        Ok(())
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    /// When it does not within `time`.
    pub fn wait(&mut self, time: Duration) -> anyhow::Result<ExitStatus> {
        let step = Duration::from_millis(20);
        let mut waited = Duration::ZERO;
        while waited < time {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(step);
            waited += step;
        }
        bail!("the gateway still runs after {time:?}")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Gives a directory that is deleted when dropped.
///
/// # Errors
/// When it cannot be made.
pub fn scratch() -> anyhow::Result<tempfile::TempDir> {
    Ok(tempfile::tempdir()?)
}

/// Gives whether a program is on the path.
#[expect(
    clippy::disallowed_methods,
    reason = "tests have no configuration; the search path is the machine's"
)]
pub fn has_program(name: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|path: PathBuf| Path::new(&path).join(name).is_file())
}
