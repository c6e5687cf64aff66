//! `/health`, `/health/live`, `/health/ready`: what balancers and people ask.

use std::sync::Arc;
use std::time::Duration;

use chrono_storage::{StoreError, StoreStats};
use futures_util::future::BoxFuture;
use hyper::StatusCode;
use serde::Serialize;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::app::App;
use crate::edge::{ApiError, Call, Reply, json};
use crate::stream::HUB_TASK;

/// How long the store may take to show that it reads.
pub(super) const PROBE: Duration = Duration::from_secs(1);
/// For how long a failed commit makes the gateway unready; the next one that works ends it too.
const COMMIT_FAULT: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Health {
    status: &'static str,
    timestamp: String,
    services: Services,
    uptime_seconds: u64,
}

#[derive(Serialize)]
struct Services {
    database: &'static str,
    redis: &'static str,
    websocket: &'static str,
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    reasons: Vec<String>,
}

/// Says that the process runs.
pub(crate) fn live(app: Arc<App>, call: Call) -> BoxFuture<'static, Result<Reply, ApiError>> {
    Box::pin(async move {
        call.query(&[])?;
        let uptime_seconds = app.clock.uptime().as_secs();
        json(&serde_json::json!({"status": "alive", "uptime_seconds": uptime_seconds}))
    })
}

/// Says how each part is.
pub(crate) fn health(app: Arc<App>, call: Call) -> BoxFuture<'static, Result<Reply, ApiError>> {
    Box::pin(async move {
        call.query(&[])?;
        let (store_well, stream_well) =
            (store_faults(&app).await.is_empty(), stream_faults(&app).is_empty());
        let status = match (store_well, stream_well) {
            (true, true) => "healthy",
            (true, false) => "degraded",
            (false, _) => "unhealthy",
        };
        let services = Services {
            database: if store_well { "embedded" } else { "unhealthy" },
            redis: "embedded",
            websocket: if stream_well { "healthy" } else { "degraded" },
        };
        let timestamp = app.clock.now().to_millis().to_string();
        let mut reply = json(&Health {
            status,
            timestamp,
            services,
            uptime_seconds: app.clock.uptime().as_secs(),
        })?;
        if status == "unhealthy" {
            *reply.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        Ok(reply)
    })
}

/// Says whether traffic should come; `?role=read` asks only for what readers of prices and streams need.
pub(crate) fn ready(app: Arc<App>, call: Call) -> BoxFuture<'static, Result<Reply, ApiError>> {
    Box::pin(async move {
        let query = call.query(&["role"])?;
        let reads_only = match query.find("role") {
            None => false,
            Some("read") => true,
            Some(other) => return Err(ApiError::invalid("role", Some(other), "read, or no role")),
        };
        let mut reasons = Vec::new();
        if app.supervisor.draining().is_cancelled() {
            reasons.push("stopping".to_owned());
        }
        if reads_only {
            reasons.extend(stream_faults(&app));
        } else {
            reasons.extend(app.supervisor.faults());
            reasons.extend(store_faults(&app).await);
        }
        let ready = reasons.is_empty();
        let mut reply = json(&Ready { ready, reasons })?;
        if !ready {
            *reply.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        Ok(reply)
    })
}

/// Names what keeps streams from being served.
fn stream_faults(app: &App) -> Vec<String> {
    app.supervisor.faults().into_iter().filter(|fault| fault.starts_with(HUB_TASK)).collect()
}

async fn store_faults(app: &App) -> Vec<String> {
    let mut faults = Vec::from_iter(fault_of(timeout(PROBE, app.store.stats()).await));
    if app.ingest.failed_within(COMMIT_FAULT) {
        faults.push("the last commit failed".to_owned());
    }
    faults
}

/// Says what is wrong with a store by what came of a read.
fn fault_of(read: Result<Result<StoreStats, StoreError>, Elapsed>) -> Option<String> {
    match read {
        // So many readers wait that this one is sent away, as are others: the store works, and takes ingest.
        Ok(Ok(_) | Err(StoreError::Overloaded)) => None,
        Ok(Err(error)) => Some(format!("the store does not work: {}", whole(&error))),
        Err(_elapsed) => Some("the store does not answer".to_owned()),
    }
}

/// Prints an error with its causes: whoever reads it has no log at hand.
fn whole(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_that_works_is_no_fault_however_many_wait_for_it() {
        assert_eq!(fault_of(Ok(Err(StoreError::Overloaded))), None);
        let broken = StoreError::Unavailable("no such file".into());
        let said = "the store does not work: the store is unavailable: no such file".to_owned();
        assert_eq!(fault_of(Ok(Err(broken))), Some(said));
        let hung = timeout(Duration::ZERO, std::future::pending()).await;
        assert_eq!(fault_of(hung), Some("the store does not answer".to_owned()));
    }
}
