//! `cargo xtask mutants`: changes the code, one place at a time, and asks the tests whether they notice.
//!
//! `.cargo/mutants.toml` says which files, and why others are left out. It takes hours, so no gate runs it.

use crate::workspace::Workspace;
use crate::{command, install};

/// Runs `cargo mutants` with the arguments given, such as `--file crates/chrono-domain/src/candle.rs`.
///
/// # Errors
/// When a mutant survives, which docs/COVERAGE.md may explain, or the tests fail without any.
pub fn run(workspace: &Workspace, args: &[String]) -> anyhow::Result<()> {
    install::bring(workspace, "cargo-mutants")?;
    let fixed = ["mutants", "--output", "target"];
    command::run(workspace.cargo(fixed).args(args))
}
