//! What is written down of every request: one line in the log, one value in the histogram.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono_auth::KeyId;
use chrono_domain::Clock;
use hyper::Request;
use hyper::header::HeaderMap;

use super::timings::{Timings, method_label};
use super::{Reply, RequestId};

/// A request from its arrival to the head of its answer.
///
/// Dropped before its end, when the client left or the server stopped, it is written down as such.
pub(super) struct Visit<'e> {
    clock: &'e Arc<dyn Clock>,
    id: RequestId,
    timings: &'e Timings,
    method: &'static str,
    trace_id: Option<String>,
    peer: IpAddr,
    started: Duration,
    ended: bool,
}

impl<'e> Visit<'e> {
    pub(super) fn begin<B>(
        clock: &'e Arc<dyn Clock>,
        id: &RequestId,
        request: &Request<B>,
        peer: IpAddr,
        timings: &'e Timings,
    ) -> Self {
        let method = method_label(request.method());
        let trace_id = trace_id(request.headers()).map(str::to_owned);
        let (id, started) = (id.clone(), clock.uptime());
        Self { clock, id, timings, method, trace_id, peer, started, ended: false }
    }

    /// Writes the request down. Neither path nor query are logged: they may hold keys. Who has a key is known by that;
    /// of others the address tells whom to turn away.
    pub(super) fn end(&mut self, reply: &Reply, key_id: Option<KeyId>) {
        self.ended = true;
        let took = self.took();
        self.timings.record(self.method, reply.status(), took);
        tracing::info!(
            request_id = self.id.as_str(),
            method = self.method,
            route = self.timings.pattern(),
            status = reply.status().as_u16(),
            ms = millis(took),
            bytes = reply.body().bytes(),
            peer = key_id.is_none().then(|| tracing::field::display(self.peer)),
            key = key_id.map(tracing::field::display),
            trace_id = self.trace_id,
            "request"
        );
    }

    fn took(&self) -> Duration {
        self.clock.uptime().saturating_sub(self.started)
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let route = self.timings.pattern();
            metrics::counter!("http_requests_abandoned_total", "route" => route).increment(1);
            tracing::info!(
                request_id = self.id.as_str(),
                method = self.method,
                route,
                ms = millis(self.took()),
                peer = tracing::field::display(self.peer),
                trace_id = self.trace_id,
                "request abandoned"
            );
        }
    }
}

/// Gives milliseconds to the microsecond; more digits would be noise.
#[expect(clippy::cast_precision_loss, reason = "exact for 285 years, and for people")]
fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1_000.0
}

/// Finds the trace id in a `traceparent` of version 00, as <https://www.w3.org/TR/trace-context/> writes it.
fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let parent = headers.get("traceparent")?.to_str().ok()?;
    let mut fields = parent.split('-');
    let mut field = |chars: usize| {
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        fields.next().filter(|field| field.len() == chars && field.bytes().all(hex))
    };
    let (version, trace, _span, _flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
    let known = version == "00" && fields.next().is_none();
    Some(trace).filter(|trace| known && trace.bytes().any(|byte| byte != b'0'))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn only_a_sane_traceparent_gives_a_trace() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let of = |parent: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", HeaderValue::from_str(parent).unwrap());
            trace_id(&headers).map(str::to_owned)
        };
        assert_eq!(of(&format!("00-{trace}-00f067aa0ba902b7-01")).as_deref(), Some(trace));
        for parent in [
            "",
            "00",
            &format!("01-{trace}-00f067aa0ba902b7-01"),
            &format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
            &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            &format!("00-{trace}-00f067aa0ba902b7-01-x"),
            &format!("00-{trace}x-00f067aa0ba902b7-01"),
        ] {
            assert_eq!(of(parent), None, "{parent}");
        }
    }
}
