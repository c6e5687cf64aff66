//! Making answers.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::ApiError;
use crate::http::Body;

/// An answer before it gets the headers that every answer has.
pub type Reply = Response<Body>;

/// Answers 200 with a value as JSON.
///
/// # Errors
/// `INTERNAL_ERROR` when the value cannot be written, which is a bug.
pub fn json(value: &impl Serialize) -> Result<Reply, ApiError> {
    serde_json::to_vec(value).map(json_bytes).map_err(ApiError::internal)
}

/// Answers 200 with JSON that is written already, and ends it as a line, so that no shell's prompt stands behind it.
pub fn json_bytes(bytes: impl Into<Bytes>) -> Reply {
    // No copy unless somebody else holds the bytes or they fill their memory.
    let mut line = Vec::from(bytes.into());
    line.reserve_exact(1);
    line.push(b'\n');
    with_type("application/json", line)
}

/// Answers 200 with content of a type.
pub fn with_type(content_type: &'static str, bytes: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Body::whole(bytes));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

pub(super) fn no_content() -> Reply {
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply
}
