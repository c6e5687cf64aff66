//! What faulty, silent and lying sources can do to the price: F2 to F6 of the test catalogue.

use std::num::NonZeroU32;

use chrono_domain::ConsensusStatus::{Disputed, NoQuorum, Ok as Agreed, Thin};
use chrono_domain::{
    Arrival, Consensus, ConsensusPolicy, DecimalError, Feed, Price, Timestamp, Verdict,
};
use proptest::prelude::*;

use crate::oracle;
use crate::scene::{
    SECOND, answer, ask, at_least, earlier, grouping, noon, quotes, source, verdict,
};

/// A price as a number that compares exactly: millionths.
fn micro(text: &str) -> u128 {
    let (integer, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{integer}{:0<6}", &fraction[..fraction.len().min(6)]).parse().unwrap()
}

fn text(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// Sources with weights: those that report the market, and those that report anything.
#[derive(Debug, Clone)]
struct Market {
    honest: Vec<(u64, u32)>,
    bad: Vec<(String, u32)>,
}

impl Market {
    fn feeds(&self) -> Vec<Feed> {
        let honest = self.honest.iter().enumerate();
        let honest =
            honest.map(|(at, (price, _))| earlier(&format!("honest{at}"), &text(*price), SECOND));
        let bad = self.bad.iter().enumerate();
        let bad = bad.map(|(at, (price, _))| earlier(&format!("bad{at}"), price, SECOND));
        honest.chain(bad).collect()
    }

    fn policy(&self) -> ConsensusPolicy {
        let honest =
            self.honest.iter().enumerate().map(|(at, (_, weight))| (format!("honest{at}"), weight));
        let bad = self.bad.iter().enumerate().map(|(at, (_, weight))| (format!("bad{at}"), weight));
        let weight =
            |(name, weight): (String, &u32)| (source(&name), NonZeroU32::new(*weight).unwrap());
        ConsensusPolicy {
            weights: honest.chain(bad).map(weight).collect(),
            ..ConsensusPolicy::default()
        }
    }

    /// Tells whether the bad ones hold less than half of the capped weight.
    fn has_a_bad_minority(&self) -> bool {
        let honest = self.honest.iter().map(|(_, weight)| ((), u64::from(*weight)));
        let bad = self.bad.iter().map(|(_, weight)| ((), u64::from(*weight)));
        let caps = oracle::caps(&honest.chain(bad).collect::<Vec<_>>());
        let (honest, bad) = caps.split_at(self.honest.len());
        bad.iter().sum::<u64>() < honest.iter().sum()
    }

    fn range(&self) -> (u128, u128) {
        let prices = || self.honest.iter().map(|(price, _)| u128::from(*price));
        (prices().min().unwrap(), prices().max().unwrap())
    }

    fn ask(&self) -> Consensus {
        ask(&self.feeds(), &self.policy())
    }
}

prop_compose! {
    /// A market around 100 whose honest sources are up to so many millionths apart, and a minority of bad ones.
    fn any_market(spread: u64)(
        honest in prop::collection::vec((0..=spread, 1_u32..6), 1..9),
        bad in prop::collection::vec(
            prop_oneof![
                // Anything at all, anything near, and one hair beside the honest.
                "[1-9][0-9]{0,17}",
                "0\\.[0-9]{0,17}[1-9]",
                (90_000_000_u64..110_000_000).prop_map(text),
                (100_000_000 - 1_000..100_000_000 + spread + 1_000).prop_map(text),
                (spread..spread + 10_000).prop_map(|above| text(100_000_000 + above)),
            ].prop_map(|price| (price, 1_u32)),
            0..9,
        ),
        weights in prop::collection::vec(1_u32..6, 9),
    ) -> Market {
        let honest = honest.into_iter().map(|(above, weight)| (100_000_000 + above, weight)).collect();
        let bad = bad.into_iter().zip(weights).map(|((price, _), weight)| (price, weight)).collect();
        let mut market = Market { honest, bad };
        while !market.has_a_bad_minority() {
            market.bad.pop();
        }
        market
    }
}

proptest! {
    /// F2. The honest agree within half a percent, as sources of one market do: none can then be an outlier.
    #[test]
    fn a_bad_minority_cannot_move_the_price_out_of_the_honest_range(market in any_market(500_000)) {
        let (lowest, highest) = market.range();
        let price = micro(&market.ask().price.unwrap().to_string());
        prop_assert!((lowest..=highest).contains(&price), "{price} not in {lowest}..={highest}");
    }

    /// F2 once more: honest sources that disagree by any amount.
    #[test]
    fn nor_when_the_honest_disagree_and_all_of_them_count(market in any_market(40_000_000)) {
        let found = market.ask();
        let (lowest, highest) = market.range();
        let left_out = found.votes.iter().any(|vote| {
            vote.source.as_str().starts_with("honest") && vote.verdict != Verdict::Counted
        });
        let Some(price) = found.price.map(|price| micro(&price.to_string())) else { return Ok(()) };
        prop_assert!(left_out || (lowest..=highest).contains(&price), "{price} not in {lowest}..={highest}");
    }

    /// The price never goes further than the outlier bound from a point of the honest range.
    #[test]
    fn nor_further_than_the_outlier_bound_when_some_are_left_out(market in any_market(40_000_000)) {
        let (lowest, highest) = market.range();
        let Some(price) = market.ask().price.map(|price| micro(&price.to_string())) else { return Ok(()) };
        let bound = (5 * (highest - lowest)).max(highest / 200);
        prop_assert!(price + bound >= lowest && price <= highest + bound);
    }
}

/// What F2 cannot promise: the rule itself leaves honest votes out that stand further off than a crowd at one end.
#[test]
fn honest_sources_far_apart_can_be_cut_off_by_a_crowd_at_one_end() {
    let honest = [("a", "50"), ("b", "51"), ("c", "52"), ("d", "53"), ("e", "100")];
    let crowd = [("w", "100.1"), ("x", "100.2"), ("y", "100.3"), ("z", "100.4")];
    let found = ask(&quotes(&[honest.as_slice(), &crowd].concat()), &ConsensusPolicy::default());
    assert_eq!(["a", "b", "c", "d"].map(|name| verdict(&found, name)), [Some(Verdict::Outlier); 4]);
    assert_eq!(found.price.unwrap().to_string(), "100.2");
}

const NAMES: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];

/// Nine sources a cent apart: 100.00 to 100.08.
fn cents(at: usize) -> String {
    format!("100.0{at}")
}

fn asked(at: i64, feeds: &[Feed], policy: &ConsensusPolicy) -> Consensus {
    let at = Timestamp::from_micros(noon().micros() + at).unwrap();
    Consensus::compute(at, feeds.iter().copied(), policy).unwrap()
}

/// F3. All sources post once a second until `silent` of them stop.
#[test]
fn silent_sources_drop_out_at_their_maximum_age_and_below_three_there_is_no_price() {
    let policy = ConsensusPolicy { max_age: std::time::Duration::from_secs(30), ..at_least(3) };
    for sources in 1..=NAMES.len() {
        for silent in 1..=sources {
            let mut feeds = Vec::new();
            for (at, name) in NAMES.iter().take(sources).enumerate() {
                let last = if at < silent { 0 } else { 40 };
                feeds.extend((0..=last).map(|second| earlier(name, &cents(at), -second * SECOND)));
            }
            let status = |votes| if votes < 3 { NoQuorum } else { Agreed };
            let edge = asked(30 * SECOND, &feeds, &policy);
            assert_eq!(edge.status, status(sources), "{silent} of {sources}");
            let after = asked(30 * SECOND + 1, &feeds, &policy);
            assert_eq!(after.status, status(sources - silent), "{silent} of {sources}");
            assert_eq!(after.price.is_some(), sources - silent >= 3);
            let stale = after.votes.iter().filter(|vote| vote.verdict == Verdict::Stale).count();
            assert_eq!(stale, silent);
        }
    }
}

/// F3. Posting an old time again, later, is no sign of life.
#[test]
fn a_source_that_repeats_an_old_time_is_silent() {
    let policy = ConsensusPolicy { max_age: std::time::Duration::from_secs(30), ..at_least(3) };
    let mut feeds = quotes(&[("a", "100.00"), ("b", "100.01")]);
    for arrival in 0..100 {
        let mut repeated = earlier("frozen", "100.02", 31 * SECOND);
        repeated.key.arrival = Arrival(arrival);
        feeds.push(repeated);
    }
    let found = ask(&feeds, &policy);
    assert_eq!((found.status, verdict(&found, "frozen")), (NoQuorum, Some(Verdict::Stale)));
}

/// F3. Sources stuck at one value with moving times still vote, and as a minority change little.
#[test]
fn a_minority_frozen_at_one_value_does_not_hold_the_price_back() {
    for sources in 3..=NAMES.len() {
        for frozen in 1..sources.div_ceil(2) {
            let price = |at| if at < frozen { "100".to_owned() } else { format!("120.0{at}") };
            let rows: Vec<(&str, String)> = NAMES
                .iter()
                .take(sources)
                .enumerate()
                .map(|(at, name)| (*name, price(at)))
                .collect();
            let rows: Vec<(&str, &str)> =
                rows.iter().map(|(name, price)| (*name, price.as_str())).collect();
            let found = ask(&quotes(&rows), &ConsensusPolicy::default());
            let price = micro(&found.price.unwrap().to_string());
            assert!((120_000_000..=120_080_000).contains(&price), "{frozen} of {sources}: {price}");
        }
    }
}

/// F4. The faults of one source among `honest` others, against the honest ones' interquartile range.
#[test]
fn one_faulty_source_moves_the_price_by_less_than_the_honest_spread() {
    let faults = ["67000000", "0.00067000", "0.00001492", "66999.99", "1"];
    for honest in 2..NAMES.len() {
        let offset = |at: usize| 67_000_000_000 + 10_000_000 * at as u64;
        let alone: Vec<Feed> =
            (0..honest).map(|at| earlier(NAMES[at], &text(offset(at)), SECOND)).collect();
        let policy = ConsensusPolicy::default();
        let before = micro(&ask(&alone, &policy).price.unwrap().to_string());
        // Quartiles as percentile_cont has them, of equal steps.
        let range = u128::from(offset(honest - 1) - offset(0)) / 2;
        for fault in faults {
            let mut feeds = alone.clone();
            feeds.push(earlier("faulty", fault, SECOND));
            let found = ask(&feeds, &policy);
            let moved = micro(&found.price.unwrap().to_string()).abs_diff(before);
            assert!(moved <= range, "{fault} beside {honest}: {moved} > {range}");
        }
    }
}

/// F4. An hour old, whatever it says.
#[test]
fn a_source_that_is_an_hour_late_moves_nothing() {
    let honest = quotes(&[("a", "67000"), ("b", "67010"), ("c", "67020"), ("d", "67030")]);
    let policy = ConsensusPolicy::default();
    let mut feeds = honest.clone();
    feeds.push(earlier("late", "90000", 3_600 * SECOND));
    let (with, without) = (ask(&feeds, &policy), ask(&honest, &policy));
    assert_eq!((with.price, with.mean), (without.price, without.mean));
    assert_eq!(with.sources, without.sources);
    assert_eq!(verdict(&with, "late"), Some(Verdict::Stale));
}

/// F4. Zero never becomes a price at all.
#[test]
fn a_price_of_zero_cannot_be_given() {
    for zero in ["0", "0.00", "0.000000000000000000"] {
        assert_eq!(Price::try_new(zero), Err(DecimalError::ZeroPrice));
    }
}

/// F5. A crash of 40 % that one source after the other reports: no rule may hold it back.
#[test]
fn a_true_crash_passes_as_soon_as_most_sources_report_it() {
    for sources in 1..=NAMES.len() {
        let old = |at| earlier(NAMES[at], &cents(at), 2 * SECOND);
        let new = |at| earlier(NAMES[at], &format!("60.0{at}"), SECOND);
        let mut feeds: Vec<Feed> = (0..sources).map(old).collect();
        for moved in 1..=sources {
            feeds.push(new(moved - 1));
            let found = ask(&feeds, &ConsensusPolicy::default());
            if moved * 2 == sources {
                assert_eq!((found.status, found.price), (Disputed, None), "{moved} of {sources}");
                continue;
            }
            let price = micro(&found.price.unwrap().to_string());
            let level = if moved * 2 > sources { 60_000_000 } else { 100_000_000 };
            assert!((level..=level + 80_000).contains(&price), "{moved} of {sources}: {price}");
            assert_eq!(found.status, if sources < 3 { Thin } else { Agreed });
        }
        // The second tick of each at the new level says the same.
        let again = |at| earlier(NAMES[at], &format!("60.0{at}"), 0);
        let passed = ask(&feeds, &ConsensusPolicy::default()).price;
        feeds.extend((0..sources).map(again));
        assert_eq!(ask(&feeds, &ConsensusPolicy::default()).price, passed);
    }
}

/// F6. The first of five to see a real move is outvoted, not believed and not fatal.
#[test]
fn a_move_that_one_of_five_sees_first_waits_for_the_others() {
    let before = quotes(&[("a", "100"), ("b", "100.1"), ("c", "100.2"), ("d", "100.3")]);
    let policy = at_least(3);
    let mut feeds = before.clone();
    feeds.push(earlier("first", "103", SECOND));
    let found = ask(&feeds, &policy);
    assert_eq!((found.status, verdict(&found, "first")), (Agreed, Some(Verdict::Outlier)));
    assert_eq!(found.price, ask(&before, &policy).price);
    feeds.extend([earlier("a", "103.1", 0), earlier("b", "103.2", 0)]);
    assert_eq!(answer(&feeds, &policy), (Agreed, Some("103.1".into())));
}

/// F6. Mirrors agree with each other whatever they say, so they have one vote.
#[test]
fn mirrors_of_one_venue_count_once() {
    let mirrors = ["m1", "m2", "m3", "m4", "m5", "m6"];
    let others = [("a", "100"), ("b", "100.1"), ("c", "100.2"), ("d", "100.3")];
    let mirrored: Vec<_> = mirrors.iter().map(|name| (*name, "103")).chain(others).collect();
    let feeds = quotes(&mirrored);
    assert_eq!(answer(&feeds, &ConsensusPolicy::default()), (Agreed, Some("103.0".into())));

    let policy = grouping(&mirrors.map(|name| (name, "venue")));
    let found = ask(&feeds, &policy);
    assert_eq!((found.status, found.price.unwrap().to_string()), (Agreed, "100.15".to_owned()));
    let counted = mirrors.map(|name| verdict(&found, name).unwrap().name());
    assert_eq!(counted.iter().filter(|name| **name == "outlier").count(), 1);
    assert_eq!(counted.iter().filter(|name| **name == "same_group").count(), 5);
    let once = ask(&quotes(&[others.as_slice(), &[("m1", "103")]].concat()), &policy);
    assert_eq!((found.price, found.status), (once.price, once.status));
}
