//! Cargo's subcommands that the chores drive: brought when they are missing, never renewed.

use crate::command;
use crate::workspace::Workspace;

/// Installs a subcommand such as `cargo-fuzz`, unless it is here; its own lock file is taken as it is.
///
/// # Errors
/// When it cannot be installed.
pub fn bring(workspace: &Workspace, program: &str) -> anyhow::Result<()> {
    if command::exists(program) {
        return Ok(());
    }
    command::run(&mut workspace.cargo(["install", "--locked", program]))
}
