//! Decimal arithmetic as on paper, digit by digit: slow, exact, and shared with nothing.

use std::cmp::Ordering;
use std::fmt;
use std::iter::repeat_n;

/// A decimal of any length, zero or above.
#[derive(Debug, Clone)]
pub(super) struct Number {
    /// Digits, the least first.
    digits: Vec<u32>,
    /// How many of them stand after the point.
    scale: usize,
}

impl Number {
    /// Reads the plain decimal that something prints as.
    pub(super) fn read(printed: &impl fmt::Display) -> Self {
        let text = printed.to_string();
        let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let digits =
            text.bytes().rev().filter(u8::is_ascii_digit).map(|digit| u32::from(digit - b'0'));
        Self { digits: digits.collect(), scale }
    }

    /// Gives the number of digits after the point.
    pub(super) const fn scale(&self) -> usize {
        self.scale
    }

    /// Adds; the longer scale stays.
    pub(super) fn plus(&self, other: &Self) -> Self {
        let scale = self.scale.max(other.scale);
        let (mut columns, addend) = (self.digits_at(scale), other.digits_at(scale));
        columns.resize(columns.len().max(addend.len()) + 1, 0);
        for (column, digit) in columns.iter_mut().zip(addend) {
            *column += digit;
        }
        Self { digits: carried(columns), scale }
    }

    /// Multiplies; the scales add up.
    pub(super) fn times(&self, other: &Self) -> Self {
        let mut columns = vec![0; self.digits.len() + other.digits.len()];
        for (place, digit) in self.digits.iter().enumerate() {
            for (column, factor) in columns.iter_mut().skip(place).zip(&other.digits) {
                *column += digit * factor;
            }
        }
        Self { digits: carried(columns), scale: self.scale + other.scale }
    }

    /// Gives the digits with zeros added until `scale` of them stand after the point.
    fn digits_at(&self, scale: usize) -> Vec<u32> {
        repeat_n(0, scale - self.scale).chain(self.digits.iter().copied()).collect()
    }
}

/// Carries what is above nine in a column on to the next; the last column is wide enough.
fn carried(columns: Vec<u32>) -> Vec<u32> {
    let mut carry = 0;
    let digits = columns.into_iter().map(|column| {
        let sum = column + carry;
        carry = sum / 10;
        sum % 10
    });
    digits.collect()
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.digits.len().max(self.scale + 1);
        let padded = self.digits.iter().copied().chain(repeat_n(0, places - self.digits.len()));
        let mut digits: Vec<u32> = padded.collect();
        while digits.len() > self.scale + 1 && digits.last() == Some(&0) {
            digits.pop();
        }
        for (place, digit) in digits.iter().enumerate().rev() {
            write!(f, "{digit}")?;
            if place == self.scale && place > 0 {
                f.write_str(".")?;
            }
        }
        Ok(())
    }
}

/// Compares by value: `1.0` and `1.00` are equal.
impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        let (mut left, mut right) = (self.digits_at(scale), other.digits_at(scale));
        let places = left.len().max(right.len());
        left.resize(places, 0);
        right.resize(places, 0);
        left.iter().rev().cmp(right.iter().rev())
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Number {
        Number::read(&text)
    }

    #[test]
    fn adds_and_multiplies_as_on_paper() {
        assert_eq!(read("99.95").plus(&read("0.1")).to_string(), "100.05");
        assert_eq!(read("0.25").plus(&read("0.75")).to_string(), "1.00");
        assert_eq!(read("0.03").times(&read("0.07")).to_string(), "0.0021");
        assert_eq!(read("99").times(&read("99.0")).to_string(), "9801.0");
        assert_eq!(read("0.00").times(&read("5")).to_string(), "0.00");
        assert_eq!(read("7").to_string(), "7");
    }

    #[test]
    fn compares_by_value() {
        assert_eq!(read("1.0"), read("1.00"));
        assert!(read("9.99") < read("10"));
        assert!(read("0.1") > read("0.09"));
    }

    proptest! {
        #[test]
        fn agrees_with_integers(left in 0_u64..1_000_000_000_000, right in 0_u64..1_000_000_000_000) {
            let (a, b) = (Number::read(&left), Number::read(&right));
            prop_assert_eq!(a.plus(&b).to_string(), (left + right).to_string());
            prop_assert_eq!(a.times(&b).to_string(), (u128::from(left) * u128::from(right)).to_string());
            prop_assert_eq!(a.cmp(&b), left.cmp(&right));
        }
    }
}
