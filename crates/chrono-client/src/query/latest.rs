//! The newest prices: `GET /prices/latest`.

use serde::Deserialize;

use crate::address::PathQuery;
use crate::{Client, ClientError};

/// The newest price of each symbol that has one.
#[derive(Debug, Clone, Deserialize)]
pub struct LatestPrices {
    /// One entry per known symbol.
    pub data: Vec<LatestPrice>,
    /// Symbols asked for that have no price.
    #[serde(default)]
    pub missing: Vec<String>,
    /// Whether the gateway answered without asking its store.
    pub cached: bool,
    /// The gateway's own time for the answer, in milliseconds.
    pub latency_ms: u64,
}

/// The newest price of one symbol.
#[derive(Debug, Clone, Deserialize)]
pub struct LatestPrice {
    /// `BASE/QUOTE`.
    pub symbol: String,
    /// Quote currency per unit of base, as sent.
    pub price: String,
    /// Size traded, in base currency, as sent.
    pub volume: Option<String>,
    /// The source, or `aggregated` over all sources.
    pub source: String,
    /// The source that the price came from, when `source` does not say.
    #[serde(default)]
    pub last_source: Option<String>,
    /// The source's time, RFC 3339.
    pub timestamp: String,
    /// Age of the price when the gateway answered, in milliseconds.
    pub staleness_ms: u64,
}

impl Client {
    /// Asks for the newest price of each symbol over all sources.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with `NOT_FOUND` when no symbol is known; any may be retried that is retryable.
    pub async fn latest(&self, symbols: &[&str]) -> Result<LatestPrices, ClientError> {
        self.get(PathQuery::new("/prices/latest").pair("symbols", &symbols.join(",")).as_str())
            .await
    }

    /// Asks for the newest price of each symbol at one source.
    ///
    /// # Errors
    /// As [`Client::latest`].
    pub async fn latest_of(
        &self,
        symbols: &[&str],
        source: &str,
    ) -> Result<LatestPrices, ClientError> {
        let path = PathQuery::new("/prices/latest")
            .pair("symbols", &symbols.join(","))
            .pair("source", source);
        self.get(path.as_str()).await
    }
}
