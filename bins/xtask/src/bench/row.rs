//! One measured figure.

use std::fmt;

use serde::Deserialize;

/// One measured figure, as a benchmark prints it.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Row {
    /// The section of the report.
    pub(super) subject: String,
    bench: String,
    figure: f64,
    unit: String,
    /// What the machine allowed in the same run.
    limit: Option<f64>,
    /// The figure divided by the limit.
    ratio: Option<f64>,
    budget: Option<String>,
    met: Option<bool>,
    note: String,
}

impl Row {
    /// Reads a line; none when it is no figure.
    pub(super) fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject: _, bench, figure, unit, limit, ratio, budget, met, note } = self;
        let figure = rounded(*figure);
        let limit = limit.map(rounded).unwrap_or_default();
        let ratio = ratio.map(rounded).unwrap_or_default();
        let budget = budget.as_deref().unwrap_or_default();
        let met = match met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        };
        writeln!(f, "| {bench} | {figure} {unit} | {limit} | {ratio} | {budget} | {met} | {note} |")
    }
}

/// Gives three digits that mean something, and thousands apart.
fn rounded(figure: f64) -> String {
    let mut places = 2;
    let mut size = figure.abs();
    while size >= 10.0 && places > 0 {
        (size, places) = (size / 10.0, places - 1);
    }
    if figure.abs() < 1_000.0 {
        return format!("{figure:.places$}");
    }
    let mut step = 1.0;
    while figure.abs() / step >= 1_000.0 {
        step *= 10.0;
    }
    apart(&format!("{:.0}", (figure / step).round() * step))
}

fn apart(digits: &str) -> String {
    let length = digits.len();
    let mut text = String::new();
    for (idx, digit) in digits.chars().enumerate() {
        if idx > 0 && (length - idx).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_three_digits() {
        for (figure, text) in [
            (0.0312, "0.03"),
            (0.655, "0.66"),
            (8.084, "8.08"),
            (97.536, "97.5"),
            (412.4, "412"),
            (4_123.9, "4,120"),
            (59_028.6, "59,000"),
            (1_234_567.0, "1,230,000"),
        ] {
            assert_eq!(rounded(figure), text);
        }
    }

    #[test]
    fn reads_figures_and_nothing_else() {
        let line = r#"{"subject":"Values","bench":"parse","figure":41.25,"unit":"µs","limit":60,"ratio":0.6875,"budget":"≤ 60","met":true,"note":"100 feeds"}"#;
        let row = Row::read(line).unwrap();
        assert_eq!(row.to_string(), "| parse | 41.2 µs | 60.0 | 0.69 | ≤ 60 | met | 100 feeds |\n");
        assert_eq!(Row::read("running 3 benches"), None);
        assert_eq!(Row::read(r#"{"figure":3}"#), None);
    }
}
