//! Two years of ticks, one a minute for each symbol, taken in through the gateway itself, and questions about them.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use chrono_domain::{Clock, SystemClock, Timestamp};

use crate::feeds::{Feeds, Times};
use crate::get::Get;
use crate::load::{Outcome, Pace, Request, run};
use crate::process::Usage;
use crate::sealed::seal;
use crate::server::{Server, gateway};

/// Days of it.
const DAYS: u64 = 730;
/// Ticks of each symbol a day.
const TICKS_A_DAY: u64 = 24 * 60;
/// Feeds of a batch.
const FEEDS: u64 = 100;
/// How long taking it in may take, and settling after.
const PATIENCE: Duration = Duration::from_hours(1);
/// Share of a core below which a gateway without requests has settled.
const SETTLED_CORES: f64 = 0.05;
/// Steps of two seconds that must be calm: more than the five seconds that upkeep rests between its rounds.
const CALM_STEPS: u32 = 4;
const DAY: Duration = Duration::from_hours(24);

/// What was taken in.
#[derive(Debug, Clone, Copy)]
pub struct History {
    symbols: u64,
    days: u64,
    start: Timestamp,
}

/// A question about a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// 1,440 candles.
    DayByMinute,
    /// 2,160 candles.
    QuarterByHour,
    /// 730 candles.
    YearsByDay,
    /// 10,000 ticks.
    Ticks,
}

impl Question {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::DayByMinute, Self::QuarterByHour, Self::YearsByDay, Self::Ticks];

    /// Names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DayByMinute => "24 h at 1m",
            Self::QuarterByHour => "90 days at 1h",
            Self::YearsByDay => "2 years at 1d",
            Self::Ticks => "raw, 10,000 ticks",
        }
    }

    /// Gives the interval and the days it covers.
    const fn extent(self) -> (&'static str, u64) {
        match self {
            Self::DayByMinute => ("1m", 1),
            Self::QuarterByHour => ("1h", 90),
            Self::YearsByDay => ("1d", DAYS),
            Self::Ticks => ("raw", 7),
        }
    }
}

impl History {
    /// Two years up to yesterday of so many symbols, about a million ticks each; only `days` of them for a smoke run.
    pub fn new(symbols: u64, days: u64) -> Self {
        let now = SystemClock::new().now();
        let day = i64::try_from(DAY.as_micros()).unwrap_or(i64::MAX);
        let midnight = Timestamp::from_micros(now.micros() - now.micros() % day).unwrap_or(now);
        let days = days.min(DAYS);
        Self { symbols, days, start: midnight.minus(DAY * u32::try_from(days).unwrap_or(0)) }
    }

    /// Two years.
    pub const fn days() -> u64 {
        DAYS
    }

    /// Gives how many ticks it has.
    pub const fn ticks(self) -> u64 {
        self.symbols * self.days * TICKS_A_DAY
    }

    /// Takes it into a new data directory, each symbol on a connection of its own and in order, stops the gateway, and
    /// brings what it still had in memory into pages.
    ///
    /// # Errors
    /// When a batch is refused, or a gateway does not start, seal or stop.
    pub fn load(self, directory: &Path) -> anyhow::Result<Outcome> {
        let running = gateway(directory)?.start()?;
        let server = Server::attach(&running)?;
        let requests = (0..self.symbols).map(|symbol| {
            let worker = usize::try_from(symbol).unwrap_or(0);
            let times = Times::From(self.start, Duration::from_mins(1));
            let feeds = usize::try_from(FEEDS).unwrap_or(1);
            Box::new(Feeds::new(worker, feeds, symbol..symbol + 1, 0..5).at(times))
                as Box<dyn Request>
        });
        let turns = self.ticks() / self.symbols / FEEDS;
        let outcome = run(&server, requests.collect(), Pace::Turns(turns), PATIENCE)?;
        ensure!(running.stop()?.success(), "the gateway did not stop cleanly");
        seal(directory, outcome.answered * FEEDS)?;
        Ok(outcome)
    }

    /// Makes requests of a question that no answer kept from an earlier turn fits; `first` is the first turn.
    pub fn ask(self, question: Question, first: u64) -> Get {
        Get::each(move |turn| self.path(question, first + turn))
    }

    fn path(self, question: Question, turn: u64) -> String {
        let (interval, days) = question.extent();
        let (symbol, shift) = (turn % self.symbols, turn / self.symbols);
        let starts = self.days.saturating_sub(days) + 1;
        let day = |number: u64| self.start.plus(DAY * u32::try_from(number).unwrap_or(0));
        let (from, to) = (day(shift * 37 % starts), day(shift * 37 % starts + days));
        // Whole buckets: the limit, which no answer reaches, is what differs. Raw ticks reach it; their end differs.
        let (limit, to) = match question {
            Question::Ticks => (10_000, to.plus(Duration::from_millis(shift))),
            _ => (10_000 - shift / starts % 5_000, to.minus(Duration::from_micros(1))),
        };
        let symbol = format!("S{symbol:03}/USD");
        format!(
            "/prices/range?symbol={symbol}&from={from}&to={to}&interval={interval}&limit={limit}"
        )
    }
}

/// Waits until a gateway that nobody asks does nothing: cycles that were due are done, and cleared up after. Ticks that
/// are too few for a cycle stay in its memory.
///
/// # Errors
/// When it does not come to rest within an hour.
pub fn settle(server: &Server) -> anyhow::Result<()> {
    let (started, step) = (Instant::now(), Duration::from_secs(2));
    let mut calm = 0;
    while calm < CALM_STEPS {
        let before = Usage::of(server.pid())?.cpu;
        std::thread::sleep(step);
        let used = Usage::of(server.pid())?.cpu.saturating_sub(before);
        let is_calm = used.as_secs_f64() / step.as_secs_f64() < SETTLED_CORES;
        calm = if is_calm { calm + 1 } else { 0 };
        ensure!(started.elapsed() < PATIENCE, "the gateway does not come to rest");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_question_is_asked_twice() {
        let history = History::new(10, DAYS);
        assert_eq!(history.ticks(), 10_512_000);
        for question in Question::ALL {
            let paths: HashSet<_> = (0..20_000).map(|turn| history.path(question, turn)).collect();
            assert_eq!(paths.len(), 20_000, "{question:?}");
        }
    }
}
