//! Docs, names and sizes of files, and that every crate takes the workspace's lints.

use std::path::Path;

use super::finding::Finding;
use super::rust::Rust;
use super::tree::File;

/// Code lines of a file, tests apart.
const CODE_LINES_MAX: usize = 500;
/// Code lines of a function's body, tests apart; clippy.toml says the same.
const FUNCTION_LINES_MAX: usize = 70;
/// Lines of a `lib.rs`, comments too: it is a table of contents.
const LIB_LINES_MAX: usize = 120;
/// Names that say nothing of what is inside, singular or plural.
const EMPTY_NAMES: &[&str] = &["util", "helper", "common", "manager"];

/// The one crate with `unsafe impl`: a lint that is forbidden cannot be expected, so it has the lints as a copy (tested).
const UNSAFE: &str = "crates/chrono-sql/Cargo.toml";

/// Checks one file.
pub fn check(file: &File) -> Vec<Finding> {
    let Some(rust) = &file.rust else { return lints(file).into_iter().collect() };
    let mut findings = names(file);
    findings.extend(module_doc(file));
    findings.extend(sizes(file, rust));
    findings
}

/// Without this table a crate escapes every lint without a word.
fn lints(file: &File) -> Option<Finding> {
    let is_crate = file.name() == "Cargo.toml" && file.text.contains("[package]");
    let takes = file.text.contains("[lints]\nworkspace = true\n");
    let message = "a crate takes the workspace's lints: `[lints] workspace = true`";
    (is_crate && !takes && file.path != UNSAFE)
        .then(|| Finding::new(&file.path, 1, "lints", message))
}

fn names(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    if file.name() == "mod.rs" {
        let message = "a module is `name.rs` beside `name/`";
        findings.push(Finding::new(&file.path, 1, "no-mod-rs", message));
    }
    for part in Path::new(&file.path).with_extension("").iter().filter_map(|part| part.to_str()) {
        if EMPTY_NAMES.contains(&part.strip_suffix('s').unwrap_or(part)) {
            let message = format!("`{part}` says nothing: name it by a noun of its domain");
            findings.push(Finding::new(&file.path, 1, "named-by-domain", message));
        }
    }
    findings
}

/// The doc comes first; only inner attributes may stand before it.
fn module_doc(file: &File) -> Option<Finding> {
    let mut lines = file.text.lines().enumerate();
    let first = lines.find(|(_, line)| !line.trim().is_empty() && !line.starts_with("#!["));
    let (idx, line) = first.unwrap_or_default();
    let message = "a file starts with a `//!` doc that says what it is";
    (!line.starts_with("//!")).then(|| Finding::new(&file.path, idx + 1, "module-doc", message))
}

fn sizes(file: &File, rust: &Rust) -> Vec<Finding> {
    let mut findings = Vec::new();
    let code_lines = rust.code_lines();
    if code_lines > CODE_LINES_MAX {
        let message = format!("{code_lines} code lines, at most {CODE_LINES_MAX}");
        findings.push(Finding::new(&file.path, 1, "file-length", message));
    }
    let lines = file.text.lines().count();
    if file.name() == "lib.rs" && lines > LIB_LINES_MAX {
        let message = format!("{lines} lines, at most {LIB_LINES_MAX}: docs, modules, re-exports");
        findings.push(Finding::new(&file.path, 1, "lib-length", message));
    }
    for function in rust.functions() {
        if function.lines > FUNCTION_LINES_MAX {
            let message = format!(
                "`{}` has {} lines, at most {FUNCTION_LINES_MAX}",
                function.name, function.lines
            );
            findings.push(Finding::new(&file.path, function.line, "function-length", message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        check(&File::new(path, text)).iter().map(|found| (found.rule(), found.line())).collect()
    }

    #[test]
    fn a_file_in_order_has_no_finding() {
        assert!(rules("crates/a/src/lib.rs", "//! A.\nfn a() {}\n").is_empty());
        assert!(rules("crates/a/tests/it/main.rs", "#![cfg(test)]\n//! A.\n").is_empty());
        assert!(rules("README.md", "no doc").is_empty());
    }

    #[test]
    fn sees_a_file_without_its_doc() {
        assert_eq!(rules("crates/a/src/a.rs", "\nuse b;\n//! Late.\n"), [("module-doc", 2)]);
        assert_eq!(rules("crates/a/tests/it/a.rs", "// no\n"), [("module-doc", 1)]);
        assert_eq!(rules("crates/a/src/a.rs", ""), [("module-doc", 1)]);
    }

    #[test]
    fn the_crate_with_lints_of_its_own_differs_from_the_workspace_in_unsafe_code_only() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let lints = |path: &str, prefix: &str| {
            let text = std::fs::read_to_string(root.join(path)).unwrap();
            let lines =
                text.lines().skip_while(|line| !line.starts_with(&format!("[{prefix}lints.")));
            let lines = lines.take_while(|line| !line.starts_with("[profile"));
            let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
            lines.map(|line| line.replace("[workspace.", "[")).collect::<Vec<_>>()
        };
        let (ours, own) = (lints("Cargo.toml", "workspace."), lints(UNSAFE, ""));
        assert_eq!(ours.len(), own.len());
        let differ: Vec<_> = ours.iter().zip(&own).filter(|(ours, own)| ours != own).collect();
        let [(ours, own)] = differ.as_slice() else { panic!("{differ:?}") };
        assert_eq!(
            (ours.as_str(), own.as_str()),
            (r#"unsafe_code = "forbid""#, r#"unsafe_code = "deny""#)
        );
    }

    #[test]
    fn sees_a_crate_without_the_lints() {
        let manifest = "[package]\nname = \"a\"\n";
        assert_eq!(rules("crates/a/Cargo.toml", manifest), [("lints", 1)]);
        let manifest = format!("{manifest}\n[lints]\nworkspace = true\n");
        assert!(rules("crates/a/Cargo.toml", &manifest).is_empty());
        assert!(rules("Cargo.toml", "[workspace]\n").is_empty());
    }

    #[test]
    fn sees_names_that_say_nothing() {
        assert_eq!(rules("crates/a/src/b/mod.rs", "//! B.\n"), [("no-mod-rs", 1)]);
        for path in ["src/utils.rs", "src/helper.rs", "tests/common/x.rs", "src/manager.rs"] {
            assert_eq!(rules(path, "//! X.\n"), [("named-by-domain", 1)], "{path}");
        }
    }

    #[test]
    fn sees_a_file_that_is_too_long_but_not_by_tests() {
        let code = |count| format!("//! A.\n{}", "const A: u8 = 1;\n".repeat(count));
        assert!(rules("src/a.rs", &code(500)).is_empty());
        assert_eq!(rules("src/a.rs", &code(501)), [("file-length", 1)]);
        assert!(rules("src/a/tests.rs", &code(501)).is_empty());
        assert_eq!(rules("src/lib.rs", &code(120)), [("lib-length", 1)]);
    }

    #[test]
    fn sees_a_function_that_is_too_long() {
        let function = |count| format!("//! A.\n\nfn a() {{\n{}}}\n", "    b();\n".repeat(count));
        assert!(rules("src/a.rs", &function(70)).is_empty());
        assert_eq!(rules("src/a.rs", &function(71)), [("function-length", 3)]);
        assert!(rules("tests/it/a.rs", &function(71)).is_empty());
    }
}
