//! One price out of many sources: `GET /aggregates/consensus`.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::address::PathQuery;
use crate::{Client, ClientError};

/// What to agree on, and when.
#[derive(Debug, Clone, Default)]
pub struct ConsensusQuery {
    /// `BASE/QUOTE` each.
    pub symbols: Vec<String>,
    /// The end of the window, RFC 3339 or epoch; none for now.
    pub timestamp: Option<String>,
    /// Fewest sources that make a price; the gateway refuses fewer than its operator set.
    pub min_sources: Option<u32>,
    /// Asks for each source's part in the price.
    pub explain: bool,
}

/// The consensus of each symbol that had feeds in its window.
#[derive(Debug, Clone, Deserialize)]
pub struct ConsensusPage {
    /// One entry per symbol with feeds.
    pub data: Vec<Consensus>,
    /// Symbols asked for that had none.
    #[serde(default)]
    pub missing: Vec<String>,
    /// The gateway's own time for the answer, in milliseconds.
    pub latency_ms: u64,
}

/// The consensus on one symbol.
#[derive(Debug, Clone, Deserialize)]
pub struct Consensus {
    /// `BASE/QUOTE`.
    pub symbol: String,
    /// The agreed price, in quote currency; none when the sources are too few or disagree.
    pub price: Option<String>,
    /// Median of all feeds of the window.
    pub median: String,
    /// Mean of all feeds of the window.
    pub mean: String,
    /// Sample standard deviation of all feeds of the window; none for a single feed.
    pub std_dev: Option<String>,
    /// Sources in the window.
    pub num_sources: u64,
    /// Their names.
    pub sources: Vec<String>,
    /// The window's end, RFC 3339.
    pub timestamp: String,
    /// `ok`, `thin`, `disputed` or `no_quorum`.
    #[serde(default)]
    pub status: Option<String>,
    /// Each source's price, age and weight, and whether it counted; where it was asked for.
    #[serde(default)]
    pub votes: Option<Box<RawValue>>,
}

impl ConsensusQuery {
    fn path(&self) -> PathQuery {
        let min_sources = self.min_sources.map(|sources| sources.to_string());
        PathQuery::new("/aggregates/consensus")
            .pair("symbols", &self.symbols.join(","))
            .pair_if("timestamp", self.timestamp.as_deref())
            .pair_if("min_sources", min_sources.as_deref())
            .pair_if("explain", self.explain.then_some("true"))
    }
}

impl Client {
    /// Asks what the sources agree on.
    ///
    /// # Errors
    /// [`ClientError::Refused`] for symbols or a time that the gateway does not take; any may be retried that is
    /// retryable.
    pub async fn consensus(&self, query: &ConsensusQuery) -> Result<ConsensusPage, ClientError> {
        self.get(query.path().as_str()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_several_symbols_at_a_time() {
        let query = ConsensusQuery {
            symbols: vec!["BTC/USD".to_owned(), "ETH/USD".to_owned()],
            min_sources: Some(3),
            explain: true,
            ..ConsensusQuery::default()
        };
        assert_eq!(
            query.path().as_str(),
            "/aggregates/consensus?symbols=BTC%2FUSD%2CETH%2FUSD&min_sources=3&explain=true"
        );
    }

    #[test]
    fn a_disputed_price_is_none() {
        let page: ConsensusPage = serde_json::from_str(
            r#"{"data":[{"symbol":"BTC/USD","price":null,"median":"1.5","mean":"1.5",
                "std_dev":null,"num_sources":2,"timestamp":"2025-10-09T12:00:00Z",
                "sources":["a","b"],"status":"disputed"}],"latency_ms":23}"#,
        )
        .unwrap();
        assert_eq!(page.data.first().unwrap().price, None);
    }
}
