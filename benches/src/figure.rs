//! The line that reports a figure.

use std::fmt;
use std::io::Write;

/// What a figure must come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// The figure is at least this.
    AtLeast(f64),
    /// The figure is at most this.
    AtMost(f64),
    /// The figure divided by its limit is at least this.
    RatioAtLeast(f64),
    /// The figure divided by its limit is at most this.
    RatioAtMost(f64),
}

impl Budget {
    /// Tells whether a figure keeps it; a ratio without a limit never does.
    pub fn met(self, figure: f64, ratio: Option<f64>) -> bool {
        match self {
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
            Self::RatioAtLeast(least) => ratio.is_some_and(|ratio| ratio >= least),
            Self::RatioAtMost(most) => ratio.is_some_and(|ratio| ratio <= most),
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "≥ {least}"),
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::RatioAtLeast(least) => write!(f, "ratio ≥ {least}"),
            Self::RatioAtMost(most) => write!(f, "ratio ≤ {most}"),
        }
    }
}

/// One measured figure.
#[derive(Debug, Clone)]
#[must_use = "a figure is reported by `print`"]
pub struct Figure {
    subject: &'static str,
    bench: String,
    value: f64,
    unit: &'static str,
    limit: Option<f64>,
    budget: Option<Budget>,
    note: String,
}

impl Figure {
    /// Names a figure: the section of the report, what was measured, how much, in what unit.
    pub fn new(
        subject: &'static str,
        bench: impl Into<String>,
        value: f64,
        unit: &'static str,
    ) -> Self {
        let (bench, note) = (bench.into(), String::new());
        Self { subject, bench, value, unit, limit: None, budget: None, note }
    }

    /// Holds it against what the machine allowed in the same run, in the same unit.
    pub fn limit(mut self, limit: f64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Says what it must come to.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Says what the limit is and what else belongs to the figure.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Prints it; the ratio is the figure divided by the limit.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn print(&self) -> anyhow::Result<()> {
        let Self { subject, bench, value, unit, limit, budget, note } = self;
        let ratio = limit.map(|limit| value / limit);
        let line = serde_json::json!({
            "subject": subject, "bench": bench, "figure": value, "unit": unit, "limit": limit, "ratio": ratio,
            "budget": budget.map(|budget| budget.to_string()),
            "met": budget.map(|budget| budget.met(*value, ratio)),
            "note": note,
        });
        Ok(writeln!(std::io::stdout(), "{line}")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_met_from_its_own_side() {
        assert!(Budget::AtLeast(2.0).met(2.0, None) && !Budget::AtLeast(2.0).met(1.9, None));
        assert!(Budget::AtMost(2.0).met(2.0, None) && !Budget::AtMost(2.0).met(2.1, None));
        assert!(Budget::RatioAtLeast(0.5).met(1.0, Some(0.5)));
        assert!(!Budget::RatioAtLeast(0.5).met(9.0, Some(0.4)));
        assert!(!Budget::RatioAtMost(0.5).met(0.1, None));
    }
}
