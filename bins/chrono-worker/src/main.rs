//! The chrono-worker binary.

use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    chrono_worker::cli::main(std::env::args_os(), &mut io::stdout().lock())
}
