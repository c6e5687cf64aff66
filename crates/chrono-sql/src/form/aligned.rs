//! Columns under each other, for eyes.

use std::io::{self, Write};

use super::{Cell, Form};

/// Rows that are looked at for the widths of columns; later ones may stick out.
const LOOKED_AT: usize = 1_000;
/// What stands between columns.
const GAP: &str = "  ";

pub(super) struct Aligned<W> {
    widths: Vec<usize>,
    /// The names and the first rows; none any more once they are written.
    kept: Option<Vec<Vec<String>>>,
    out: W,
}

impl<W: Write> Aligned<W> {
    pub(super) fn begin(names: &[String], out: W) -> Self {
        let names: Vec<String> = names.iter().map(|name| shown(name)).collect();
        let widths: Vec<usize> = names.iter().map(|name| name.chars().count()).collect();
        Self { widths, kept: Some(vec![names]), out }
    }

    fn write(&mut self, row: &[String]) -> io::Result<()> {
        let last = row.len().saturating_sub(1);
        for (place, (text, width)) in row.iter().zip(&self.widths).enumerate() {
            if place == last {
                // Nothing trails.
                write!(self.out, "{text}")?;
            } else {
                write!(self.out, "{text:<width$}{GAP}")?;
            }
        }
        self.out.write_all(b"\n")
    }

    fn write_kept(&mut self) -> io::Result<()> {
        let kept = self.kept.take().unwrap_or_default();
        let rule: Vec<String> = self.widths.iter().map(|width| "-".repeat(*width)).collect();
        for (place, row) in kept.iter().enumerate() {
            self.write(row)?;
            if place == 0 {
                self.write(&rule)?;
            }
        }
        Ok(())
    }
}

impl<W: Write> Form for Aligned<W> {
    fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        let row: Vec<String> = cells.iter().map(|cell| shown(&cell.text())).collect();
        let Some(kept) = &mut self.kept else { return self.write(&row) };
        for (width, text) in self.widths.iter_mut().zip(&row) {
            *width = text.chars().count().max(*width);
        }
        kept.push(row);
        if kept.len() > LOOKED_AT { self.write_kept() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        if self.kept.is_some() {
            self.write_kept()?;
        }
        self.out.flush()
    }
}

/// Escapes what would move a terminal's cursor: metadata is whatever a worker sent.
fn shown(text: &str) -> String {
    let escape = |letter: char| {
        if letter.is_control() { letter.escape_default().to_string() } else { letter.to_string() }
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;

    fn table(rows: usize) -> String {
        let mut out = Vec::new();
        let names = ["a", "long"].map(str::to_owned);
        let mut form = Format::Table.begin(&names, &mut out).unwrap();
        for row in 0..rows {
            let text = if row == 1 { "x\u{1b}[2J\n" } else { "é" };
            form.row(&[Cell::Text(text.into()), Cell::Integer(5)]).unwrap();
        }
        form.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_stand_under_each_other_and_control_characters_do_nothing() {
        assert_eq!(table(0), "a  long\n-  ----\n");
        let line = "é             5\n";
        assert_eq!(
            table(3),
            format!("a             long\n------------  ----\n{line}x\\u{{1b}}[2J\\n  5\n{line}")
        );
    }

    #[test]
    fn a_long_answer_is_written_whole() {
        let text = table(LOOKED_AT * 3);
        assert_eq!(text.lines().count(), LOOKED_AT * 3 + 2);
    }
}
