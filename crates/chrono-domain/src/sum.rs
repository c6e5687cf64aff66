//! Exact sums of volumes and of price × volume.
//!
//! `rust_decimal` rounds silently once a sum or product needs more than 96 bits, so sums are 256-bit integers at a
//! fixed scale of 36: the product of two 18-place values is exact. A tick's price × volume is at most 10^30
//! ([`crate::Tick::try_new`]), so a sum overflows only after more than 5 × 10^10 such ticks.

use std::fmt;

use ethnum::I256;
use rust_decimal::Decimal;

use crate::decimal::write_scaled;
use crate::{Price, Volume};

/// Decimal places of the integer inside an [`ExactSum`].
const SCALE: u32 = 36;
/// Digits that any integer of 128 bits holds.
const NARROW_DIGITS: u32 = 38;

/// Says why a text is not a stored sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a plain decimal with at most 36 places")]
pub struct SumError;

/// A sum that never rounds; it prints with the largest scale of what went in, as `numeric` does.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExactSum {
    units: I256,
    scale: u8,
}

impl ExactSum {
    /// Makes a sum of one volume.
    pub fn of_volume(volume: Volume) -> Self {
        Self::from_units(units_of(volume.decimal(), SCALE), volume.decimal().scale())
    }

    /// Makes a sum of one price × volume, in quote currency.
    pub fn of_notional(price: Price, volume: Volume) -> Self {
        let (price, volume) = (price.decimal(), volume.decimal());
        let scale = price.scale() + volume.scale();
        let missing = SCALE.saturating_sub(scale);
        let units = if let Some(product) = price.mantissa().checked_mul(volume.mantissa()) {
            scaled_up(product, missing)
        } else {
            let product = I256::from(price.mantissa()) * I256::from(volume.mantissa());
            product * power_of_ten(missing)
        };
        Self::from_units(units, scale)
    }

    /// Reads what [`fmt::Display`] writes, and nothing else.
    ///
    /// # Errors
    /// [`SumError`] for anything but a plain decimal with at most 36 places, and for what 256 bits cannot hold.
    pub fn parse(text: &str) -> Result<Self, SumError> {
        let (integer, fraction) = match text.split_once('.') {
            Some((_, "")) => return Err(SumError),
            Some(parts) => parts,
            None => (text, ""),
        };
        let digits = format!("{integer}{fraction}");
        let is_padded = integer.is_empty() || (integer.starts_with('0') && integer != "0");
        if is_padded || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SumError);
        }
        let shown = I256::from_str_radix(&digits, 10).map_err(|_fault| SumError)?;
        let scale = u8::try_from(fraction.len()).map_err(|_fault| SumError)?;
        Self::try_from_parts(shown.to_le_bytes(), scale)
    }

    /// Gives the printed digits as one integer, little-endian, and how many of them follow the point.
    pub fn to_parts(self) -> ([u8; 32], u8) {
        let shown = self.units / power_of_ten(SCALE.saturating_sub(u32::from(self.scale)));
        (shown.to_le_bytes(), self.scale)
    }

    /// Takes what [`ExactSum::to_parts`] gave.
    ///
    /// # Errors
    /// [`SumError`] for a negative integer, more than 36 places, and what 256 bits cannot hold.
    pub fn try_from_parts(integer: [u8; 32], scale: u8) -> Result<Self, SumError> {
        let integer = I256::from_le_bytes(integer);
        let places = SCALE.checked_sub(u32::from(scale)).ok_or(SumError)?;
        let units = integer.checked_mul(power_of_ten(places)).ok_or(SumError)?;
        if integer < I256::ZERO { Err(SumError) } else { Ok(Self { units, scale }) }
    }

    /// Adds another sum, exactly.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { units: self.units + other.units, scale: self.scale.max(other.scale) }
    }

    /// Tells whether the sum is zero.
    pub fn is_zero(self) -> bool {
        self.units == I256::ZERO
    }

    /// Gives the sum as an integer of 10^-36.
    pub(crate) const fn units(self) -> I256 {
        self.units
    }

    fn from_units(units: I256, scale: u32) -> Self {
        Self { units, scale: u8::try_from(scale).unwrap_or(u8::MAX) }
    }
}

impl fmt::Display for ExactSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = usize::from(self.scale);
        let shown = self.units / power_of_ten(SCALE.saturating_sub(u32::from(self.scale)));
        match u128::try_from(shown) {
            Ok(narrow) => write_scaled(itoa::Buffer::new().format(narrow), scale, f),
            Err(_wide) => write_scaled(&shown.to_string(), scale, f),
        }
    }
}

impl fmt::Debug for ExactSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExactSum({self})")
    }
}

/// Gives a decimal as an integer of 10^-`scale`; `scale` is never below the decimal's own.
pub(crate) fn units_of(value: Decimal, scale: u32) -> I256 {
    scaled_up(value.mantissa(), scale.saturating_sub(value.scale()))
}

/// Gives an integer times 10^`places`, for places up to 36; in 128 bits where they hold it, since wide products are slow.
fn scaled_up(mantissa: i128, places: u32) -> I256 {
    match 10_i128.checked_pow(places).and_then(|power| mantissa.checked_mul(power)) {
        Some(narrow) => I256::from(narrow),
        None => I256::from(mantissa) * power_of_ten(places),
    }
}

/// Gives 10^`exponent`, for exponents up to 76.
pub(crate) fn power_of_ten(exponent: u32) -> I256 {
    let low = exponent.min(NARROW_DIGITS);
    let power = I256::from(10_u128.pow(low));
    if low == exponent { power } else { power * I256::from(10_u128.pow(exponent - low)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keeps_an_addend_that_a_96_bit_decimal_loses() {
        let big = ExactSum::of_volume(Volume::try_new("99999999999999999.99").unwrap());
        let small = ExactSum::of_volume(Volume::try_new("0.000000000000000001").unwrap());
        assert_eq!(big.plus(small).to_string(), "99999999999999999.990000000000000001");
    }

    #[test]
    fn keeps_every_place_of_a_product() {
        let price = Price::try_new("0.000000000000000003").unwrap();
        let volume = Volume::try_new("0.000000000000000007").unwrap();
        let notional = ExactSum::of_notional(price, volume);
        assert_eq!(notional.to_string(), format!("0.{}21", "0".repeat(34)));
    }

    #[test]
    fn knows_zero_at_any_scale() {
        let sum = |text| ExactSum::of_volume(Volume::try_new(text).unwrap());
        assert!(sum("0.00").is_zero());
        assert!(!sum("0.000000000000000001").is_zero());
    }

    #[test]
    fn shows_the_largest_scale_seen() {
        let sum = |text| ExactSum::of_volume(Volume::try_new(text).unwrap());
        assert_eq!(sum("1.50").plus(sum("2")).to_string(), "3.50");
        assert_eq!(sum("0.00").to_string(), "0.00");
        assert_eq!(sum("7").to_string(), "7");
    }

    #[test]
    fn reads_back_a_sum_of_many_of_the_largest() {
        let largest = ExactSum::parse(&format!("1{}.5", "0".repeat(30))).unwrap();
        let mut sum = largest;
        for _ in 0..32 {
            sum = sum.plus(sum);
        }
        assert_eq!(sum.to_string().len(), "4294967296".len() + 30 + ".0".len());
        assert_eq!(ExactSum::parse(&sum.to_string()), Ok(sum));
        assert_eq!(ExactSum::parse(&"9".repeat(41)), Err(SumError));
    }

    #[test]
    fn reads_only_digits_that_it_can_hold() {
        let (whole, places) = ("9".repeat(40), "9".repeat(36));
        for text in ["0", "0.0", &format!("0.{places}"), &format!("{whole}.{places}")] {
            assert_eq!(ExactSum::parse(text).unwrap().to_string(), text);
        }
        let (long, fine) = (format!("{whole}9"), format!("0.{places}9"));
        for text in ["", ".", ".5", "7.", "07", "00.5", "-1", "1e5", "1.x", ":", "/", "1.2.3"] {
            assert_eq!(ExactSum::parse(text), Err(SumError), "{text:?}");
        }
        for text in [&long, &fine] {
            assert_eq!(ExactSum::parse(text), Err(SumError), "{text:?}");
        }
    }

    #[test]
    fn takes_only_parts_from_zero_up_with_36_places_at_most() {
        let parts = |integer: I256, scale| ExactSum::try_from_parts(integer.to_le_bytes(), scale);
        for (integer, scale, text) in [(0, 2, "0.00"), (1, 0, "1"), (12, 1, "1.2")] {
            assert_eq!(parts(I256::new(integer), scale).unwrap().to_string(), text);
        }
        for (integer, scale) in [(I256::MINUS_ONE, 36), (I256::ZERO, 37), (I256::MAX, 35)] {
            assert_eq!(parts(integer, scale), Err(SumError));
        }
    }

    proptest! {
        #[test]
        fn narrow_integers_say_what_wide_ones_do(
            price in "[1-9][0-9]{0,13}(\\.[0-9]{1,14})?",
            volume in "[0-9](\\.[0-9]{1,18})?|[1-9][0-9]{1,15}(\\.[0-9]{1,10})?",
        ) {
            let (price, volume) = (Price::try_new(&price).unwrap(), Volume::try_new(&volume).unwrap());
            let wide = |value: Decimal| (I256::from(value.mantissa()), value.scale());
            let ((price_units, price_scale), (units, scale)) = (wide(price.decimal()), wide(volume.decimal()));
            prop_assert_eq!(ExactSum::of_volume(volume).units, units * power_of_ten(36 - scale));
            let notional = ExactSum::of_notional(price, volume);
            prop_assert_eq!(notional.units, price_units * units * power_of_ten(36 - scale - price_scale));
            let product = price_units * units;
            let digits = format!("{product:0>width$}", width = (scale + price_scale) as usize + 1);
            let (integer, fraction) = digits.split_at(digits.len() - (scale + price_scale) as usize);
            let point = if fraction.is_empty() { "" } else { "." };
            prop_assert_eq!(notional.to_string(), format!("{integer}{point}{fraction}"));
        }

        #[test]
        fn adds_in_any_order_and_reads_back(texts in prop::collection::vec("[1-9][0-9]{0,12}(\\.[0-9]{1,12})?", 1..20)) {
            let sums: Vec<_> = texts.iter().map(|text| ExactSum::of_volume(Volume::try_new(text).unwrap())).collect();
            let forward = sums.iter().copied().reduce(ExactSum::plus).unwrap();
            let backward = sums.iter().rev().copied().reduce(ExactSum::plus).unwrap();
            prop_assert_eq!(forward, backward);
            prop_assert_eq!(ExactSum::parse(&forward.to_string()), Ok(forward));
            let (integer, scale) = forward.to_parts();
            prop_assert_eq!(ExactSum::try_from_parts(integer, scale), Ok(forward));
        }

        #[test]
        fn reads_every_text_that_it_writes(units: [u8; 32], scale in 0..=36_u8) {
            let units = I256::from_le_bytes(units) & I256::MAX;
            let integer = units / power_of_ten(36 - u32::from(scale));
            let sum = ExactSum::try_from_parts(integer.to_le_bytes(), scale).unwrap();
            prop_assert_eq!(ExactSum::parse(&sum.to_string()), Ok(sum));
        }

        #[test]
        fn reads_no_text_that_it_does_not_write(text in "(0{0,2}|0?[1-9][0-9]{0,41})(\\.([0-9]{1,38})?)?") {
            if let Ok(sum) = ExactSum::parse(&text) {
                prop_assert_eq!(sum.to_string(), text);
            }
        }

        #[test]
        fn takes_only_parts_that_it_can_print(integer: [u8; 32], scale: u8) {
            if let Ok(sum) = ExactSum::try_from_parts(integer, scale) {
                prop_assert_eq!(sum.to_parts(), (integer, scale));
                prop_assert!(!sum.to_string().starts_with('-'));
            }
        }
    }
}
