//! The cap itself; the vote as a whole is tested from outside.

use proptest::prelude::*;

use super::*;
use crate::{Arrival, OrderKey};

fn capped(weights: &[u32]) -> Vec<u128> {
    let feed = Feed {
        source: Source::try_new("a").unwrap(),
        price: Price::try_new("1").unwrap(),
        key: OrderKey { timestamp: Timestamp::MIN, arrival: Arrival(0) },
    };
    let ballot = |weight: &u32| Ballot { feed, units: 1, weight: u128::from(*weight) };
    let ballots: Vec<Ballot> = weights.iter().map(ballot).collect();
    weigh(&ballots).into_iter().map(|(_, weight)| weight).collect()
}

#[test]
fn only_what_exceeds_a_third_is_lowered() {
    assert_eq!(capped(&[7]), [14]);
    assert_eq!(capped(&[7, 1]), [14, 2]);
    assert_eq!(capped(&[7, 2, 1]), [2, 2, 2]);
    assert_eq!(capped(&[2, 2, 1, 1]), [4, 4, 2, 2]);
    assert_eq!(capped(&[1, 9, 1, 1]), [2, 3, 2, 2]);
    assert_eq!(capped(&[9, 1, 5, 1]), [4, 2, 4, 2]);
}

proptest! {
    #[test]
    fn the_heaviest_of_three_or_more_has_at_most_a_third(
        weights in prop::collection::vec(1..=u32::MAX, 3..20),
    ) {
        let capped = capped(&weights);
        let (sum, heaviest) = (capped.iter().sum::<u128>(), *capped.iter().max().unwrap());
        prop_assert!(3 * heaviest <= sum);
        // And no less than a third, when anything was lowered.
        let lowered = capped.iter().zip(&weights).any(|(cap, weight)| *cap < u128::from(*weight) * 2);
        prop_assert!(!lowered || 3 * heaviest == sum);
    }
}
