//! What a check says about a place in the tree.

use std::fmt;

/// A broken rule, with the place where it is broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    path: String,
    line: usize,
    rule: &'static str,
    message: String,
}

impl Finding {
    /// Names a broken rule at a line, counted from 1.
    pub fn new(path: &str, line: usize, rule: &'static str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, rule, message: message.into() }
    }

    /// The line, counted from 1.
    #[cfg(test)]
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    /// The rule's name.
    #[cfg(test)]
    pub(crate) fn rule(&self) -> &'static str {
        self.rule
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_place_rule_and_reason() {
        let finding = Finding::new("crates/a/src/lib.rs", 7, "module-doc", "no //! here");
        assert_eq!(finding.to_string(), "crates/a/src/lib.rs:7: module-doc: no //! here");
    }
}
