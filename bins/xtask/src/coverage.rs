//! `cargo xtask coverage`: which lines of the crates below the edge their own tests run.
//!
//! Only the seven crates' tests count, not those that drive the whole binary: a line that nothing but an end-to-end
//! test reaches has nobody who looks at its answer. Test code is left out of the figures, as `tidy` knows it.

mod lines;

use std::fs;
use std::process::Command;

use anyhow::{Context as _, bail};

use self::lines::{Measured, measured};
use crate::tidy::tree::Tree;
use crate::workspace::Workspace;
use crate::{command, install};

/// The crates, and how many of a hundred lines must be run.
const CRATES: &[&str] = &[
    "chrono-domain",
    "chrono-storage",
    "chrono-cache",
    "chrono-ingest",
    "chrono-query",
    "chrono-stream",
    "chrono-auth",
];
const PERCENT_MIN: f64 = 90.0;
/// Directories of library code that is part of tests: cases that backends run.
const TEST_MODULES: &[&str] =
    &["crates/chrono-storage/src/conformance", "crates/chrono-cache/src/conformance"];
/// What the tool writes, from the root.
const REPORT: &str = "target/coverage.lcov";

/// Runs the crates' tests and prints a table and what is not covered.
///
/// # Errors
/// When a test fails or a crate has less than 90 % of its lines covered.
pub fn run(workspace: &Workspace) -> anyhow::Result<()> {
    install::bring(workspace, "cargo-llvm-cov")?;
    bring_llvm_tools()?;
    let mut cargo = workspace.cargo(["llvm-cov", "--locked", "--lcov", "--output-path", REPORT]);
    // A process that a test ends in the middle of a commit may leave half a profile.
    cargo.args(["--failure-mode", "all"]);
    cargo.args(CRATES.iter().flat_map(|name| ["-p", name]));
    command::run(&mut cargo)?;
    let report = fs::read_to_string(workspace.root().join(REPORT)).context("no report")?;
    let tree = Tree::load(workspace.root())?;
    let files = measured(&report, workspace.root(), |path, line| is_code(&tree, path, line));
    let low = print(&files);
    if !low.is_empty() {
        bail!("less than {PERCENT_MIN} % of {}", low.join(", "));
    }
    Ok(())
}

/// The tool reads profiles by LLVM's own programs, of the version that the compiler has.
fn bring_llvm_tools() -> anyhow::Result<()> {
    if command::exists("rustup") {
        let mut rustup = Command::new("rustup");
        command::run(rustup.args(["component", "add", "llvm-tools"]))?;
    }
    Ok(())
}

/// Whether a line belongs to the crate and not to its tests.
fn is_code(tree: &Tree, path: &str, line: usize) -> bool {
    let files = tree.files();
    let found = files.binary_search_by(|file| file.path.as_str().cmp(path)).ok();
    let file = found.and_then(|at| files.get(at));
    !TEST_MODULES.iter().any(|module| path.starts_with(module))
        && file
            .and_then(|file| file.rust.as_ref())
            .is_some_and(|rust| rust.lines().nth(line - 1).is_some_and(|line| !line.is_test))
}

/// Prints all figures and gives the crates that have too few lines covered.
fn print(files: &[Measured]) -> Vec<&'static str> {
    // What they are tested with comes along, and is none of them.
    let own = |path: &str| CRATES.iter().any(|name| path.starts_with(&format!("crates/{name}/")));
    for file in files.iter().filter(|file| own(&file.path) && !file.uncovered.is_empty()) {
        println!("{}: {}", file.path, file.ranges());
    }
    println!("\n{:<16}{:>8}{:>10}{:>8}", "crate", "lines", "covered", "%");
    let mut low = Vec::new();
    for name in CRATES {
        let home = format!("crates/{name}/");
        let own = || files.iter().filter(|file| file.path.starts_with(&home));
        let lines: u32 = own().map(|file| file.lines).sum();
        let uncovered: usize = own().map(|file| file.uncovered.len()).sum();
        let covered = f64::from(lines) - f64::from(u32::try_from(uncovered).unwrap_or(u32::MAX));
        let percent = if lines == 0 { 0.0 } else { 100.0 * covered / f64::from(lines) };
        println!("{name:<16}{lines:>8}{covered:>10}{percent:>8.1}");
        if percent < PERCENT_MIN {
            low.push(*name);
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::File;

    #[test]
    fn leaves_tests_and_cases_out() {
        let code = "//! A.\nfn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n";
        let tree = Tree::new(vec![
            File::new("crates/chrono-cache/src/conformance/bus.rs", code),
            File::new("crates/chrono-cache/src/lib.rs", code),
        ]);
        let at = |line| is_code(&tree, "crates/chrono-cache/src/lib.rs", line);
        assert_eq!([at(2), at(5), at(99)], [true, false, false]);
        assert!(!is_code(&tree, "crates/chrono-cache/src/conformance/bus.rs", 2));
    }

    #[test]
    fn names_the_crates_that_are_below_the_limit() {
        let file = |name: &&str, uncovered: u32| Measured {
            path: format!("crates/{name}/src/lib.rs"),
            lines: 100,
            uncovered: (1..=uncovered).collect(),
        };
        let mut files: Vec<_> = CRATES.iter().map(|name| file(name, 10)).collect();
        assert!(print(&files).is_empty());
        files.pop();
        assert_eq!(print(&files), ["chrono-auth"]);
        files.push(file(&"chrono-auth", 11));
        assert_eq!(print(&files), ["chrono-auth"]);
    }
}
