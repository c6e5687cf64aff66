//! The vote of the sources: who counts, with what weight, and what comes out.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::time::Duration;

use ethnum::U256;

use super::grid::Grid;
use super::statistics::midpoint;
use super::{ConsensusPolicy, ConsensusStatus, Feed};
use crate::{Price, Source, Timestamp};

/// Fewest votes among which one can be an outlier: of three, two that happen to agree would silence the third.
const OUTLIER_VOTES_MIN: usize = 4;
/// Fewest votes of a price that is not thin: of two that differ nobody can tell which is wrong.
const FULL_VOTES_MIN: usize = 3;
/// Fewest votes among which weights are capped at a third; with fewer, a third each does not make a whole.
const CAPPED_VOTES_MIN: usize = 3;

/// Says what became of a source's newest price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It was among the votes that made the price, or would have, had they been enough and agreed.
    Counted,
    /// A newer price of the same group voted.
    SameGroup,
    /// It is older than the maximum age.
    Stale,
    /// It lies too far from the median of the votes.
    Outlier,
}

impl Verdict {
    /// Gives the name used in answers: `counted`, `same_group`, `stale` or `outlier`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::SameGroup => "same_group",
            Self::Stale => "stale",
            Self::Outlier => "outlier",
        }
    }
}

/// A source's newest price at the time of a consensus, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceVote {
    /// The source.
    pub source: Source,
    /// The group it votes in, by default its own name.
    pub group: Source,
    /// Its newest price.
    pub price: Price,
    /// The source's time of that price.
    pub timestamp: Timestamp,
    /// How long before the consensus' time that was.
    pub age: Duration,
    /// The weight its policy gives it, before any cap.
    pub weight: NonZeroU32,
    /// Whether it counted, and why not.
    pub verdict: Verdict,
}

/// What a vote comes to.
pub(super) struct Outcome {
    pub(super) status: ConsensusStatus,
    /// In the grid's units.
    pub(super) price: Option<u128>,
    /// One for each source, in the order given.
    pub(super) votes: Vec<SourceVote>,
}

/// Holds the vote over the newest feed of each source.
pub(super) fn hold(
    newest: &[Feed],
    at: Timestamp,
    grid: Grid,
    policy: &ConsensusPolicy,
) -> Outcome {
    let fresh = newest.iter().filter(|feed| policy.is_fresh(feed, at));
    let (counted, outliers) = split_outliers(ballots(fresh, grid, policy), policy);
    let (status, price) = count(&counted, policy);

    let named = |ballots: Vec<Ballot>, verdict| {
        ballots.into_iter().map(move |ballot| (ballot.feed.source, verdict))
    };
    let verdicts: HashMap<Source, Verdict> =
        named(counted, Verdict::Counted).chain(named(outliers, Verdict::Outlier)).collect();
    let explain = |feed: &Feed| SourceVote {
        source: feed.source,
        group: policy.group(&feed.source),
        price: feed.price,
        timestamp: feed.key.timestamp,
        age: at.since(feed.key.timestamp),
        weight: policy.weight(&feed.source),
        verdict: match verdicts.get(&feed.source) {
            Some(verdict) => *verdict,
            None if policy.is_fresh(feed, at) => Verdict::SameGroup,
            None => Verdict::Stale,
        },
    };
    Outcome { status, price, votes: newest.iter().map(explain).collect() }
}

/// The vote of a group.
struct Ballot {
    feed: Feed,
    units: u128,
    weight: u128,
}

/// A number and the weight behind it.
type Weighted = (u128, u128);

/// Casts one ballot for each group, lowest price first.
fn ballots<'a>(
    fresh: impl Iterator<Item = &'a Feed>,
    grid: Grid,
    policy: &ConsensusPolicy,
) -> Vec<Ballot> {
    let mut groups: BTreeMap<Source, Ballot> = BTreeMap::new();
    for feed in fresh {
        let weight = u128::from(policy.weight(&feed.source).get());
        let ballot = Ballot { feed: *feed, units: grid.units(feed.price), weight };
        groups
            .entry(policy.group(&feed.source))
            .and_modify(|held| held.join(&ballot))
            .or_insert(ballot);
    }
    let mut ballots: Vec<Ballot> = groups.into_values().collect();
    ballots.sort_by_key(|ballot| ballot.units);
    ballots
}

impl Ballot {
    fn join(&mut self, other: &Self) {
        if other.feed.recency(&self.feed).is_gt() {
            (self.feed, self.units) = (other.feed, other.units);
        }
        self.weight = self.weight.max(other.weight);
    }
}

/// Parts the votes into those that count and the outliers, both lowest price first.
fn split_outliers(ballots: Vec<Ballot>, policy: &ConsensusPolicy) -> (Vec<Ballot>, Vec<Ballot>) {
    let weighted = weigh(&ballots);
    let Some((lower, upper)) = middle(&weighted).filter(|_| ballots.len() >= OUTLIER_VOTES_MIN)
    else {
        return (ballots, Vec::new());
    };
    // Twice the median, so that it is whole; distances from it are twice theirs, and their middle pair's sum is four
    // times the median absolute deviation.
    let center = lower + upper;
    let distance = |units: u128| (units * 2).abs_diff(center);
    let mut distances: Vec<Weighted> =
        weighted.iter().map(|(units, weight)| (distance(*units), *weight)).collect();
    distances.sort_unstable();
    let deviation = middle(&distances).map_or(0, |(near, far)| near + far);
    let bound = U256::new(deviation) * U256::from(policy.outlier_mads);
    ballots.into_iter().partition(|ballot| {
        let distance = distance(ballot.units);
        U256::new(distance) * 2 <= bound || !exceeds(distance, center, policy.outlier_floor_bp)
    })
}

/// Makes the price of the votes that count, lowest first.
fn count(counted: &[Ballot], policy: &ConsensusPolicy) -> (ConsensusStatus, Option<u128>) {
    let quorum = counted.len() >= policy.min_sources.get();
    let Some((lower, upper)) = middle(&weigh(counted)).filter(|_| quorum) else {
        return (ConsensusStatus::NoQuorum, None);
    };
    if exceeds(upper - lower, lower, policy.spread_limit_bp) {
        return (ConsensusStatus::Disputed, None);
    }
    let thin = counted.len() < FULL_VOTES_MIN;
    let status = if thin { ConsensusStatus::Thin } else { ConsensusStatus::Ok };
    (status, Some(midpoint(lower, upper)))
}

/// Gives each vote twice its weight, but at most a third of the sum of what it gives.
///
/// The cap c is the largest with 3c ≤ Σ min(w, c). Lowering the two heaviest is always enough: it is (second + rest) / 2
/// where only the heaviest exceeds it, and rest where both do; twice the weight keeps the half whole. Where none
/// exceeds a third the formula gives no less than the heaviest.
fn weigh(ballots: &[Ballot]) -> Vec<Weighted> {
    let mut weights: Vec<u128> = ballots.iter().map(|ballot| ballot.weight).collect();
    weights.sort_unstable_by(|left, right| right.cmp(left));
    let cap = match weights.as_slice() {
        [_, second, rest @ ..] if weights.len() >= CAPPED_VOTES_MIN => {
            let rest: u128 = rest.iter().sum();
            rest + rest.min(*second)
        }
        _ => u128::MAX,
    };
    ballots.iter().map(|ballot| (ballot.units, cap.min(ballot.weight * 2))).collect()
}

/// Gives the two middle numbers of a list in order: one twice, unless half of the weight lies on either side.
fn middle(sorted: &[Weighted]) -> Option<(u128, u128)> {
    let total: u128 = sorted.iter().map(|(_, weight)| weight).sum();
    let mut below = 0;
    let mut reached = sorted.iter().map(|(number, weight)| {
        below += weight;
        (*number, below * 2)
    });
    let (lower, sum) = reached.find(|(_, sum)| *sum >= total)?;
    let upper = if sum > total { lower } else { reached.next()?.0 };
    Some((lower, upper))
}

/// Tells whether a part is more than so many hundredths of a percent of the whole.
fn exceeds(part: u128, whole: u128, basis_points: u32) -> bool {
    U256::new(part) * 10_000 > U256::new(whole) * U256::from(basis_points)
}

#[cfg(test)]
mod tests;
