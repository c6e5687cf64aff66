//! A JSON object a line.

use std::io::{self, Write};

use super::{Cell, Form, hex};

pub(super) struct Ndjson<W> {
    /// The names as JSON.
    names: Vec<String>,
    out: W,
}

impl<W: Write> Ndjson<W> {
    pub(super) fn begin(names: &[String], out: W) -> io::Result<Self> {
        let names: Result<Vec<String>, _> = names.iter().map(serde_json::to_string).collect();
        Ok(Self { names: names?, out })
    }
}

impl<W: Write> Form for Ndjson<W> {
    fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        for (place, (name, cell)) in self.names.iter().zip(cells).enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            write!(self.out, "{before}{name}:")?;
            value(cell, &mut self.out)?;
        }
        self.out.write_all(b"}\n")
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.out.flush()
    }
}

fn value(cell: &Cell<'_>, out: &mut dyn Write) -> io::Result<()> {
    match cell {
        Cell::Null => out.write_all(b"null"),
        Cell::Integer(number) => write!(out, "{number}"),
        Cell::Real(number) => Ok(serde_json::to_writer(out, number)?),
        Cell::Text(text) => Ok(serde_json::to_writer(out, text)?),
        Cell::Json(text) => out.write_all(text.as_bytes()),
        Cell::Blob(bytes) => Ok(serde_json::to_writer(out, &hex(bytes))?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;

    #[test]
    fn every_kind_of_value_is_json() {
        let mut out = Vec::new();
        let names = ["n", "i", "r", "t", "j", "b", "\""].map(str::to_owned);
        let mut form = Format::Ndjson.begin(&names, &mut out).unwrap();
        let text = |text: &'static str| Cell::Text(text.into());
        let cells = [
            Cell::Null,
            Cell::Integer(-9_007_199_254_740_993),
            Cell::Real(f64::INFINITY),
            text("a\"\n"),
            Cell::Json(r#"{"x":1.10}"#),
            Cell::Blob(&[0]),
            text(""),
        ];
        form.row(&cells).unwrap();
        form.finish().unwrap();
        let line = r#"{"n":null,"i":-9007199254740993,"r":null,"t":"a\"\n","j":{"x":1.10},"b":"x'00'","\"":""}"#;
        assert_eq!(String::from_utf8(out).unwrap(), format!("{line}\n"));
    }
}
