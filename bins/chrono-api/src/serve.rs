//! Running a gateway until it is told to stop.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono_domain::{Clock, SystemClock};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::compose::{self, Gateway};
use crate::config::Config;
use crate::demo::MARKER;
use crate::observe::{self, LogQueue};
use crate::supervisor::{Policy, Supervisor};

/// How long requests and streams may take to end after a signal; the whole stop stays under 25 s.
const DRAIN: Duration = Duration::from_secs(20);
/// What comes this soon after a signal is the same stop: `timeout` and wrappers signal a process and then its group.
const ONE_STOP: Duration = Duration::from_millis(200);
/// Exit codes of a command that was told to stop before its work was done, as shells count signals.
const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

/// The signals that stop the gateway, or a command.
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Starts listening, so that no signal is missed from here on.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal; gives the exit code of work that it leaves unfinished.
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => TERMINATED,
            _ = self.interrupt.recv() => INTERRUPTED,
        }
    }
}

/// Starts logs and metrics, and the gateway; a signal that comes before it listens ends it, and there is none.
pub(crate) async fn start(
    config: &Config,
    signals: &mut StopSignals,
) -> anyhow::Result<Option<Gateway>> {
    let logs = observe::start_logs(&config.log)?;
    let metrics = if config.metrics.enabled { Some(observe::start_metrics()?) } else { None };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let supervisor = Supervisor::new(Arc::clone(&clock));
    write_logs_apart(logs, &supervisor);
    let started = tokio::select! {
        started = Gateway::start(config, clock, metrics, supervisor.clone()) => started,
        _ = signals.next() => {
            stop(&supervisor).await?;
            say_cut(&config.data_dir);
            return Ok(None);
        }
    };
    let gateway = match started {
        Ok(gateway) => gateway,
        Err(fault) => {
            // A store that it has opened by then is closed, as at any stop.
            stop(&supervisor).await?;
            return Err(fault);
        }
    };
    let tls = config.tls.is_some();
    let metrics_address = gateway.metrics_address.map(tracing::field::display);
    tracing::info!(address = %gateway.address, metrics_address, tls, data_dir = %config.data_dir.display(), "listening");
    if let Some(path) = &gateway.made_keys {
        tracing::info!(path = %path.display(), "no key was configured: a first set was made, read it there");
    }
    Ok(Some(gateway))
}

/// Says that a start was cut, and what it may leave.
fn say_cut(data_dir: &Path) {
    tracing::info!("stopped before the start was done; the next one begins it again");
    let log_file = compose::log_file(data_dir);
    if log_file.metadata().is_ok_and(|file| file.len() > 0) {
        let path = log_file.display();
        tracing::error!(%path, "the start was cut: keep this file with the database");
    }
}

/// Lets a thread write the log, until nothing else runs.
fn write_logs_apart(logs: LogQueue, supervisor: &Supervisor) {
    let (halting, closing) = (supervisor.halting(), logs.clone());
    supervisor.thread("log-writer", move || logs.run());
    supervisor.task("log-close", Policy::ToEnd, move || {
        let (halting, closing) = (halting.clone(), closing.clone());
        async move {
            halting.cancelled().await;
            closing.close();
        }
    });
}

/// Says that the gateway ended because of its disk.
#[derive(Debug, thiserror::Error)]
#[error(
    "stopped because the disk failed to sync, after which nothing can be stored; see to the disk, and start again"
)]
pub(crate) struct SyncFailed;

/// Runs the gateway until a signal.
pub(crate) async fn serve(config: &Config) -> anyhow::Result<()> {
    anyhow::ensure!(
        !config.data_dir.join(MARKER).exists(),
        "{dir} belongs to `chrono-api demo`: name another directory with --data-dir DIR, or delete {dir}/{MARKER} to keep it",
        dir = config.data_dir.display()
    );
    let mut signals = StopSignals::listen()?;
    let Some(gateway) = start(config, &mut signals).await? else { return Ok(()) };
    run_to_the_end(&gateway, &mut signals).await
}

/// Waits for a signal, or for the disk to fail: then only a new process can go on. Stops the gateway.
///
/// # Errors
/// [`SyncFailed`], also when the disk fails while the gateway stops.
pub(crate) async fn run_to_the_end(
    gateway: &Gateway,
    signals: &mut StopSignals,
) -> anyhow::Result<()> {
    tokio::select! {
        _ = signals.next() => {}
        () = gateway.sync_failed() => {}
    }
    stop(&gateway.supervisor).await?;
    if gateway.is_synced() { Ok(()) } else { Err(SyncFailed.into()) }
}

/// Drains and halts what runs; a further signal ends the process at once.
async fn stop(supervisor: &Supervisor) -> anyhow::Result<()> {
    tracing::info!("stopping");
    tokio::select! {
        unfinished = supervisor.shutdown(DRAIN) => {
            // Everything acknowledged is on the disk: what is left can only be work that nobody waits for.
            if !unfinished.is_empty() {
                tracing::error!(tasks = unfinished.join(", "), "did not end in time");
            }
            tracing::info!("stopped");
            Ok(())
        }
        told_again = told_again() => {
            told_again?;
            observe::say_last("chrono-api: stopped at once by a second signal\n");
            // Returning would take the runtime away under threads that are at work, and they would panic.
            std::process::exit(1)
        }
    }
}

async fn told_again() -> std::io::Result<()> {
    tokio::time::sleep(ONE_STOP).await;
    StopSignals::listen()?.next().await;
    Ok(())
}
