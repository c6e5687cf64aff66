//! `chrono-api sql` and `chrono-api export`: what is stored, for people and other programs.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, bail};
use chrono_domain::SystemClock;
use chrono_sql::{Archive, Format, ReadError};

use crate::cli::{ExportRequest, SqlRequest};
use crate::compose::store_file;
use crate::config::Config;

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

/// Writes ticks to a file, or to `out`.
pub(crate) fn export(
    config: &Config,
    request: &ExportRequest,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut archive = open(config)?;
    // Beside rows on the same terminal, figures would only disturb.
    let shows =
        io::stderr().is_terminal() && (request.output.is_some() || !io::stdout().is_terminal());
    let mut progress = |count: u64| {
        if shows {
            drop(write!(io::stderr(), "\r{count} ticks"));
        }
    };
    let done = match &request.output {
        None => archive.export(&request.export, out, &mut progress).map_err(anyhow::Error::from),
        Some(path) => {
            write_whole(path, |file| archive.export(&request.export, file, &mut progress))
        }
    };
    if shows {
        drop(writeln!(io::stderr()));
    }
    let count = done?;
    if let Some(path) = &request.output {
        writeln!(io::stderr(), "{count} ticks in {}", path.display())?;
    }
    Ok(())
}

fn open(config: &Config) -> anyhow::Result<Archive> {
    Archive::open(&store_file(&config.data_dir), &SystemClock::new()).with_context(|| {
        let dir = config.data_dir.display();
        format!("cannot read the store in {dir}; name the gateway's directory with --data-dir DIR")
    })
}

/// Writes a file that has its name only once it is whole and on the disk.
fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<u64, ReadError>,
) -> anyhow::Result<u64> {
    if path.exists() {
        bail!("{} exists; give another name, or remove it", path.display());
    }
    let mut part = path.as_os_str().to_owned();
    part.push(PART);
    let part = Path::new(&part);
    let failed = || format!("cannot write {}", path.display());
    let mut file = File::create(part).with_context(failed)?;
    let done = write(&mut file);
    let kept = match done {
        Ok(count) => file.sync_all().and_then(|()| fs::rename(part, path)).map(|()| count),
        Err(error) => {
            drop(fs::remove_file(part));
            return Err(error.into());
        }
    };
    kept.with_context(failed)
}
