//! One symbol's price through time, in whole numbers.

use std::fmt;

use chrono_domain::Symbol;
use sha2::{Digest, Sha256};

use super::random::Random;

/// Parts of a price unit that the middle price is kept in, so that cheap coins can move by less than a unit.
const FINE: u64 = 1_000_000;
/// Parts in a whole, as moves are measured.
const PPM: u64 = 1_000_000;
/// Largest ordinary move of a step: about 0.04 % a minute, 1.5 % a day.
const MOVE_PPM_MAX: u64 = 20;
/// A jump comes once in so many steps: at eight symbols, one in the market every 40 seconds.
const JUMP_ONCE_IN: u64 = 3_000;
/// How large a jump is.
const JUMP_PPM: (u64, u64) = (2_000, 10_000);

/// Where well-known symbols start: price units, and decimals of a unit.
const STARTS: [(&str, u64, u32); 8] = [
    ("BTC/USD", 6_723_456, 2),
    ("ETH/USD", 267_890, 2),
    ("SOL/USD", 14_325, 2),
    ("XRP/USD", 52_340, 5),
    ("FLR/USD", 14_820, 6),
    ("DOGE/USD", 12_345, 5),
    ("ADA/USD", 38_120, 5),
    ("LTC/USD", 6_512, 2),
];

/// A decimal number: units of the last digit, and how many digits follow the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// Units of the last digit.
    pub units: u64,
    /// Digits after the point, at most 18.
    pub scale: u32,
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = 10_u64.pow(self.scale.min(18));
        let (whole, rest) = (self.units / one, self.units % one);
        match usize::try_from(self.scale) {
            Ok(width) if width > 0 => write!(f, "{whole}.{rest:0width$}"),
            _ => write!(f, "{whole}"),
        }
    }
}

/// The middle price of a symbol, which all exchanges follow.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) symbol: Symbol,
    pub(super) scale: u32,
    start: u64,
    middle: u64,
}

impl Series {
    /// Starts a series; a symbol that is not well known starts at a price that its name decides.
    pub(super) fn new(symbol: Symbol) -> Self {
        let known = STARTS.iter().find(|(name, ..)| *name == symbol.as_str());
        let (units, scale) = known.map_or_else(
            || {
                let [a, b, ..] = <[u8; 32]>::from(Sha256::digest(symbol.as_str()));
                (10_000 + u64::from(u16::from_be_bytes([a, b])), 4)
            },
            |&(_name, units, scale)| (units, scale),
        );
        let start = units * FINE;
        Self { symbol, scale, start, middle: start }
    }

    /// Moves on by one step: a small move, now and then a jump.
    ///
    /// The price stays between half and twice its start, so it is always positive and fits every bound.
    pub(super) fn step(&mut self, random: &mut Random) {
        // The sum of two is near its middle more often than at its ends.
        let up = random.between(0, MOVE_PPM_MAX) + random.between(0, MOVE_PPM_MAX);
        let down = random.between(0, MOVE_PPM_MAX) + random.between(0, MOVE_PPM_MAX);
        let jump =
            if random.once_in(JUMP_ONCE_IN) { random.between(JUMP_PPM.0, JUMP_PPM.1) } else { 0 };
        let (up, down) = if random.once_in(2) { (up + jump, down) } else { (up, down + jump) };
        let moved = part(self.middle, PPM + up, PPM).saturating_sub(part(self.middle, down, PPM));
        self.middle = moved.clamp(self.start / 2, self.start.saturating_mul(2));
    }

    /// Gives the middle price times `ppm` millionths, in fine units.
    pub(super) fn middle_times(&self, ppm: u64) -> u64 {
        part(self.middle, ppm, PPM)
    }

    /// Gives the whole units below a fine price.
    pub(super) fn floor(&self, fine: u64) -> Amount {
        Amount { units: fine / FINE, scale: self.scale }
    }
}

/// Gives `value × numerator ÷ denominator`, rounded down.
pub(super) fn part(value: u64, numerator: u64, denominator: u64) -> u64 {
    let wide = u128::from(value) * u128::from(numerator) / u128::from(denominator.max(1));
    u64::try_from(wide).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn writes_amounts_as_plain_decimals() {
        for (units, scale, text) in [(6_723_456, 2, "67234.56"), (5, 4, "0.0005"), (7, 0, "7")] {
            assert_eq!(Amount { units, scale }.to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn a_price_stays_within_half_and_twice_its_start(seed: u64, symbol in "[A-Z]{3}/USD") {
            let mut series = Series::new(Symbol::try_new(&symbol).unwrap());
            let mut random = Random::new(seed);
            for _ in 0..5_000 {
                series.step(&mut random);
                prop_assert!(series.middle >= series.start / 2 && series.middle <= series.start * 2);
            }
        }
    }

    #[test]
    fn a_price_moves_both_ways_and_drifts_little() {
        let mut series = Series::new(Symbol::try_new("FLR/USD").unwrap());
        let mut random = Random::new(7);
        let (mut rises, mut falls) = (0, 0);
        for _ in 0..10_000 {
            let before = series.middle;
            series.step(&mut random);
            rises += u32::from(series.middle > before);
            falls += u32::from(series.middle < before);
        }
        assert!(rises > 4_000 && falls > 4_000, "{rises} rises, {falls} falls");
        let quarter = series.start / 4;
        assert!(series.middle.abs_diff(series.start) < quarter, "drifted to {}", series.middle);
    }
}
