//! Prices and volumes: exact decimals that print back as they were sent.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;

/// Most digits before the decimal point.
const INTEGER_DIGITS_MAX: usize = 18;
/// How many whole numbers have as many digits at most.
const INTEGER_PARTS: u128 = 1_000_000_000_000_000_000;
/// Most digits after the decimal point.
const FRACTION_DIGITS_MAX: usize = 18;
/// Most digits from the first that is not zero to the last; 96 bits hold any such integer.
const SIGNIFICANT_DIGITS_MAX: u32 = 28;

/// Says why a text is not a price or a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecimalError {
    /// Not plain digits with at most one point; signs, exponents, separators and leading zeros are refused.
    #[error("not a plain decimal")]
    Grammar,
    /// More than 18 digits before or after the point.
    #[error("more than 18 digits before or after the point")]
    TooLong,
    /// More than 28 significant digits.
    #[error("more than 28 significant digits")]
    TooPrecise,
    /// A price of zero.
    #[error("a price must be above zero")]
    ZeroPrice,
}

impl DecimalError {
    /// Says what would have been accepted, in words fit for an error body.
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Grammar => "a decimal string such as \"67234.56\", without sign or exponent",
            Self::TooLong => "at most 18 digits before and 18 after the point",
            Self::TooPrecise => "at most 28 significant digits",
            Self::ZeroPrice => "a price above zero",
        }
    }
}

/// A price in quote currency per unit of base: exact, above zero, scale kept.
///
/// Equality and order are numeric (`1.0 == 1.00`); the text differs and is kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(Decimal);

/// A traded size in base currency since the source's previous tick: exact, zero or above, scale kept.
///
/// Equality and order are numeric (`1.0 == 1.00`); the text differs and is kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Volume(Decimal);

impl Price {
    /// Parses `^(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?$` with at most 28 significant digits, above zero.
    ///
    /// # Errors
    /// A [`DecimalError`] that names the broken rule.
    pub fn try_new(text: &str) -> Result<Self, DecimalError> {
        let value = parse(text)?;
        if value.is_zero() {
            return Err(DecimalError::ZeroPrice);
        }
        Ok(Self(value))
    }

    /// Makes a price of the integer and the scale that [`Price::decimal`] shows: `67230.00` is `6723000` at 2.
    ///
    /// # Errors
    /// A [`DecimalError`] that names the broken rule of [`Price::try_new`].
    pub fn try_from_parts(mantissa: u128, scale: u32) -> Result<Self, DecimalError> {
        if mantissa == 0 {
            return Err(DecimalError::ZeroPrice);
        }
        compose(mantissa, scale).map(Self)
    }

    /// Gives the value as a decimal, scale kept.
    pub const fn decimal(self) -> Decimal {
        self.0
    }

    /// Picks the higher of two; of equal ones that with more decimals, so that merging is bit for bit.
    #[must_use]
    pub fn higher(self, other: Self) -> Self {
        if (other.0, other.0.scale()) > (self.0, self.0.scale()) { other } else { self }
    }

    /// Picks the lower of two; of equal ones that with more decimals, so that merging is bit for bit.
    #[must_use]
    pub fn lower(self, other: Self) -> Self {
        let wins = other.0 < self.0 || (other.0 == self.0 && other.0.scale() > self.0.scale());
        if wins { other } else { self }
    }
}

impl Volume {
    /// Parses `^(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?$` with at most 28 significant digits.
    ///
    /// # Errors
    /// A [`DecimalError`] that names the broken rule.
    pub fn try_new(text: &str) -> Result<Self, DecimalError> {
        parse(text).map(Self)
    }

    /// Makes a volume of the integer and the scale that [`Volume::decimal`] shows: `0.10` is `10` at 2.
    ///
    /// # Errors
    /// A [`DecimalError`] that names the broken rule of [`Volume::try_new`].
    pub fn try_from_parts(mantissa: u128, scale: u32) -> Result<Self, DecimalError> {
        compose(mantissa, scale).map(Self)
    }

    /// Gives the value as a decimal, scale kept.
    pub const fn decimal(self) -> Decimal {
        self.0
    }
}

macro_rules! decimal_text {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_plain(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = DecimalError;

            fn from_str(text: &str) -> Result<Self, DecimalError> {
                Self::try_new(text)
            }
        }
    )+};
}

decimal_text!(Price, Volume);

/// Writes a decimal that is not negative with all its places, in 64 bits as far as they go: wide divisions are slow.
fn write_plain(value: Decimal, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (mantissa, mut buffer) = (value.mantissa().unsigned_abs(), itoa::Buffer::new());
    let digits = match u64::try_from(mantissa) {
        Ok(narrow) => buffer.format(narrow),
        Err(_wide) => buffer.format(mantissa),
    };
    write_scaled(digits, usize::try_from(value.scale()).unwrap_or(usize::MAX), f)
}

/// Writes the digits of an integer with the point before the last `scale` of them.
pub(crate) fn write_scaled(digits: &str, scale: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (whole, part) = digits.split_at(digits.len().saturating_sub(scale));
    f.write_str(if whole.is_empty() { "0" } else { whole })?;
    if scale == 0 {
        return Ok(());
    }
    f.write_str(".")?;
    for _ in part.len()..scale {
        f.write_str("0")?;
    }
    f.write_str(part)
}

/// Reads plain digits; `Decimal::from_str` would round, and takes exponents, signs and underscores.
fn parse(text: &str) -> Result<Decimal, DecimalError> {
    let (integer, fraction) = match text.split_once('.') {
        Some((_, "")) => return Err(DecimalError::Grammar),
        Some(parts) => parts,
        None => (text, ""),
    };
    let leading_zero = integer.len() > 1 && integer.starts_with('0');
    let (Some(whole), Some(part)) = (digits(integer), digits(fraction)) else {
        return Err(DecimalError::Grammar);
    };
    if integer.is_empty() || leading_zero {
        return Err(DecimalError::Grammar);
    }
    if integer.len() > INTEGER_DIGITS_MAX || fraction.len() > FRACTION_DIGITS_MAX {
        return Err(DecimalError::TooLong);
    }
    let scale = u32::try_from(fraction.len()).unwrap_or(u32::MAX);
    let mantissa = i128::from(whole) * i128::from(10_u64.pow(scale)) + i128::from(part);
    if mantissa >= 10_i128.pow(SIGNIFICANT_DIGITS_MAX) {
        return Err(DecimalError::TooPrecise);
    }
    Decimal::try_from_i128_with_scale(mantissa, scale).map_err(|_fault| DecimalError::TooPrecise)
}

/// Reads plain digits, of which the value holds 19; none where another character stands.
fn digits(text: &str) -> Option<u64> {
    text.bytes().try_fold(0_u64, |sum, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then(|| sum.wrapping_mul(10).wrapping_add(digit.into()))
    })
}

/// Checks what [`parse`] checks of a text.
fn compose(mantissa: u128, scale: u32) -> Result<Decimal, DecimalError> {
    if scale as usize > FRACTION_DIGITS_MAX {
        return Err(DecimalError::TooLong);
    }
    let wide = mantissa > u128::from(u64::MAX);
    // From two decimals on, whatever fits 64 bits has few enough digits: most need no division.
    if (wide || scale < 2) && mantissa / 10_u128.pow(scale) >= INTEGER_PARTS {
        return Err(DecimalError::TooLong);
    }
    if wide && mantissa >= 10_u128.pow(SIGNIFICANT_DIGITS_MAX) {
        return Err(DecimalError::TooPrecise);
    }
    let word = |shift: u32| u32::try_from((mantissa >> shift) & u128::from(u32::MAX));
    match (word(0), word(32), word(64)) {
        (Ok(low), Ok(middle), Ok(high)) => Ok(Decimal::from_parts(low, middle, high, false, scale)),
        _ => Err(DecimalError::TooPrecise),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keeps_the_scale_that_was_sent() {
        for text in
            ["67230.00", "1", "0.10", "0.000000000000000001", "999999999999999999.0000000000"]
        {
            assert_eq!(Price::try_new(text).unwrap().to_string(), text);
        }
        for text in ["0", "0.00", "0.000000000000000000"] {
            assert_eq!(Volume::try_new(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_every_other_way_to_write_a_number() {
        let bad = [
            "", " 1", "1 ", "+1", "-1", "-0", ".5", "5.", "1e5", "1E400", "1_0", "0x1", "1,0",
            "NaN", "Inf", "01", "00", "1.2.3", "１", "٣", "1\0", "null",
        ];
        for text in bad {
            assert_eq!(Price::try_new(text), Err(DecimalError::Grammar), "{text:?}");
        }
    }

    #[test]
    fn takes_no_byte_but_a_digit_for_a_digit() {
        for byte in (0..128_u8).filter(|byte| *byte != b'.') {
            let mark = char::from(byte);
            for text in [format!("{mark}"), format!("1{mark}2"), format!("1.{mark}")] {
                let found = Volume::try_new(&text).map(|volume| volume.to_string());
                let expected =
                    if byte.is_ascii_digit() { Ok(text) } else { Err(DecimalError::Grammar) };
                assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn bounds_the_digits() {
        let long = "1".repeat(10_000_000);
        assert_eq!(Price::try_new(&long), Err(DecimalError::TooLong));
        assert_eq!(Price::try_new("1000000000000000000"), Err(DecimalError::TooLong));
        assert_eq!(Price::try_new("0.1234567890123456789"), Err(DecimalError::TooLong));
        assert_eq!(Price::try_new("100000000000.00000000000000001"), Err(DecimalError::TooPrecise));
        assert!(Price::try_new("100000000000.0000000000000001").is_ok());
        assert_eq!(Price::try_new("0.00"), Err(DecimalError::ZeroPrice));
    }

    #[test]
    fn prefers_more_decimals_among_equals() {
        let (short, long) = (Price::try_new("1.5").unwrap(), Price::try_new("1.50").unwrap());
        for picked in [short.higher(long), long.higher(short), short.lower(long), long.lower(short)]
        {
            assert_eq!(picked.to_string(), "1.50");
        }
    }

    proptest! {
        #[test]
        fn prints_back_what_it_accepts(text in "(0|[1-9][0-9]{0,17})(\\.[0-9]{1,18})?") {
            match Volume::try_new(&text) {
                Ok(volume) => prop_assert_eq!(volume.to_string(), text),
                Err(fault) => prop_assert_eq!(fault, DecimalError::TooPrecise),
            }
        }

        #[test]
        fn the_parts_make_what_the_text_makes(
            mantissa in prop_oneof![0..=u128::MAX, 0..=u128::from(u64::MAX), 0..10_u128.pow(28)],
            scale in 0_u32..25,
        ) {
            let text = if scale == 0 {
                mantissa.to_string()
            } else {
                let width = scale as usize + 1;
                let digits = format!("{mantissa:0>width$}");
                let (integer, fraction) = digits.split_at(digits.len() - scale as usize);
                format!("{integer}.{fraction}")
            };
            let parts = Volume::try_from_parts(mantissa, scale);
            prop_assert_eq!(parts.is_ok(), Volume::try_new(&text).is_ok(), "{}", text);
            if let Ok(volume) = parts {
                prop_assert_eq!(volume.to_string(), text.clone());
                let price = Price::try_from_parts(mantissa, scale);
                prop_assert_eq!(price, Price::try_new(&text));
            }
        }

        #[test]
        fn never_panics(text in "\\PC{0,60}") {
            if let Ok(price) = Price::try_new(&text) {
                prop_assert_eq!(price.to_string(), text);
            }
        }
    }
}
