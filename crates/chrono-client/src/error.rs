//! Faults, sorted by what the caller can do about them.

use std::error::Error;
use std::io;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;

/// Longest part of an answer of unknown form that a message quotes, in characters.
const QUOTE_CHARS_MAX: usize = 200;

/// Says why a request failed, and thereby what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The gateway refused the request for good: sending it again cannot help.
    #[error("refused: {0}")]
    Refused(Box<Refusal>),
    /// More requests than the key or the worker may send; nothing was done. Wait, then retry.
    #[error("rate limit exceeded")]
    Limited {
        /// How long the gateway asks to wait, where it says.
        retry_after: Option<Duration>,
    },
    /// The gateway cannot do it now; nothing was done. Wait, then retry.
    #[error("unavailable: {code}: {message}")]
    Unavailable {
        /// The gateway's error code, such as `OVERLOADED`.
        code: String,
        /// The gateway's words.
        message: String,
        /// How long the gateway asks to wait, where it says.
        retry_after: Option<Duration>,
    },
    /// It may have been done or not: only a retry with the same idempotency key tells.
    #[error("outcome unknown: {code}: {message}")]
    OutcomeUnknown {
        /// The gateway's error code, such as `OUTCOME_UNKNOWN`.
        code: String,
        /// The gateway's words.
        message: String,
        /// How long the gateway asks to wait, where it says.
        retry_after: Option<Duration>,
    },
    /// The connection failed or a deadline passed. An ingest may have been done: retry with the same key.
    #[error("transport failed")]
    Transport(#[source] Box<dyn Error + Send + Sync>),
    /// What answered at an `https://` address showed a certificate that nobody trusted vouches for; nothing was sent.
    #[error(
        "the gateway's certificate is not to be trusted; name the file of its authority (--ca-file) if it is yours"
    )]
    Untrusted(#[source] Box<dyn Error + Send + Sync>),
    /// The gateway closed the stream; the code tells whether to connect again.
    #[error("stream closed: {code:?} {reason:?}")]
    Closed {
        /// The WebSocket close code, where one came.
        code: Option<u16>,
        /// The gateway's reason, often empty.
        reason: String,
    },
    /// What answered does not speak as a Chrono gateway does.
    #[error("not an answer of a Chrono gateway: {0}")]
    Protocol(String),
    /// The client was set up or called with something unusable; nothing was sent.
    #[error("unusable setting: {0}")]
    Setting(String),
}

/// What a gateway says when it refuses a request.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{status} {code}: {message}")]
pub struct Refusal {
    /// The HTTP status, 400 to 499.
    pub status: u16,
    /// The error code, such as `VALIDATION_ERROR`.
    pub code: String,
    /// The gateway's words.
    pub message: String,
    /// The field at fault, where the gateway names one.
    pub details: Option<FaultDetails>,
    /// The faults of single feeds, when a whole batch was refused for them.
    pub errors: Vec<FeedFault>,
    /// The gateway's name for this request, to be quoted to its operator.
    pub request_id: Option<String>,
}

/// Why one feed of a batch was refused.
#[derive(Debug, Clone, Deserialize)]
pub struct FeedFault {
    /// The feed's place in the batch, from 0.
    pub index: usize,
    /// The error code.
    pub code: String,
    /// The gateway's words.
    pub message: String,
    /// The field at fault.
    #[serde(default)]
    pub details: Option<FaultDetails>,
}

/// The field at fault, what it held and what it should hold.
#[derive(Debug, Clone, Deserialize)]
pub struct FaultDetails {
    /// The field's name.
    #[serde(default)]
    pub field: Option<String>,
    /// What was sent, of whatever type.
    #[serde(default)]
    pub received: Option<serde_json::Value>,
    /// What would have been accepted, in words.
    #[serde(default)]
    pub expected: Option<String>,
}

impl ClientError {
    /// Tells whether sending the same again, with the same idempotency key, or connecting again may succeed.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Limited { .. }
            | Self::Unavailable { .. }
            | Self::OutcomeUnknown { .. }
            | Self::Transport(_) => true,
            Self::Closed { code, .. } => !is_final(*code),
            Self::Refused(_) | Self::Untrusted(_) | Self::Protocol(_) | Self::Setting(_) => false,
        }
    }

    /// Gives how long the gateway asks to wait before the next try.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited { retry_after }
            | Self::Unavailable { retry_after, .. }
            | Self::OutcomeUnknown { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(crate) fn transport(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = source.into();
        if is_untrusted(source.as_ref()) {
            Self::Untrusted(source)
        } else {
            Self::Transport(source)
        }
    }

    pub(crate) fn timed_out(what: &'static str) -> Self {
        Self::transport(std::io::Error::new(std::io::ErrorKind::TimedOut, what))
    }

    /// Sorts an answer that is not a success.
    pub(crate) fn from_answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let retry_after = retry_after(headers);
        let said = Said::read(status, body);
        match status {
            StatusCode::TOO_MANY_REQUESTS => Self::Limited { retry_after },
            StatusCode::SERVICE_UNAVAILABLE if said.code != "OUTCOME_UNKNOWN" => {
                Self::Unavailable { code: said.code, message: said.message, retry_after }
            }
            // The gateway stopped waiting for the body, so it did nothing.
            StatusCode::REQUEST_TIMEOUT => {
                Self::Unavailable { code: said.code, message: said.message, retry_after }
            }
            // A panic behind the commit, or a proxy that lost the gateway: it may have been done.
            _ if status.is_server_error() => {
                Self::OutcomeUnknown { code: said.code, message: said.message, retry_after }
            }
            _ if status.is_client_error() => Self::Refused(Box::new(said.refusal(status))),
            _ => Self::Protocol(format!("unexpected status {status}")),
        }
    }
}

/// Tells whether a close code blames this side: the next connection would end alike. A gateway that restarts or is full,
/// a proxy in between, and an end without a code do not.
const fn is_final(close_code: Option<u16>) -> bool {
    matches!(close_code, Some(1002 | 1007 | 1008 | 1009 | 4401))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[derive(Deserialize)]
struct ErrorBody {
    error: Said,
    #[serde(default)]
    errors: Vec<FeedFault>,
}

#[derive(Deserialize)]
struct Said {
    code: String,
    message: String,
    #[serde(default)]
    details: Option<FaultDetails>,
    #[serde(default)]
    errors: Vec<FeedFault>,
    #[serde(default)]
    request_id: Option<String>,
}

impl Said {
    /// Reads the gateway's error body; anything else, such as a proxy's page, is quoted.
    fn read(status: StatusCode, body: &[u8]) -> Self {
        if let Ok(ErrorBody { mut error, errors }) = serde_json::from_slice(body) {
            error.errors.extend(errors);
            return error;
        }
        let text = String::from_utf8_lossy(body);
        Self {
            code: format!("HTTP_{}", status.as_u16()),
            message: text.chars().take(QUOTE_CHARS_MAX).collect(),
            details: None,
            errors: Vec::new(),
            request_id: None,
        }
    }

    fn refusal(self, status: StatusCode) -> Refusal {
        Refusal {
            status: status.as_u16(),
            code: self.code,
            message: self.message,
            details: self.details,
            errors: self.errors,
            request_id: self.request_id,
        }
    }
}

/// Finds a refused certificate in a chain of faults; an I/O fault holds it where its source does not show.
fn is_untrusted(fault: &(dyn Error + 'static)) -> bool {
    if let Some(rustls::Error::InvalidCertificate(_)) = fault.downcast_ref() {
        return true;
    }
    let held = fault.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let held = held.map(|held| held as &(dyn Error + 'static));
    held.or_else(|| fault.source()).is_some_and(is_untrusted)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn fault(status: u16, body: &str) -> ClientError {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        ClientError::from_answer(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes())
    }

    fn body(code: &str) -> String {
        format!(r#"{{"error":{{"code":"{code}","message":"m","request_id":"r1"}},"status":0}}"#)
    }

    #[test]
    fn only_what_may_succeed_later_is_retryable() {
        for (status, code, retryable) in [
            (400, "VALIDATION_ERROR", false),
            (401, "UNAUTHORIZED", false),
            (404, "NOT_FOUND", false),
            (408, "VALIDATION_ERROR", true),
            (413, "PAYLOAD_TOO_LARGE", false),
            (422, "IDEMPOTENCY_MISMATCH", false),
            (429, "RATE_LIMIT_EXCEEDED", true),
            (500, "INTERNAL_ERROR", true),
            (503, "OVERLOADED", true),
            (503, "OUTCOME_UNKNOWN", true),
            (302, "MOVED", false),
        ] {
            assert_eq!(fault(status, &body(code)).is_retryable(), retryable, "{status} {code}");
        }
    }

    #[test]
    fn only_a_stream_that_may_live_longer_is_opened_again() {
        for (code, retryable) in [
            (None, true),
            (Some(1001), true),
            (Some(1002), false),
            (Some(1006), true),
            (Some(1007), false),
            (Some(1008), false),
            (Some(1009), false),
            (Some(1011), true),
            (Some(1012), true),
            (Some(1013), true),
            (Some(4401), false),
        ] {
            let closed = ClientError::Closed { code, reason: String::new() };
            assert_eq!(closed.is_retryable(), retryable, "{code:?}");
        }
    }

    #[test]
    fn tells_nothing_done_from_perhaps_done() {
        assert!(matches!(fault(503, &body("DATABASE_ERROR")), ClientError::Unavailable { .. }));
        assert!(matches!(fault(503, &body("OUTCOME_UNKNOWN")), ClientError::OutcomeUnknown { .. }));
        assert!(matches!(fault(502, "<html>"), ClientError::OutcomeUnknown { .. }));
        assert_eq!(fault(429, "").retry_after(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_refusal_keeps_every_feeds_fault() {
        let fault = fault(
            400,
            r#"{"error":{"code":"VALIDATION_ERROR","message":"m","details":{"field":"price",
               "received":1.5,"expected":"a string"},"request_id":"r1"},"status":400,
               "errors":[{"index":3,"code":"VALIDATION_ERROR","message":"m"}]}"#,
        );
        let ClientError::Refused(refusal) = fault else { panic!("not refused: {fault}") };
        assert_eq!((refusal.status, refusal.request_id.as_deref()), (400, Some("r1")));
        assert_eq!(refusal.details.unwrap().field.as_deref(), Some("price"));
        assert_eq!(refusal.errors.first().map(|fault| fault.index), Some(3));
    }

    #[test]
    fn quotes_an_answer_of_unknown_form() {
        let ClientError::Refused(refusal) = fault(404, &"x".repeat(1_000)) else {
            panic!("not refused")
        };
        assert_eq!((refusal.code.as_str(), refusal.message.len()), ("HTTP_404", QUOTE_CHARS_MAX));
    }
}
