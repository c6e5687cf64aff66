//! Migrations and decisions are numbered from 1 without a hole, so that the last number is a count.

use std::collections::BTreeMap;

use super::finding::Finding;
use super::tree::File;

/// Where numbered files are, how they end, what stands behind the number, and which are not.
struct Series {
    below: &'static str,
    end: &'static str,
    mark: char,
    index: &'static str,
}

const SERIES: &[Series] = &[
    Series { below: "migrations", end: ".sql", mark: '_', index: "" },
    Series { below: "docs/adr", end: ".md", mark: '-', index: "README.md" },
];

/// Checks each directory of each series.
pub fn check(files: &[File]) -> Vec<Finding> {
    SERIES.iter().flat_map(|series| series.check(files)).collect()
}

impl Series {
    fn check(&self, files: &[File]) -> Vec<Finding> {
        let mut directories: BTreeMap<&str, Vec<&File>> = BTreeMap::new();
        for file in files.iter().filter(|file| self.holds(file)) {
            let directory = file.path.strip_suffix(file.name()).unwrap_or_default();
            directories.entry(directory).or_default().push(file);
        }
        directories.values().flat_map(|files| self.in_order(files)).collect()
    }

    fn holds(&self, file: &File) -> bool {
        file.is_below(self.below) && file.name().ends_with(self.end) && file.name() != self.index
    }

    /// `files` are in the order of their paths, so that the first wrong number is the hole.
    fn in_order(&self, files: &[&File]) -> Vec<Finding> {
        let expected = (1..).zip(files);
        let wrong = expected.filter(|(number, file)| self.number_of(file.name()) != Some(*number));
        wrong
            .map(|(number, file)| {
                let Self { mark, end, .. } = self;
                let message =
                    format!("expected {number:04}{mark}name{end}: numbered from 1 without a hole");
                Finding::new(&file.path, 1, "numbered", message)
            })
            .collect()
    }

    /// The number of `0007_name.sql`.
    fn number_of(&self, name: &str) -> Option<u32> {
        let (digits, rest) = name.split_once(self.mark)?;
        let is_number = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && rest != self.end { digits.parse().ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(names: &[&str]) -> usize {
        let file = |name| File::new(&format!("migrations/sqlite/{name}"), "");
        let mut files: Vec<_> = names.iter().map(file).collect();
        files.push(File::new("migrations/postgres/0001_start.sql", ""));
        files.push(File::new("migrations/lib.rs", ""));
        check(&files).len()
    }

    #[test]
    fn numbers_without_a_hole_are_fine() {
        assert_eq!(faults(&["0001_start.sql", "0002_candles.sql"]), 0);
    }

    #[test]
    fn sees_holes_doubles_and_names_without_a_number() {
        assert_eq!(faults(&["0001_start.sql", "0003_candles.sql"]), 1);
        assert_eq!(faults(&["0001_start.sql", "0001_other.sql"]), 1);
        assert_eq!(faults(&["0002_start.sql"]), 1);
        assert_eq!(faults(&["start.sql"]), 1);
        assert_eq!(faults(&["1_start.sql"]), 1);
    }

    #[test]
    fn decisions_are_numbered_beside_their_index() {
        let file = |name: &str| File::new(&format!("docs/adr/{name}"), "");
        let mut files = vec![file("0001-first.md"), file("0002-second.md"), file("README.md")];
        assert!(check(&files).is_empty());
        files.remove(0);
        assert_eq!(
            check(&files).iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "docs/adr/0002-second.md:1: numbered: expected 0001-name.md: numbered from 1 without a hole"
            ]
        );
    }
}
