//! The command line: arguments in, summary and exit code out.

mod args;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use chrono_client::{Backoff, Client, Options};
use chrono_domain::{Clock, SystemClock};
use clap::Parser;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::{replay, sim};
use args::{Arguments, Command, Gateway, ReplayArguments, SimArguments};

/// What was asked for was done but not all of it succeeded.
const FAILED: u8 = 1;
/// The arguments are unusable (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;
/// Ended by a second signal, as shells count it.
const INTERRUPTED: i32 = 130;

/// Runs the worker; the summary goes to `out`, everything else to stderr.
///
/// Exit code 0 says that everything was stored, 1 that something was not, 64 that the arguments are unusable.
pub fn main(arguments: impl IntoIterator<Item = OsString>, out: &mut impl Write) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(fault) => {
            let code = if fault.use_stderr() { USAGE } else { 0 };
            return if fault.print().is_ok() { code.into() } else { FAILED.into() };
        }
    };
    let level = if arguments.verbose { LevelFilter::DEBUG } else { LevelFilter::INFO };
    // Of libraries nobody asked for more.
    let levels = Targets::new().with_default(LevelFilter::INFO).with_target("chrono", level);
    let colours = io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::DEBUG)
        .with_writer(io::stderr)
        .with_ansi(colours)
        .finish()
        .with(levels)
        .try_init();
    if logs.is_err() {
        tracing::debug!("whoever called has logs of their own");
    }
    match run(arguments, out) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => FAILED.into(),
        Err(fault) => {
            tracing::error!("{fault:#}");
            FAILED.into()
        }
    }
}

/// Does what was asked for; tells whether all of it succeeded.
fn run(arguments: Arguments, out: &mut impl Write) -> anyhow::Result<bool> {
    let runtime = Builder::new_multi_thread().enable_all().build().context("cannot start")?;
    let done =
        runtime.block_on(until_signalled(async |cancel: &CancellationToken| {
            match arguments.command {
                Command::Replay(arguments) => run_replay(arguments, cancel, out).await,
                Command::Sim(arguments) => run_sim(arguments, cancel, out).await,
            }
        }));
    leave(runtime);
    done
}

/// Does not wait for a thread that hangs in a read of standard input.
fn leave(runtime: Runtime) {
    runtime.shutdown_background();
}

async fn run_replay(
    arguments: ReplayArguments,
    cancel: &CancellationToken,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let client = client(&arguments.gateway)?;
    let options = arguments.options(random()?, Backoff::new(random()?))?;
    let report = replay::run(options, client, clock(), cancel).await?;
    write!(out, "{report}").context("cannot write the summary")?;
    let complete = report.is_complete();
    match report.stopped {
        Some(fault) => Err(fault.into()),
        None => Ok(complete),
    }
}

async fn run_sim(
    arguments: SimArguments,
    cancel: &CancellationToken,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let client = client(&arguments.gateway)?;
    let config = arguments.config(random()?);
    let report = sim::run(config, client, clock(), cancel).await?;
    write!(out, "{report}").context("cannot write the summary")?;
    Ok(report.tally.refused == 0 && report.dropped == 0)
}

fn client(gateway: &Gateway) -> anyhow::Result<Client> {
    let key = match (&gateway.key, &gateway.key_file) {
        (Some(key), _) => key.clone(),
        (None, Some(path)) => read_key(path)?,
        (None, None) => anyhow::bail!("no key: give --key-file or --key"),
    };
    let options = Options { ca_file: gateway.ca_file.clone(), ..Options::default() };
    Ok(Client::with_options(&gateway.url, key.into(), options)?)
}

fn read_key(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the key in {}", path.display()))?;
    let key = find_key(&text).with_context(|| {
        format!("{} holds no key: neither one alone nor a line internal=KEY", path.display())
    })?;
    Ok(key.to_owned())
}

/// Finds the key in a file that holds nothing else, or in the `keys.txt` of a gateway.
fn find_key(text: &str) -> Option<&str> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let named = lines.clone().find_map(|line| line.strip_prefix("internal="));
    let alone = lines.next().filter(|_key| lines.next().is_none());
    named.or(alone).filter(|key| !key.is_empty())
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

fn random() -> anyhow::Result<u64> {
    getrandom::u64().context("the system gives no random numbers")
}

/// Runs `work` and cancels it at the first signal; the second ends the process.
async fn until_signalled<T>(work: impl AsyncFnOnce(&CancellationToken) -> T) -> T {
    let cancel = CancellationToken::new();
    let signals = async {
        signal().await;
        tracing::info!("stopping; a second signal stops at once");
        cancel.cancel();
        signal().await;
        std::process::exit(INTERRUPTED)
    };
    tokio::select! {
        done = work(&cancel) => done,
        never = signals => never,
    }
}

/// Waits for SIGINT or SIGTERM; for ever where signals cannot be had.
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_alone_or_in_a_gateway_s_file() {
        assert_eq!(find_key("chrono_internal_a\n"), Some("chrono_internal_a"));
        let made =
            "# Made at the first start\ninternal=chrono_internal_a\npublic=chrono_public_b\n";
        assert_eq!(find_key(made), Some("chrono_internal_a"));
        for text in ["", "\n\n", "internal=\n", "# words\npublic=chrono_public_b\n"] {
            assert_eq!(find_key(text), None, "{text:?}");
        }
    }
}
