//! Posting ticks: `POST /internal/ingest`.

use bytes::Bytes;
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::client::from_json;
use crate::{Client, ClientError, FeedFault};

const PATH: &str = "/internal/ingest";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Ticks that a worker posts together: stored whole or not at all, but for feeds that are refused one by one.
#[derive(Debug, Clone, Serialize)]
pub struct IngestBatch {
    /// Who posts, `[A-Za-z0-9][A-Za-z0-9._:-]{0,63}`; idempotency keys are scoped by it.
    pub worker_id: String,
    /// The time of posting, RFC 3339 with a zone.
    pub timestamp: String,
    /// 1 to 100 ticks; equal timestamps of a symbol keep this order.
    pub feeds: Vec<Feed>,
}

/// One price of one symbol at one source, as it is posted.
#[derive(Debug, Clone, Serialize)]
pub struct Feed {
    /// `BASE/QUOTE`, upper case.
    pub symbol: String,
    /// Quote currency per unit of base: plain digits with at most one point, above zero, kept as sent.
    pub price: String,
    /// Size traded since the source's previous tick, in base currency; none where the source does not say.
    pub volume: Option<String>,
    /// Where the price was seen, `[a-z0-9][a-z0-9._-]{0,31}`.
    pub source: String,
    /// The source's time, RFC 3339 with a zone; digits finer than a microsecond are cut off by the gateway.
    pub timestamp: String,
    /// A JSON object of at most 4 KiB, sent as it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<RawValue>>,
}

/// What the gateway answers to a batch of which at least one feed was stored.
#[derive(Debug, Clone, Deserialize)]
pub struct IngestReply {
    /// `success`, or `partial` when some feeds were refused.
    pub status: String,
    /// Feeds stored, durable by now.
    pub ingested: usize,
    /// Feeds refused.
    pub failed: usize,
    /// The gateway's own time for the batch, in milliseconds.
    pub latency_ms: u64,
    /// The gateway's words.
    pub message: String,
    /// Why each refused feed was refused.
    #[serde(default)]
    pub errors: Vec<FeedFault>,
    /// Whether this is the answer of an earlier post with the same key, which alone stored the feeds.
    #[serde(skip)]
    pub replayed: bool,
}

impl Client {
    /// Posts a batch once.
    ///
    /// With an idempotency key the gateway stores the batch once however often it is posted, for at least 24 h.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when no feed was accepted, and every other kind; those for which
    /// [`ClientError::is_retryable`] holds may be retried with the same key, and without a key may store twice.
    ///
    /// # Cancel safety
    /// Dropped before it ends, the batch may have been stored: post again with the same key.
    pub async fn ingest(
        &self,
        batch: &IngestBatch,
        idempotency_key: Option<&str>,
    ) -> Result<IngestReply, ClientError> {
        self.post_batch(encode(batch)?, idempotency_key).await
    }

    pub(crate) async fn post_batch(
        &self,
        body: Bytes,
        idempotency_key: Option<&str>,
    ) -> Result<IngestReply, ClientError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = idempotency_key {
            let value = HeaderValue::from_str(key).map_err(|_fault| {
                ClientError::Setting(format!("no header can carry the idempotency key {key:?}"))
            })?;
            headers.insert(IDEMPOTENCY_KEY, value);
        }
        let answer = self.send(Method::POST, PATH, headers, body).await?;
        if !answer.status.is_success() {
            return Err(ClientError::from_answer(answer.status, &answer.headers, &answer.body));
        }
        let replayed = answer.headers.get(IDEMPOTENT_REPLAYED).is_some_and(|value| value == "true");
        Ok(IngestReply { replayed, ..from_json(&answer.body)? })
    }
}

pub(crate) fn encode(batch: &IngestBatch) -> Result<Bytes, ClientError> {
    let body = serde_json::to_vec(batch)
        .map_err(|fault| ClientError::Setting(format!("the batch is no JSON: {fault}")))?;
    Ok(body.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_the_specs_fields_and_untouched_metadata() {
        let metadata = r#"{"bid":1.10,"exchange_timestamp":1728480896123,"z":1,"a":[ ]}"#;
        let batch = IngestBatch {
            worker_id: "w".to_owned(),
            timestamp: "2025-10-09T12:34:56.789Z".to_owned(),
            feeds: vec![Feed {
                symbol: "BTC/USD".to_owned(),
                price: "67234.50".to_owned(),
                volume: None,
                source: "binance".to_owned(),
                timestamp: "2025-10-09T12:34:56.123Z".to_owned(),
                metadata: Some(RawValue::from_string(metadata.to_owned()).unwrap()),
            }],
        };
        let expected = format!(
            concat!(
                r#"{{"worker_id":"w","timestamp":"2025-10-09T12:34:56.789Z","feeds":["#,
                r#"{{"symbol":"BTC/USD","price":"67234.50","volume":null,"source":"binance","#,
                r#""timestamp":"2025-10-09T12:34:56.123Z","metadata":{}}}]}}"#
            ),
            metadata
        );
        assert_eq!(encode(&batch).unwrap(), expected);
    }
}
