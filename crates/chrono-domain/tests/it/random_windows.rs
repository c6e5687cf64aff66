//! Random windows against the independent computation.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use chrono_domain::{Arrival, Consensus, ConsensusPolicy, Feed, OrderKey, Price, Timestamp};
use proptest::prelude::*;

use crate::oracle;
use crate::scene::{noon, source};

/// Prices of one market, of markets far apart, and the largest and finest there are.
fn any_price() -> impl Strategy<Value = Price> {
    let near = (99_000_u32..101_000, 0_usize..4).prop_map(|(units, scale)| {
        format!("{}.{:03}{}", units / 1_000, units % 1_000, "0".repeat(scale))
    });
    let text = prop_oneof![
        6 => near,
        1 => "[1-9][0-9]{0,17}",
        1 => "0\\.[0-9]{0,17}[1-9]",
        1 => "[1-9][0-9]{0,9}\\.[0-9]{1,18}",
        1 => "999999999999999999\\.[0-9]{1,10}",
    ];
    text.prop_filter_map("no more than 28 digits", |text| Price::try_new(&text).ok())
}

/// Six sources that post now and then, on both edges of the window too.
fn any_feeds() -> impl Strategy<Value = Vec<Feed>> {
    let micros = prop_oneof![
        4 => 0_i64..400_000_000,
        1 => Just(0),
        1 => Just(300_000_000),
        1 => Just(300_000_001),
        1 => Just(-1),
    ];
    let row = (0_usize..7, any_price(), micros);
    prop::collection::vec(row, 1..40).prop_map(|rows| {
        let feed = |(arrival, (name, price, micros)): (usize, (usize, Price, i64))| Feed {
            source: source(["a", "b", "c", "d", "e", "f", "g"][name]),
            price,
            key: OrderKey {
                timestamp: Timestamp::from_micros(noon().micros() - micros).unwrap(),
                arrival: Arrival(arrival as u64),
            },
        };
        rows.into_iter().enumerate().map(feed).collect()
    })
}

prop_compose! {
    fn any_policy()(
        max_age in prop_oneof![Just(300), 1_u64..400],
        min_sources in 1_usize..6,
        weights in prop::collection::btree_map("[a-g]", 1_u32..9, 0..5),
        groups in prop::collection::btree_map("[a-g]", "[a-c]", 0..4),
        rules in (0_u32..300, 0_u32..200, 0_u32..9),
    ) -> ConsensusPolicy {
        let weights: BTreeMap<_, _> =
            weights.iter().map(|(name, weight)| (source(name), NonZeroU32::new(*weight).unwrap())).collect();
        let (spread_limit_bp, outlier_floor_bp, outlier_mads) = rules;
        ConsensusPolicy {
            window: Duration::from_mins(5),
            max_age: Duration::from_secs(max_age),
            min_sources: NonZeroUsize::new(min_sources).unwrap(),
            weights,
            groups: groups.iter().map(|(name, group)| (source(name), source(group))).collect(),
            spread_limit_bp,
            outlier_floor_bp,
            outlier_mads,
        }
    }
}

fn compute(feeds: &[Feed], policy: &ConsensusPolicy) -> Option<Consensus> {
    Consensus::compute(noon(), feeds.iter().copied(), policy)
}

proptest! {
    #[test]
    fn every_figure_equals_the_independent_computation(feeds in any_feeds()) {
        let policy = ConsensusPolicy::default();
        let found = compute(&feeds, &policy);
        prop_assert_eq!(found.as_ref().map(oracle::form), oracle::expect(noon(), &feeds, &policy));
    }

    #[test]
    fn so_it_does_under_any_policy(feeds in any_feeds(), policy in any_policy()) {
        let found = compute(&feeds, &policy);
        prop_assert_eq!(found.as_ref().map(oracle::form), oracle::expect(noon(), &feeds, &policy));
    }

    #[test]
    fn the_order_of_the_feeds_makes_no_difference(
        (feeds, shuffled) in any_feeds().prop_flat_map(|feeds| (Just(feeds.clone()), Just(feeds).prop_shuffle())),
        policy in any_policy(),
    ) {
        prop_assert_eq!(compute(&feeds, &policy), compute(&shuffled, &policy));
    }

    #[test]
    fn feeds_beyond_the_lookback_change_no_figure(feeds in any_feeds(), policy in any_policy()) {
        let start = noon().minus(policy.lookback());
        let needed: Vec<Feed> =
            feeds.iter().filter(|feed| feed.key.timestamp >= start).copied().collect();
        let without_votes = |found: Option<Consensus>| found.map(|found| Consensus { votes: Vec::new(), ..found });
        prop_assert_eq!(without_votes(compute(&feeds, &policy)), without_votes(compute(&needed, &policy)));
    }

    #[test]
    fn posting_more_often_changes_no_vote(feeds in any_feeds(), again in 1_usize..50) {
        let policy = ConsensusPolicy::default();
        let Some(once) = compute(&feeds, &policy) else { return Ok(()) };
        let mut often = feeds.clone();
        often.extend(std::iter::repeat_n(feeds[0], again));
        let often = compute(&often, &policy).unwrap();
        prop_assert_eq!((once.price, once.status, once.votes), (often.price, often.status, often.votes));
    }
}
