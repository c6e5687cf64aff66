//! `cargo xtask test`: everything that is tested, with the set-up it needs.
//!
//! A run over the whole workspace unifies features, so a use-case crate that leans on a backend
//! would still build there; each is therefore checked alone, too. Test targets that require a
//! feature are left out of a workspace run without a word; each gets a run of its own, and so do
//! the tests that only a build with failpoints has.

use anyhow::bail;

use crate::workspace::{Metadata, Workspace};
use crate::{command, setup};

/// The crates that must build alone.
const ALONE: &[&str] = &[
    "chrono-domain",
    "chrono-storage",
    "chrono-cache",
    "chrono-auth",
    "chrono-ingest",
    "chrono-query",
    "chrono-sql",
    "chrono-stream",
    "chrono-client",
];

/// The tests of a build that crashes where it is told to, or is wrong on purpose.
const FAILPOINTS: &str =
    "test --locked -p chrono-api --features failpoints --test durability failpoints";

/// How many tests passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    passed: u64,
    failed: u64,
}

impl Counts {
    /// Whether no test failed.
    pub fn is_clean(self) -> bool {
        self.failed == 0
    }

    /// Prints the counts, plainly, on a line of their own.
    ///
    /// # Errors
    /// When a test failed.
    pub fn conclude(self) -> anyhow::Result<()> {
        println!("{} passed, {} failed", self.passed, self.failed);
        if !self.is_clean() {
            bail!("tests failed");
        }
        Ok(())
    }

    /// Adds a line of a test binary's output, if it is its verdict.
    fn read(&mut self, line: &str) {
        let Some((_, verdict)) = line.split_once("test result: ") else { return };
        self.passed += count_before(verdict, " passed");
        self.failed += count_before(verdict, " failed");
    }
}

/// The number in front of `word`, 0 when there is none.
fn count_before(verdict: &str, word: &str) -> u64 {
    let before = verdict.split(word).next().unwrap_or_default();
    before.rsplit(' ').next().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

/// Sets up, builds the crates alone, runs the tests; with `args` only a run with those.
///
/// # Errors
/// When the set-up fails or something does not build. Failed tests are in the counts.
pub fn run(workspace: &Workspace, args: &[String]) -> anyhow::Result<Counts> {
    let path = setup::run(workspace)?;
    let metadata = workspace.metadata()?;
    if args.is_empty() {
        for check in lone_checks(&metadata) {
            command::run(&mut workspace.cargo(check.iter().map(String::as_str)))?;
        }
    }
    let mut counts = Counts::default();
    for leg in test_runs(&metadata, args) {
        let mut cargo = workspace.cargo(leg.iter().map(String::as_str));
        let failed_before = counts.failed;
        let success = command::run_by_line(cargo.env("PATH", &path), |line| {
            println!("{line}");
            counts.read(line);
        })?;
        if !success && counts.failed == failed_before {
            bail!("a test binary did not build, or ended without a verdict (see above)");
        }
    }
    Ok(counts)
}

/// The `cargo test` runs: the workspace, then what a workspace run leaves out.
fn test_runs(metadata: &Metadata, args: &[String]) -> Vec<Vec<String>> {
    let whole = words("test --workspace --locked");
    if !args.is_empty() {
        return vec![[whole, args.to_vec()].concat()];
    }
    let mut runs = vec![[whole, words("--no-fail-fast")].concat(), words(FAILPOINTS)];
    for package in metadata.members() {
        for target in &package.targets {
            if target.kind.iter().any(|kind| kind == "test") && !target.required_features.is_empty()
            {
                let features = target.required_features.join(",");
                let (package, test) = (&package.name, &target.name);
                runs.push(words(&format!(
                    "test --locked -p {package} --features {features} --test {test}"
                )));
            }
        }
    }
    runs
}

/// The `cargo check` runs: each crate of [`ALONE`] bare, then with each of its features.
fn lone_checks(metadata: &Metadata) -> Vec<Vec<String>> {
    let mut checks = Vec::new();
    for name in ALONE {
        checks.push(words(&format!("check --quiet --locked -p {name}")));
        for package in metadata.members().filter(|package| package.name == *name) {
            for feature in package.features.keys() {
                let check = format!("check --quiet --locked -p {name} --features {feature}");
                checks.push(words(&check));
            }
        }
    }
    checks
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata() -> Metadata {
        serde_json::from_value(json!({
            "workspace_root": "/x",
            "workspace_members": ["a"],
            "resolve": {"nodes": []},
            "packages": [{
                "id": "a", "name": "chrono-storage", "manifest_path": "/x/Cargo.toml",
                "dependencies": [], "features": {"sqlite": [], "model": []},
                "targets": [
                    {"name": "it", "kind": ["test"]},
                    {"name": "crash", "kind": ["test"], "required-features": ["failpoints"]},
                    {"name": "bare", "kind": ["bench"], "required-features": ["sqlite"]},
                ],
            }],
        }))
        .unwrap()
    }

    #[test]
    fn sums_the_verdicts_of_all_binaries() {
        let mut counts = Counts::default();
        counts.read("running 4 tests");
        counts.read("test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured");
        counts.read("test result: FAILED. 7 passed; 2 failed; 0 ignored; 0 measured");
        assert_eq!(counts, Counts { passed: 11, failed: 2 });
        assert!(counts.conclude().is_err());
    }

    #[test]
    fn a_target_with_a_required_feature_gets_its_own_run() {
        let runs: Vec<_> = test_runs(&metadata(), &[]).iter().map(|run| run.join(" ")).collect();
        assert_eq!(
            runs,
            [
                "test --workspace --locked --no-fail-fast",
                FAILPOINTS,
                "test --locked -p chrono-storage --features failpoints --test crash",
            ]
        );
    }

    #[test]
    fn arguments_go_to_one_run() {
        let args = words("candle -- --nocapture");
        let runs = test_runs(&metadata(), &args);
        assert_eq!(runs, [words("test --workspace --locked candle -- --nocapture")]);
    }

    #[test]
    fn checks_a_crate_bare_and_with_each_feature() {
        let checks: Vec<_> = lone_checks(&metadata()).iter().map(|run| run.join(" ")).collect();
        for wanted in [
            "check --quiet --locked -p chrono-storage",
            "check --quiet --locked -p chrono-storage --features model",
            "check --quiet --locked -p chrono-storage --features sqlite",
            "check --quiet --locked -p chrono-client",
        ] {
            assert!(checks.iter().any(|check| check == wanted), "{wanted} in {checks:?}");
        }
    }
}
