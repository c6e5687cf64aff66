//! `GET /aggregates/consensus`.

use std::sync::Arc;

use chrono_query::{ConsensusQuery, Explain};
use futures_util::future::BoxFuture;

use super::question;
use crate::app::App;
use crate::edge::{ApiError, Call, Query, Reply};

/// Answers the consensus of each symbol, now or at a time.
pub(crate) fn consensus(app: Arc<App>, call: Call) -> BoxFuture<'static, Result<Reply, ApiError>> {
    Box::pin(async move {
        let query =
            consensus_query(&call.query(&["symbols", "timestamp", "min_sources", "explain"])?)?;
        question::answer(app.queries.consensus_json(&query)).await
    })
}

fn consensus_query(query: &Query<'_>) -> Result<ConsensusQuery, ApiError> {
    let expected = "a whole number above zero";
    Ok(ConsensusQuery {
        symbols: question::symbols(query)?,
        at: question::time(query, "timestamp")?,
        min_sources: query.read("min_sources", expected, |text| text.parse().ok())?,
        explain: if query.flag("explain")? { Explain::Votes } else { Explain::Figures },
    })
}
