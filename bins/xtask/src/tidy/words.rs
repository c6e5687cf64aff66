//! What no file may say: that it is unfinished, or where it was written.

use std::path::Path;

use super::finding::Finding;
use super::rust::Rust;
use super::tree::File;

/// Words that mark something unfinished. Spelt in pieces here and below, so that this file passes.
const MARKERS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
/// Code that is unfinished, or a test that does not run.
const UNFINISHED: &[&str] = &["todo!", "unimplemented!", "#[ignore"];
/// Directories of a machine, and the settings by which a registry's mirror gets in.
const MACHINE: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/fa", "rm/"),
    concat!("/ro", "ot/"),
    concat!("replace", "-with"),
    concat!("index", "-url"),
    concat!("sparse", "+http"),
];
/// Files made by tools, whose words are not ours.
const GENERATED: &[&str] = &["Cargo.lock"];

/// Checks one file.
pub fn check(file: &File) -> Vec<Finding> {
    if GENERATED.contains(&file.name()) {
        return Vec::new();
    }
    let mut findings = machine(file);
    match &file.rust {
        Some(rust) => findings.extend(unfinished_rust(file, rust)),
        None if is_prose_or_script(file) => {
            let lines = file.text.lines().enumerate().map(|(idx, line)| (idx + 1, line));
            findings.extend(lines.filter_map(|(number, line)| marker(file, number, line)));
        }
        None => {}
    }
    findings
}

fn machine(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (idx, line) in file.text.lines().enumerate() {
        for word in MACHINE.iter().filter(|word| line.contains(**word)) {
            let message = format!("`{word}` means something on one machine only");
            findings.push(Finding::new(&file.path, idx + 1, "no-machine", message));
        }
    }
    findings
}

fn unfinished_rust(file: &File, rust: &Rust) -> Vec<Finding> {
    let mut findings: Vec<_> =
        rust.comments().filter_map(|(number, text)| marker(file, number, text)).collect();
    for line in rust.lines() {
        for word in UNFINISHED.iter().filter(|word| line.code.contains(**word)) {
            let message = format!("`{word}` is not done: do it, or open an issue");
            findings.push(Finding::new(&file.path, line.number, "finished", message));
        }
    }
    findings
}

fn marker(file: &File, number: usize, text: &str) -> Option<Finding> {
    let mut words = text.split(|letter: char| !letter.is_alphanumeric());
    let word = words.find(|word| MARKERS.contains(word))?;
    let message = format!("`{word}` is not done: do it, or open an issue");
    Some(Finding::new(&file.path, number, "finished", message))
}

/// Everything that people write, by its ending; data files may hold any word.
fn is_prose_or_script(file: &File) -> bool {
    let ends = ["md", "toml", "sql", "sh", "js", "html", "css", "yml", "yaml", "py"];
    let end = Path::new(&file.path).extension().and_then(|end| end.to_str());
    end.is_none_or(|end| ends.contains(&end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        check(&File::new(path, text)).iter().map(|found| (found.rule(), found.line())).collect()
    }

    #[test]
    fn sees_unfinished_code_and_comments() {
        for word in MARKERS {
            assert_eq!(rules("src/a.rs", &format!("a();\n// {word}: b\n")), [("finished", 2)]);
            assert_eq!(rules("README.md", &format!("# A\n\n- {word}\n")), [("finished", 3)]);
            assert_eq!(rules("justfile", &format!("# {word}\n")), [("finished", 1)]);
        }
        for word in UNFINISHED {
            assert_eq!(
                rules("src/a.rs", &format!("fn a() {{\n    {word}\n}}\n")),
                [("finished", 2)]
            );
        }
    }

    #[test]
    fn words_in_strings_and_parts_of_words_are_fine() {
        let [first, .., last] = MARKERS else { panic!("markers") };
        assert!(rules("src/a.rs", &format!("let a = \"{first}\"; // {last}{last}\n")).is_empty());
        assert!(rules("src/a.rs", "// as in todo!\nlet a = \"#[ignore]\";\n").is_empty());
        assert!(rules("data/a.ndjson", &format!("{first}\n")).is_empty());
    }

    #[test]
    fn sees_the_machine_in_any_file() {
        for word in MACHINE {
            assert_eq!(rules("docs/a.md", &format!("see\n{word}x\n")), [("no-machine", 2)]);
            assert_eq!(rules("src/a.rs", &format!("let a = \"{word}x\";\n")), [("no-machine", 1)]);
        }
        assert!(rules("docs/a.md", "work/in progress\n").is_empty());
    }
}
