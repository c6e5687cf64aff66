//! One observed price, as sent and as stored.

use std::fmt;
use std::sync::Arc;

use crate::sum::{ExactSum, power_of_ten};
use crate::{Arrival, OrderKey, Price, Source, Symbol, Timestamp, Volume};

/// Says why a price and a volume cannot stand together in a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TickError {
    /// Price × volume above 10^30, which sums over ticks could not hold.
    #[error("price times volume is above 10^30")]
    NotionalTooLarge,
}

impl TickError {
    /// Says what would have been accepted, in words fit for an error body.
    pub const fn expected(self) -> &'static str {
        match self {
            Self::NotionalTooLarge => "price times volume of at most 10^30",
        }
    }
}

/// A tick's free JSON object in canonical form: no white space, keys in the order sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Metadata(Arc<str>);

impl Metadata {
    /// Takes a text that its caller has made canonical.
    pub fn from_canonical(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// Gives the canonical JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metadata({})", self.0)
    }
}

/// One price of one symbol, observed at one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// What is priced, as `BASE/QUOTE`.
    pub symbol: Symbol,
    /// Where the price was seen.
    pub source: Source,
    /// Quote currency per unit of base.
    pub price: Price,
    /// Size traded since the source's previous tick, in base currency; none where the source does not say.
    pub volume: Option<Volume>,
    /// The source's time.
    pub timestamp: Timestamp,
    /// What else the worker sent along.
    pub metadata: Option<Metadata>,
}

impl Tick {
    /// Makes a tick without metadata.
    ///
    /// # Errors
    /// [`TickError::NotionalTooLarge`] when price × volume is above 10^30.
    pub fn try_new(
        symbol: Symbol,
        source: Source,
        price: Price,
        volume: Option<Volume>,
        timestamp: Timestamp,
    ) -> Result<Self, TickError> {
        if volume.is_some_and(|volume| !fits_sums(price, volume)) {
            return Err(TickError::NotionalTooLarge);
        }
        Ok(Self { symbol, source, price, volume, timestamp, metadata: None })
    }

    /// Adds metadata.
    #[must_use]
    pub fn with_metadata(self, metadata: Option<Metadata>) -> Self {
        Self { metadata, ..self }
    }
}

/// Tells whether price × volume is at most 10^30; in 128 bits as far as they go, since wide products are slow.
fn fits_sums(price: Price, volume: Volume) -> bool {
    let (price_units, volume_units) = (price.decimal().mantissa(), volume.decimal().mantissa());
    let limit = 10_i128.checked_pow(30 + price.decimal().scale() + volume.decimal().scale());
    match price_units.checked_mul(volume_units) {
        // A limit that needs more than 128 bits is above any product that does not.
        Some(product) => limit.is_none_or(|limit| product <= limit),
        None => ExactSum::of_notional(price, volume).units() <= power_of_ten(66),
    }
}

/// A tick that the store has acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTick {
    /// What was sent.
    pub tick: Tick,
    /// The store's number of the tick.
    pub arrival: Arrival,
    /// When the gateway took it in.
    pub ingested_at: Timestamp,
}

impl StoredTick {
    /// Gives the tick's place among those of its symbol.
    pub const fn key(&self) -> OrderKey {
        OrderKey { timestamp: self.tick.timestamp, arrival: self.arrival }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_notional_that_sums_could_not_hold() {
        let tick = |price, volume| {
            Tick::try_new(
                Symbol::try_new("A/B").unwrap(),
                Source::try_new("s").unwrap(),
                Price::try_new(price).unwrap(),
                Some(Volume::try_new(volume).unwrap()),
                Timestamp::from_micros(0).unwrap(),
            )
        };
        assert!(tick("100000000000000000", "10000000000000").is_ok());
        assert_eq!(
            tick("100000000000000000.1", "10000000000000"),
            Err(TickError::NotionalTooLarge)
        );
    }

    #[test]
    fn carries_its_metadata_as_it_was_taken() {
        let tick = Tick::try_new(
            Symbol::try_new("A/B").unwrap(),
            Source::try_new("s").unwrap(),
            Price::try_new("1").unwrap(),
            None,
            Timestamp::MIN,
        );
        let text = r#"{"b":1,"a":2}"#;
        let tick = tick.unwrap().with_metadata(Some(Metadata::from_canonical(text)));
        assert_eq!(tick.metadata.as_ref().map(Metadata::as_str), Some(text));
        assert_eq!(tick.with_metadata(None).metadata, None);
    }

    proptest::proptest! {
        #[test]
        fn judges_a_notional_as_the_wide_integers_do(
            price in "[1-9][0-9]{0,17}(\\.[0-9]{1,10})?",
            volume in "(0|[1-9][0-9]{0,17})(\\.[0-9]{1,18})?",
        ) {
            let price = Price::try_new(&price).unwrap();
            if let Ok(volume) = Volume::try_new(&volume) {
                let wide = ExactSum::of_notional(price, volume).units() <= power_of_ten(66);
                proptest::prop_assert_eq!(fits_sums(price, volume), wide);
            }
        }
    }
}
