//! `cargo xtask fuzz`: runs the fuzz targets, each for some minutes, on the stable toolchain.
//!
//! Without a sanitizer `cargo fuzz` asks for nothing that stable does not have; what a sanitizer would find needs
//! `unsafe`, which the workspace forbids. What a run learns stays under `target/fuzz`, for the next one to begin with;
//! what every run begins with is under `fuzz/seeds`. An input that fails is kept under `fuzz/artifacts`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::workspace::Workspace;
use crate::{command, install};

/// Most memory of a target, in MiB; the parsers' own need is some kilobytes.
const RSS_MIB_MAX: u32 = 256;
/// Longest that one input may take, in seconds.
const INPUT_S_MAX: u32 = 1;
/// Where a line of the final statistics says how many inputs were run.
const EXECUTIONS: &str = "stat::number_of_executed_units:";
/// What the engine writes first when an input fails.
const FAILURES: [&str; 3] = ["ERROR: libFuzzer", "panicked at", "Test unit written to"];

/// What became of a target.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    target: String,
    executions: u64,
    crashed: bool,
}

/// Runs the named targets, or all, one after the other, `minutes` each.
///
/// # Errors
/// When a target does not build or an input fails; every target has run then.
pub fn run(workspace: &Workspace, minutes: u32, names: &[String]) -> anyhow::Result<()> {
    if !command::exists("c++") {
        bail!("the engine needs a C++ compiler: g++ on Debian, Xcode's tools on macOS");
    }
    install::bring(workspace, "cargo-fuzz")?;
    let known = command::output_of(&mut workspace.cargo(["fuzz", "list"]))?;
    let targets = chosen(&known, names)?;
    command::run(&mut workspace.cargo(["fuzz", "build", "--sanitizer", "none"]))?;
    let run = |target: &String| run_target(workspace, target, minutes);
    let outcomes = targets.iter().map(run).collect::<anyhow::Result<Vec<_>>>()?;
    conclude(&outcomes, minutes)
}

/// The targets that are asked for: all when nothing is.
fn chosen(known: &str, names: &[String]) -> anyhow::Result<Vec<String>> {
    let known: Vec<String> = known.split_whitespace().map(str::to_owned).collect();
    if let Some(strange) = names.iter().find(|name| !known.contains(name)) {
        bail!("no target {strange}; there are {}", known.join(", "));
    }
    Ok(if names.is_empty() { known } else { names.to_vec() })
}

fn run_target(workspace: &Workspace, target: &str, minutes: u32) -> anyhow::Result<Outcome> {
    let mut cargo = workspace.cargo(["fuzz", "run", "--sanitizer", "none", target]);
    let grown = PathBuf::from("target/fuzz").join(target);
    let path = workspace.root().join(&grown);
    fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    cargo.arg(grown).arg(format!("fuzz/seeds/{target}")).arg("--").args([
        format!("-max_total_time={}", u64::from(minutes) * 60),
        format!("-rss_limit_mb={RSS_MIB_MAX}"),
        format!("-timeout={INPUT_S_MAX}"),
        "-print_final_stats=1".to_owned(),
    ]);
    println!("\n== {target}, {minutes} min");
    let (executions, success) = watch(&mut cargo)?;
    println!("{target}: {executions} executions");
    Ok(Outcome { target: target.to_owned(), executions, crashed: !success })
}

/// Runs the engine; shows what it says of failures and answers how many inputs it ran and whether none failed.
fn watch(engine: &mut Command) -> anyhow::Result<(u64, bool)> {
    let mut child = engine.stderr(Stdio::piped()).spawn().context("cannot run cargo fuzz")?;
    let said = child.stderr.take().context("a piped output")?;
    let (mut executions, mut failed) = (0, false);
    for line in BufReader::new(said).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        executions = executions_of(&line).unwrap_or(executions);
        failed |= FAILURES.iter().any(|word| line.contains(word));
        if failed {
            eprintln!("{line}");
        }
    }
    Ok((executions, child.wait()?.success()))
}

fn executions_of(line: &str) -> Option<u64> {
    line.trim().strip_prefix(EXECUTIONS)?.trim().parse().ok()
}

fn conclude(outcomes: &[Outcome], minutes: u32) -> anyhow::Result<()> {
    println!("\n{:<14}{:>8}{:>14}  crashed", "target", "minutes", "executions");
    for Outcome { target, executions, crashed } in outcomes {
        println!(
            "{target:<14}{minutes:>8}{executions:>14}  {}",
            if *crashed { "YES" } else { "no" }
        );
    }
    let crashed = outcomes.iter().filter(|outcome| outcome.crashed).count();
    if crashed > 0 {
        bail!("{crashed} of {} targets crashed; see fuzz/artifacts", outcomes.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_all_targets_or_those_named() {
        let known = "batch\ntime\n";
        assert_eq!(chosen(known, &[]).unwrap(), ["batch", "time"]);
        assert_eq!(chosen(known, &["time".to_owned()]).unwrap(), ["time"]);
        let fault = chosen(known, &["tiem".to_owned()]).unwrap_err().to_string();
        assert_eq!(fault, "no target tiem; there are batch, time");
    }

    #[test]
    fn counts_executions_and_notices_a_failure() {
        let script = "echo 'stat::number_of_executed_units: 4711' >&2; exit 77";
        let seen = watch(Command::new("sh").args(["-c", script])).unwrap();
        assert_eq!(seen, (4_711, false));
    }

    #[test]
    fn fails_when_one_target_crashed() {
        let outcome = |crashed| Outcome { target: "time".to_owned(), executions: 1, crashed };
        assert!(conclude(&[outcome(false)], 1).is_ok());
        let fault = conclude(&[outcome(false), outcome(true)], 1).unwrap_err().to_string();
        assert!(fault.starts_with("1 of 2 targets crashed"), "{fault}");
    }
}
