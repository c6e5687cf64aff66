//! The command line: one variant per chore.

use std::env;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::bench::Extent;
use crate::workspace::Workspace;
use crate::{bench, ci, coverage, durability, fuzz, mutants, setup, smoke, suite, tidy};

/// The project's chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub enum Chore {
    /// Sets up what the tests need, then builds and runs all of them.
    ///
    /// With arguments, runs `cargo test --workspace` with them and nothing else.
    Test {
        /// Handed to `cargo test` as they are: `cargo xtask test candle -- --nocapture`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Brings the programs of other languages that the tests drive (done by `test`, too).
    Setup,
    /// Checks the house rules that no other tool checks.
    Tidy {
        /// Prints a table of each crate's sizes as well.
        #[arg(long)]
        report: bool,
    },
    /// Runs the whole gate: format, rules, lints, docs, dependencies, tests, demo.
    Ci,
    /// Starts the demo as README says and demands moving prices and a clean stop.
    Smoke,
    /// Runs the benchmarks and writes docs/BENCHMARKS.md.
    Bench {
        /// The benchmarks to run, by target name; when empty all but those on demand, `growth` and
        /// `cold_build`.
        names: Vec<String>,
        /// One short round of each, to see that they work; writes nothing.
        #[arg(long)]
        quick: bool,
    },
    /// Kills and restarts the gateway under load and checks that nothing acknowledged is lost.
    Durability {
        /// How often to kill it.
        #[arg(long, default_value_t = 100)]
        rounds: u32,
    },
    /// Runs the fuzz targets, one after the other.
    Fuzz {
        /// How long each runs.
        #[arg(long, default_value_t = 10)]
        minutes: u32,
        /// The targets to run; all when empty.
        targets: Vec<String>,
    },
    /// Measures which lines of the crates below the edge their tests run; fails below 90 %.
    Coverage,
    /// Changes the code, one place at a time, and shows which changes no test notices.
    Mutants {
        /// Handed to `cargo mutants` as they are.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

impl Cli {
    /// Runs the chore and turns its outcome into the process's exit code.
    pub fn run(self) -> ExitCode {
        match Workspace::find().and_then(|workspace| self.chore.run(&workspace)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => {
                eprintln!("error: {fault:#}");
                ExitCode::FAILURE
            }
        }
    }
}

impl Chore {
    fn run(self, workspace: &Workspace) -> anyhow::Result<()> {
        match self {
            Self::Test { .. } => suite::run(workspace, &handed_on(env::args()))?.conclude(),
            Self::Setup => setup::run(workspace).map(|_| ()),
            Self::Tidy { report } => tidy::run(workspace, report),
            Self::Ci => ci::run(workspace),
            Self::Smoke => smoke::run(workspace),
            Self::Bench { names, quick } => {
                bench::run(workspace, &names, if quick { Extent::Quick } else { Extent::Whole })
            }
            Self::Durability { rounds } => durability::run(workspace, rounds),
            Self::Fuzz { minutes, targets } => fuzz::run(workspace, minutes, &targets),
            Self::Coverage => coverage::run(workspace),
            Self::Mutants { args } => mutants::run(workspace, &args),
        }
    }
}

/// What follows `test`. Clap drops a `--` in front, which means something to `cargo test`.
fn handed_on(args: impl Iterator<Item = String>) -> Vec<String> {
    args.skip_while(|arg| arg != "test").skip(1).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn test_hands_its_arguments_on_as_they_are() {
        for args in [&["--", "--nocapture"][..], &["candle", "--", "-q"], &["-p", "xtask"], &[]] {
            let line = ["xtask", "test"].iter().chain(args).map(ToString::to_string);
            assert!(Cli::try_parse_from(line.clone()).is_ok(), "{args:?}");
            assert_eq!(handed_on(line), args);
        }
    }
}
