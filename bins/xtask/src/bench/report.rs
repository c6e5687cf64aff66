//! The report: a section per subject, each with the run that it is from.

use super::machine::Machine;
use super::row::Row;

const OPENING: &str = "\
# Benchmarks

`cargo xtask bench` builds what it measures, the release binary included, runs every benchmark and writes this page;
`cargo xtask bench NAME…` runs some and writes their sections anew. `growth` and `cold_build` run by name only.

A limit is what the machine allowed in the same run: contenders are interleaved, figures are medians of five rounds, and
a ratio is the figure divided by the limit. The load generator is ours and runs on the same machine; a latency counts
from the moment its request was to be sent. Compare ratios, not figures, between machines. The gateway runs with
`LOG_LEVEL=warn`, or its line of log for each request would be measured too; the cost under load is with it.
";

const TABLE: &str = "\
| Benchmark | Figure | Limit | Ratio | Budget | | Notes |
|---|---:|---:|---:|---|---|---|
";

/// Gives the report with the sections of these rows in place of those of the same subject, new ones last.
pub(super) fn renew(before: &str, machine: &Machine, rows: &[Row]) -> String {
    let mut sections: Vec<(String, String)> = before.split("\n## ").skip(1).map(parse).collect();
    for subject in subjects(rows) {
        let of_it = rows.iter().filter(|row| row.subject == subject);
        let table: String = of_it.map(ToString::to_string).collect();
        let body = format!("{machine}\n{TABLE}{table}");
        match sections.iter_mut().find(|(title, _)| *title == subject) {
            Some((_, old)) => *old = body,
            None => sections.push((subject.to_owned(), body)),
        }
    }
    let mut text = OPENING.to_owned();
    for (title, body) in sections {
        text.extend(["\n## ", &title, "\n\n", &body]);
    }
    text
}

fn parse(section: &str) -> (String, String) {
    let (title, body) = section.split_once('\n').unwrap_or((section, ""));
    (title.to_owned(), format!("{}\n", body.trim()))
}

fn subjects(rows: &[Row]) -> Vec<&str> {
    let mut subjects: Vec<&str> = Vec::new();
    for row in rows {
        if !subjects.contains(&row.subject.as_str()) {
            subjects.push(&row.subject);
        }
    }
    subjects
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(subject: &str, figure: u32) -> Row {
        let line = format!(
            r#"{{"subject":"{subject}","bench":"b","figure":{figure},"unit":"µs","limit":null,"ratio":null,"budget":null,"met":null,"note":""}}"#
        );
        Row::read(&line).unwrap()
    }

    #[test]
    fn renews_what_ran_and_keeps_the_rest() {
        let machine = Machine::default();
        let first = renew("# Old\n\n| a |\n", &machine, &[row("A", 1), row("B", 2), row("A", 3)]);
        assert!(first.starts_with("# Benchmarks") && !first.contains("Old"), "{first}");
        let a = first.find("## A").unwrap();
        assert!(a < first.find("3.00 µs").unwrap() && first.find("3.00 µs") < first.find("## B"));
        let second = renew(&first, &machine, &[row("A", 4), row("C", 5)]);
        for (text, times) in [("1.00", 0), ("3.00", 0), ("4.00", 1), ("2.00", 1), ("5.00", 1)] {
            assert_eq!(second.matches(text).count(), times, "{text}: {second}");
        }
        assert_eq!(renew(&second, &machine, &[row("A", 4)]), second);
    }
}
