//! Names: symbols, sources and workers, held in place so that copying one never allocates.

use std::fmt;
use std::str::FromStr;

use arrayvec::ArrayString;

/// Longest base or quote currency, in characters.
const CURRENCY_CHARS_MAX: usize = 20;
/// Longest symbol: base, slash, quote.
const SYMBOL_CHARS_MAX: usize = 2 * CURRENCY_CHARS_MAX + 1;
/// Longest source.
const SOURCE_CHARS_MAX: usize = 32;
/// Longest worker id.
const WORKER_CHARS_MAX: usize = 64;
/// The source that answers over all sources carry; no worker may post under it.
const AGGREGATED: &str = "aggregated";

/// Says why a text is not a symbol, a source or a worker id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Not `BASE/QUOTE` in upper case.
    #[error("not a symbol of the form BASE/QUOTE")]
    Symbol,
    /// Not a source name in lower case.
    #[error("not a source name")]
    Source,
    /// The source `aggregated`, which answers over all sources carry.
    #[error("the source name is reserved")]
    ReservedSource,
    /// Not a worker id.
    #[error("not a worker id")]
    Worker,
}

impl NameError {
    /// Says what would have been accepted, in words fit for an error body.
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Symbol => "BASE/QUOTE, upper case, each side 1 to 20 of A-Z 0-9 . _ -",
            Self::Source => "1 to 32 of a-z 0-9 . _ -, starting with a letter or digit",
            Self::ReservedSource => "a source other than \"aggregated\", which is reserved",
            Self::Worker => "1 to 64 of A-Z a-z 0-9 . _ : -, starting with a letter or digit",
        }
    }
}

/// What is priced: `BASE/QUOTE`, each side `[A-Z0-9._-]{1,20}`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(ArrayString<SYMBOL_CHARS_MAX>);

/// Where a price was seen: `[a-z0-9][a-z0-9._-]{0,31}`, but not `aggregated`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(ArrayString<SOURCE_CHARS_MAX>);

/// Who posted a batch: `[A-Za-z0-9][A-Za-z0-9._:-]{0,63}`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(ArrayString<WORKER_CHARS_MAX>);

impl Symbol {
    /// Takes the canonical form only, as batches must send it.
    ///
    /// # Errors
    /// [`NameError::Symbol`] for every other form.
    pub fn try_new(text: &str) -> Result<Self, NameError> {
        let (base, quote) = text.split_once('/').ok_or(NameError::Symbol)?;
        if !is_currency(base) || !is_currency(quote) {
            return Err(NameError::Symbol);
        }
        ArrayString::from(text).map(Self).map_err(|_fault| NameError::Symbol)
    }

    /// Takes what people type in queries: any case, and one dash instead of the slash.
    ///
    /// # Errors
    /// [`NameError::Symbol`] when the text has no such reading.
    pub fn parse_query(text: &str) -> Result<Self, NameError> {
        if text.len() > SYMBOL_CHARS_MAX {
            return Err(NameError::Symbol);
        }
        let mut upper = text.to_ascii_uppercase();
        if !upper.contains('/') && upper.matches('-').count() == 1 {
            upper = upper.replace('-', "/");
        }
        Self::try_new(&upper)
    }

    /// Gives the canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Gives the currency that is priced.
    pub fn base(&self) -> &str {
        self.0.split_once('/').map_or("", |(base, _)| base)
    }

    /// Gives the currency the price is in.
    pub fn quote(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, quote)| quote)
    }
}

impl Source {
    /// Checks a source name.
    ///
    /// # Errors
    /// [`NameError::Source`], or [`NameError::ReservedSource`] for `aggregated`.
    pub fn try_new(text: &str) -> Result<Self, NameError> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !starts || !text.bytes().all(allowed) {
            return Err(NameError::Source);
        }
        if text == AGGREGATED {
            return Err(NameError::ReservedSource);
        }
        ArrayString::from(text).map(Self).map_err(|_fault| NameError::Source)
    }

    /// Gives the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl WorkerId {
    /// Checks a worker id.
    ///
    /// # Errors
    /// [`NameError::Worker`].
    pub fn try_new(text: &str) -> Result<Self, NameError> {
        let allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
        let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !starts || !text.bytes().all(allowed) {
            return Err(NameError::Worker);
        }
        ArrayString::from(text).map(Self).map_err(|_fault| NameError::Worker)
    }

    /// Gives the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! name_text {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_new(text)
            }
        }
    )+};
}

name_text!(Symbol, Source, WorkerId);

fn is_currency(text: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    (1..=CURRENCY_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_takes_the_canonical_symbol_only() {
        let symbol = Symbol::try_new("BTC/USD").unwrap();
        assert_eq!((symbol.base(), symbol.quote()), ("BTC", "USD"));
        for text in [
            "btc/usd",
            "BTC-USD",
            "BTCUSD",
            "BTC/",
            "/USD",
            "A/B/C",
            "BTC /USD",
            "BTC\0/USD",
            "ВТС/USD",
            "",
        ] {
            assert_eq!(Symbol::try_new(text), Err(NameError::Symbol), "{text:?}");
        }
        let longest = format!("{0}/{0}", "A".repeat(20));
        assert!(Symbol::try_new(&longest).is_ok());
        assert!(Symbol::try_new(&format!("{longest}A")).is_err());
    }

    #[test]
    fn a_query_takes_what_people_type() {
        for text in ["BTC/USD", "btc/usd", "BTC-USD", "btc-usd"] {
            assert_eq!(Symbol::parse_query(text).unwrap().as_str(), "BTC/USD");
        }
        assert_eq!(Symbol::parse_query("a-b/c").unwrap().as_str(), "A-B/C");
        let longest = format!("{0}/{0}", "A".repeat(20));
        assert_eq!(Symbol::parse_query(&longest).unwrap().as_str(), longest);
        assert!(Symbol::parse_query(&format!("{longest}A")).is_err());
        for text in ["A-B-C", "BTCUSD", "", "Ａ/B"] {
            assert_eq!(Symbol::parse_query(text), Err(NameError::Symbol), "{text:?}");
        }
    }

    #[test]
    fn a_source_is_lower_case_and_not_reserved() {
        assert!(Source::try_new("binance_us").is_ok());
        assert_eq!(Source::try_new("aggregated"), Err(NameError::ReservedSource));
        for text in ["", "Binance", ".x", "a b", &"a".repeat(33)] {
            assert_eq!(Source::try_new(text), Err(NameError::Source), "{text:?}");
        }
    }

    #[test]
    fn a_worker_id_is_bounded() {
        for text in ["binance-worker-001", "A.b_c:9", &"a".repeat(64)] {
            assert_eq!(WorkerId::try_new(text).unwrap().as_str(), text);
        }
        for text in ["", "-a", "a/b", "a\n", &"a".repeat(65)] {
            assert_eq!(WorkerId::try_new(text), Err(NameError::Worker), "{text:?}");
        }
    }
}
