//! The dependency graph: arrows point down only, and few may reach what lies below the contracts.
//!
//! What a manifest states is checked as stated; what must not be reached at all is looked for in
//! the resolved graph. The graph is the whole workspace's, features unified, so it holds at least
//! what a crate alone would bring.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fs;

use super::finding::Finding;
use crate::workspace::{Dependency, Metadata, Package};

/// A crate of ours and the crates of ours that it may depend on, bottom layer first. An arrow can
/// only point to an earlier line, because each list names earlier lines only (tested). Tests may
/// use any earlier line; so what stands before chrono-testkit cannot use it, which would be a cycle
/// of dev-dependencies and make two copies of every type.
const LAYERS: &[(&str, &[&str])] = &[
    ("chrono-domain", &[]),
    ("chrono-migrations", &[]),
    ("chrono-client", &["chrono-domain"]),
    ("chrono-testkit", &["chrono-domain", "chrono-client"]),
    ("chrono-storage", &["chrono-domain", "chrono-migrations"]),
    ("chrono-sql", &["chrono-domain", "chrono-storage"]),
    ("chrono-cache", &["chrono-domain"]),
    ("chrono-auth", &["chrono-domain", "chrono-storage", "chrono-cache"]),
    ("chrono-ingest", &["chrono-domain", "chrono-storage", "chrono-cache"]),
    ("chrono-query", &["chrono-domain", "chrono-storage", "chrono-cache"]),
    ("chrono-stream", &["chrono-domain", "chrono-storage", "chrono-cache"]),
    ("chrono-worker", &["chrono-domain", "chrono-client"]),
    (
        "chrono-api",
        &[
            "chrono-domain",
            "chrono-storage",
            "chrono-sql",
            "chrono-cache",
            "chrono-client",
            "chrono-auth",
            "chrono-ingest",
            "chrono-query",
            "chrono-stream",
            "chrono-worker",
        ],
    ),
    (
        "chrono-benches",
        &[
            "chrono-domain",
            "chrono-storage",
            "chrono-cache",
            "chrono-client",
            "chrono-testkit",
            "chrono-auth",
            "chrono-ingest",
            "chrono-query",
            "chrono-stream",
            "chrono-api",
        ],
    ),
    ("xtask", &[]),
];

/// Backends' libraries and the crates that may name them. Benches measure the library bare,
/// and chrono-sql lends its SQL to people.
const WRAPPED: &[(&str, &[&str])] = &[
    ("rusqlite", &["chrono-storage", "chrono-sql", "chrono-benches"]),
    ("tokio-postgres", &["chrono-storage", "chrono-benches"]),
    ("moka", &["chrono-cache"]),
    ("fred", &["chrono-cache"]),
];

/// Crates that know contracts only.
const USE_CASES: &[&str] = &["chrono-auth", "chrono-ingest", "chrono-query", "chrono-stream"];
/// What they may not name outside tests (backends' libraries are [`WRAPPED`] for all).
const BELOW_OR_ABOVE_USE_CASES: &[&str] =
    &["hyper", "hyper-util", "http", "http-body-util", "tungstenite", "tokio-tungstenite"];
/// Features of the contracts' crates that bring a backend or a tool of tests.
const BACKEND_FEATURES: &[&str] =
    &["sqlite", "postgres", "memory", "redis", "model", "conformance", "failpoints", "gauge"];
/// The crates that have those features.
const CONTRACTS: &[&str] = &["chrono-storage", "chrono-cache"];

/// What a crate must not reach, however far down.
const UNREACHED: &[(&str, &[&str])] = &[
    (
        "chrono-domain",
        &[
            "tokio",
            "mio",
            "socket2",
            "async-std",
            "smol",
            "hyper",
            "http",
            "reqwest",
            "rusqlite",
            "libsqlite3-sys",
            "tokio-postgres",
            "fred",
            "moka",
            "tracing-subscriber",
            "tempfile",
        ],
    ),
    ("xtask", &["tokio"]),
];

/// The date crate whose name ours would be mistaken for.
const DATE_CRATE: &str = "chrono";

/// Checks the graph.
pub fn check(metadata: &Metadata) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in metadata.members() {
        let member = Member::new(metadata, member);
        findings.extend(member.layer());
        for dependency in &member.package.dependencies {
            findings.extend(member.arrow(metadata, dependency));
            findings.extend(member.wrapped(dependency));
            findings.extend(member.use_case(dependency));
        }
        findings.extend(member.unreached(metadata));
    }
    findings.extend(date_crate(metadata));
    findings
}

/// A package of ours with the text of its manifest, to name lines in it.
struct Member<'a> {
    package: &'a Package,
    path: String,
    manifest: String,
}

impl<'a> Member<'a> {
    fn new(metadata: &Metadata, package: &'a Package) -> Self {
        let path = package.manifest_path.strip_prefix(&metadata.workspace_root);
        let path = path.unwrap_or(&package.manifest_path).to_string_lossy().into_owned();
        // Without its text, findings name the first line.
        let manifest = fs::read_to_string(&package.manifest_path).unwrap_or_default();
        Self { package, path, manifest }
    }

    fn name(&self) -> &str {
        &self.package.name
    }

    /// A finding at the line where the manifest names the dependency in its section.
    fn finding(&self, dependency: &Dependency, rule: &'static str, message: String) -> Finding {
        Finding::new(&self.path, line_of(&self.manifest, dependency), rule, message)
    }

    fn layer(&self) -> Option<Finding> {
        let message = format!("`{}` has no layer: give it one in tidy's table", self.name());
        let is_known = allowed_below(self.name()).is_some();
        (!is_known).then(|| Finding::new(&self.path, 1, "layered", message))
    }

    fn arrow(&self, metadata: &Metadata, dependency: &Dependency) -> Option<Finding> {
        let is_ours = metadata.members().any(|member| member.name == dependency.name);
        let allowed = allowed_below(self.name())?;
        if !is_ours || allowed.contains(&dependency.name.as_str()) {
            return None;
        }
        if dependency.is_dev() && self.may_test_with(&dependency.name) {
            return None;
        }
        let message = format!("`{}` may not depend on `{}`", self.name(), dependency.name);
        Some(self.finding(dependency, "arrows-point-down", message))
    }

    /// Tests may use the crate itself, with other features, and whatever is below it.
    fn may_test_with(&self, name: &str) -> bool {
        let height = |name: &str| LAYERS.iter().position(|(layer, _)| *layer == name);
        height(name).is_some_and(|height_of_it| Some(height_of_it) <= height(self.name()))
    }

    fn wrapped(&self, dependency: &Dependency) -> Option<Finding> {
        let (name, wrappers) = WRAPPED.iter().find(|(name, _)| *name == dependency.name)?;
        if wrappers.contains(&self.name()) {
            return None;
        }
        let message = format!("`{name}` is reached only through {}", wrappers.join(" and "));
        Some(self.finding(dependency, "wrapped", message))
    }

    fn use_case(&self, dependency: &Dependency) -> Option<Finding> {
        if !USE_CASES.contains(&self.name()) || dependency.is_dev() {
            return None;
        }
        if BELOW_OR_ABOVE_USE_CASES.contains(&dependency.name.as_str()) {
            let message = format!("a use case does not know `{}`", dependency.name);
            return Some(self.finding(dependency, "use-case", message));
        }
        let is_contract = CONTRACTS.contains(&dependency.name.as_str());
        let features = &dependency.features;
        let backend = features.iter().find(|name| BACKEND_FEATURES.contains(&name.as_str()))?;
        let message = format!("a use case does not choose `{}/{backend}`", dependency.name);
        is_contract.then(|| self.finding(dependency, "use-case", message))
    }

    fn unreached(&self, metadata: &Metadata) -> Vec<Finding> {
        let rule = UNREACHED.iter().find(|(name, _)| *name == self.name());
        let Some((_, banned)) = rule else { return Vec::new() };
        let reached = reached_from(metadata, &self.package.id);
        let found = banned.iter().filter(|name| reached.contains(**name));
        found
            .map(|name| {
                let message = format!("`{}` reaches `{name}`", self.name());
                Finding::new(&self.path, 1, "unreached", message)
            })
            .collect()
    }
}

fn allowed_below(name: &str) -> Option<&'static [&'static str]> {
    LAYERS.iter().find(|(layer, _)| *layer == name).map(|(_, below)| *below)
}

/// Names of the packages that normal dependencies lead to.
fn reached_from<'a>(metadata: &'a Metadata, id: &'a str) -> HashSet<&'a str> {
    let edges: HashMap<&str, _> =
        metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), &node.deps)).collect();
    let mut seen = HashSet::from([id]);
    let mut open = vec![id];
    while let Some(id) = open.pop() {
        for edge in edges.get(id).into_iter().copied().flatten() {
            let is_normal = edge.dep_kinds.iter().any(|kind| kind.kind.is_none());
            if is_normal && seen.insert(&edge.pkg) {
                open.push(&edge.pkg);
            }
        }
    }
    let reached = metadata.packages.iter().filter(|package| seen.contains(package.id.as_str()));
    reached.map(|package| package.name.as_str()).collect()
}

fn date_crate(metadata: &Metadata) -> Option<Finding> {
    let is_there = metadata.packages.iter().any(|package| package.name == DATE_CRATE);
    let message = "the crate `chrono` came in: dates are `time` (cargo tree -i chrono)";
    is_there.then(|| Finding::new("Cargo.lock", 1, "no-date-crate", message))
}

/// The line of `name = …` or `name.workspace = …` in the section of the dependency's kind.
fn line_of(manifest: &str, dependency: &Dependency) -> usize {
    let section = match dependency.kind.as_deref() {
        Some(kind) => format!("[{kind}-dependencies]"),
        None => "[dependencies]".to_owned(),
    };
    let in_section = manifest.lines().enumerate().skip_while(|(_, line)| line.trim() != section);
    let named = in_section.skip(1).find(|(_, line)| {
        let rest = line.trim_start().strip_prefix(dependency.name.as_str());
        rest.is_some_and(|rest| rest.starts_with([' ', '.', '=']))
    });
    named.map_or(1, |(idx, _)| idx + 1)
}
