//! The edges of the integer arithmetic: ties of every rounding, and sums that outgrow 256 bits.

use proptest::prelude::*;

use super::*;

/// The largest count there is: 10^36 - 1.
const LARGEST: u128 = 10_u128.pow(36) - 1;

fn of(units: &[u128]) -> Statistics {
    Statistics::of(&mut units.to_vec()).unwrap()
}

#[test]
fn an_empty_set_has_no_statistics() {
    assert_eq!(Statistics::of(&mut []), None);
}

#[test]
fn one_feed_has_no_deviation() {
    assert_eq!(of(&[7]), Statistics { median: 7, mean: 7, std_dev: None });
}

#[test]
fn halves_round_to_even() {
    assert_eq!(of(&[1, 2]), Statistics { median: 2, mean: 2, std_dev: Some(1) });
    assert_eq!(of(&[2, 3]), Statistics { median: 2, mean: 2, std_dev: Some(1) });
    // The deviations are exactly 0.5, 1.5 and 2.5.
    for (step, rounded) in [(1, 0), (3, 2), (5, 2)] {
        assert_eq!(of(&[10, 10, 10, 10 + step]).std_dev, Some(rounded));
        assert_eq!(of(&[10 + step, 10 + step, 10, 10 + step]).std_dev, Some(rounded));
    }
}

#[test]
fn equal_feeds_do_not_deviate() {
    assert_eq!(
        of(&[LARGEST; 1_000]),
        Statistics { median: LARGEST, mean: LARGEST, std_dev: Some(0) }
    );
}

/// Half of the feeds at zero and half at R deviate by R/2 √(n/(n - 1)); here the sum of the squares is past 256 bits.
#[test]
fn a_window_of_extremes_stays_exact() {
    let count = 600_000;
    let units: Vec<u128> = (0..count).map(|at| if at % 2 == 0 { 0 } else { LARGEST }).collect();
    let found = of(&units);
    assert_eq!((found.median, found.mean), (LARGEST.div_ceil(2), LARGEST.div_ceil(2)));
    // √(n R² / (4 (n - 1))), computed apart with integers of any length.
    assert_eq!(found.std_dev, Some(500_000_416_667_187_500_723_380_684_559_838_568));
}

/// The deviation is a hair above 1.5; each part of the sum of squares is below n - 1, and their sum is not.
#[test]
fn a_long_window_of_small_steps_stays_exact() {
    let units: Vec<u128> = (0..200_000).map(|at| at % 2 * 3).collect();
    assert_eq!(of(&units), Statistics { median: 2, mean: 2, std_dev: Some(2) });
}

#[test]
fn the_floor_roots_of_the_smallest_and_the_largest_are_right() {
    for value in 0..1_000_u128 {
        assert_eq!(floor_root(U256::new(value)), U256::new(value.isqrt()));
    }
    for value in [U256::MAX, U256::MAX << 128] {
        assert_eq!(floor_root(value), U256::new(u128::MAX));
    }
}

proptest! {
    #[test]
    fn a_floor_root_is_the_largest_whose_square_fits(high in 0_u128..1 << 114, low: u128) {
        let value = U256::from_words(high, low);
        let root = floor_root(value);
        prop_assert!(root * root <= value);
        prop_assert!((root + 1) * (root + 1) > value);
    }

    #[test]
    fn a_midpoint_is_within_half_a_unit(left in 0..=LARGEST, right in 0..=LARGEST) {
        let twice = midpoint(left, right) * 2;
        let off = twice.abs_diff(left + right);
        prop_assert!(off == 0 || (off == 1 && (twice / 2).is_multiple_of(2)));
    }
}

proptest! {
    #[test]
    fn sums_in_narrow_and_in_wide_integers_are_the_same(
        units in prop::collection::vec(prop_oneof![0..1_u128 << 40, (1_u128 << 63)..(1 << 65), 0..=LARGEST], 1..400),
        floor in 0..=LARGEST,
    ) {
        let wide = |units: &mut dyn Iterator<Item = u128>| units.fold(U256::ZERO, |sum, unit| sum + U256::new(unit));
        prop_assert_eq!(sum(&units), wide(&mut units.iter().copied()));
        for floor in [floor, units[0]] {
            let squares = units.iter().map(|unit| U256::new(unit.abs_diff(floor)));
            let squares = squares.fold(U256::ZERO, |sum, distance| sum + distance * distance);
            prop_assert_eq!(sum_of_squares(&units, floor), squares);
        }
    }
}
