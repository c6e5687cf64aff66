//! The common decimal grid of a consensus: prices as integers, results as texts.

use std::fmt;

use crate::Price;

/// Decimal places a result has beyond the largest scale of its inputs.
const EXTRA_PLACES: u32 = 6;
/// Most decimal places of a result; no price has more.
const PLACES_MAX: u32 = 18;

/// The scale on which the prices of one consensus or candle are integers.
///
/// A price is below 10^18, and the scale is at most 18, so every unit count is below 10^36.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    /// The largest scale among the inputs.
    shown: u32,
    /// Places of a unit.
    places: u32,
}

impl Grid {
    pub(crate) fn of(prices: impl Iterator<Item = Price>) -> Self {
        let shown = prices.map(|price| price.decimal().scale()).max().unwrap_or(0);
        Self { shown, places: (shown + EXTRA_PLACES).min(PLACES_MAX) }
    }

    /// Gives a price, whose scale is not above the grid's, as a count of units.
    pub(crate) fn units(self, price: Price) -> u128 {
        let value = price.decimal();
        let unit = 10_u64.pow(self.places.saturating_sub(value.scale()));
        value.mantissa().unsigned_abs() * u128::from(unit)
    }

    /// Gives the number of decimal places of a unit, at most 18.
    pub(crate) const fn places(self) -> u32 {
        self.places
    }

    pub(crate) fn rounded(self, units: u128) -> Rounded {
        let (mut units, mut scale) = (units, self.places);
        while scale > self.shown && units.is_multiple_of(10) {
            units /= 10;
            scale -= 1;
        }
        Rounded { units, scale }
    }
}

/// A computed price in quote currency per unit of base, rounded once, half to even.
///
/// It prints without exponent and without trailing zeros beyond the largest scale of its inputs: the median of
/// `67230.00` and `67230.50` is `67230.25`, that of `67230.00` alone `67230.00`. Two are equal when they print alike.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rounded {
    units: u128,
    scale: u32,
}

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10_u128.pow(self.scale);
        let (integer, fraction) = (self.units / unit, self.units % unit);
        match usize::try_from(self.scale) {
            Ok(width @ 1..) => write!(f, "{integer}.{fraction:0width$}"),
            _ => write!(f, "{integer}"),
        }
    }
}

impl fmt::Debug for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rounded({self})")
    }
}
