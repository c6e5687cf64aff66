//! `cargo xtask`: the project's chores.

use std::process::ExitCode;

use clap::Parser;
use xtask::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
