//! Feeds and policies as tests write them.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use chrono_domain::{
    Arrival, Consensus, ConsensusPolicy, ConsensusStatus, Feed, OrderKey, Price, Source, Timestamp,
    Verdict,
};

/// Microseconds in a second.
pub(crate) const SECOND: i64 = 1_000_000;

/// The time that scenes are asked for: 9 October 2025, noon.
pub(crate) fn noon() -> Timestamp {
    Timestamp::parse_rfc3339("2025-10-09T12:00:00Z").unwrap()
}

pub(crate) fn source(name: &str) -> Source {
    Source::try_new(name).unwrap()
}

/// A feed so many microseconds before noon.
pub(crate) fn earlier(name: &str, price: &str, micros: i64) -> Feed {
    let timestamp = Timestamp::from_micros(noon().micros() - micros).unwrap();
    let price = Price::try_new(price).unwrap();
    Feed { source: source(name), price, key: OrderKey { timestamp, arrival: Arrival(0) } }
}

/// One feed of each source, a second before noon.
pub(crate) fn quotes(rows: &[(&str, &str)]) -> Vec<Feed> {
    rows.iter().map(|(name, price)| earlier(name, price, SECOND)).collect()
}

pub(crate) fn at_least(sources: usize) -> ConsensusPolicy {
    let min_sources = NonZeroUsize::new(sources).unwrap();
    ConsensusPolicy { min_sources, ..ConsensusPolicy::default() }
}

pub(crate) fn max_age(seconds: u64) -> ConsensusPolicy {
    ConsensusPolicy { max_age: Duration::from_secs(seconds), ..ConsensusPolicy::default() }
}

pub(crate) fn weighing(rows: &[(&str, u32)]) -> ConsensusPolicy {
    let weights =
        rows.iter().map(|(name, weight)| (source(name), NonZeroU32::new(*weight).unwrap()));
    ConsensusPolicy { weights: weights.collect(), ..ConsensusPolicy::default() }
}

pub(crate) fn grouping(rows: &[(&str, &str)]) -> ConsensusPolicy {
    let groups = rows.iter().map(|(name, group)| (source(name), source(group))).collect();
    ConsensusPolicy { groups, ..ConsensusPolicy::default() }
}

/// Asks at noon, and checks that the order of the feeds makes no difference.
pub(crate) fn ask(feeds: &[Feed], policy: &ConsensusPolicy) -> Consensus {
    let found = Consensus::compute(noon(), feeds.iter().copied(), policy).unwrap();
    let backwards = Consensus::compute(noon(), feeds.iter().rev().copied(), policy).unwrap();
    assert_eq!(found, backwards);
    found
}

/// The answer at noon in short: status, and price where there is one.
pub(crate) fn answer(
    feeds: &[Feed],
    policy: &ConsensusPolicy,
) -> (ConsensusStatus, Option<String>) {
    let found = ask(feeds, policy);
    (found.status, found.price.map(|price| price.to_string()))
}

/// What became of a source's price.
pub(crate) fn verdict(found: &Consensus, name: &str) -> Option<Verdict> {
    found.votes.iter().find(|vote| vote.source.as_str() == name).map(|vote| vote.verdict)
}
