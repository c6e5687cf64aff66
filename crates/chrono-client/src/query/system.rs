//! What the gateway knows of itself: `GET /metadata/*` and `GET /health`.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, StatusCode};
use serde::Deserialize;

use crate::client::from_json;
use crate::{Client, ClientError};

/// What to ask the gateway about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// The symbols it has seen.
    Symbols,
    /// The sources it has seen.
    Sources,
    /// The candle lengths it answers.
    Intervals,
    /// Its version and settings.
    System,
}

/// How the gateway and what it stands on are.
#[derive(Debug, Clone, Deserialize)]
pub struct Health {
    /// `healthy`, `degraded` or `unhealthy`: the worst of the services.
    pub status: String,
    /// The gateway's time, RFC 3339.
    pub timestamp: String,
    /// State by service name; `embedded` where nothing outside is used.
    pub services: BTreeMap<String, String>,
    /// How long the gateway has run, in seconds.
    pub uptime_seconds: u64,
}

impl Client {
    /// Asks for one of the gateway's lists, as JSON.
    ///
    /// # Errors
    /// Any may be retried that is retryable.
    pub async fn metadata(&self, topic: Topic) -> Result<serde_json::Value, ClientError> {
        self.get(match topic {
            Topic::Symbols => "/metadata/symbols",
            Topic::Sources => "/metadata/sources",
            Topic::Intervals => "/metadata/intervals",
            Topic::System => "/metadata/system",
        })
        .await
    }

    /// Asks how the gateway is; an unhealthy one that still answers is an answer, not an error.
    ///
    /// # Errors
    /// Any may be retried that is retryable.
    pub async fn health(&self) -> Result<Health, ClientError> {
        let answer = self.send(Method::GET, "/health", HeaderMap::new(), Bytes::new()).await?;
        match answer.status {
            StatusCode::OK => from_json(&answer.body),
            StatusCode::SERVICE_UNAVAILABLE => from_json(&answer.body).map_err(|_fault| {
                ClientError::from_answer(answer.status, &answer.headers, &answer.body)
            }),
            status => Err(ClientError::from_answer(status, &answer.headers, &answer.body)),
        }
    }
}
