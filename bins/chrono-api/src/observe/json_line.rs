//! A log line as one JSON object: time, level, the event's fields, target.
//!
//! `tracing-subscriber` has the same format; building it through `serde` costs several times as much, on the path of
//! every request.

use std::error::Error;
use std::fmt::{self, Debug, Write};
use std::iter;

use chrono_domain::{Clock, SystemClock};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Formats events; spans are left out, there are none.
#[derive(Debug)]
pub(super) struct JsonLine {
    clock: SystemClock,
}

impl JsonLine {
    pub(super) fn new() -> Self {
        Self { clock: SystemClock::new() }
    }
}

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (now, meta) = (self.clock.now(), event.metadata());
        write!(line, r#"{{"timestamp":"{now}","level":"{}""#, meta.level())?;
        let mut fields = Fields { line, written: Ok(()) };
        event.record(&mut fields);
        fields.written?;
        fields.text("target", format_args!("{}", meta.target()))?;
        fields.line.write_str("}\n")
    }
}

/// Writes field by field.
struct Fields<W> {
    line: W,
    written: fmt::Result,
}

impl<W: Write> Fields<W> {
    fn text(&mut self, name: &str, value: fmt::Arguments<'_>) -> fmt::Result {
        self.name(name)?;
        self.line.write_str("\"")?;
        Escaped(&mut self.line).write_fmt(value)?;
        self.line.write_str("\"")
    }

    fn plain(&mut self, name: &str, value: fmt::Arguments<'_>) -> fmt::Result {
        self.name(name)?;
        self.line.write_fmt(value)
    }

    fn name(&mut self, name: &str) -> fmt::Result {
        self.line.write_str(",\"")?;
        // Raw identifiers, such as r#type, without their mark.
        Escaped(&mut self.line).write_str(name.strip_prefix("r#").unwrap_or(name))?;
        self.line.write_str("\":")
    }
}

impl<W: Write> Visit for Fields<W> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.written =
            self.written.and_then(|()| self.text(field.name(), format_args!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.written = self.written.and_then(|()| self.text(field.name(), format_args!("{value}")));
    }

    /// With what caused it: the last cause is what whoever reads it has to see to.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let causes = iter::successors(value.source(), |cause| (*cause).source());
        let whole = causes.fold(value.to_string(), |whole, cause| format!("{whole}: {cause}"));
        self.record_str(field, &whole);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.written =
            self.written.and_then(|()| self.plain(field.name(), format_args!("{value}")));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.written =
            self.written.and_then(|()| self.plain(field.name(), format_args!("{value}")));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.written =
            self.written.and_then(|()| self.plain(field.name(), format_args!("{value}")));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let shown = format_args!("{value:?}");
        let shown = if value.is_finite() { shown } else { format_args!("null") };
        self.written = self.written.and_then(|()| self.plain(field.name(), shown));
    }
}

/// Escapes what JSON does not let stand in a string.
struct Escaped<'w, W>(&'w mut W);

impl<W: Write> Write for Escaped<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let special = |letter: char| letter < ' ' || letter == '"' || letter == '\\';
        for piece in text.split_inclusive(special) {
            let plain = piece.strip_suffix(special).unwrap_or(piece);
            self.0.write_str(plain)?;
            match piece.get(plain.len()..).and_then(|rest| rest.chars().next()) {
                None => {}
                Some('\n') => self.0.write_str("\\n")?,
                Some(mark @ ('"' | '\\')) => write!(self.0, "\\{mark}")?,
                Some(control) => write!(self.0, "\\u{:04x}", u32::from(control))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("it")]
    struct Caused(#[source] Box<dyn Error + Send + Sync>);

    fn logged(log: impl FnOnce()) -> serde_json::Value {
        let kept = Kept::default();
        let writer = kept.clone();
        let logs = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .event_format(JsonLine::new())
            .finish();
        tracing::subscriber::with_default(logs, log);
        let line = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        serde_json::from_str(&line).unwrap_or_else(|broken| panic!("{broken}: {line}"))
    }

    #[test]
    fn every_kind_of_field_keeps_its_kind() {
        let cause = "a \"b\"\n\\";
        let error: Box<dyn Error> = Box::new(Caused(cause.into()));
        let line = logged(|| {
            tracing::warn!(
                text = "x\ty\u{1}",
                number = 7_u64,
                below = -7_i64,
                ms = 0.25_f64,
                odd = f64::NAN,
                yes = true,
                none = None::<u64>,
                shown = %"é\"",
                error = &*error,
                "it is {}",
                "so"
            );
        });
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "it is so");
        assert_eq!(line["text"], "x\ty\u{1}");
        assert_eq!((&line["number"], &line["below"]), (&7.into(), &(-7).into()));
        assert_eq!((&line["ms"], &line["odd"]), (&0.25.into(), &serde_json::Value::Null));
        assert_eq!((&line["yes"], line.get("none")), (&true.into(), None));
        assert_eq!(
            (&line["shown"], &line["error"]),
            (&"é\"".into(), &format!("it: {cause}").into())
        );
        assert!(line["target"].as_str().unwrap().contains("json_line"));
        let at = line["timestamp"].as_str().unwrap();
        assert!(chrono_domain::Timestamp::parse_rfc3339(at).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "\\PC{0,20}[\\x00-\\x20\"\\\\]{0,5}\\PC{0,20}") {
            let line = logged(|| tracing::info!(text, "said"));
            prop_assert_eq!(line["text"].as_str(), Some(text.as_str()));
        }
    }
}
