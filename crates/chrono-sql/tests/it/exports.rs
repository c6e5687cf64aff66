//! Exports: every tick once, in order, filtered.

use std::io;

use chrono_domain::{Source, Symbol, Timestamp};
use chrono_sql::{Export, Format, ReadError};
use chrono_storage::Detail;

use crate::store::{NOW, Server, tick};

fn all(format: Format) -> Export {
    Export {
        symbols: Vec::new(),
        source: None,
        from: Timestamp::MIN,
        to: Timestamp::MAX,
        detail: Detail::WithMetadata,
        format,
    }
}

fn filled() -> Server {
    let server = Server::start();
    let symbols = ["B/USD", "-1/2"];
    let ticks =
        (0..10).map(|at| tick(symbols[at % 2], "x", NOW + 9 - i64::try_from(at).unwrap(), "1.50"));
    server.append(ticks.collect());
    server.seal();
    server.append(vec![tick("B/USD", "y", NOW + 2, "2")]);
    server
}

fn export(server: &Server, wanted: &Export) -> Result<String, ReadError> {
    let (mut out, mut told) = (Vec::new(), 0);
    let count = server.archive().export(wanted, &mut out, &mut |so_far| told = so_far)?;
    assert_eq!(count, told);
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn an_export_is_what_a_statement_answers() {
    let server = filled();
    let of = |condition: &str| {
        let sql =
            format!("SELECT * FROM price_feeds WHERE {condition} ORDER BY symbol, timestamp, id");
        server.query(&sql).unwrap()
    };
    let everything = all(Format::Csv);
    assert_eq!(export(&server, &everything).unwrap(), of("true"));
    let b = vec![Symbol::try_new("B/USD").unwrap()];
    let one = Export { symbols: b, ..everything.clone() };
    assert_eq!(export(&server, &one).unwrap(), of("symbol = 'B/USD'"));
    let source = Export { source: Some(Source::try_new("y").unwrap()), ..everything.clone() };
    assert_eq!(export(&server, &source).unwrap(), of("source = 'y'"));
    let at = |micros| Timestamp::from_micros(NOW + micros).unwrap();
    let range = Export { from: at(2), to: at(4), ..everything };
    let (from, to) = (at(2).sortable_text(), at(4).sortable_text());
    assert_eq!(
        export(&server, &range).unwrap(),
        of(&format!("timestamp BETWEEN '{from}' AND '{to}'"))
    );
    let reversed = export(&server, &Export { from: at(4), to: at(2), ..range });
    assert!(matches!(reversed, Err(ReadError::Reversed { .. })), "{reversed:?}");
}

#[test]
fn a_line_is_a_feed_and_more() {
    let server = Server::start();
    server.append(vec![tick("-1/2", "x", 6, "67230.00"), tick("-1/2", "x", 7, "1")]);
    let lines = export(&server, &all(Format::Ndjson)).unwrap();
    let first = r#"{"id":1,"symbol":"-1/2","price":"67230.00","volume":"0.10","timestamp":"1970-01-01T00:00:00.000006Z","source":"x","ingested_at":"2025-10-09T12:34:56.789000Z","worker_id":"w-1","metadata":{"at":6,"q":"a\"b"}}"#;
    assert_eq!(lines.lines().next(), Some(first));
    assert!(lines.ends_with("\"volume\":null,\"timestamp\":\"1970-01-01T00:00:00.000007Z\",\"source\":\"x\",\"ingested_at\":\"2025-10-09T12:34:56.789000Z\",\"worker_id\":\"w-1\",\"metadata\":null}\n"));
    let plain = Export { detail: Detail::Plain, ..all(Format::Ndjson) };
    assert!(!export(&server, &plain).unwrap().contains("metadata"));
    let csv = export(&server, &Export { detail: Detail::Plain, ..all(Format::Csv) }).unwrap();
    assert!(csv.contains("\r\n1,'-1/2,67230.00,0.10,"), "{csv}");
}

#[test]
fn a_name_without_a_tick_is_an_error_and_an_empty_store_is_none() {
    let server = Server::start();
    assert_eq!(export(&server, &all(Format::Ndjson)).unwrap(), "");
    let b = vec![Symbol::try_new("B/USD").unwrap()];
    let unknown = export(&server, &Export { symbols: b, ..all(Format::Csv) }).unwrap_err();
    assert!(unknown.to_string().contains("B/USD"), "{unknown}");
}

/// Takes some bytes, as `head` does, and closes.
struct Pipe(usize);

impl io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_pipe_is_told_from_other_failures() {
    let server = filled();
    for format in [Format::Csv, Format::Ndjson, Format::Table] {
        let failed =
            server.archive().export(&all(format), &mut Pipe(100), &mut |_| ()).unwrap_err();
        assert!(failed.is_closed_pipe(), "{failed:?}");
        let failed = server.archive().query("SELECT * FROM price_feeds", format, &mut Pipe(100));
        assert!(failed.unwrap_err().is_closed_pipe());
    }
    assert!(!ReadError::Missing("x".into()).is_closed_pipe());
}
