//! Migrations are numbered from 1 without a hole, so that "the version" is a count.

use std::collections::BTreeMap;

use super::finding::Finding;
use super::tree::File;

/// Checks every directory of SQL under `migrations/`.
pub fn check(files: &[File]) -> Vec<Finding> {
    let mut directories: BTreeMap<&str, Vec<&File>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.is_below("migrations")) {
        if let Some((directory, _)) = file.path.rsplit_once('/').filter(|_| is_sql(file)) {
            directories.entry(directory).or_default().push(file);
        }
    }
    directories.values().flat_map(|files| in_order(files)).collect()
}

fn is_sql(file: &File) -> bool {
    file.name().strip_suffix(".sql").is_some()
}

/// `files` are in the order of their paths, so that the first wrong number is the hole.
fn in_order(files: &[&File]) -> Vec<Finding> {
    let expected = (1..).zip(files);
    let wrong = expected.filter(|(number, file)| number_of(file.name()) != Some(*number));
    wrong
        .map(|(number, file)| {
            let message = format!("expected {number:04}_name.sql: numbered from 1 without a hole");
            Finding::new(&file.path, 1, "migration-number", message)
        })
        .collect()
}

/// The number of `0007_name.sql`.
fn number_of(name: &str) -> Option<u32> {
    let (digits, rest) = name.split_once('_')?;
    let is_number = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && rest != ".sql" { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(names: &[&str]) -> Vec<String> {
        let file = |name| File::new(&format!("migrations/sqlite/{name}"), "");
        let mut files: Vec<_> = names.iter().map(file).collect();
        files.push(File::new("migrations/postgres/0001_start.sql", ""));
        files.push(File::new("migrations/lib.rs", ""));
        check(&files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn numbers_without_a_hole_are_fine() {
        assert!(faults(&["0001_start.sql", "0002_candles.sql"]).is_empty());
    }

    #[test]
    fn sees_holes_doubles_and_names_without_a_number() {
        assert_eq!(faults(&["0001_start.sql", "0003_candles.sql"]).len(), 1);
        assert_eq!(faults(&["0001_start.sql", "0001_other.sql"]).len(), 1);
        assert_eq!(faults(&["0002_start.sql"]).len(), 1);
        assert_eq!(faults(&["start.sql"]).len(), 1);
        assert_eq!(faults(&["1_start.sql"]).len(), 1);
    }
}
