//! What the handlers share.

use std::sync::Arc;

use chrono_domain::Clock;
use chrono_ingest::Ingest;
use chrono_query::PriceQueries;
use chrono_storage::Store;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::edge::Gate;
use crate::stream::StreamService;
use crate::supervisor::Supervisor;

/// The state behind every route; made once, by the composition root.
pub(crate) struct App {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) ingest: Ingest,
    pub(crate) metrics: Option<PrometheusHandle>,
    /// Whether metrics are served on an address of their own only.
    pub(crate) metrics_apart: bool,
    pub(crate) queries: PriceQueries,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) stream: StreamService,
    pub(crate) supervisor: Supervisor,
}
