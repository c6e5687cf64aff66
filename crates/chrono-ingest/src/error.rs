//! What can be wrong with a batch, and what can go wrong with storing it.

use std::sync::Arc;

use chrono_storage::StoreError;
use serde::{Deserialize, Serialize};
use simd_json::ErrorType;

/// Most characters of a refused value that an error repeats.
const RECEIVED_CHARS_MAX: usize = 128;
/// What is said of a field that came twice.
pub(crate) const ONCE: &str = "each field once";

/// Why one feed of a batch was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedFault {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// What is wrong, in a sentence.
    pub message: String,
    /// Which field.
    pub field: String,
    /// What was sent, cut to 128 characters; none when the field was absent.
    pub received: Option<String>,
    /// What would have been accepted.
    pub expected: String,
}

impl FeedFault {
    pub(crate) fn new(index: usize, field: &str, received: Option<&str>, expected: &str) -> Self {
        let received = received.map(cut);
        let message = match received.as_deref() {
            Some(received) if field == "symbol" && expected != ONCE => {
                format!("Invalid symbol format: {received}. Expected format: BASE/QUOTE")
            }
            Some(received) => format!("Invalid {field}: {received}. Expected {expected}"),
            None => format!("Missing {field}. Expected {expected}"),
        };
        Self { index, message, field: field.to_owned(), received, expected: expected.to_owned() }
    }
}

/// Why a whole batch was refused before any feed was looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BatchFault {
    /// What is wrong, in a sentence.
    pub message: String,
    /// Which field, or `body`.
    pub field: &'static str,
    /// What was sent, cut to 128 characters.
    pub received: Option<String>,
    /// What would have been accepted.
    pub expected: &'static str,
}

impl BatchFault {
    pub(crate) fn new(field: &'static str, received: Option<&str>, expected: &'static str) -> Self {
        let received = received.map(cut);
        let message = match received.as_deref() {
            Some(received) => format!("Invalid {field}: {received}. Expected {expected}"),
            None => format!("Missing {field}. Expected {expected}"),
        };
        Self { message, field, received, expected }
    }

    /// Says where a body stops being JSON, without the parser's own names.
    pub(crate) fn not_json(broken: &simd_json::Error) -> Self {
        let received = match (broken.error(), broken.character()) {
            (ErrorType::Serde(words), _) => words.clone(),
            // The parser reads all numbers before any feed is looked at, so none can be a feed's own fault.
            (ErrorType::InvalidNumber, Some(letter)) if letter != '\0' => format!(
                "{letter:?} at byte {}, counted from 0, in a number that is malformed or beyond binary64",
                broken.index()
            ),
            (_, Some(letter)) if letter != '\0' => {
                format!("{letter:?} at byte {}, counted from 0", broken.index())
            }
            (ErrorType::ExpectedMap, _) => "JSON, but no object".to_owned(),
            _ => "text that ends too early or is no JSON".to_owned(),
        };
        Self::new("body", Some(&received), "a JSON object, well formed")
    }
}

/// Why a parsed batch was not stored, or may not have been.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// Every feed was refused.
    #[error("every feed was refused")]
    AllRefused(Vec<FeedFault>),
    /// The batch as a whole was refused.
    #[error(transparent)]
    Refused(BatchFault),
    /// Another batch was stored under the same idempotency key.
    #[error("the idempotency key belongs to another batch")]
    KeyClash,
    /// Too many batches wait; nothing was stored.
    #[error("too many batches wait")]
    Overloaded,
    /// Nothing was stored; the same batch may be stored later.
    #[error("the batch was not stored")]
    NotStored(#[source] Arc<StoreError>),
    /// The writer did not get to the batch in time; nothing was stored, nothing will be.
    #[error("the batch waited too long")]
    Expired,
    /// The batch may or may not be stored; sending it again with its idempotency key tells.
    #[error("the outcome is unknown")]
    OutcomeUnknown,
}

/// Cuts a refused value for an error, and shows control characters as escapes.
fn cut(text: &str) -> String {
    text.chars().take(RECEIVED_CHARS_MAX).flat_map(shown).collect()
}

fn shown(letter: char) -> impl Iterator<Item = char> {
    let hidden = letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let escaped = hidden.then(|| letter.escape_unicode());
    let plain = (!hidden).then_some(letter);
    escaped.into_iter().flatten().chain(plain)
}
