//! What pages of other origins may do.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderMap, HeaderValue, ORIGIN, VARY,
};

/// Headers that a page may send.
const SENT: HeaderValue = HeaderValue::from_static(
    "Authorization, X-API-Key, Content-Type, Idempotency-Key, X-Request-ID, traceparent",
);
/// Headers that a page may read.
const READ: HeaderValue = HeaderValue::from_static(
    "X-Request-ID, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, RateLimit, \
     RateLimit-Policy, Retry-After",
);
/// How long a browser may remember a preflight, in seconds.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("600");

/// The origins whose pages may use public paths. Internal and administrators' paths are never open to pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Every origin; keys travel in headers that no page sends by itself, so nothing is given away.
    Any,
    /// These origins, written as browsers send them: `https://example.org`.
    Only(Vec<HeaderValue>),
}

impl Origins {
    /// Gives an answer the headers that a browser asks for; `preflight` holds the methods when it is one.
    pub(super) fn dress(
        &self,
        headers: &mut HeaderMap,
        origin: Option<&HeaderValue>,
        preflight: Option<&HeaderValue>,
    ) {
        match self {
            Self::Any => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            Self::Only(allowed) => {
                headers.append(VARY, HeaderValue::from(ORIGIN));
                let Some(origin) = origin.filter(|origin| allowed.contains(origin)) else { return };
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            }
        }
        match (origin, preflight) {
            (None, _) => {}
            (Some(_), None) => {
                headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, READ);
            }
            (Some(_), Some(methods)) => {
                headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, SENT);
                headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
            }
        }
    }
}
