//! The grammar of `sql` and `export`.

use std::path::PathBuf;

use chrono_domain::{Source, Symbol, Timestamp};
use chrono_sql::{Export, Format};
use chrono_storage::Detail;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

const SQL_HELP: &str = "\
Tables:
  price_feeds        id INTEGER, symbol, price, volume, timestamp, source, ingested_at, worker_id, metadata, all TEXT
  aggregated_prices, delegations, symbols, sources, workers: SELECT sql FROM store.sqlite_schema shows their columns

Prices and volumes are TEXT with every digit that was sent. As texts '9' > '10': to compare or sum them as numbers, with
the rounding of floating point, write CAST(price AS REAL) > 10. Times of price_feeds are RFC 3339 with six decimals and
compare as texts: timestamp >= '2025-10-09' AND timestamp < '2025-10-10T12'. Elsewhere they are microseconds since 1970.

Conditions on symbol, source and timestamp read only what they name, and ORDER BY timestamp of one symbol sorts
nothing. Without a symbol every tick is read, symbol by symbol.

  chrono-api sql \"SELECT timestamp, price, source FROM price_feeds WHERE symbol = 'BTC/USD' ORDER BY timestamp DESC LIMIT 10\"";

const EXPORT_HELP: &str = "\
Ticks go out by symbol, then time. A line of NDJSON is a feed as batches hold it, with id, ingested_at and worker_id:
`chrono-worker replay FILE --keep-ticker-volume` posts it to a gateway, which gives these three anew. In CSV, after RFC
4180, a text that a spreadsheet would run as a formula begins with '.";

/// A statement to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlRequest {
    /// The statement.
    pub statement: String,
    /// In which form; by default as suits where it goes.
    pub format: Option<Format>,
}

/// Ticks to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRequest {
    /// Which, and in which form.
    pub export: Export,
    /// To which file; without it to standard output.
    pub output: Option<PathBuf>,
}

pub(super) fn sql_command() -> Command {
    let format = Arg::new("format")
        .long("format")
        .value_parser(["table", "csv", "ndjson"])
        .help("How rows are written; by default table on a terminal, else csv");
    let statement = Arg::new("statement").required(true).value_name("SELECT");
    Command::new("sql")
        .about("Answer a SELECT about what is stored, beside a running gateway or without one")
        .arg(statement.help("One reading statement"))
        .arg(format)
        .after_help(SQL_HELP)
}

pub(super) fn export_command() -> Command {
    let flag =
        |name: &'static str, value, help| Arg::new(name).long(name).value_name(value).help(help);
    let symbol = flag("symbol", "BASE/QUOTE", "Only this symbol; may be repeated");
    let time = Timestamp::parse_query;
    let format = flag("format", "FORM", "csv or ndjson").value_parser(["csv", "ndjson"]);
    Command::new("export")
        .about("Write ticks as CSV or NDJSON, beside a running gateway or without one")
        .arg(symbol.action(ArgAction::Append).value_parser(Symbol::parse_query))
        .arg(flag("source", "NAME", "Only this source").value_parser(Source::try_new))
        .arg(flag("from", "TIME", "First moment, inclusive: RFC 3339 or epoch").value_parser(time))
        .arg(flag("to", "TIME", "Last moment, inclusive: RFC 3339 or epoch").value_parser(time))
        .arg(format.default_value("ndjson"))
        .arg(
            flag(
                "output",
                "FILE",
                "Write this file, which appears once it is whole; without it standard output",
            )
            .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            Arg::new("metadata")
                .long("metadata")
                .action(ArgAction::SetTrue)
                .help("Write metadata, too"),
        )
        .after_help(EXPORT_HELP)
}

pub(super) fn sql_request(found: &ArgMatches) -> SqlRequest {
    let statement = found.get_one::<String>("statement").cloned().unwrap_or_default();
    SqlRequest { statement, format: format(found) }
}

pub(super) fn export_request(found: &ArgMatches) -> ExportRequest {
    let time = |name: &str| found.get_one::<Timestamp>(name).copied();
    let symbols = found.get_many::<Symbol>("symbol").unwrap_or_default().copied();
    let export = Export {
        symbols: symbols.collect(),
        source: found.get_one::<Source>("source").copied(),
        from: time("from").unwrap_or(Timestamp::MIN),
        to: time("to").unwrap_or(Timestamp::MAX),
        detail: if found.get_flag("metadata") { Detail::WithMetadata } else { Detail::Plain },
        format: format(found).unwrap_or(Format::Ndjson),
    };
    ExportRequest { export, output: found.get_one::<PathBuf>("output").cloned() }
}

fn format(found: &ArgMatches) -> Option<Format> {
    match found.get_one::<String>("format")?.as_str() {
        "table" => Some(Format::Table),
        "csv" => Some(Format::Csv),
        _ => Some(Format::Ndjson),
    }
}
