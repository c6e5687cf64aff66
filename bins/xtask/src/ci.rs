//! `cargo xtask ci`: the gate, cheapest step first, each timed.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::workspace::Workspace;
use crate::{command, smoke, suite, tidy};

/// Runs every step; the first that fails ends the run. The last line printed counts the tests.
///
/// # Errors
/// When a step fails, naming it.
pub fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let mut gate = Gate::default();
    gate.step("format", || command::run(&mut workspace.cargo(["fmt", "--all", "--check"])))?;
    gate.step("tidy", || tidy::run(workspace, true))?;
    gate.step("clippy", || clippy(workspace))?;
    gate.step("doc", || command::run(&mut doc(workspace)))?;
    gate.step("deny", || deny(workspace))?;
    let counts = gate.step("test", || suite::run(workspace, &[]))?;
    if counts.is_clean() {
        gate.step("smoke", || smoke::run(workspace))?;
    }
    gate.report();
    counts.conclude()
}

/// The workspace, what only a build with failpoints has, and the fuzz targets, which are a workspace of their own; their
/// engine is C++, so without a compiler for it they are left out.
fn clippy(workspace: &Workspace) -> anyhow::Result<()> {
    let mut scopes =
        vec!["--workspace --all-targets", "-p chrono-api --all-targets --features failpoints"];
    if command::exists("c++") {
        scopes.push("--manifest-path fuzz/Cargo.toml --target-dir target");
    } else {
        println!("skipped: the fuzz targets need a C++ compiler");
    }
    scopes.into_iter().try_for_each(|scope| {
        let line = format!("clippy {scope} --locked -- -D warnings");
        command::run(&mut workspace.cargo(line.split(' ')))
    })
}

fn doc(workspace: &Workspace) -> Command {
    let mut cargo = workspace.cargo(["doc", "--workspace", "--no-deps", "--locked"]);
    cargo.env("RUSTDOCFLAGS", "-D warnings");
    cargo
}

/// Duplicates, licences, registries. Where cargo-deny is missing (`.ci/run` brings it) this step
/// says so and passes: it takes minutes to build, too long for a chore run by hand.
fn deny(workspace: &Workspace) -> anyhow::Result<()> {
    if !command::exists("cargo-deny") {
        println!("skipped: cargo-deny is not here (cargo install cargo-deny --locked)");
        return Ok(());
    }
    // A rule may name a crate that nothing reaches yet: that is what such a rule is for.
    let check = ["deny", "check", "--allow", "unused-wrapper", "bans", "licenses", "sources"];
    command::run(&mut workspace.cargo(check))
}

/// The steps run so far, with their times.
#[derive(Debug, Default)]
struct Gate {
    steps: Vec<(&'static str, Duration)>,
}

impl Gate {
    fn step<T>(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = work();
        self.steps.push((name, start.elapsed()));
        if outcome.is_err() {
            self.report();
        }
        outcome.with_context(|| format!("step {name}"))
    }

    fn report(&self) {
        println!("\n== times");
        for (name, time) in &self.steps {
            println!("{name:<8}{:>8.1} s", time.as_secs_f64());
        }
        let whole: Duration = self.steps.iter().map(|(_, time)| *time).sum();
        println!("{:<8}{:>8.1} s", "all", whole.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_failing_step_is_named_and_timed() {
        let mut gate = Gate::default();
        assert_eq!(gate.step("one", || Ok(1)).unwrap(), 1);
        let fault = gate.step("two", || -> anyhow::Result<()> { bail!("broken") }).unwrap_err();
        assert_eq!(format!("{fault:#}"), "step two: broken");
        assert_eq!(gate.steps.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["one", "two"]);
    }
}
