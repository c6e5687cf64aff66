//! The division behind a candle's volume-weighted price.

use std::cmp::Ordering;

use ethnum::I256;

use crate::sum::power_of_ten;

/// Divides two sums that are zero or above, rounded half to even to `places` decimals; none by zero.
///
/// The quotient is a mean of prices, below 10^18. It is taken by as many digits at once as a remainder has room for: a
/// division of 256 bits costs much, the dividend times 10^18 would need more, and ten times a remainder never does.
pub(super) fn divide(dividend: I256, divisor: I256, places: u32) -> Option<u128> {
    if divisor <= I256::ZERO {
        return None;
    }
    let mut quotient = dividend / divisor;
    let mut rest = dividend - quotient * divisor;
    // Ten bits hold three digits.
    let room = (divisor.leading_zeros().saturating_sub(1) * 3 / 10).max(1);
    let mut left = places;
    while left > 0 {
        let digits = left.min(room);
        let shift = power_of_ten(digits);
        rest *= shift;
        let next = rest / divisor;
        rest -= next * divisor;
        quotient = quotient * shift + next;
        left -= digits;
    }
    let up = match (rest * 2).cmp(&divisor) {
        Ordering::Less => I256::ZERO,
        Ordering::Equal => quotient % 2,
        Ordering::Greater => I256::ONE,
    };
    u128::try_from(quotient + up).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rounds_halves_to_the_even_neighbour() {
        let divide = |dividend, divisor| divide(I256::new(dividend), I256::new(divisor), 1);
        assert_eq!(divide(1, 20), Some(0));
        assert_eq!(divide(3, 20), Some(2));
        assert_eq!(divide(5, 20), Some(2));
        assert_eq!(divide(2, 3), Some(7));
        assert_eq!(divide(2, 0), None);
    }

    #[test]
    fn holds_the_largest_price_at_eighteen_places() {
        let volume = I256::new(10).pow(54);
        let price = 10_u128.pow(18) - 1;
        assert_eq!(divide(volume * I256::from(price), volume, 18), Some(price * 10_u128.pow(18)));
    }

    /// One digit after the other, as on paper.
    fn by_digits(dividend: I256, divisor: I256, places: u32) -> Option<u128> {
        let (mut quotient, mut rest) = (dividend / divisor, dividend % divisor);
        for _digit in 0..places {
            rest *= 10;
            quotient = quotient * 10 + rest / divisor;
            rest %= divisor;
        }
        let twice = rest * 2;
        let up = twice > divisor || (twice == divisor && quotient % 2 == 1);
        u128::try_from(quotient + I256::from(up)).ok()
    }

    proptest! {
        #[test]
        fn takes_many_digits_at_once_as_one_by_one(
            high in 0..=i128::MAX >> 4,
            narrower in 0_u32..124,
            low: i128,
            rest: u128,
            whole in 0_u8..8,
            places in 0_u32..=18,
        ) {
            let divisor = I256::from_words(high >> narrower, low);
            let dividend = divisor * I256::from(whole) + (I256::from(rest) << 100) % divisor.max(I256::ONE);
            prop_assume!(divisor > I256::ZERO);
            prop_assert_eq!(divide(dividend, divisor, places), by_digits(dividend, divisor, places));
        }

        #[test]
        fn lies_within_half_a_unit_of_the_quotient(dividend in 0_u64.., divisor in 1_u64.., places in 0_u32..=18) {
            let found = divide(I256::from(dividend), I256::from(divisor), places).unwrap();
            let exact = I256::from(dividend) * I256::new(10).pow(places);
            let error = (I256::from(found) * I256::from(divisor) - exact).abs() * 2;
            prop_assert!(error < I256::from(divisor) || (error == I256::from(divisor) && found.is_multiple_of(2)));
        }
    }
}
