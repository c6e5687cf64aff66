//! Finds functions and measures them as clippy's `too_many_lines` does.

/// A function with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of its `fn`, counted from 1.
    pub line: usize,
    /// Lines of its body that hold code, the braces' own lines apart; at least 1.
    pub lines: usize,
}

/// All functions of a masked text, nested ones after those that hold them.
pub(super) fn find(code: &str) -> Vec<Function> {
    let starts = code.match_indices("fn ").filter(|(at, _)| {
        let before = code.get(..*at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
    });
    starts.filter_map(|(at, keyword)| measure(code, at, at + keyword.len())).collect()
}

fn measure(code: &str, start: usize, after: usize) -> Option<Function> {
    let rest = code.get(after..)?;
    let name: String =
        rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    if name.is_empty() {
        return None;
    }
    let (open, close) = body(rest)?;
    let inside = rest.get(open + 1..close)?;
    // The first and the last piece share their lines with the braces.
    let pieces: Vec<_> = inside.split('\n').collect();
    let inner = pieces.get(1..pieces.len().saturating_sub(1)).unwrap_or_default();
    let lines = inner.iter().filter(|line| !line.trim().is_empty()).count().max(1);
    let line = code.get(..start)?.matches('\n').count() + 1;
    Some(Function { name, line, lines })
}

/// Where a function's braces are, seen from its name; none for a declaration.
fn body(rest: &str) -> Option<(usize, usize)> {
    let mut brackets = 0_usize;
    let mut open = None;
    let mut depth = 0_usize;
    for (at, byte) in rest.bytes().enumerate() {
        match (byte, open) {
            (b'(' | b'[', None) => brackets += 1,
            (b')' | b']', None) => brackets = brackets.saturating_sub(1),
            (b';', None) if brackets == 0 => return None,
            (b'{', None) if brackets == 0 => {
                open = Some(at);
                depth = 1;
            }
            (b'{', Some(_)) => depth += 1,
            (b'}', Some(open)) => {
                depth -= 1;
                if depth == 0 {
                    return Some((open, at));
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(code: &str) -> Vec<(String, usize, usize)> {
        find(code).into_iter().map(|found| (found.name, found.line, found.lines)).collect()
    }

    #[test]
    fn counts_the_lines_between_the_braces() {
        let code = "pub fn one(\n    a: [u8; 2],\n) -> u8 {\n    a();\n\n    b()\n}\nfn two() {}\nfn three() { x() }\n";
        assert_eq!(
            sizes(code),
            [("one".into(), 1, 2), ("two".into(), 8, 1), ("three".into(), 9, 1)]
        );
    }

    #[test]
    fn declarations_and_pointers_are_no_functions() {
        let code = "trait T {\n    fn declared(&self) -> [u8; 2];\n}\ntype P = fn(u8) -> u8;\nlet often = 1;\n";
        assert!(sizes(code).is_empty());
    }

    #[test]
    fn a_nested_function_counts_in_both() {
        let code = "fn outer() {\n    fn inner() {\n        x();\n    }\n    inner()\n}\n";
        assert_eq!(sizes(code), [("outer".into(), 1, 4), ("inner".into(), 2, 1)]);
    }

    #[test]
    fn clauses_and_closures_do_not_end_it() {
        let code = "fn f<T>(t: T) -> impl Fn(u8)\nwhere\n    T: Fn(u8),\n{\n    move |x| {\n        t(x);\n    }\n}\n";
        assert_eq!(sizes(code), [("f".into(), 1, 3)]);
    }
}
