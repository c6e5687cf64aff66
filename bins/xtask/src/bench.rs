//! `cargo xtask bench`: builds what is measured, runs the benchmarks and writes docs/BENCHMARKS.md.
//!
//! Each benchmark prints its figures on standard output, one JSON object a line, a `Row`; other lines are for whoever
//! watches.

mod machine;
mod report;
mod row;

use std::fs;

use anyhow::{Context as _, bail};

use self::machine::Machine;
use self::row::Row;
use crate::command;
use crate::workspace::Workspace;

/// Where the report goes.
const REPORT: &str = "docs/BENCHMARKS.md";

/// How much to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Everything; the report's sections of what ran are written anew.
    Whole,
    /// One short round of each, to see that they work; nothing is written.
    Quick,
}

/// Runs the named benchmarks, or all that are not on demand.
///
/// # Errors
/// When a build or a benchmark fails or prints no figure at all.
pub fn run(workspace: &Workspace, names: &[String], extent: Extent) -> anyhow::Result<()> {
    command::run(&mut workspace.cargo(["build", "--locked", "--release", "-p", "chrono-api"]))?;
    let mut cargo =
        workspace.cargo(["bench", "--locked", "--no-fail-fast", "-p", "chrono-benches"]);
    cargo.args(names.iter().flat_map(|name| ["--bench", name]));
    if names.is_empty() {
        // Without it cargo would run the library's tests as benchmarks, too.
        cargo.arg("--benches");
    }
    if extent == Extent::Quick {
        cargo.args(["--", "--quick"]);
    }
    // Before the run: later the load is our own.
    let machine = Machine::here(workspace);
    let mut rows = Vec::new();
    let success = command::run_by_line(&mut cargo, |line| {
        println!("{line}");
        rows.extend(Row::read(line));
    })?;
    if rows.is_empty() {
        bail!("no benchmark printed a figure");
    }
    if extent == Extent::Whole {
        write(workspace, &machine, &rows)?;
    }
    if !success {
        bail!("a benchmark failed; the figures of the others are written");
    }
    Ok(())
}

fn write(workspace: &Workspace, machine: &Machine, rows: &[Row]) -> anyhow::Result<()> {
    let path = workspace.root().join(REPORT);
    let before = fs::read_to_string(&path).unwrap_or_default();
    let text = report::renew(&before, machine, rows);
    fs::write(&path, text).with_context(|| format!("cannot write {REPORT}"))?;
    println!("{REPORT}: {} figures", rows.len());
    Ok(())
}
