//! Where the workspace is, and what `cargo metadata` says about it.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use serde::Deserialize;

use crate::command;

/// The root directory of this checkout.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Finds the workspace around the current directory.
    ///
    /// # Errors
    /// When the current directory is in no workspace, or cargo cannot be run.
    pub fn find() -> anyhow::Result<Self> {
        let mut locate = Command::new(cargo_program());
        locate.args(["locate-project", "--workspace", "--message-format", "plain"]);
        let manifest = command::output_of(&mut locate)?;
        let root = Path::new(manifest.trim()).parent().context("a manifest has a directory")?;
        Ok(Self { root: root.to_owned() })
    }

    /// The directory that holds the workspace's Cargo.toml.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A cargo command in the root directory.
    pub fn cargo<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut cargo = Command::new(cargo_program());
        cargo.current_dir(&self.root).args(args);
        cargo
    }

    /// Loads the graph of packages; the lock file is taken as it is.
    ///
    /// # Errors
    /// When cargo fails, which it does on a lock file that does not fit the manifests.
    pub fn metadata(&self) -> anyhow::Result<Metadata> {
        let mut cargo = self.cargo(["metadata", "--format-version", "1", "--locked"]);
        let json = command::output_of(&mut cargo)?;
        serde_json::from_str(&json).context("cargo metadata printed something else")
    }
}

/// The cargo that started this process, so that a toolchain chosen by `cargo +x` stays chosen.
fn cargo_program() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// The part of `cargo metadata` that the chores read.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// Every package of the graph, members of the workspace and others.
    pub packages: Vec<Package>,
    /// Ids of the workspace's own packages.
    pub workspace_members: Vec<String>,
    /// The resolved graph.
    pub resolve: Resolve,
    /// The root directory of the workspace.
    pub workspace_root: PathBuf,
}

impl Metadata {
    /// The workspace's own packages, by name.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }
}

/// One package.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// The graph's key.
    pub id: String,
    /// The name in its manifest.
    pub name: String,
    /// Absolute path of its Cargo.toml.
    pub manifest_path: PathBuf,
    /// What its manifest asks for, every kind.
    pub dependencies: Vec<Dependency>,
    /// Its own features.
    pub features: BTreeMap<String, Vec<String>>,
    /// Libraries, binaries, tests, benches.
    pub targets: Vec<Target>,
}

/// A dependency as a manifest states it.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// The package's name.
    pub name: String,
    /// `None` for a normal dependency, else `dev` or `build`.
    pub kind: Option<String>,
    /// The features asked for.
    pub features: Vec<String>,
}

impl Dependency {
    /// Whether only tests, benches and examples have it.
    pub fn is_dev(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}

/// Something cargo builds from a package.
#[derive(Debug, Deserialize)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// `lib`, `bin`, `test`, `bench`, …
    pub kind: Vec<String>,
    /// Features without which cargo silently leaves it out.
    #[serde(default, rename = "required-features")]
    pub required_features: Vec<String>,
}

/// The resolved graph.
#[derive(Debug, Deserialize)]
pub struct Resolve {
    /// One node per package.
    pub nodes: Vec<Node>,
}

/// A package's resolved dependencies.
#[derive(Debug, Deserialize)]
pub struct Node {
    /// The package's id.
    pub id: String,
    /// Its edges.
    pub deps: Vec<Edge>,
}

/// One resolved dependency.
#[derive(Debug, Deserialize)]
pub struct Edge {
    /// The id of the package depended on.
    pub pkg: String,
    /// Why: one entry per kind.
    pub dep_kinds: Vec<EdgeKind>,
}

/// The kind of a resolved dependency.
#[derive(Debug, Deserialize)]
pub struct EdgeKind {
    /// `None` for a normal dependency, else `dev` or `build`.
    pub kind: Option<String>,
}
