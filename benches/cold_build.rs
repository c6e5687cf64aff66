//! Not run by default: how long the release binary takes to build from nothing, dependencies fetched before.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::ensure;
use chrono_benches::{Budget, Figure};

/// Beyond this nobody waits for it.
const MINUTES_MAX: f64 = 15.0;

fn main() -> anyhow::Result<()> {
    let target = tempfile::tempdir()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root).args(["build", "--locked", "--release", "-p", "chrono-api"]);
    cargo.arg("--target-dir").arg(target.path());
    let started = Instant::now();
    ensure!(cargo.status()?.success(), "the build failed");
    Figure::new("Cold build", "release binary", started.elapsed().as_secs_f64() / 60.0, "min")
        .budget(Budget::AtMost(MINUTES_MAX))
        .note("all crates, on all cores")
        .print()
}
