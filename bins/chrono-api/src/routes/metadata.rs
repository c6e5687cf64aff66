//! `GET /metadata/{symbols,sources,intervals,system}`.

use std::sync::Arc;

use chrono_query::SymbolsQuery;
use futures_util::future::BoxFuture;

use super::question;
use crate::app::App;
use crate::edge::{ApiError, Call, Query, Reply, json_bytes};

/// What a symbol with a dozen sources takes of an answer's memory, as it is found and as text, in bytes.
const SYMBOL_BYTES: usize = 512;

/// Answers the symbols with prices.
pub(crate) fn symbols(app: Arc<App>, call: Call) -> BoxFuture<'static, Result<Reply, ApiError>> {
    Box::pin(async move {
        let query = symbols_query(&call.query(&["quote", "source", "limit", "cursor"])?)?;
        let room = call.reserve(question::page_bytes(query.limit, SYMBOL_BYTES)).await?;
        Ok(json_bytes(app.queries.symbols_json(&query)?).map(|body| body.with_room(room)))
    })
}

/// Answers the sources of prices.
pub(crate) fn sources(app: Arc<App>, call: Call) -> BoxFuture<'static, Result<Reply, ApiError>> {
    Box::pin(async move {
        call.query(&[])?;
        Ok(json_bytes(app.queries.sources_json()))
    })
}

/// Answers the intervals of candles.
pub(crate) fn intervals(app: Arc<App>, call: Call) -> BoxFuture<'static, Result<Reply, ApiError>> {
    Box::pin(async move {
        call.query(&[])?;
        Ok(json_bytes(app.queries.intervals_json()))
    })
}

/// Answers the gateway's own figures.
pub(crate) fn system(app: Arc<App>, call: Call) -> BoxFuture<'static, Result<Reply, ApiError>> {
    Box::pin(async move {
        call.query(&[])?;
        question::answer(app.queries.system_json()).await
    })
}

fn symbols_query(query: &Query<'_>) -> Result<SymbolsQuery, ApiError> {
    Ok(SymbolsQuery {
        quote: query.find("quote").map(str::to_ascii_uppercase),
        source: question::source(query)?,
        limit: question::limit(query)?,
        cursor: question::cursor(query),
    })
}
