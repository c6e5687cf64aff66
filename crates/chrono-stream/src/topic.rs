//! What a client can subscribe to: a symbol, or a pattern that names one side or none.

use std::fmt;

use arrayvec::ArrayString;
use chrono_domain::{NameError, Symbol};

/// Longest text: that of the longest symbol.
const TOPIC_CHARS_MAX: usize = 41;

/// A symbol (`BTC/USD`) or a pattern (`BTC/*`, `*/EUR`, `*/*`), in canonical form.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Topic(ArrayString<TOPIC_CHARS_MAX>);

impl Topic {
    /// Reads what people type: any case, one dash for the slash of a symbol, `*` for `*/*`.
    ///
    /// # Errors
    /// [`NameError::Symbol`] for every other text.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match text.split_once('/') {
            None if text == "*" => Self::join("*", "*"),
            Some(("*", "*")) => Self::join("*", "*"),
            // The fixed side is checked, and made upper case, as that of some symbol.
            Some(("*", quote)) => {
                Self::join("*", Symbol::parse_query(&format!("X/{quote}"))?.quote())
            }
            Some((base, "*")) => Self::join(Symbol::parse_query(&format!("{base}/X"))?.base(), "*"),
            _ => Symbol::parse_query(text).map(|symbol| Self::exact(&symbol)),
        }
    }

    /// Gives the topic that is the symbol itself.
    pub fn exact(symbol: &Symbol) -> Self {
        Self(ArrayString::from(symbol.as_str()).unwrap_or_default())
    }

    /// Gives every topic that covers a symbol, at the place of its [`Topic::rank`].
    pub(crate) fn covering(symbol: &Symbol) -> [Self; 4] {
        let pattern = |base, quote| Self::join(base, quote).unwrap_or(Self(ArrayString::new()));
        [
            Self::exact(symbol),
            pattern(symbol.base(), "*"),
            pattern("*", symbol.quote()),
            pattern("*", "*"),
        ]
    }

    /// Tells how wide the topic is: 0 a symbol, 1 a base, 2 a quote, 3 everything.
    pub(crate) fn rank(&self) -> usize {
        match self.0.split_once('/') {
            Some(("*", "*")) => 3,
            Some(("*", _)) => 2,
            Some((_, "*")) => 1,
            _ => 0,
        }
    }

    /// Gives the canonical text; safe inside a JSON string as it is.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn join(base: &str, quote: &str) -> Result<Self, NameError> {
        let mut text = ArrayString::new();
        [base, "/", quote]
            .iter()
            .try_for_each(|part| text.try_push_str(part))
            .map_err(|_full| NameError::Symbol)?;
        Ok(Self(text))
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_symbols_and_patterns_in_any_case() {
        for (text, canonical, rank) in [
            ("BTC/USD", "BTC/USD", 0),
            ("btc-usd", "BTC/USD", 0),
            ("btc/*", "BTC/*", 1),
            ("*/eur", "*/EUR", 2),
            ("*", "*/*", 3),
            ("*/*", "*/*", 3),
        ] {
            let topic = Topic::parse(text).unwrap();
            assert_eq!((topic.as_str(), topic.rank()), (canonical, rank));
        }
    }

    #[test]
    fn refuses_what_is_neither() {
        for text in ["", "**", "*/", "/*", "B*C/USD", "BTC-*", "*/A/B", "A/B/*", "*/\"", "\0/*"] {
            assert_eq!(Topic::parse(text), Err(NameError::Symbol), "{text:?}");
        }
        assert!(Topic::parse(&format!("{}/*", "A".repeat(21))).is_err());
    }

    #[test]
    fn lists_what_covers_a_symbol_in_order_of_rank() {
        let long = Symbol::try_new(&format!("{0}/{0}", "A".repeat(20))).unwrap();
        for symbol in [Symbol::try_new("BTC/USD").unwrap(), long] {
            let covering = Topic::covering(&symbol);
            assert_eq!(covering.map(|topic| topic.rank()), [0, 1, 2, 3]);
            assert_eq!(covering[1].as_str(), format!("{}/*", symbol.base()));
            assert_eq!(covering[2].as_str(), format!("*/{}", symbol.quote()));
        }
    }
}
