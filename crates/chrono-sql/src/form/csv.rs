//! CSV after RFC 4180, which no spreadsheet takes for formulas.

use std::borrow::Cow;
use std::io::{self, Write};

use super::{Cell, Form};

/// What a spreadsheet takes for the beginning of a formula, or skips on its way to one.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];
/// What makes it take the rest for text.
const INERT: char = '\'';
/// What asks for quotes.
const SPECIAL: [char; 4] = [',', '"', '\r', '\n'];

pub(super) struct Csv<W> {
    out: W,
}

impl<W: Write> Csv<W> {
    pub(super) fn begin(names: &[String], out: W) -> io::Result<Self> {
        let mut csv = Self { out };
        let names: Vec<Cell<'_>> =
            names.iter().map(|name| Cell::Text(Cow::Borrowed(name.as_str()))).collect();
        csv.row(&names)?;
        Ok(csv)
    }
}

impl<W: Write> Form for Csv<W> {
    fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        for (place, cell) in cells.iter().enumerate() {
            if place > 0 {
                self.out.write_all(b",")?;
            }
            self.out.write_all(field(cell).as_bytes())?;
        }
        self.out.write_all(b"\r\n")
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.out.flush()
    }
}

fn field<'c>(cell: &'c Cell<'_>) -> Cow<'c, str> {
    let text = cell.text();
    let is_text = matches!(cell, Cell::Text(_) | Cell::Json(_));
    let text = if is_text && is_formula(&text) { format!("{INERT}{text}").into() } else { text };
    // An empty text is not no value.
    if (is_text && text.is_empty()) || text.contains(SPECIAL) {
        return format!("\"{}\"", text.replace('"', "\"\"")).into();
    }
    text
}

/// Tells what a spreadsheet would run; a signed number is harmless.
fn is_formula(text: &str) -> bool {
    let is_number = |rest: &str| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    text.starts_with(FORMULA) && !text.strip_prefix(['-', '+']).is_some_and(is_number)
}

#[cfg(test)]
mod tests {
    use chrono_domain::{Source, Symbol, WorkerId};
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> String {
        field(&Cell::Text(text.into())).into_owned()
    }

    #[test]
    fn quotes_what_needs_it_and_tells_no_value_from_an_empty_one() {
        assert_eq!(of("a,b"), "\"a,b\"");
        assert_eq!(of(r#"{"a":1}"#), r#""{""a"":1}""#);
        assert_eq!(of("a\nb"), "\"a\nb\"");
        assert_eq!((of(""), field(&Cell::Null).into_owned()), ("\"\"".to_owned(), String::new()));
        assert_eq!(field(&Cell::Blob(&[1, 255])), "x'01ff'");
    }

    #[test]
    fn makes_formulas_inert_and_leaves_numbers() {
        for formula in ["=1+1", "@SUM(A1)", "+A1", "-1/2", "-", "\tx", "-.A"] {
            assert_eq!(of(formula).trim_matches('"').chars().next(), Some('\''), "{formula}");
        }
        assert_eq!(of("=\"a\"\r"), "\"'=\"\"a\"\"\r\"");
        for number in ["-1.5", "+3", "67230.00", "-0"] {
            assert_eq!(of(number), number);
        }
        assert_eq!(field(&Cell::Integer(-5)), "-5");
    }

    proptest! {
        #[test]
        fn no_name_that_the_gateway_takes_is_a_formula(
            symbol in "[A-Z0-9._-]{1,20}/[A-Z0-9._-]{1,20}",
            source in "[a-z0-9][a-z0-9._-]{0,31}",
            worker in "[A-Za-z0-9][A-Za-z0-9._:-]{0,63}",
        ) {
            prop_assume!(source != "aggregated");
            let symbol = of(Symbol::try_new(&symbol).unwrap().as_str());
            prop_assert!(!symbol.starts_with(FORMULA) && !symbol.contains('"'));
            // These need no mark: their grammar begins with a letter or digit.
            prop_assert_eq!(of(Source::try_new(&source).unwrap().as_str()), source);
            prop_assert_eq!(of(WorkerId::try_new(&worker).unwrap().as_str()), worker);
        }
    }
}
