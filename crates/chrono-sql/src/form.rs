//! Rows as text: a table for eyes, CSV for spreadsheets, NDJSON for programs.

mod aligned;
mod csv;
mod ndjson;

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

use aligned::Aligned;
use csv::Csv;
use ndjson::Ndjson;

/// Bytes gathered before they are written.
const BUFFER: usize = 64 << 10;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Columns under each other, for eyes; wide as its first thousand rows ask for.
    Table,
    /// RFC 4180 with a header; no value is empty, and a text that a spreadsheet would run begins with `'`.
    Csv,
    /// A JSON object a line.
    Ndjson,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell<'c> {
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'c, str>),
    /// A text that is JSON already.
    Json(&'c str),
    Blob(&'c [u8]),
}

/// Rows on their way out.
pub(crate) trait Form {
    /// Writes a row, or keeps it for a while.
    fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()>;

    /// Writes what is still kept.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

impl Format {
    /// Begins with the names of the columns.
    pub(crate) fn begin<'o>(
        self,
        names: &[String],
        out: &'o mut dyn Write,
    ) -> io::Result<Box<dyn Form + 'o>> {
        let out = BufWriter::with_capacity(BUFFER, out);
        Ok(match self {
            Self::Table => Box::new(Aligned::begin(names, out)),
            Self::Csv => Box::new(Csv::begin(names, out)?),
            Self::Ndjson => Box::new(Ndjson::begin(names, out)?),
        })
    }
}

impl Cell<'_> {
    /// Gives the value as people read it; none is empty.
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Null => Cow::Borrowed(""),
            Self::Integer(number) => number.to_string().into(),
            Self::Real(number) => number.to_string().into(),
            Self::Text(text) => Cow::Borrowed(text.as_ref()),
            Self::Json(text) => Cow::Borrowed(text),
            Self::Blob(bytes) => hex(bytes).into(),
        }
    }
}

/// Writes bytes as SQL does.
fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
    let digits = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    format!("x'{}'", digits.collect::<String>())
}
