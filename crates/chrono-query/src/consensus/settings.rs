//! What an operator decides about consensus prices, and how it is written down.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;
use std::time::Duration;

use chrono_domain::{ConsensusPolicy, Source, Symbol};

/// Shortest and longest interval of snapshots, in milliseconds.
const INTERVAL_MS: std::ops::RangeInclusive<u64> = 100..=300_000;
/// The interval of snapshots where nothing is set.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(5);
/// Longest maximum age; every consensus reads the ticks of that long.
const AGE_MAX: Duration = Duration::from_hours(1);
/// Most sources that a quorum may ask for.
pub(super) const MIN_SOURCES_MAX: usize = 1_000;

/// The settings as texts; none or an empty one leaves the default.
///
/// White space around the parts of a list is ignored.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConsensusTexts<'a> {
    /// `CONSENSUS_WEIGHTS`: votes that weigh more than 1, as `source:weight,…`, for example `binance:3,kraken:2`.
    ///
    /// Too high a weight, and one source makes the price alone where fewer than three vote; from three on none has more
    /// than a third.
    pub weights: Option<&'a str>,
    /// `CONSENSUS_GROUPS`: sources with one vote together, as `source+source+…,…`, for example
    /// `binance+binance_us,coinbase+gdax`; a group is called by its first source.
    ///
    /// A mirror left out of its venue's group counts as an independent source; independent ones put together lose votes.
    pub groups: Option<&'a str>,
    /// `CONSENSUS_MAX_AGE`: the oldest age at which a price votes, as `pattern:age,…`, for example `*/USD:60s,*:300s`.
    ///
    /// The first pattern that fits a symbol decides; without one it is the window of 5 minutes. A pattern is a symbol,
    /// with `*` for either side or for both; an age is a number with `ms`, `s` or `m`, at most an hour. Too high, and a
    /// price that stopped still votes; too low, and sources that post seldom drop out between two posts.
    pub max_age: Option<&'a str>,
    /// `CONSENSUS_MIN_SOURCES`: fewest votes that make a price, 1 to 1000, by default 1.
    ///
    /// Too low, and one faulty source makes the price when the others are silent; too high, and one outage leaves none.
    pub min_sources: Option<&'a str>,
    /// `CONSENSUS_INTERVAL`: milliseconds between stored answers, and the greatest age of a latest answer, 100 to
    /// 300000, by default 5000.
    ///
    /// Too high, and latest answers lag; too low, and the store is kept busy with snapshots.
    pub interval: Option<&'a str>,
}

/// A setting that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is not {expected}: {received:?}")]
pub struct SettingFault {
    /// The name of the setting.
    pub name: &'static str,
    /// The part of it that cannot be read.
    pub received: String,
    /// What would have been taken.
    pub expected: &'static str,
}

/// The rules of every symbol's consensus, and how often answers are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsensusSettings {
    interval: Duration,
    policy: ConsensusPolicy,
    by_pattern: Vec<(SymbolPattern, ConsensusPolicy)>,
}

impl Default for ConsensusSettings {
    fn default() -> Self {
        Self {
            interval: INTERVAL_DEFAULT,
            policy: ConsensusPolicy::default(),
            by_pattern: Vec::new(),
        }
    }
}

impl ConsensusSettings {
    /// Reads the settings.
    ///
    /// # Errors
    /// One [`SettingFault`] for each setting that cannot be read, in the order of [`ConsensusTexts`].
    pub fn parse(texts: ConsensusTexts<'_>) -> Result<Self, Vec<SettingFault>> {
        let mut settings = Self::default();
        let (mut ages, mut faults) = (Vec::new(), Vec::new());
        let policy = &mut settings.policy;
        read(texts.weights, weights, &mut policy.weights, &mut faults);
        read(texts.groups, groups, &mut policy.groups, &mut faults);
        read(texts.max_age, max_ages, &mut ages, &mut faults);
        read(texts.min_sources, min_sources, &mut policy.min_sources, &mut faults);
        read(texts.interval, interval, &mut settings.interval, &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        let ruled =
            |(pattern, max_age)| (pattern, ConsensusPolicy { max_age, ..settings.policy.clone() });
        settings.by_pattern = ages.into_iter().map(ruled).collect();
        Ok(settings)
    }

    /// Gives the time between stored answers.
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// Gives the fewest votes that make a price, of whatever symbol.
    pub const fn min_sources(&self) -> NonZeroUsize {
        self.policy.min_sources
    }

    /// Gives the rules of a symbol.
    pub fn policy(&self, symbol: &Symbol) -> &ConsensusPolicy {
        let fitting = self.by_pattern.iter().find(|(pattern, _)| pattern.fits(symbol));
        fitting.map_or(&self.policy, |(_, policy)| policy)
    }
}

/// A symbol, with `*` for either side or for both; `*` alone fits all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolPattern {
    base: Option<String>,
    quote: Option<String>,
}

impl SymbolPattern {
    /// Tells whether a symbol fits.
    pub fn fits(&self, symbol: &Symbol) -> bool {
        let fits = |side: &Option<String>, name| side.as_deref().is_none_or(|side| side == name);
        fits(&self.base, symbol.base()) && fits(&self.quote, symbol.quote())
    }
}

impl FromStr for SymbolPattern {
    type Err = chrono_domain::NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (base, quote) =
            if text == "*" { ("*", "*") } else { text.split_once('/').unwrap_or((text, "")) };
        // What a star stands for does not matter, so that the rest is checked as a symbol is.
        let named = |side| if side == "*" { "X" } else { side };
        Symbol::try_new(&format!("{}/{}", named(base), named(quote)))?;
        let side = |side: &str| (side != "*").then(|| side.to_owned());
        Ok(Self { base: side(base), quote: side(quote) })
    }
}

/// Reads one setting into its place, or notes why not.
fn read<T>(
    text: Option<&str>,
    parse: impl FnOnce(&str) -> Result<T, SettingFault>,
    place: &mut T,
    faults: &mut Vec<SettingFault>,
) {
    match text.map(str::trim).filter(|text| !text.is_empty()).map(parse) {
        Some(Ok(value)) => *place = value,
        Some(Err(fault)) => faults.push(fault),
        None => {}
    }
}

fn weights(text: &str) -> Result<BTreeMap<Source, NonZeroU32>, SettingFault> {
    let expected = "source:weight pairs such as binance:3,kraken:2, each source once";
    let add = |weights: &mut BTreeMap<_, _>, part: &str| {
        let (source, weight) = part.split_once(':')?;
        weights.insert(source_of(source)?, weight.trim().parse().ok()?).is_none().then_some(())
    };
    each(text, add).map_err(|part| fault("CONSENSUS_WEIGHTS", part, expected))
}

fn groups(text: &str) -> Result<BTreeMap<Source, Source>, SettingFault> {
    let expected = "groups of sources such as binance+binance_us,coinbase+gdax, each source once";
    let add = |groups: &mut BTreeMap<_, _>, part: &str| {
        let members: Vec<Source> = part.split('+').map(source_of).collect::<Option<_>>()?;
        let name = *members.first()?;
        members.iter().try_for_each(|member| groups.insert(*member, name).is_none().then_some(()))
    };
    each(text, add).map_err(|part| fault("CONSENSUS_GROUPS", part, expected))
}

fn max_ages(text: &str) -> Result<Vec<(SymbolPattern, Duration)>, SettingFault> {
    let expected = "pattern:age pairs such as */USD:60s,*:300s, with ages above 0 and up to 1 hour";
    let add = |ages: &mut Vec<_>, part: &str| {
        let (pattern, age) = part.split_once(':')?;
        ages.push((pattern.trim().parse().ok()?, age_of(age.trim())?));
        Some(())
    };
    each(text, add).map_err(|part| fault("CONSENSUS_MAX_AGE", part, expected))
}

fn min_sources(text: &str) -> Result<NonZeroUsize, SettingFault> {
    let number: Option<NonZeroUsize> = text.parse().ok();
    number
        .filter(|number| number.get() <= MIN_SOURCES_MAX)
        .ok_or_else(|| fault("CONSENSUS_MIN_SOURCES", text, "a number from 1 to 1000"))
}

fn interval(text: &str) -> Result<Duration, SettingFault> {
    let expected = "a number of milliseconds from 100 to 300000";
    let number: Option<u64> = text.parse().ok();
    number
        .filter(|number| INTERVAL_MS.contains(number))
        .map(Duration::from_millis)
        .ok_or_else(|| fault("CONSENSUS_INTERVAL", text, expected))
}

/// Reads the parts of a list one by one; gives back the first that cannot be added.
fn each<T: Default>(
    text: &str,
    mut add: impl FnMut(&mut T, &str) -> Option<()>,
) -> Result<T, &str> {
    let mut all = T::default();
    for part in text.split(',').map(str::trim) {
        add(&mut all, part).ok_or(part)?;
    }
    Ok(all)
}

fn source_of(text: &str) -> Option<Source> {
    Source::try_new(text.trim()).ok()
}

fn age_of(text: &str) -> Option<Duration> {
    let unit = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit);
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return None,
    };
    let age = Duration::from_millis(number.checked_mul(millis)?);
    (!age.is_zero() && age <= AGE_MAX).then_some(age)
}

fn fault(name: &'static str, received: &str, expected: &'static str) -> SettingFault {
    SettingFault { name, received: received.to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(text: &str) -> Symbol {
        Symbol::try_new(text).unwrap()
    }

    fn source(text: &str) -> Source {
        Source::try_new(text).unwrap()
    }

    #[test]
    fn nothing_set_leaves_the_defaults() {
        let texts = ConsensusTexts { weights: Some(" "), ..ConsensusTexts::default() };
        let settings = ConsensusSettings::parse(texts).unwrap();
        assert_eq!(settings, ConsensusSettings::default());
        assert_eq!(settings.interval(), Duration::from_secs(5));
        assert_eq!(*settings.policy(&symbol("A/B")), ConsensusPolicy::default());
    }

    #[test]
    fn reads_every_setting() {
        let settings = ConsensusSettings::parse(ConsensusTexts {
            weights: Some("binance:3, kraken:2"),
            groups: Some("binance+binance_us, coinbase + gdax"),
            max_age: Some("BTC/USD:500ms,*/USD:60s,BTC/*:2m,*:1m"),
            min_sources: Some("3"),
            interval: Some("1000"),
        });
        let settings = settings.unwrap();
        assert_eq!(settings.interval(), Duration::from_secs(1));
        let policy = settings.policy(&symbol("BTC/USD"));
        assert_eq!(policy.weight(&source("binance")).get(), 3);
        assert_eq!(policy.weight(&source("other")).get(), 1);
        assert_eq!(policy.group(&source("binance_us")), source("binance"));
        assert_eq!(policy.group(&source("gdax")), source("coinbase"));
        assert_eq!(policy.min_sources.get(), 3);
    }

    #[test]
    fn the_first_pattern_that_fits_decides() {
        let texts = "BTC/USD:500ms,*/USD:60s,BTC/*:2m";
        let texts = ConsensusTexts { max_age: Some(texts), ..ConsensusTexts::default() };
        let settings = ConsensusSettings::parse(texts).unwrap();
        let age_ms = |text| settings.policy(&symbol(text)).max_age.as_millis();
        let ages = ["BTC/USD", "ETH/USD", "BTC/EUR", "ETH/EUR"].map(age_ms);
        assert_eq!(ages, [500, 60_000, 120_000, 300_000]);
    }

    #[test]
    fn names_every_fault_at_once_with_the_part_it_is_in() {
        let faults = ConsensusSettings::parse(ConsensusTexts {
            weights: Some("binance:3,kraken:0"),
            groups: Some("binance+a,a+b"),
            max_age: Some("*/USD:60"),
            min_sources: Some("0"),
            interval: Some("5s"),
        });
        let faults = faults.unwrap_err();
        let parts: Vec<_> =
            faults.iter().map(|fault| (fault.name, fault.received.as_str())).collect();
        assert_eq!(
            parts,
            [
                ("CONSENSUS_WEIGHTS", "kraken:0"),
                ("CONSENSUS_GROUPS", "a+b"),
                ("CONSENSUS_MAX_AGE", "*/USD:60"),
                ("CONSENSUS_MIN_SOURCES", "0"),
                ("CONSENSUS_INTERVAL", "5s"),
            ]
        );
    }

    #[test]
    fn refuses_what_does_not_fit_the_grammar() {
        for text in ["binance", "Binance:1", "a:-1", "a:1,", "a:1,a:2", "aggregated:1"] {
            assert!(weights(text).is_err(), "{text:?}");
        }
        for text in ["a+", "+a", "a+a", "A+b", ","] {
            assert!(groups(text).is_err(), "{text:?}");
        }
        for text in ["*:0s", "*:61m", "*:s", "*:1h", "USD:1s", "btc/*:1s", "*", "*/*/*:1s", "/:1s"]
        {
            assert!(max_ages(text).is_err(), "{text:?}");
        }
        for text in ["99", "300001", "-1", "5.0"] {
            assert!(interval(text).is_err(), "{text:?}");
        }
        assert!(min_sources("1001").is_err());
    }
}
