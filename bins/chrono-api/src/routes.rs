//! The table of routes, and one small handler for each path.
//!
//! The table drives the router, the role check and the metrics' label; a handler takes its input apart, calls a use
//! case and encodes the answer.

mod aggregates;
mod delegations;
mod health;
mod ingest;
mod metadata;
mod metrics;
mod page;
mod prices;
mod question;
mod stream;

use hyper::Method;
use hyper::header::CONTENT_TYPE;

use crate::app::App;
use crate::edge::{Access, ApiError, Call, KeyPlace, Route};

/// Every path of the gateway.
pub(crate) const ALL: &[Route<App>] = &[
    Route::get("/", Access::Open, "livePage", page::page),
    Route::get("/assets/live.css", Access::Open, "livePageStyle", page::style),
    Route::get("/assets/live.js", Access::Open, "livePageScript", page::script),
    Route::get("/health", Access::Open, "getHealth", health::health),
    Route::get("/health/live", Access::Open, "getLiveness", health::live),
    Route::get("/health/ready", Access::Open, "getReadiness", health::ready),
    Route::get("/metrics", Access::Open, "getMetrics", metrics::scrape_here),
    Route::post("/internal/ingest", Access::Internal, "ingest", ingest::ingest),
    Route::post("/internal/delegations", Access::Internal, "postDelegations", delegations::post),
    Route::get("/prices/latest", Access::Public, "getLatestPrices", prices::latest),
    Route::get("/prices/range", Access::Public, "getPriceRange", prices::range),
    Route::get("/aggregates/consensus", Access::Public, "getConsensus", aggregates::consensus),
    Route::get("/metadata/symbols", Access::Public, "getSymbols", metadata::symbols),
    Route::get("/metadata/sources", Access::Public, "getSources", metadata::sources),
    Route::get("/metadata/intervals", Access::Public, "getIntervals", metadata::intervals),
    Route::get("/metadata/system", Access::Public, "getSystem", metadata::system),
    Route::get("/delegations", Access::Public, "getDelegations", delegations::get),
    Route::get("/stream", Access::Public, "streamWebSocket", stream::websocket)
        .with_key(KeyPlace::HeaderQueryOrLater),
    Route::get("/stream/sse", Access::Public, "streamEvents", stream::events)
        .with_key(KeyPlace::HeaderOrQuery),
];

/// Lists every route by its method and pattern, for checks that none was forgotten.
pub fn outline() -> impl Iterator<Item = (&'static Method, &'static str)> {
    ALL.iter().map(|route| (&route.method, route.pattern))
}

/// The path that may have an address of its own.
pub(crate) const METRICS: &[Route<App>] =
    &[Route::get("/metrics", Access::Open, "getMetrics", metrics::scrape)];

/// Refuses a body that does not say that it is JSON.
fn expect_json(call: &Call) -> Result<(), ApiError> {
    let sent = call.header(&CONTENT_TYPE);
    let essence = sent.map(|sent| sent.split(';').next().unwrap_or_default().trim());
    match essence {
        Some(essence) if essence.eq_ignore_ascii_case("application/json") => Ok(()),
        _ => Err(ApiError::invalid("Content-Type", sent, "application/json")),
    }
}
