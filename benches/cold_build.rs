//! Not run by default: how long the release binary takes to build from nothing, dependencies fetched before.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::ensure;
use chrono_benches::Figure;

fn main() -> anyhow::Result<()> {
    let target = tempfile::tempdir()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root).args(["build", "--locked", "--release", "-p", "chrono-api"]);
    cargo.arg("--target-dir").arg(target.path());
    let started = Instant::now();
    ensure!(cargo.status()?.success(), "the build failed");
    Figure::new("Cold build", "release binary", started.elapsed().as_secs_f64() / 60.0, "min")
        .note("all crates, on all cores")
        .print()
}
