//! What an answer says of the limit that it was counted against.

use std::ops::Range;

use bytes::BytesMut;
use chrono_auth::Decision;
use hyper::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use super::gate::Quota;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// The two texts with numbers of ten digits and the longest name of a policy.
const TEXTS_BYTES_MAX: usize = 54 + 2 * ("address".len() - "key".len());

/// Says what is left of a limit, in the words of the specification and in those of the IETF draft
/// `draft-ietf-httpapi-ratelimit-headers`.
///
/// The draft's texts hold every number of the specification's headers, which are therefore parts of them: all five
/// values share one piece of memory.
pub(super) fn dress(headers: &mut HeaderMap, quota: Quota) {
    let Quota { policy: name, decision } = quota;
    let Decision { limit, remaining, reset_s, .. } = decision;
    let mut texts = Texts(BytesMut::with_capacity(TEXTS_BYTES_MAX));
    texts.quoted(name);
    texts.text(";q=");
    let limit = texts.number(limit);
    let policy = 0..texts.text(";w=60");
    texts.quoted(name);
    texts.text(";r=");
    let remaining = texts.number(remaining);
    texts.text(";t=");
    let reset = texts.number(reset_s);
    let state = policy.end..reset.end;
    let texts = texts.0.freeze();
    for (name, range) in [
        (LIMIT, limit),
        (REMAINING, remaining),
        (RESET, reset),
        (RATE_LIMIT_POLICY, policy),
        (RATE_LIMIT, state),
    ] {
        if let Ok(value) = HeaderValue::from_maybe_shared(texts.slice(range)) {
            headers.insert(name, value);
        }
    }
    if !decision.allowed {
        headers.insert(RETRY_AFTER, decision.retry_after_s.into());
    }
}

/// Text that grows, and says where its parts are.
struct Texts(BytesMut);

impl Texts {
    /// Adds text; gives where it ends.
    fn text(&mut self, text: &str) -> usize {
        self.0.extend_from_slice(text.as_bytes());
        self.0.len()
    }

    fn quoted(&mut self, name: &str) {
        self.text("\"");
        self.text(name);
        self.text("\"");
    }

    /// Adds a number; gives where it stands.
    fn number(&mut self, number: u32) -> Range<usize> {
        let start = self.0.len();
        start..self.text(itoa::Buffer::new().format(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(policy: &'static str, decision: Decision) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        dress(&mut headers, Quota { policy, decision });
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
    }

    #[test]
    fn every_number_stands_under_its_name_however_long_it_is() {
        let most = u32::MAX;
        for (policy, limit, remaining, reset_s) in [
            ("key", 10, 0, 7),
            ("key", most, most, most),
            ("address", most, most, most),
            ("worker", 5, 4, 3),
        ] {
            let decision = Decision { allowed: true, limit, remaining, reset_s, retry_after_s: 0 };
            let expected = [
                ("x-ratelimit-limit", limit.to_string()),
                ("x-ratelimit-remaining", remaining.to_string()),
                ("x-ratelimit-reset", reset_s.to_string()),
                ("ratelimit-policy", format!("\"{policy}\";q={limit};w=60")),
                ("ratelimit", format!("\"{policy}\";r={remaining};t={reset_s}")),
            ];
            assert_eq!(
                headers(policy, decision),
                expected.map(|(name, text)| (name.to_owned(), text))
            );
        }
    }

    #[test]
    fn only_a_refusal_says_when_to_come_again() {
        let refused =
            Decision { allowed: false, limit: 1, remaining: 0, reset_s: 5, retry_after_s: 4 };
        let told = headers("key", refused);
        assert_eq!(told.last().unwrap(), &("retry-after".to_owned(), "4".to_owned()));
        assert_eq!(
            (told.len(), headers("key", Decision { allowed: true, ..refused }).len()),
            (6, 5)
        );
    }
}
