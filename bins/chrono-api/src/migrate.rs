//! `chrono-api migrate`: the store's schema, brought up to date or only looked at.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use chrono_domain::{Clock, SystemClock};

use crate::cli::Migration;
use crate::compose::{migrate_store, pending_migrations};
use crate::config::Config;

/// Exit code of a check that found something to do.
const EXIT_PENDING: u8 = 1;

/// Does what was asked, and prints what there was to do.
pub(crate) fn run(
    config: &Config,
    migration: Migration,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let pending = pending_migrations(&config.data_dir)?;
    if pending.is_empty() {
        writeln!(out, "the schema is up to date")?;
        return Ok(ExitCode::SUCCESS);
    }
    if migration == Migration::Check {
        writeln!(out, "to apply: {}", pending.join(", "))?;
        return Ok(ExitCode::from(EXIT_PENDING));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    migrate_store(&config.data_dir, clock.as_ref())?;
    writeln!(out, "applied: {}", pending.join(", "))?;
    Ok(ExitCode::SUCCESS)
}
