//! `chrono-api sql` and `chrono-api export`: what is stored, for people and other programs.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono_domain::SystemClock;
use chrono_sql::{Archive, Format, ReadError};

use crate::cli::{ExportRequest, SqlRequest};
use crate::compose::store_file;
use crate::config::Config;
use crate::run::runtime;
use crate::serve::StopSignals;
use crate::supervisor;

/// Ending of a file that is not whole yet.
const PART: &str = ".part";

/// Answers a statement.
pub(crate) fn query(
    config: &Config,
    request: &SqlRequest,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let for_eyes = if io::stdout().is_terminal() { Format::Table } else { Format::Csv };
    let format = request.format.unwrap_or(for_eyes);
    Ok(open(config)?.query(&request.statement, format, out)?)
}

/// Writes ticks to a file, or to `out`; gives the exit code.
pub(crate) fn export(
    config: &Config,
    request: &ExportRequest,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let mut archive = open(config)?;
    // Beside rows on the same terminal, figures would only disturb.
    let shows =
        io::stderr().is_terminal() && (request.output.is_some() || !io::stdout().is_terminal());
    let mut progress = move |count: u64| {
        if shows {
            drop(write!(io::stderr(), "\r{count} ticks"));
        }
    };
    let wanted = request.export.clone();
    let done = match &request.output {
        None => archive.export(&wanted, out, &mut progress).map(Written::Whole).map_err(Into::into),
        Some(path) => write_whole(path, move |file| archive.export(&wanted, file, &mut progress)),
    };
    if shows {
        drop(writeln!(io::stderr()));
    }
    match (done?, &request.output) {
        (Written::Interrupted(status), _) => return Ok(ExitCode::from(status)),
        (Written::Whole(count), Some(path)) => {
            writeln!(io::stderr(), "{count} ticks in {}", path.display())?;
        }
        (Written::Whole(_), None) => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn open(config: &Config) -> anyhow::Result<Archive> {
    Archive::open(&store_file(&config.data_dir), &SystemClock::new()).with_context(|| {
        let dir = config.data_dir.display();
        format!("cannot read the store in {dir}; name the gateway's directory with --data-dir DIR")
    })
}

/// What became of a file.
enum Written {
    /// It holds so many ticks.
    Whole(u64),
    /// It is gone, for a signal of this exit code.
    Interrupted(u8),
}

/// Writes a file that has its name only once it is whole and on the disk; of any other nothing is left.
fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<u64, ReadError> + Send + 'static,
) -> anyhow::Result<Written> {
    if path.exists() {
        bail!("{} exists; give another name, or remove it", path.display());
    }
    let mut part = path.as_os_str().to_owned();
    part.push(PART);
    let part = Path::new(&part);
    let runtime = runtime()?;
    let done = runtime.block_on(write_until_told(part, path, write));
    // A write that hangs must not hold up the end.
    runtime.shutdown_background();
    done
}

/// Writes `part` and makes it `path`; what a fault or a signal leaves unfinished is removed.
async fn write_until_told(
    part: &Path,
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<u64, ReadError> + Send + 'static,
) -> anyhow::Result<Written> {
    let failed = || format!("cannot write {}", path.display());
    let mut signals = StopSignals::listen()?;
    let mut file = File::create(part).with_context(failed)?;
    let writing = supervisor::once(move || {
        let count = write(&mut file)?;
        file.sync_all()?;
        Ok::<_, ReadError>(count)
    });
    let done = tokio::select! {
        biased;
        done = writing => match done {
            Ok(Ok(count)) => match fs::rename(part, path).with_context(failed) {
                Ok(()) => return Ok(Written::Whole(count)),
                Err(fault) => Err(fault),
            },
            Ok(Err(fault)) => Err(fault.into()),
            Err(panic) => Err(panic.into()),
        },
        status = signals.next() => Ok(Written::Interrupted(status)),
    };
    drop(fs::remove_file(part));
    done
}
