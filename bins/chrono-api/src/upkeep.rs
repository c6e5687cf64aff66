//! The work that goes on behind the requests: candles, checks, forgetting.

use std::sync::Arc;
use std::time::Duration;

use chrono_domain::Clock;
use chrono_storage::{Progress, Store, StoreError};
use metrics::{counter, histogram};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time::sleep;

use crate::observe::UPKEEP;
use crate::supervisor::{Policy, Supervisor};

/// Ticks younger than this need not be folded yet, so that most late ticks still come in time.
const UNSETTLED: Duration = Duration::from_mins(2);
/// Rest of the materialiser when nothing waits. Too long, and what a busy store has to put in order piles up.
const MATERIALISE_EVERY: Duration = Duration::from_millis(250);
/// Rest of the materialiser and of forgetting after a step, in times of the step: processors and writer are left to
/// requests while that goes.
const RESTS: u32 = 1;
/// Time between two samples of stored candles that are folded again.
const RECOUNT_EVERY: Duration = Duration::from_mins(1);
/// Time between two rounds of forgetting.
const FORGET_EVERY: Duration = Duration::from_mins(10);
/// Age at which an idempotency key is forgotten; the promise is a day.
const KEY_AGE: Duration = Duration::from_hours(26);

/// Starts all of it.
pub(crate) fn start(
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    supervisor: &Supervisor,
    metrics: Option<PrometheusHandle>,
) {
    let shared = (Arc::clone(store), Arc::clone(clock));
    let (candles, recounts, keys) = (shared.clone(), shared.clone(), shared);
    supervisor.task("materialiser", Policy::Forever, move || {
        materialise(candles.0.clone(), candles.1.clone())
    });
    supervisor.task("recount", Policy::Forever, move || recount(recounts.0.clone()));
    supervisor
        .task("forget-keys", Policy::Forever, move || forget_keys(keys.0.clone(), keys.1.clone()));
    if let Some(handle) = metrics {
        supervisor.task("metrics-upkeep", Policy::Forever, move || fold_metrics(handle.clone()));
    }
}

async fn materialise(store: Arc<dyn Store>, clock: Arc<dyn Clock>) {
    loop {
        let started = clock.uptime();
        match store.materialise(clock.now().minus(UNSETTLED)).await {
            Ok(progress @ (Progress::More | Progress::Behind)) => {
                let took = clock.uptime().saturating_sub(started);
                histogram!("candles_step_seconds").record(took);
                if progress == Progress::More {
                    sleep(took * RESTS).await;
                }
            }
            Ok(Progress::Idle) => sleep(MATERIALISE_EVERY).await,
            Err(error) => {
                complain("cannot materialise candles", &error);
                sleep(MATERIALISE_EVERY).await;
            }
        }
    }
}

async fn recount(store: Arc<dyn Store>) {
    for turn in 0.. {
        sleep(RECOUNT_EVERY).await;
        match store.recount(turn).await {
            Ok(recount) => {
                counter!("candles_recount_checked_total").increment(recount.checked);
                counter!("candles_recount_mismatches_total").increment(recount.mismatches);
                if recount.mismatches > 0 {
                    tracing::error!(
                        mismatches = recount.mismatches,
                        checked = recount.checked,
                        "candles differ from their ticks"
                    );
                }
            }
            Err(error) => complain("cannot recount candles", &error),
        }
    }
}

async fn forget_keys(store: Arc<dyn Store>, clock: Arc<dyn Clock>) {
    loop {
        let started = clock.uptime();
        match store.forget_keys(clock.now().minus(KEY_AGE)).await {
            Ok(0) => sleep(FORGET_EVERY).await,
            Ok(forgotten) => {
                tracing::debug!(forgotten, "idempotency keys forgotten");
                sleep(clock.uptime().saturating_sub(started) * RESTS).await;
            }
            Err(error) => {
                complain("cannot forget idempotency keys", &error);
                sleep(FORGET_EVERY).await;
            }
        }
    }
}

async fn fold_metrics(handle: PrometheusHandle) {
    loop {
        sleep(UPKEEP).await;
        handle.run_upkeep();
    }
}

fn complain(what: &'static str, error: &StoreError) {
    tracing::warn!(error = error as &dyn std::error::Error, "{what}");
}
