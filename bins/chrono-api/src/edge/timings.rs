//! The histogram of request times, `http_request_duration_ms`.

use std::array;
use std::sync::OnceLock;
use std::time::Duration;

use hyper::{Method, StatusCode};
use metrics::Histogram;

/// Methods with a label of their own; all others share `OTHER`.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "OTHER"];
/// Answers with a handle of their own; others are looked up each time.
const STATUSES: [StatusCode; 17] = [
    StatusCode::OK,
    StatusCode::SWITCHING_PROTOCOLS,
    StatusCode::CREATED,
    StatusCode::NO_CONTENT,
    StatusCode::NOT_MODIFIED,
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::URI_TOO_LONG,
    StatusCode::UNPROCESSABLE_ENTITY,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// The handles of one endpoint, made at first use: looking one up costs more than recording into it.
///
/// The recorder must be installed before the first request.
#[derive(Debug)]
pub(super) struct Timings {
    pattern: &'static str,
    handles: [[OnceLock<Histogram>; STATUSES.len()]; METHODS.len()],
}

impl Timings {
    pub(super) fn new(pattern: &'static str) -> Self {
        let handles = array::from_fn(|_| array::from_fn(|_| OnceLock::new()));
        Self { pattern, handles }
    }

    /// Gives the label of the route.
    pub(super) fn pattern(&self) -> &'static str {
        self.pattern
    }

    /// Records one request.
    pub(super) fn record(&self, method: &'static str, status: StatusCode, took: Duration) {
        let ms = took.as_secs_f64() * 1_000.0;
        let method_idx = METHODS.iter().position(|known| *known == method);
        let status_idx = STATUSES.iter().position(|known| *known == status);
        let handle = method_idx
            .zip(status_idx)
            .and_then(|(method_idx, status_idx)| self.handles.get(method_idx)?.get(status_idx));
        match handle {
            Some(handle) => handle.get_or_init(|| self.histogram(method, status)).record(ms),
            None => self.histogram(method, status).record(ms),
        }
    }

    fn histogram(&self, method: &'static str, status: StatusCode) -> Histogram {
        metrics::histogram!(
            "http_request_duration_ms",
            "method" => method,
            "route" => self.pattern,
            "status_code" => status.as_str().to_owned()
        )
    }
}

/// Gives the label of a method; peers may invent methods, but not labels.
pub(super) fn method_label(method: &Method) -> &'static str {
    METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or("OTHER")
}
