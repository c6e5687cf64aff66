//! The grammars of values, as docs and the specification write them: regular expressions and big integers.

use std::sync::LazyLock;

use chrono_domain::DecimalError;
use num_bigint::BigUint;
use regex::Regex;

use super::time::{MICROS_MAX, rfc3339};

macro_rules! grammar {
    ($($name:ident = $pattern:literal;)+) => {$(
        static $name: LazyLock<Regex> =
            LazyLock::new(|| Regex::new($pattern).expect("a regular expression"));
    )+};
}

grammar! {
    PLAIN = r"^(0|[1-9][0-9]*)(\.[0-9]+)?$";
    DECIMAL = r"^(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?$";
    SYMBOL = r"^[A-Z0-9._-]{1,20}/[A-Z0-9._-]{1,20}$";
    TOPIC = r"^(\*|[A-Z0-9._-]{1,20})/(\*|[A-Z0-9._-]{1,20})$";
    SOURCE = r"^[a-z0-9][a-z0-9._-]{0,31}$";
    WORKER = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$";
    IDEMPOTENCY_KEY = r"^[!-~]{1,128}$";
    DIGITS = r"^[0-9]+$";
}

/// A decimal as an integer and how many of its digits stand after the point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exact {
    /// All digits.
    pub integer: BigUint,
    /// Those after the point.
    pub scale: u32,
}

impl Exact {
    /// Gives the value in units of 10^-`scale`.
    pub fn units(&self, scale: u32) -> BigUint {
        &self.integer * BigUint::from(10_u8).pow(scale - self.scale)
    }

    /// Multiplies.
    #[must_use]
    pub fn times(&self, other: &Self) -> Self {
        Self { integer: &self.integer * &other.integer, scale: self.scale + other.scale }
    }

    /// Adds, at the larger scale.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let scale = self.scale.max(other.scale);
        Self { integer: self.units(scale) + other.units(scale), scale }
    }

    /// Tells whether it is at most 10^30.
    pub fn fits_sums(&self) -> bool {
        self.integer <= BigUint::from(10_u8).pow(30 + self.scale)
    }

    /// Prints with all places.
    pub fn text(&self) -> String {
        let scale = self.scale as usize;
        let digits = format!("{:0>1$}", self.integer.to_string(), scale + 1);
        let (whole, part) = digits.split_at(digits.len() - scale);
        if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
    }
}

/// Reads a volume, or a price, which is above zero.
///
/// # Errors
/// The kind of the first broken rule: form, digits on either side, significant digits, zero.
pub fn decimal(text: &str, above_zero: bool) -> Result<Exact, DecimalError> {
    if !PLAIN.is_match(text) {
        return Err(DecimalError::Grammar);
    }
    if !DECIMAL.is_match(text) {
        return Err(DecimalError::TooLong);
    }
    let digits = text.replace('.', "");
    let significant = digits.trim_start_matches('0');
    if significant.len() > 28 {
        return Err(DecimalError::TooPrecise);
    }
    if above_zero && significant.is_empty() {
        return Err(DecimalError::ZeroPrice);
    }
    let scale = text.split_once('.').map_or(0, |(_, part)| part.len());
    let integer = digits.parse().expect("digits");
    Ok(Exact { integer, scale: u32::try_from(scale).expect("at most 18") })
}

/// Tells whether a text is a symbol as batches send it.
pub fn is_symbol(text: &str) -> bool {
    SYMBOL.is_match(text)
}

/// Gives the symbol that a query means: any case, and one dash for a slash that is not there.
pub fn queried_symbol(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    let dashes = upper.bytes().filter(|byte| *byte == b'-').count();
    let meant = if dashes == 1 && !upper.contains('/') { upper.replace('-', "/") } else { upper };
    is_symbol(&meant).then_some(meant)
}

/// Gives the topic that a subscription means: a symbol, or a pattern with a star for a side, or for both.
pub fn topic(text: &str) -> Option<String> {
    if text == "*" {
        return Some("*/*".to_owned());
    }
    let upper = text.to_ascii_uppercase();
    if TOPIC.is_match(&upper) { Some(upper) } else { queried_symbol(text) }
}

/// Tells whether a text is a source that may be posted.
pub fn is_source(text: &str) -> bool {
    SOURCE.is_match(text) && text != "aggregated"
}

/// Tells whether a text is a worker id.
pub fn is_worker(text: &str) -> bool {
    WORKER.is_match(text)
}

/// Tells whether a text is an idempotency key.
pub fn is_idempotency_key(text: &str) -> bool {
    IDEMPOTENCY_KEY.is_match(text)
}

/// Reads what queries take: RFC 3339, or a number of seconds below 10^11, of milliseconds below 10^14, else of
/// microseconds.
pub fn queried_time(text: &str) -> Option<i64> {
    if !DIGITS.is_match(text) {
        return rfc3339(text);
    }
    let number: BigUint = text.parse().expect("digits");
    let ten = |exponent| BigUint::from(10_u8).pow(exponent);
    let unit = match () {
        () if number < ten(11) => 1_000_000_u32,
        () if number < ten(14) => 1_000,
        () => 1,
    };
    i64::try_from(number * unit).ok().filter(|micros| *micros <= MICROS_MAX)
}
