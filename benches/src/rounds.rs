//! How often and how long to measure.

use std::time::Duration;

/// How much a run measures: the whole, or a smoke run that only shows that every bench works.
#[derive(Debug, Clone, Copy)]
pub struct Rounds {
    quick: bool,
}

impl Rounds {
    /// Reads `--quick` from the arguments; cargo's own are ignored.
    pub fn from_arguments() -> Self {
        Self { quick: std::env::args().any(|argument| argument == "--quick") }
    }

    /// Gives the rounds of each contender: contenders are interleaved and their medians compared.
    pub fn count(self) -> usize {
        self.of(5, 1)
    }

    /// Gives the time for each contender of a round.
    pub fn span(self, whole: Duration) -> Duration {
        self.of(whole, whole.min(Duration::from_millis(300)))
    }

    /// Gives the number after an argument such as `--symbols`; none when it is not there.
    pub fn asked(self, name: &str) -> Option<u64> {
        std::env::args().skip_while(|argument| argument != name).nth(1)?.parse().ok()
    }

    /// Chooses between the whole and what is enough for a smoke run.
    pub fn of<T>(self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }
}
