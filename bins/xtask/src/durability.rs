//! `cargo xtask durability`: the kill tests, for as long as one likes.
//!
//! For five random kills the gateway ends once at each failpoint.

use crate::command;
use crate::workspace::Workspace;

/// How the test is told its number of rounds.
const ROUNDS: &str = "CHRONO_DURABILITY_ROUNDS";

/// Runs the durability test for that many rounds, with its progress on the terminal.
///
/// # Errors
/// When the test fails or cannot be built.
pub fn run(workspace: &Workspace, rounds: u32) -> anyhow::Result<()> {
    let test = ["test", "--locked", "-p", "chrono-api", "--features", "failpoints"];
    let only = ["--test", "durability", "--", "--nocapture"];
    let mut cargo = workspace.cargo(test.into_iter().chain(only));
    command::run(cargo.env(ROUNDS, rounds.to_string()))
}
