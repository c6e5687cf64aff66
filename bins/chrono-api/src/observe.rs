//! Logs and metrics: what an operator sees.

mod json_line;
mod log_queue;

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};
use crate::supervisor;
use json_line::JsonLine;

pub use log_queue::LogQueue;

/// Buckets of `http_request_duration_ms`, from the spec.
const REQUEST_MS: [f64; 8] = [10.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0];
/// Buckets of everything that ends in `_seconds`, from an fsync to a stall.
const SECONDS: [f64; 10] = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0];
/// Buckets of everything that ends in `_latency_ms`, from one socket write to a stalled reader.
const LATENCY_MS: [f64; 10] = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 10_000.0];
/// Buckets of `ingest_commit_ticks`.
const TICKS: [f64; 6] = [1.0, 10.0, 100.0, 1_000.0, 3_000.0, 10_000.0];
/// How often the exporter folds what was recorded; without it memory grows between scrapes.
pub const UPKEEP: Duration = Duration::from_secs(5);

/// How long the end waits for whoever reads standard error. Too short, and a busy one misses why it ended; too long, and
/// one who has stalled holds up the promises of a stop.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The lines that wait, of which there is one queue as there is one standard error.
static LOGS: OnceLock<LogQueue> = OnceLock::new();

/// Starts logging to standard error; gives the queue in which lines wait once something runs it.
///
/// # Errors
/// When the filter is wrong, or logging was started before.
pub fn start_logs(log: &LogConfig) -> anyhow::Result<LogQueue> {
    // Whatever else the filter leaves out.
    let filter = EnvFilter::try_new(&log.filter)?.add_directive("panic=error".parse()?);
    let queue = LOGS.get_or_init(LogQueue::default);
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(queue.clone());
    let started = match log.format {
        LogFormat::Json => logs.event_format(JsonLine::new()).try_init(),
        LogFormat::Pretty => logs.with_ansi(io::stderr().is_terminal()).try_init(),
    };
    started.map_err(|broken| anyhow::anyhow!(broken))?;
    // The default writes by itself: while nobody reads, a thread that panics would never come back.
    std::panic::set_hook(Box::new(|panic| tracing::error!(target: "panic", %panic, "panicked")));
    Ok(queue.clone())
}

/// Writes, before the process ends, what waits of the log and then a message for people, if whoever reads takes it soon.
pub(crate) fn say_last(words: &str) {
    if words.is_empty() && LOGS.get().is_none() {
        return;
    }
    let words = words.to_owned();
    supervisor::within(LAST_WORDS, move || {
        if let Some(logs) = LOGS.get() {
            logs.write_out();
        }
        // Nobody is left to tell when standard error is gone.
        drop(io::stderr().write_all(words.as_bytes()));
    });
}

/// Starts keeping metrics.
///
/// # Errors
/// When metrics were started before.
pub fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("http_request_duration_ms".to_owned()), &REQUEST_MS)?
        .set_buckets_for_metric(Matcher::Suffix("_latency_ms".to_owned()), &LATENCY_MS)?
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_ticks".to_owned()), &TICKS)?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    describe();
    gauge!("chrono_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    // There from the first scrape, so that an alert tells zero from nothing.
    gauge!("websocket_connections_active").set(0.0);
    counter!("candles_recount_mismatches_total").absolute(0);
    for task in ["request", "connection"] {
        counter!("task_panics_total", "task" => task).absolute(0);
    }
    counter!("log_lines_dropped_total").absolute(0);
    Ok(handle)
}

/// Gives the spec's metrics the spec's words.
fn describe() {
    describe_histogram!("http_request_duration_ms", "HTTP request duration in milliseconds");
    describe_counter!("price_ingestions_total", "Total number of price feeds ingested");
    describe_gauge!("websocket_connections_active", "Number of active WebSocket connections");
}
