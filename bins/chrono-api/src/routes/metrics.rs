//! `GET /metrics`: the Prometheus text format.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use metrics::gauge;
use tokio::time::timeout;

use crate::app::App;
use crate::edge::{ApiError, Call, ErrorCode, Reply, with_type};
use crate::routes::health::PROBE;

/// The content type of the Prometheus text format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers every metric, unless they have an address of their own.
pub(crate) fn scrape_here(
    app: Arc<App>,
    call: Call,
) -> BoxFuture<'static, Result<Reply, ApiError>> {
    if app.metrics_apart {
        let elsewhere = ApiError::new(ErrorCode::NotFound, "Metrics have an address of their own");
        return Box::pin(std::future::ready(Err(elsewhere)));
    }
    scrape(app, call)
}

/// Answers every metric; 404 when metrics are off.
pub(crate) fn scrape(app: Arc<App>, call: Call) -> BoxFuture<'static, Result<Reply, ApiError>> {
    Box::pin(async move {
        call.query(&[])?;
        let handle = app
            .metrics
            .as_ref()
            .ok_or_else(|| ApiError::new(ErrorCode::NotFound, "Metrics are off"))?;
        // Without the store, the rest is worth the more.
        if let Ok(Ok(stats)) = timeout(PROBE, app.store.stats()).await {
            gauge!("store_ticks").set(approximate(stats.ticks));
            if let Some(bytes) = stats.bytes {
                gauge!("store_bytes").set(approximate(bytes));
            }
        }
        gauge!("uptime_seconds").set(app.clock.uptime().as_secs_f64());
        Ok(with_type(CONTENT_TYPE, handle.render()))
    })
}

/// Gives a gauge's value; the format knows floats only.
#[expect(
    clippy::cast_precision_loss,
    reason = "gauges are floats, and these are counts for people"
)]
fn approximate(count: u64) -> f64 {
    count as f64
}
