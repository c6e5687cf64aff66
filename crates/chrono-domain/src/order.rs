//! Numbers that order things: arrivals in the store, updates on the bus.

use std::fmt;

use crate::Timestamp;

/// The number a tick gets when it is stored: unique, persisted, growing; breaks ties of equal timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Arrival(pub u64);

/// The number of an update on the bus: one sequence for all symbols, without holes, within one [`Epoch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub u64);

impl Seq {
    /// Gives the number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Names one life of the bus; sequence numbers of different epochs are not comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl std::str::FromStr for Epoch {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// Where a tick stands among the ticks of its symbol: by time, then by arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey {
    /// The source's time of the tick.
    pub timestamp: Timestamp,
    /// The store's number of the tick.
    pub arrival: Arrival,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_sixteen_digits_and_reads_back() {
        for (number, text) in [(0xab, "00000000000000ab"), (u64::MAX, "ffffffffffffffff")] {
            assert_eq!(Epoch(number).to_string(), text);
            assert_eq!(text.parse(), Ok(Epoch(number)));
        }
        assert!("epoch".parse::<Epoch>().is_err());
    }
}
