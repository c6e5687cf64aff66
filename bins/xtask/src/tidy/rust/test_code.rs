//! Finds the code that only tests compile.

use std::ops::Range;

/// The attribute as rustfmt writes it.
const ATTRIBUTE: &str = "#[cfg(test)]";

/// Whether the file opens with the inner attribute.
pub(super) fn whole_file(code: &str) -> bool {
    code.lines().any(|line| line.trim() == "#![cfg(test)]")
}

/// The lines, counted from 0, of each item under the attribute, which is included.
pub(super) fn items(code: &str) -> Vec<Range<usize>> {
    spans(code)
        .map(|span| {
            let line = |at: usize| code.get(..at).unwrap_or_default().matches('\n').count();
            line(span.start)..line(span.end) + 1
        })
        .collect()
}

/// Names of the modules `#[cfg(test)] mod name;`.
pub(super) fn modules(code: &str) -> Vec<String> {
    let declared = spans(code).filter_map(|span| {
        let item = code.get(span)?.strip_suffix(';')?;
        let (before, name) = item.rsplit_once("mod ")?;
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (is_name && !before.contains('{')).then(|| name.to_owned())
    });
    declared.collect()
}

/// The bytes of each item under the attribute; an item inside another comes on its own, too.
fn spans(code: &str) -> impl Iterator<Item = Range<usize>> {
    code.match_indices(ATTRIBUTE).map(|(start, _)| start..item_end(code, start))
}

/// Where the item that starts at `start` (with its attributes) ends: after its `;` or its braces.
fn item_end(code: &str, start: usize) -> usize {
    let (mut brackets, mut braces) = (0_usize, 0_usize);
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets = brackets.saturating_sub(1),
            b'{' => braces += 1,
            b'}' => {
                braces = braces.saturating_sub(1);
                if braces == 0 {
                    return at + 1;
                }
            }
            b';' if brackets == 0 && braces == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_runs_to_its_closing_brace() {
        let code = "fn a() {}\n#[cfg(test)]\n#[expect(x)]\nmod tests {\n  fn b() { [1; 2]; }\n}\nfn c() {}\n";
        assert!(items(code).iter().eq([&(1..6)]));
    }

    #[test]
    fn an_item_without_braces_ends_at_its_semicolon() {
        let code =
            "#[cfg(test)]\nmod tests;\nfn a() {}\n#[cfg(test)]\nuse a::b;\nconst X: u8 = 1;\n";
        assert_eq!(items(code), [0..2, 3..5]);
        assert_eq!(modules(code), ["tests"]);
    }

    #[test]
    fn a_module_with_a_body_is_in_no_other_file() {
        assert!(modules("#[cfg(test)]\nmod tests {\n    mod x;\n}\n").is_empty());
    }

    #[test]
    fn the_inner_attribute_covers_the_file() {
        assert!(whole_file("#![cfg(test)]\nuse a;"));
        assert!(!whole_file("#[cfg(test)]\nuse a;"));
    }
}
