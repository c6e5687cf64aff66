//! Median, mean and standard deviation of unit counts: exact until one rounding, half to even, at the end.

use std::cmp::Ordering;

use ethnum::U256;

/// Squares of numbers below 10^36 whose sum is sure to fit 256 bits: 65,536 × 10^72 < 2^256.
const SQUARES_PER_SUM: usize = 65_536;

/// What a set of unit counts comes to, in the same units.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statistics {
    pub(super) median: u128,
    pub(super) mean: u128,
    pub(super) std_dev: Option<u128>,
}

impl Statistics {
    /// Computes the statistics of counts below 10^36, which it reorders; none of an empty set.
    pub(super) fn of(units: &mut [u128]) -> Option<Self> {
        let median = median(units)?;
        let count = U256::new(units.len() as u128);
        let sum = sum(units);
        let (floor, rest) = ((sum / count).as_u128(), sum % count);
        let up = round_up(rest * 2, count, floor);
        Some(Self { median, mean: floor + up, std_dev: std_dev(units, floor, rest) })
    }
}

/// Gives the mean of two counts, rounded half to even.
pub(super) fn midpoint(left: u128, right: u128) -> u128 {
    let floor = left.midpoint(right);
    let half = (left ^ right) % 2;
    floor + half * (floor % 2)
}

fn median(units: &mut [u128]) -> Option<u128> {
    if units.is_empty() {
        return None;
    }
    let even = units.len().is_multiple_of(2);
    let (below, upper, _) = units.select_nth_unstable(units.len() / 2);
    let lower = below.iter().max().filter(|_| even).unwrap_or(upper);
    Some(midpoint(*lower, *upper))
}

/// Gives Σx, in 128 bits where they hold it: wide sums are slow.
fn sum(units: &[u128]) -> U256 {
    let narrow = units.iter().try_fold(0_u128, |sum, unit| sum.checked_add(*unit));
    let wide = || units.iter().fold(U256::ZERO, |sum, unit| sum + U256::new(*unit));
    narrow.map_or_else(wide, U256::new)
}

/// Gives Σ(x − floor)², in 128 bits where they hold it; at most [`SQUARES_PER_SUM`] of them.
fn sum_of_squares(units: &[u128], floor: u128) -> U256 {
    let distances = || units.iter().map(|unit| unit.abs_diff(floor));
    let narrow = distances().try_fold(0_u128, |sum, distance| {
        let distance = u64::try_from(distance).ok()?;
        sum.checked_add(u128::from(distance) * u128::from(distance))
    });
    let wide = || distances().map(U256::new).fold(U256::ZERO, |sum, unit| sum + unit * unit);
    narrow.map_or_else(wide, U256::new)
}

/// Takes the mean as its whole part `floor` and `rest` / n, and gives √(Σ(x − mean)² / (n − 1)).
///
/// With d = x − floor, whose sum is `rest`, the variance is (Σd² − rest²/n) / (n − 1). It is kept as a whole number and
/// a proper fraction over n(n − 1), for which 256 bits do whatever the counts and their number.
fn std_dev(units: &[u128], floor: u128, rest: U256) -> Option<u128> {
    let count = U256::new(units.len() as u128);
    let freedom = count - 1;
    if freedom == 0 {
        return None;
    }
    let (mut whole, mut part) = (U256::ZERO, U256::ZERO);
    for chunk in units.chunks(SQUARES_PER_SUM) {
        let squares = sum_of_squares(chunk, floor);
        whole += squares / freedom;
        part += squares % freedom;
    }
    let denominator = count * freedom;
    whole += count * part / denominator;
    // One loan is enough, since rest < n makes rest² < n(n - 1) + 1.
    let (numerator, taken) = (count * part % denominator, rest * rest);
    let (whole, numerator) = if numerator >= taken {
        (whole, numerator - taken)
    } else {
        (whole - 1, numerator + denominator - taken)
    };
    Some(rounded_root(whole, numerator, denominator))
}

/// Gives √(whole + numerator / denominator), rounded half to even.
fn rounded_root(whole: U256, numerator: U256, denominator: U256) -> u128 {
    let root = floor_root(whole);
    // The root lies above root + 1/2 exactly when its square lies above root² + root + 1/4.
    let up = match whole.cmp(&(root * root + root)) {
        Ordering::Less => 0,
        Ordering::Equal => round_up(numerator * 4, denominator, root.as_u128()),
        Ordering::Greater => 1,
    };
    root.as_u128() + up
}

/// Gives what rounding adds to `floor`: `above` against `half` says on which side of the half the value lies.
fn round_up(above: U256, half: U256, floor: u128) -> u128 {
    match above.cmp(&half) {
        Ordering::Less => 0,
        Ordering::Equal => floor % 2,
        Ordering::Greater => 1,
    }
}

/// Gives the whole part of a square root, by Newton's method from above.
fn floor_root(value: U256) -> U256 {
    if value == U256::ZERO {
        return value;
    }
    let bits = U256::BITS - value.leading_zeros();
    let mut root = U256::ONE << bits.div_ceil(2);
    loop {
        let next = (root + value / root) >> 1;
        if next >= root {
            return root;
        }
        root = next;
    }
}

#[cfg(test)]
mod tests;
