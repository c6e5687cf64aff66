//! The table of sizes, a line per crate.

use std::collections::BTreeMap;
use std::fmt;

use super::rust::Function;
use super::tree::File;

/// What is measured of a crate.
#[derive(Debug, Default)]
struct Sizes {
    code_lines: usize,
    longest_file: (usize, String),
    functions: Vec<Function>,
}

/// Prints code lines, longest file, longest and median function of each crate, tests apart.
pub fn table(files: &[File]) -> String {
    let mut crates: BTreeMap<&str, Sizes> = BTreeMap::new();
    for file in files {
        let Some(rust) = &file.rust else { continue };
        let sizes = crates.entry(file.crate_dir()).or_default();
        let lines = rust.code_lines();
        sizes.code_lines += lines;
        sizes.functions.extend(rust.functions());
        if lines > sizes.longest_file.0 {
            let below = file.path.strip_prefix(file.crate_dir()).unwrap_or(&file.path);
            sizes.longest_file = (lines, below.trim_start_matches('/').to_owned());
        }
    }
    let head = format!(
        "{:<24}{:>7}  {:<40}{:<40}{:>6}\n",
        "crate", "lines", "longest file", "longest function", "median"
    );
    let rows = crates.iter().map(|(name, sizes)| format!("{name:<24}{sizes}\n"));
    head + &rows.collect::<String>()
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lines, path) = &self.longest_file;
        let file = format!("{lines} {path}");
        let longest = self.functions.iter().max_by_key(|function| function.lines);
        let function = longest
            .map_or_else(String::new, |longest| format!("{} {}", longest.lines, longest.name));
        let median = median(&self.functions);
        write!(f, "{:>7}  {file:<40}{function:<40}{median:>6}", self.code_lines)
    }
}

/// The median length; of an even count the upper of the middle two.
fn median(functions: &[Function]) -> usize {
    let mut lengths: Vec<_> = functions.iter().map(|function| function.lines).collect();
    lengths.sort_unstable();
    lengths.get(lengths.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_each_crate() {
        let files = [
            File::new("crates/a/src/lib.rs", "//! A.\nmod b;\n"),
            File::new(
                "crates/a/src/b.rs",
                "//! B.\nfn one() {\n    x();\n    y();\n}\nfn two() {}\n",
            ),
            File::new("crates/a/tests/it/main.rs", "//! T.\nfn long() {\n1;\n2;\n3;\n}\n"),
            File::new("migrations/lib.rs", "//! M.\n"),
        ];
        let table = table(&files);
        let rows: Vec<Vec<_>> =
            table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[1], ["crates/a", "6", "5", "src/b.rs", "2", "one", "2"]);
        assert_eq!(rows[2], ["migrations", "0", "0", "0"]);
        assert_eq!(rows.len(), 3);
    }
}
