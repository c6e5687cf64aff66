//! The `chrono-api` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    chrono_api::run::run(std::env::args_os(), &mut std::io::stdout())
}
