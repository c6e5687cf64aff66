//! The repository's files.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::rust::Rust;

/// Names that hold no source: builds, version control, data of a gateway run from here.
const SKIPPED: &[&str] = &["target", ".git", "chrono-data", "chrono-demo-data", "node_modules"];

/// Every text file of the repository.
#[derive(Debug)]
pub struct Tree {
    files: Vec<File>,
}

/// One text file.
#[derive(Debug)]
pub struct File {
    /// Its path from the root, with `/`.
    pub path: String,
    /// What it says.
    pub text: String,
    /// Its code, if it is Rust.
    pub rust: Option<Rust>,
}

impl Tree {
    /// Reads all files below `root`; what is no UTF-8 is no text and left out.
    ///
    /// # Errors
    /// When a directory or a file cannot be read.
    pub fn load(root: &Path) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        collect(root, "", &mut files)?;
        Ok(Self::new(files))
    }

    /// Takes files as they are, and marks the modules that others declare as tests.
    pub fn new(mut files: Vec<File>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let declared: HashSet<String> = files.iter().flat_map(File::test_module_paths).collect();
        for file in &mut files {
            let under_test = declared
                .iter()
                .any(|path| file.path == format!("{path}.rs") || file.is_below(path));
            if let Some(rust) = file.rust.as_mut().filter(|_| under_test) {
                rust.mark_as_test();
            }
        }
        Self { files }
    }

    /// The files in the order of their paths.
    pub fn files(&self) -> &[File] {
        &self.files
    }
}

impl File {
    /// Reads a file's text; tests are known by their place, too.
    pub fn new(path: &str, text: &str) -> Self {
        let is_rust = Path::new(path).extension().is_some_and(|end| end == "rs");
        let mut file = Self { path: path.to_owned(), text: text.to_owned(), rust: None };
        if is_rust {
            let mut rust = Rust::new(text);
            if file.is_test_by_place() {
                rust.mark_as_test();
            }
            file.rust = Some(rust);
        }
        file
    }

    /// The path's last part.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether the file is in that directory.
    pub fn is_below(&self, directory: &str) -> bool {
        self.path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The directory of its crate: `crates/x`, `bins/x`, or the first part of the path.
    pub fn crate_dir(&self) -> &str {
        let parts = if self.is_below("crates") || self.is_below("bins") { 2 } else { 1 };
        let end = self.path.match_indices('/').nth(parts - 1).map_or(0, |(at, _)| at);
        self.path.get(..end).unwrap_or_default()
    }

    fn is_test_by_place(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
    }

    /// Where the modules that this file declares under `#[cfg(test)]` are, without an ending.
    fn test_module_paths(&self) -> Vec<String> {
        let Some(rust) = &self.rust else { return Vec::new() };
        let home = match self.name() {
            "lib.rs" | "main.rs" => self.path.strip_suffix(self.name()).unwrap_or_default().into(),
            _ => format!("{}/", self.path.trim_end_matches(".rs")),
        };
        rust.test_modules().into_iter().map(|name| format!("{home}{name}")).collect()
    }
}

fn collect(root: &Path, below: &str, files: &mut Vec<File>) -> anyhow::Result<()> {
    let directory = root.join(below);
    let entries = fs::read_dir(&directory)
        .with_context(|| format!("cannot read directory {}", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        let kind = entry.file_type()?;
        if SKIPPED.contains(&name.as_str()) {
            continue;
        }
        if kind.is_dir() {
            collect(root, &path, files)?;
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).with_context(|| format!("cannot read {path}"))?;
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(File::new(&path, &text));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{env, process};

    use super::*;

    #[test]
    fn loads_text_and_leaves_builds_and_binaries_out() {
        let root = env::temp_dir().join(format!("xtask-tree-{}", process::id()));
        fs::create_dir_all(root.join("crates/a/src")).unwrap();
        fs::create_dir_all(root.join("target")).unwrap();
        fs::write(root.join("crates/a/src/lib.rs"), "//! A.\n").unwrap();
        fs::write(root.join("target/built.rs"), "").unwrap();
        fs::write(root.join("logo.bin"), [0xFF, 0xFE]).unwrap();
        let tree = Tree::load(&root).unwrap();
        fs::remove_dir_all(&root).unwrap();
        let paths: Vec<_> = tree.files().iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["crates/a/src/lib.rs"]);
    }

    #[test]
    fn knows_the_crate_of_a_file() {
        assert_eq!(File::new("crates/a/src/b/c.rs", "").crate_dir(), "crates/a");
        assert_eq!(File::new("migrations/lib.rs", "").crate_dir(), "migrations");
        assert_eq!(File::new("README.md", "").crate_dir(), "");
    }

    #[test]
    fn tests_are_known_by_place_and_by_declaration() {
        let tree = Tree::new(vec![
            File::new("crates/a/src/lib.rs", "#[cfg(test)]\nmod planted;\nfn a() {}\n"),
            File::new("crates/a/src/planted.rs", "fn b() {}\n"),
            File::new("crates/a/src/planted/deep.rs", "fn b() {}\n"),
            File::new("crates/a/src/plain.rs", "fn c() {}\n"),
            File::new("crates/a/src/plain/tests.rs", "fn d() {}\n"),
            File::new("crates/a/tests/it/main.rs", "fn e() {}\n"),
        ]);
        let counts: Vec<_> = tree
            .files()
            .iter()
            .map(|file| (file.name(), file.rust.as_ref().unwrap().code_lines()))
            .collect();
        assert_eq!(
            counts,
            [
                ("lib.rs", 1),
                ("plain.rs", 1),
                ("tests.rs", 0),
                ("planted.rs", 0),
                ("deep.rs", 0),
                ("main.rs", 0)
            ]
        );
    }
}
