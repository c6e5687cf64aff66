//! A Rust file as the checks see it: code, comments, tests and functions told apart.
//!
//! This is a lexer and a matcher of braces, not a parser: enough to count lines and to find words
//! in code without being fooled by strings and comments, and small enough to be believed.

mod function;
mod mask;
mod test_code;

pub use self::function::Function;
use self::mask::Masked;

/// One file of Rust.
#[derive(Debug)]
pub struct Rust {
    masked: Masked,
    /// For each line, whether it belongs to an item under `#[cfg(test)]`.
    test_lines: Vec<bool>,
}

/// A line of code: comments blank, the insides of strings and characters replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Counted from 1.
    pub number: usize,
    /// The code on it.
    pub code: &'a str,
    /// Whether it belongs to test code.
    pub is_test: bool,
}

impl Rust {
    /// Reads a file's text.
    pub fn new(text: &str) -> Self {
        let masked = Masked::new(text);
        let mut test_lines = vec![false; masked.code.lines().count()];
        if test_code::whole_file(&masked.code) {
            test_lines.fill(true);
        }
        for lines in test_code::items(&masked.code) {
            if let Some(lines) = test_lines.get_mut(lines) {
                lines.fill(true);
            }
        }
        Self { masked, test_lines }
    }

    /// Marks the whole file as test code.
    pub fn mark_as_test(&mut self) {
        self.test_lines.fill(true);
    }

    /// Every line, with what is code on it.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let lines = self.masked.code.lines().zip(&self.test_lines).enumerate();
        lines.map(|(idx, (code, is_test))| Line { number: idx + 1, code, is_test: *is_test })
    }

    /// Every line of the comments, blank where there is none, with its number from 1.
    pub fn comments(&self) -> impl Iterator<Item = (usize, &str)> {
        self.masked.comments.lines().enumerate().map(|(idx, text)| (idx + 1, text))
    }

    /// Lines that hold code, tests apart.
    pub fn code_lines(&self) -> usize {
        self.lines().filter(|line| !line.is_test && !line.code.trim().is_empty()).count()
    }

    /// The functions, tests apart.
    pub fn functions(&self) -> Vec<Function> {
        let mut functions = function::find(&self.masked.code);
        functions.retain(|function| self.test_lines.get(function.line - 1) == Some(&false));
        functions
    }

    /// Names of the modules declared under `#[cfg(test)]` whose code is in a file of its own.
    pub fn test_modules(&self) -> Vec<String> {
        test_code::modules(&self.masked.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_code_and_leaves_tests_comments_and_blanks_out() {
        let rust = Rust::new(
            "//! Doc.\n\nfn one() {\n    // why\n    two();\n}\n\n#[cfg(test)]\nmod tests {\n    fn three() {}\n}\n",
        );
        assert_eq!(rust.code_lines(), 3);
        let names: Vec<_> = rust.functions().into_iter().map(|function| function.name).collect();
        assert_eq!(names, ["one"]);
    }

    #[test]
    fn a_file_under_cfg_test_is_all_test() {
        let rust = Rust::new("//! Doc.\n#![cfg(test)]\nfn one() {}\n");
        assert_eq!(rust.code_lines(), 0);
        assert!(rust.functions().is_empty());
    }
}
