//! The name of a request, for its sender, the log and the answer.

use std::fmt;

use chrono_domain::Timestamp;
use hyper::header::{HeaderMap, HeaderValue};
use uuid::{NoContext, Uuid};

use super::REQUEST_ID;

/// Longest id taken from a client.
const CHARS_MAX: usize = 64;

/// The client's id if it is sane, else a UUID of version 7.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Takes `X-Request-ID` when it is 1 to 64 letters, digits and `. _ -`; otherwise makes an id of the time.
    pub(super) fn of(headers: &HeaderMap, now: Timestamp) -> Self {
        let sent = headers.get(REQUEST_ID).filter(|sent| is_sane(sent.as_bytes()));
        Self(sent.cloned().unwrap_or_else(|| fresh(now)))
    }

    /// Gives the text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

fn is_sane(sent: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    (1..=CHARS_MAX).contains(&sent.len()) && sent.iter().all(allowed)
}

fn fresh(now: Timestamp) -> HeaderValue {
    let micros = u64::try_from(now.micros()).unwrap_or(0);
    let nanos = u32::try_from(micros % 1_000_000 * 1_000).unwrap_or(0);
    let at = uuid::Timestamp::from_unix(NoContext, micros / 1_000_000, nanos);
    let mut text = Uuid::encode_buffer();
    let text = Uuid::new_v7(at).hyphenated().encode_lower(&mut text);
    // Hexadecimal digits and dashes: never refused.
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(sent: &str) -> RequestId {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_str(sent).unwrap());
        RequestId::of(&headers, Timestamp::from_micros(1_760_013_296_123_456).unwrap())
    }

    #[test]
    fn a_sane_id_of_the_client_is_kept() {
        for sent in ["req_abc123", "a", "A-1.b", &"x".repeat(64)] {
            assert_eq!(id(sent).as_str(), sent);
        }
    }

    #[test]
    fn every_other_id_is_replaced_by_one_of_the_time() {
        for sent in ["", "a b", "a\"b", "a/b", &"x".repeat(65)] {
            let made = Uuid::parse_str(id(sent).as_str()).unwrap();
            assert_eq!(made.get_version_num(), 7);
            assert_eq!(made.get_timestamp().unwrap().to_unix(), (1_760_013_296, 123_000_000));
        }
        assert_ne!(id(""), id(""));
    }
}
