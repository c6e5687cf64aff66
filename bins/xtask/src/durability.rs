//! `cargo xtask durability`: kills, power cuts and damaged files, for as long as one likes.
//!
//! For five random kills the gateway ends once at each failpoint; for three, the power is cut once in each way.

use crate::command;
use crate::workspace::Workspace;

/// How the test is told its number of rounds.
const ROUNDS: &str = "CHRONO_DURABILITY_ROUNDS";

/// Runs the durability tests for that many rounds, with their progress on the terminal.
///
/// # Errors
/// When a test fails or cannot be built.
pub fn run(workspace: &Workspace, rounds: u32) -> anyhow::Result<()> {
    let gateway = ["-p", "chrono-api", "--features", "failpoints", "--test", "durability"];
    let store = ["-p", "chrono-storage", "--test", "it", "damage_to"];
    for tests in [&gateway[..], &store] {
        let words = ["test", "--locked"].iter().chain(tests).chain(&["--", "--nocapture"]);
        let mut cargo = workspace.cargo(words.copied());
        command::run(cargo.env(ROUNDS, rounds.to_string()))?;
    }
    Ok(())
}
