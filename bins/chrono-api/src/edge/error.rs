//! The one shape of every error, and the one place where codes get their status.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Write;

use chrono_auth::Role;
use hyper::StatusCode;
use hyper::header::{ALLOW, CONNECTION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;

use super::gate::Quota;
use super::{Reply, RequestId, json_bytes};
use crate::http::{BodyFault, BoxError, Crowded, Refusal};

/// Longest part of what was received that an error repeats, in characters.
const RECEIVED_CHARS_MAX: usize = 128;
/// Stands for what was received where a key is in it.
const KEY_HELD: &str = "a key";
/// After how many seconds a request that met a fault of ours may come again.
const RETRY_AFTER_S: u32 = 1;

/// What went wrong, as a client may tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// The request is not one; `VALIDATION_ERROR`.
    Validation,
    /// The body did not arrive in time; `VALIDATION_ERROR` with 408.
    BodyTimeout,
    /// The URI is too long; `VALIDATION_ERROR` with 414.
    UriTooLong,
    /// No key, or one that opens nothing.
    Unauthorized,
    /// A key of another role.
    Forbidden,
    /// No such path or thing.
    NotFound,
    /// The path has no such method.
    MethodNotAllowed,
    /// The body is too large.
    PayloadTooLarge,
    /// The idempotency key came with other content before.
    IdempotencyMismatch,
    /// Too many requests.
    RateLimitExceeded,
    /// A bug of ours.
    Internal,
    /// The store did not do it.
    Database,
    /// Too much is waiting already.
    Overloaded,
    /// The connection to the store broke during the commit; the same idempotency key tells.
    OutcomeUnknown,
}

impl ErrorCode {
    /// Gives the code's name and its status.
    pub const fn parts(self) -> (&'static str, StatusCode) {
        match self {
            Self::Validation => ("VALIDATION_ERROR", StatusCode::BAD_REQUEST),
            Self::BodyTimeout => ("VALIDATION_ERROR", StatusCode::REQUEST_TIMEOUT),
            Self::UriTooLong => ("VALIDATION_ERROR", StatusCode::URI_TOO_LONG),
            Self::Unauthorized => ("UNAUTHORIZED", StatusCode::UNAUTHORIZED),
            Self::Forbidden => ("FORBIDDEN", StatusCode::FORBIDDEN),
            Self::NotFound => ("NOT_FOUND", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => ("METHOD_NOT_ALLOWED", StatusCode::METHOD_NOT_ALLOWED),
            Self::PayloadTooLarge => ("PAYLOAD_TOO_LARGE", StatusCode::PAYLOAD_TOO_LARGE),
            Self::IdempotencyMismatch => ("IDEMPOTENCY_MISMATCH", StatusCode::UNPROCESSABLE_ENTITY),
            Self::RateLimitExceeded => ("RATE_LIMIT_EXCEEDED", StatusCode::TOO_MANY_REQUESTS),
            Self::Internal => ("INTERNAL_ERROR", StatusCode::INTERNAL_SERVER_ERROR),
            Self::Database => ("DATABASE_ERROR", StatusCode::SERVICE_UNAVAILABLE),
            Self::Overloaded => ("OVERLOADED", StatusCode::SERVICE_UNAVAILABLE),
            Self::OutcomeUnknown => ("OUTCOME_UNKNOWN", StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    /// Gives the code's name.
    pub const fn as_str(self) -> &'static str {
        self.parts().0
    }

    /// Gives the code's status.
    pub const fn status(self) -> StatusCode {
        self.parts().1
    }
}

/// Which field was wrong, what was in it, and what should have been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Details {
    field: Cow<'static, str>,
    received: Option<String>,
    expected: Cow<'static, str>,
}

impl Details {
    /// Describes a field; of what was received at most 128 characters are repeated, nothing if it was missing, and
    /// nothing that holds a key, as a wrong separator or place would have it.
    pub fn new(
        field: impl Into<Cow<'static, str>>,
        received: Option<&str>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        let holds_key = |text: &str| Role::ALL.iter().any(|role| text.contains(role.prefix()));
        let received = received.map(|text| if holds_key(text) { KEY_HELD } else { text });
        let received = received.map(|text| text.chars().take(RECEIVED_CHARS_MAX).collect());
        Self { field: field.into(), received, expected: expected.into() }
    }

    /// Says the same in a sentence for people, without its full stop.
    pub fn sentence(&self) -> String {
        let Self { field, received, expected } = self;
        match received {
            Some(received) => format!("Invalid {field}: {received}. Expected: {expected}"),
            None => format!("Missing {field}. Expected: {expected}"),
        }
    }
}

/// What was wrong with one feed of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ItemFault {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// The name of an [`ErrorCode`].
    pub code: &'static str,
    /// What is wrong, for people.
    pub message: String,
    /// What is wrong, for programs.
    pub details: Option<Details>,
}

/// An answer that says what went wrong.
#[derive(Debug)]
pub struct ApiError(Box<Fault>);

#[derive(Debug)]
struct Fault {
    code: ErrorCode,
    message: Cow<'static, str>,
    details: Option<Details>,
    items: Vec<ItemFault>,
    quota: Option<Quota>,
    allow: Option<HeaderValue>,
    retry_after_s: Option<u32>,
    closes: bool,
    source: Option<BoxError>,
}

impl ApiError {
    /// Says what went wrong, in words for whoever sent the request: a sentence without its full stop.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Fault {
            code,
            message: message.into(),
            details: None,
            items: Vec::new(),
            quota: None,
            allow: None,
            retry_after_s: None,
            closes: code.status() == StatusCode::REQUEST_TIMEOUT,
            source: None,
        }))
    }

    /// Says that a field is wrong, and what it should have been.
    pub fn invalid(
        field: impl Into<Cow<'static, str>>,
        received: Option<&str>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        let details = Details::new(field, received, expected);
        Self::new(ErrorCode::Validation, details.sentence()).with_details(details)
    }

    /// Says that something went wrong that should not have; the reason goes to the log only.
    pub fn internal(reason: impl Into<BoxError>) -> Self {
        Self::new(ErrorCode::Internal, "Unexpected server error").caused_by(reason)
    }

    /// Says that a limit is spent; which one fills the headers.
    pub fn rate_limited(quota: Quota) -> Self {
        Self::new(ErrorCode::RateLimitExceeded, "Too many requests").counted_by(quota)
    }

    /// Says what the request was counted against.
    #[must_use]
    pub(super) fn counted_by(mut self, quota: Quota) -> Self {
        self.0.quota = Some(quota);
        self
    }

    pub(super) fn wrong_method(allow: &HeaderValue) -> Self {
        let mut fault = Self::new(ErrorCode::MethodNotAllowed, "This path has no such method");
        fault.0.allow = Some(allow.clone());
        fault
    }

    /// Adds which field was wrong.
    #[must_use]
    pub fn with_details(mut self, details: Details) -> Self {
        self.0.details = Some(details);
        self
    }

    /// Adds what was wrong with each item of a batch.
    #[must_use]
    pub fn with_items(mut self, items: Vec<ItemFault>) -> Self {
        self.0.items = items;
        self
    }

    /// Says when to come again, in seconds, where the default of one is too soon.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// Ends the connection after the answer: what else comes on it may not be what it seems.
    #[must_use]
    fn and_close(mut self) -> Self {
        self.0.closes = true;
        self
    }

    /// Adds the reason, for the log only.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Gives the code.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    pub(super) fn quota(&self) -> Option<Quota> {
        self.0.quota
    }

    /// Writes the error to the log, with its chain of reasons: what a client did at debug, what we did at error.
    pub(super) fn log(&self, id: &RequestId) {
        let Fault { code, message, source, .. } = &*self.0;
        let reason = source.as_ref().map(|source| chain_of(&**source));
        let code = code.as_str();
        if self.0.code.status().is_server_error() {
            tracing::error!(request_id = %id, code, %message, reason, "request failed");
        } else {
            tracing::debug!(request_id = %id, code, %message, reason, "request refused");
        }
    }

    pub(super) fn into_response(self, id: &RequestId) -> Reply {
        let fault = *self.0;
        let (code, status) = fault.code.parts();
        let envelope = Envelope {
            error: Shape {
                code,
                message: &fault.message,
                details: fault.details.as_ref(),
                errors: &fault.items,
                request_id: id.as_str(),
            },
            status: status.as_u16(),
        };
        // Strings and numbers only: writing them to memory does not fail.
        let body = serde_json::to_vec(&envelope).unwrap_or_default();
        let mut response = json_bytes(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if fault.closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            let after_s = fault.retry_after_s.unwrap_or(RETRY_AFTER_S);
            headers.insert(RETRY_AFTER, after_s.into());
        }
        if let Some(allow) = fault.allow {
            headers.insert(ALLOW, allow);
        }
        response
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UriTooLong => Self::new(ErrorCode::UriTooLong, "The URI is too long"),
            Refusal::Host => {
                Self::new(ErrorCode::Validation, "Exactly one valid Host header is expected")
                    .and_close()
            }
            Refusal::TransferEncoding => {
                Self::new(ErrorCode::Validation, "The transfer coding must be chunked, once")
                    .and_close()
            }
            Refusal::ContentEncoding(received) => {
                Self::invalid("Content-Encoding", Some(&received), "identity")
            }
            Refusal::Expect(received) => Self::invalid("Expect", Some(&received), "100-continue"),
        }
    }
}

impl From<BodyFault> for ApiError {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::TooLarge(bytes_max) => Self::new(
                ErrorCode::PayloadTooLarge,
                format!("The body is larger than {bytes_max} bytes"),
            ),
            BodyFault::TooSlow => {
                Self::new(ErrorCode::BodyTimeout, "The body did not arrive in time")
            }
            BodyFault::Broken(reason) => {
                Self::new(ErrorCode::Validation, "The body broke off").caused_by(reason)
            }
        }
    }
}

impl From<Crowded> for ApiError {
    fn from(_crowded: Crowded) -> Self {
        let message =
            "Too many large answers are on their way; try again later, or ask for fewer rows";
        Self::new(ErrorCode::Overloaded, message)
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Shape<'a>,
    status: u16,
}

#[derive(Serialize)]
struct Shape<'a> {
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Details>,
    #[serde(skip_serializing_if = "<[ItemFault]>::is_empty")]
    errors: &'a [ItemFault],
    request_id: &'a str,
}

/// Writes an error and everything behind it on one line.
fn chain_of(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a string does not fail.
        write!(text, ": {error}").unwrap_or_default();
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
