//! `cargo xtask tidy`: the house rules that no other tool checks.
//!
//! A rule that nothing checks is not kept, so each rule that docs/ARCHITECTURE.md calls
//! tidy's has a function here: [`arrows`] the dependency graph, [`tokens`] who may name what,
//! [`shape`] docs, names and sizes of files, [`words`] what no file may say, [`numbering`] the
//! migrations and decisions. Each check is a function from text to [`Finding`]s, tested with a
//! planted fault.

pub mod arrows;
pub mod finding;
pub mod numbering;
pub mod report;
pub mod rust;
pub mod shape;
pub mod tokens;
pub mod tree;
pub mod words;

use anyhow::bail;

use self::finding::Finding;
use self::tree::Tree;
use crate::workspace::Workspace;

/// Checks the whole tree and prints what it finds, with a table of sizes if asked.
///
/// # Errors
/// When something is found, or the tree cannot be read.
pub fn run(workspace: &Workspace, with_report: bool) -> anyhow::Result<()> {
    let tree = Tree::load(workspace.root())?;
    let mut findings = arrows::check(&workspace.metadata()?);
    for file in tree.files() {
        findings.extend(shape::check(file));
        findings.extend(tokens::check(file));
        findings.extend(words::check(file));
    }
    findings.extend(numbering::check(tree.files()));
    if with_report {
        print!("{}", report::table(tree.files()));
    }
    conclude(findings, tree.files().len())
}

fn conclude(mut findings: Vec<Finding>, files: usize) -> anyhow::Result<()> {
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} faults in {files} files", findings.len());
    }
    println!("tidy: {files} files in order");
    Ok(())
}
