//! The rules once more, in integers of any length and by the plainest way: lists with a copy per unit of weight, caps
//! by trial, fractions that are never reduced. It shares no arithmetic with the crate.

use std::collections::{BTreeMap, BTreeSet};

use chrono_domain::{Consensus, ConsensusPolicy, Feed, Timestamp};
use num_bigint::BigUint;

/// Every statistic and verdict of one consensus, as texts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) price: Option<String>,
    pub(crate) status: &'static str,
    pub(crate) median: String,
    pub(crate) mean: String,
    pub(crate) std_dev: Option<String>,
    pub(crate) sources: Vec<String>,
    pub(crate) num_feeds: usize,
    pub(crate) verdicts: Vec<(String, &'static str)>,
}

/// Puts a consensus into the same form.
pub(crate) fn form(found: &Consensus) -> Expected {
    let name = |source: &chrono_domain::Source| source.to_string();
    Expected {
        price: found.price.map(|price| price.to_string()),
        status: found.status.name(),
        median: found.median.to_string(),
        mean: found.mean.to_string(),
        std_dev: found.std_dev.map(|std_dev| std_dev.to_string()),
        sources: found.sources.iter().map(name).collect(),
        num_feeds: found.num_feeds,
        verdicts: found
            .votes
            .iter()
            .map(|vote| (name(&vote.source), vote.verdict.name()))
            .collect(),
    }
}

/// Prices are whole numbers of 10^-18 here.
fn whole(price: &str) -> BigUint {
    let (integer, fraction) = price.split_once('.').unwrap_or((price, ""));
    format!("{integer}{fraction:0<18}").parse().unwrap()
}

fn scale(price: &str) -> usize {
    price.split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

fn ten(exponent: usize) -> BigUint {
    BigUint::from(10_u32).pow(u32::try_from(exponent).unwrap())
}

/// How results print: so many places are computed, so many at least are shown.
#[derive(Clone, Copy)]
struct Places {
    computed: usize,
    shown: usize,
}

impl Places {
    /// Prints √(numerator/denominator) of 10^-18 where `root`, else the fraction itself, rounded half to even.
    fn print(self, numerator: &BigUint, denominator: &BigUint, root: bool) -> String {
        let shift = ten(18 - self.computed);
        // Twice the value in units of the last place, or for a root its square.
        let (top, bottom) = if root {
            (numerator * 4_u32, denominator * &shift * &shift)
        } else {
            (numerator * 2_u32, denominator * &shift)
        };
        let quotient = &top / &bottom;
        let twice = if root { quotient.sqrt() } else { quotient };
        let exact = if root { &twice * &twice * &bottom == top } else { &twice * &bottom == top };
        let mut units = &twice / 2_u32;
        let odd = |number: &BigUint| number.bit(0);
        if odd(&twice) && (!exact || odd(&units)) {
            units += 1_u32;
        }
        self.point(&units.to_string())
    }

    fn point(self, digits: &str) -> String {
        let digits = format!("{digits:0>width$}", width = self.computed + 1);
        let (integer, fraction) = digits.split_at(digits.len() - self.computed);
        let mut fraction = fraction.to_owned();
        while fraction.len() > self.shown && fraction.ends_with('0') {
            fraction.pop();
        }
        if fraction.is_empty() { integer.to_owned() } else { format!("{integer}.{fraction}") }
    }
}

pub(crate) fn expect(at: Timestamp, feeds: &[Feed], policy: &ConsensusPolicy) -> Option<Expected> {
    let age = |feed: &Feed| u128::try_from(at.micros() - feed.key.timestamp.micros()).ok();
    let within = |feed: &Feed, limit: std::time::Duration| {
        age(feed).is_some_and(|age| age <= limit.as_micros())
    };
    let window: Vec<&Feed> = feeds.iter().filter(|feed| within(feed, policy.window)).collect();
    if window.is_empty() {
        return None;
    }
    let mut order: Vec<&Feed> = feeds.iter().filter(|feed| age(feed).is_some()).collect();
    order.sort_by_key(|feed| (feed.key.timestamp, feed.key.arrival));
    let newest: BTreeMap<String, &Feed> =
        order.iter().map(|feed| (feed.source.to_string(), *feed)).collect();
    let (fresh, stale): (Vec<&Feed>, Vec<&Feed>) = order
        .iter()
        .filter(|feed| newest[feed.source.as_str()] == **feed)
        .partition(|feed| within(feed, policy.max_age));

    let used = window.iter().chain(&fresh);
    let shown = used.map(|feed| scale(&feed.price.to_string())).max().unwrap();
    let places = Places { computed: (shown + 6).min(18), shown };
    let prices: Vec<BigUint> = window.iter().map(|feed| whole(&feed.price.to_string())).collect();
    let count = BigUint::from(prices.len());
    let sum: BigUint = prices.iter().sum();
    let squares: BigUint = prices.iter().map(|price| price * price).sum();
    let (lower, upper) = middle(prices.clone());
    let std_dev = (prices.len() > 1).then(|| {
        let top = &count * squares - &sum * &sum;
        places.print(&top, &(&count * (&count - 1_u32)), true)
    });

    let sources: BTreeSet<String> = window.iter().map(|feed| feed.source.to_string()).collect();
    let vote = vote(&fresh, policy);
    let mut verdicts = vote.verdicts;
    verdicts.extend(stale.iter().map(|feed| (feed.source.to_string(), "stale")));
    Some(Expected {
        price: vote.price.map(|twice| places.print(&twice, &BigUint::from(2_u32), false)),
        status: vote.status,
        median: places.print(&(lower + upper), &BigUint::from(2_u32), false),
        mean: places.print(&sum, &count, false),
        std_dev,
        sources: sources.into_iter().collect(),
        num_feeds: window.len(),
        verdicts: verdicts.into_iter().collect(),
    })
}

struct Vote {
    status: &'static str,
    /// Twice the price.
    price: Option<BigUint>,
    verdicts: BTreeMap<String, &'static str>,
}

/// Takes the fresh votes, oldest first.
fn vote(fresh: &[&Feed], policy: &ConsensusPolicy) -> Vote {
    let mut verdicts = BTreeMap::new();
    let mut groups: BTreeMap<String, (String, BigUint, u64)> = BTreeMap::new();
    // Sources of a group with the very same time and arrival go by price, then name: later ones replace earlier.
    let mut fresh = fresh.to_vec();
    fresh.sort_by_key(|feed| (feed.key, feed.price, scale(&feed.price.to_string()), feed.source));
    for feed in fresh {
        let name = feed.source.to_string();
        let group = policy.groups.get(&feed.source).map_or(name.clone(), ToString::to_string);
        let weight = policy.weights.get(&feed.source).map_or(1, |weight| u64::from(weight.get()));
        let heaviest = groups.get(&group).map_or(weight, |held| weight.max(held.2));
        verdicts.insert(name.clone(), "same_group");
        groups.insert(group, (name, whole(&feed.price.to_string()), heaviest));
    }
    let all: Vec<(BigUint, u64)> =
        groups.values().map(|(_, price, weight)| (price.clone(), *weight)).collect();
    let kept: Vec<(BigUint, u64)> = if all.len() < 4 {
        all
    } else {
        let (lower, upper) = middle(copies(&all));
        let center = lower + upper;
        let distance = |price: &BigUint| {
            let twice = price * 2_u32;
            if twice > center { twice - &center } else { &center - twice }
        };
        let distances: Vec<_> =
            all.iter().map(|(price, weight)| (distance(price), *weight)).collect();
        let distances: Vec<_> =
            caps(&all).into_iter().zip(distances).map(|(cap, (far, _))| (far, cap)).collect();
        let (near, far) = middle(copies_as_they_are(&distances));
        let out = |price: &BigUint| {
            let distance = distance(price);
            &distance * 2_u32 > (&near + &far) * policy.outlier_mads
                && &distance * 10_000_u32 > &center * policy.outlier_floor_bp
        };
        all.into_iter().filter(|(price, _)| !out(price)).collect()
    };
    for (name, price, _) in groups.values() {
        let counted = kept.iter().any(|(kept, _)| kept == price);
        verdicts.insert(name.clone(), if counted { "counted" } else { "outlier" });
    }
    let (status, price) = outcome(&kept, policy);
    Vote { status, price, verdicts }
}

fn outcome(kept: &[(BigUint, u64)], policy: &ConsensusPolicy) -> (&'static str, Option<BigUint>) {
    if kept.len() < policy.min_sources.get() {
        return ("no_quorum", None);
    }
    let (lower, upper) = middle(copies(kept));
    if (&upper - &lower) * 10_000_u32 > &lower * policy.spread_limit_bp {
        return ("disputed", None);
    }
    (if kept.len() < 3 { "thin" } else { "ok" }, Some(lower + upper))
}

/// The middle two of a list, or its middle one twice.
fn middle(mut list: Vec<BigUint>) -> (BigUint, BigUint) {
    list.sort();
    (list[(list.len() - 1) / 2].clone(), list[list.len() / 2].clone())
}

/// Each number as often as it weighs, in halves, under the cap.
fn copies(weighted: &[(BigUint, u64)]) -> Vec<BigUint> {
    let capped = caps(weighted).into_iter().zip(weighted);
    copies_as_they_are(&capped.map(|(cap, (number, _))| (number.clone(), cap)).collect::<Vec<_>>())
}

fn copies_as_they_are(weighted: &[(BigUint, u64)]) -> Vec<BigUint> {
    let repeat = |(number, weight): &(BigUint, u64)| {
        std::iter::repeat_n(number.clone(), usize::try_from(*weight).unwrap())
    };
    weighted.iter().flat_map(repeat).collect()
}

/// Twice the weights, lowered from three on to the highest cap that is no more than a third of what is left.
pub(crate) fn caps<T>(weighted: &[(T, u64)]) -> Vec<u64> {
    let doubled: Vec<u64> = weighted.iter().map(|(_, weight)| weight * 2).collect();
    let under = |cap: u64| doubled.iter().map(move |weight| *weight.min(&cap));
    let fits = |cap: &u64| 3 * cap <= under(*cap).sum::<u64>();
    let heaviest = doubled.iter().copied().max().unwrap_or(0);
    let cap = if doubled.len() < 3 { heaviest } else { (1..=heaviest).rev().find(fits).unwrap() };
    under(cap).collect()
}
