//! The division behind a candle's volume-weighted price.

use std::cmp::Ordering;

use ethnum::I256;

/// Divides two sums that are zero or above, rounded half to even to `places` decimals; none by zero.
///
/// The quotient is a mean of prices, below 10^18. It is taken digit by digit: the dividend times 10^18 would need more
/// than 256 bits, ten times a remainder never does.
pub(super) fn divide(dividend: I256, divisor: I256, places: u32) -> Option<u128> {
    if divisor <= I256::ZERO {
        return None;
    }
    let mut quotient = dividend / divisor;
    let mut rest = dividend % divisor;
    for _digit in 0..places {
        rest *= 10;
        quotient = quotient * 10 + rest / divisor;
        rest %= divisor;
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

    proptest! {
        #[test]
        fn lies_within_half_a_unit_of_the_quotient(dividend in 0_u64.., divisor in 1_u64.., places in 0_u32..=18) {
            let found = divide(I256::from(dividend), I256::from(divisor), places).unwrap();
            let exact = I256::from(dividend) * I256::new(10).pow(places);
            let error = (I256::from(found) * I256::from(divisor) - exact).abs() * 2;
            prop_assert!(error < I256::from(divisor) || (error == I256::from(divisor) && found.is_multiple_of(2)));
        }
    }
}
