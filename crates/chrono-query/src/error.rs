//! What can go wrong with a question.

use std::borrow::Cow;
use std::fmt::Display;

use chrono_domain::Symbol;
use chrono_storage::StoreError;

/// Longest part of a refused value that an error repeats, in characters.
const RECEIVED_CHARS_MAX: usize = 100;

/// A question that got no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// A value is outside what can be asked; asking again changes nothing.
    #[error("{field} is not {expected}")]
    Invalid {
        /// The name of the value, as in the spec's query strings.
        field: &'static str,
        /// What was given, cut after 100 characters.
        received: String,
        /// What would have been taken.
        expected: Cow<'static, str>,
    },
    /// None of the symbols has what was asked for.
    #[error("nothing is known of {}", names(symbols))]
    NotFound {
        /// Every symbol that was asked for, each once.
        symbols: Vec<Symbol>,
    },
    /// More ticks lie in the window than one answer may read.
    #[error("more than {ticks_max} ticks of {symbol} lie in the window")]
    TooLarge {
        /// The symbol.
        symbol: Symbol,
        /// Most ticks that one answer reads.
        ticks_max: usize,
    },
    /// The store did not answer; its error says whether asking again may help.
    #[error("the store could not answer")]
    Store(#[from] StoreError),
}

impl QueryError {
    pub(crate) fn invalid(
        field: &'static str,
        received: &dyn Display,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        let received = received.to_string().chars().take(RECEIVED_CHARS_MAX).collect();
        Self::Invalid { field, received, expected: expected.into() }
    }
}

fn names(symbols: &[Symbol]) -> String {
    symbols.iter().map(Symbol::as_str).collect::<Vec<_>>().join(", ")
}
