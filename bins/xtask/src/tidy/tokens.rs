//! Who may name what: status codes, the environment, backends.

use super::finding::Finding;
use super::rust::{Line, Rust};
use super::tree::File;

/// A kind of word and the places that may use it.
struct Rule {
    name: &'static str,
    says: &'static str,
    /// Whether tests may use it, too.
    tests_may: bool,
    /// Paths that may: a directory, or the beginning of a file's path.
    places: &'static [&'static str],
    finds: fn(&str) -> Option<&str>,
}

const RULES: &[Rule] = &[
    Rule {
        name: "status-at-the-edge",
        says: "only the edge of chrono-api and chrono-client know status codes",
        tests_may: true,
        places: &[
            "bins/chrono-api/src/",
            "crates/chrono-client/",
            "crates/chrono-testkit/",
            "bins/xtask/",
            "benches/",
        ],
        finds: status,
    },
    Rule {
        name: "environment-in-config",
        says: "only chrono-api's config reads the environment",
        tests_may: false,
        // The domain's tests find recorded data by themselves: the test kit stands above it.
        places: &[
            "bins/chrono-api/src/config",
            "crates/chrono-testkit/",
            "crates/chrono-domain/tests/",
            "bins/xtask/",
        ],
        finds: environment,
    },
    Rule {
        name: "backends-in-compose",
        says: "only chrono-api's compose names a backend",
        tests_may: true,
        places: &[
            "bins/chrono-api/src/compose",
            "crates/chrono-storage/",
            "crates/chrono-sql/",
            "crates/chrono-cache/",
            "benches/",
        ],
        finds: backend,
    },
];

/// Words of HTTP's status codes.
const STATUS_WORDS: &[&str] = &["StatusCode", "status_code", "http_status", "HttpStatus"];
/// Statuses that the spec answers with and that are hardly ever another number.
const STATUS_NUMBERS: &[&str] =
    &["401", "403", "404", "405", "409", "413", "415", "422", "429", "502", "503", "504"];
/// Ways to the environment of the process.
const ENVIRONMENT: &[&str] = &["env::var", "env::{var", "env::set_var", "env::remove_var"];
/// Modules of the backends.
const BACKEND_MODULES: &[&str] = &[
    "chrono_storage::sqlite",
    "chrono_storage::postgres",
    "chrono_storage::model",
    "chrono_cache::memory",
    "chrono_cache::redis",
];
/// Backends' types begin with the backend and end with the contract.
const BACKEND_NAMES: (&[&str], &[&str]) = (
    &["Sqlite", "Postgres", "Model", "Memory", "Redis"],
    &["Store", "Storage", "Backend", "Cache", "Bus", "Book", "Counters", "Limiter"],
);

/// Checks one file.
pub fn check(file: &File) -> Vec<Finding> {
    let Some(rust) = &file.rust else { return Vec::new() };
    RULES.iter().filter(|rule| !rule.allows(file)).flat_map(|rule| rule.check(file, rust)).collect()
}

impl Rule {
    fn allows(&self, file: &File) -> bool {
        self.places.iter().any(|place| file.path.starts_with(place))
    }

    fn check(&self, file: &File, rust: &Rust) -> Vec<Finding> {
        let lines = rust.lines().filter(|line| !(line.is_test && self.tests_may));
        lines.filter_map(|line| self.check_line(file, line)).collect()
    }

    fn check_line(&self, file: &File, line: Line<'_>) -> Option<Finding> {
        let word = (self.finds)(line.code)?;
        let message = format!("`{word}`: {}", self.says);
        Some(Finding::new(&file.path, line.number, self.name, message))
    }
}

fn status(code: &str) -> Option<&str> {
    words(code).find(|word| STATUS_WORDS.contains(word) || STATUS_NUMBERS.contains(word))
}

fn environment(code: &str) -> Option<&str> {
    ENVIRONMENT.iter().copied().find(|way| code.contains(way))
}

fn backend(code: &str) -> Option<&str> {
    let module = BACKEND_MODULES.iter().copied().find(|module| code.contains(module));
    module.or_else(|| words(code).find(|word| is_backend(word)))
}

fn is_backend(word: &str) -> bool {
    let (backends, contracts) = BACKEND_NAMES;
    backends.iter().any(|backend| {
        word.strip_prefix(backend)
            .is_some_and(|rest| contracts.iter().any(|contract| rest.ends_with(contract)))
    })
}

/// Identifiers and whole numbers; a number with a point keeps it, and so is none of ours.
fn words(code: &str) -> impl Iterator<Item = &str> {
    let pieces =
        code.split(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == '.'));
    pieces.flat_map(|piece| {
        let is_decimal = piece.starts_with(|letter: char| letter.is_ascii_digit());
        let apart = if is_decimal { '\0' } else { '.' };
        piece.split(apart).filter(|word| !word.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        check(&File::new(path, text)).iter().map(|found| (found.rule(), found.line())).collect()
    }

    #[test]
    fn sees_a_status_below_the_edge() {
        for code in
            ["hyper::StatusCode::OK", "let a = 503;", "match b { 404 => {} }", "x.status_code"]
        {
            let text = format!("//! A.\n{code}\n");
            assert_eq!(rules("crates/chrono-query/src/a.rs", &text), [("status-at-the-edge", 2)]);
            assert!(rules("bins/chrono-api/src/a.rs", &text).is_empty());
            assert!(rules("crates/chrono-client/src/a.rs", &text).is_empty());
            assert!(rules("crates/chrono-query/tests/it/a.rs", &text).is_empty());
        }
    }

    #[test]
    fn other_numbers_strings_and_comments_are_no_status() {
        let text = "// 404\nlet a = \"StatusCode\"; let b = 0.404 + 1_503 + 404.5;\n";
        assert!(rules("crates/chrono-query/src/a.rs", text).is_empty());
    }

    #[test]
    fn sees_the_environment_outside_config_in_tests_too() {
        for code in
            ["std::env::var(\"A\")", "env::vars()", "env::var_os(a)", "use std::env::{var, x};"]
        {
            assert_eq!(
                rules("crates/chrono-auth/tests/it/a.rs", code),
                [("environment-in-config", 1)]
            );
            assert!(rules("bins/chrono-api/src/config/source.rs", code).is_empty());
            assert!(rules("crates/chrono-testkit/src/a.rs", code).is_empty());
        }
        assert!(rules("crates/chrono-auth/src/a.rs", "env!(\"A\")").is_empty());
    }

    #[test]
    fn sees_a_backend_outside_compose() {
        for code in
            ["SqliteStore::open()", "use chrono_cache::memory::X;", "MemoryBus", "ModelTickStore"]
        {
            for place in ["crates/chrono-ingest/src/a.rs", "bins/chrono-api/src/routes.rs"] {
                assert_eq!(rules(place, code), [("backends-in-compose", 1)], "{code}");
            }
            assert!(rules("bins/chrono-api/src/compose/store.rs", code).is_empty());
            assert!(rules("crates/chrono-storage/src/sqlite.rs", code).is_empty());
            assert!(rules("crates/chrono-ingest/src/a/tests.rs", code).is_empty());
        }
        assert!(rules("crates/chrono-ingest/src/a.rs", "dyn TickStore, MemoryLimit").is_empty());
    }
}
