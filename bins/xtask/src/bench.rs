//! `cargo xtask bench`: runs the benchmarks and writes docs/BENCHMARKS.md.
//!
//! Each benchmark prints its figures on standard output, one JSON object a line:
//! `{"bench":"parse","figure":41.2,"unit":"µs","limit":"≤ 60","ratio":0.69,"note":"100 feeds"}`.
//! `limit`, `ratio` and `note` may be missing or null; `limit` may be a number or a text. Other
//! lines are for whoever watches.

mod machine;

use std::{fmt, fs};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::Value;

use self::machine::Machine;
use crate::command;
use crate::workspace::Workspace;

/// Where the report goes.
const REPORT: &str = "docs/BENCHMARKS.md";

/// One measured figure, as a benchmark prints it.
#[derive(Debug, PartialEq, Deserialize)]
struct Row {
    bench: String,
    figure: f64,
    unit: String,
    #[serde(default)]
    limit: Value,
    #[serde(default)]
    ratio: Option<f64>,
    #[serde(default)]
    note: Option<String>,
}

/// Runs the named benchmarks, or all, and writes the report.
///
/// # Errors
/// When a benchmark fails or prints no figure at all.
pub fn run(workspace: &Workspace, names: &[String]) -> anyhow::Result<()> {
    let mut cargo = workspace.cargo(["bench", "--locked", "-p", "chrono-benches"]);
    for name in names {
        cargo.args(["--bench", name]);
    }
    let mut rows = Vec::new();
    let success = command::run_by_line(&mut cargo, |line| {
        println!("{line}");
        rows.extend(read(line));
    })?;
    if !success {
        bail!("a benchmark failed");
    }
    if rows.is_empty() {
        bail!("no benchmark printed a figure");
    }
    let path = workspace.root().join(REPORT);
    let text = report(&Machine::here(workspace), &rows);
    fs::write(&path, text).with_context(|| format!("cannot write {REPORT}"))?;
    println!("{REPORT}: {} figures", rows.len());
    Ok(())
}

fn read(line: &str) -> Option<Row> {
    serde_json::from_str(line).ok()
}

fn report(machine: &Machine, rows: &[Row]) -> String {
    let rows: String = rows.iter().map(ToString::to_string).collect();
    format!(
        "# Benchmarks\n\nWritten by `cargo xtask bench`; each ratio is of two figures of this one \
         run.\n\n{machine}\n| Benchmark | Figure | Unit | Limit | Ratio | Note |\n\
         |---|---:|---|---:|---:|---|\n{rows}"
    )
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bench, figure, unit, limit, ratio, note } = self;
        let limit = plain(limit);
        let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let note = note.as_deref().unwrap_or_default();
        writeln!(f, "| {bench} | {figure} | {unit} | {limit} | {ratio} | {note} |")
    }
}

/// A limit as it was printed, without the quotes of a text.
fn plain(limit: &Value) -> String {
    match limit {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_figures_and_nothing_else() {
        let full = r#"{"bench":"parse","figure":41.25,"unit":"µs","limit":60,"ratio":0.6875,"note":"100 feeds"}"#;
        assert_eq!(read(full).unwrap().limit, 60);
        assert_eq!(read(r#"{"bench":"fold","figure":3,"unit":"µs"}"#).unwrap().ratio, None);
        assert_eq!(read("running 3 benches"), None);
        assert_eq!(read(r#"{"figure":3}"#), None);
    }

    #[test]
    fn reports_a_row_per_figure() {
        let figures = [
            read(r#"{"bench":"parse","figure":41.25,"unit":"µs","limit":"≤ 60","ratio":0.6875}"#),
            read(r#"{"bench":"fold","figure":3,"unit":"µs","limit":null,"note":"100 feeds"}"#),
        ]
        .map(Option::unwrap);
        let text = report(&Machine::default(), &figures);
        assert!(text.contains("| parse | 41.25 | µs | ≤ 60 | 0.69 |  |\n"), "{text}");
        assert!(text.contains("| fold | 3 | µs |  |  | 100 feeds |\n"), "{text}");
    }
}
