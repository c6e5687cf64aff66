//! `POST /internal/ingest`: a batch of ticks comes in.

use std::sync::Arc;
use std::time::Duration;

use chrono_ingest::{BatchFault, FeedFault, IngestError, ParsedBatch, Receipt};
use chrono_storage::IdempotencyKey;
use futures_util::future::BoxFuture;
use hyper::header::{HeaderName, HeaderValue};
use metrics::counter;
use serde::Serialize;

use super::expect_json;
use crate::app::App;
use crate::edge::{ApiError, Call, Details, ErrorCode, ItemFault, Reply, json};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What a worker is told of its batch.
#[derive(Serialize)]
struct Taken {
    status: &'static str,
    ingested: usize,
    failed: usize,
    latency_ms: u64,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ItemFault>,
}

/// Takes a batch in.
pub(crate) fn ingest(app: Arc<App>, call: Call) -> BoxFuture<'static, Result<Reply, ApiError>> {
    Box::pin(take_in(app, call))
}

async fn take_in(app: Arc<App>, mut call: Call) -> Result<Reply, ApiError> {
    let started = app.clock.uptime();
    call.query(&[])?;
    expect_json(&call)?;
    let mut body = call.read_body().await?;
    let batch = ParsedBatch::parse(&mut body, app.clock.now())?;
    // It may be a mebibyte, and the batch may have to wait.
    drop(body);
    if batch.unknown_fields > 0 {
        counter!("ingest_unknown_fields_total").increment(batch.unknown_fields.into());
    }
    let quota = match call.principal() {
        Some(principal) => app.gate.count_worker(principal, batch.worker)?,
        None => None,
    };
    let outcome = store(&app, &call, batch, started).await;
    match quota {
        Some(quota) => quota.told_in(outcome),
        None => outcome,
    }
}

async fn store(
    app: &App,
    call: &Call,
    batch: ParsedBatch,
    started: Duration,
) -> Result<Reply, ApiError> {
    let key = idempotency_key(call, batch.batch_id.as_ref())?;
    let receipt = app.ingest.submit(batch, key).await?;
    let latency = app.clock.uptime().saturating_sub(started);
    answer(receipt, u64::try_from(latency.as_millis()).unwrap_or(u64::MAX))
}

fn answer(receipt: Receipt, latency_ms: u64) -> Result<Reply, ApiError> {
    let (ingested, failed) = (receipt.ingested, receipt.faults.len());
    let feeds = if ingested == 1 { "feed" } else { "feeds" };
    let message = match failed {
        0 => format!("{ingested} price {feeds} ingested successfully"),
        _ => format!("{ingested} price {feeds} ingested, {failed} refused"),
    };
    let status = if failed == 0 { "success" } else { "partial" };
    let errors = receipt.faults.into_iter().map(ItemFault::from).collect();
    let mut reply = json(&Taken { status, ingested, failed, latency_ms, message, errors })?;
    if receipt.repeated {
        reply.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(reply)
}

/// Takes the batch's name from the header or the body; the two may not differ.
fn idempotency_key(
    call: &Call,
    batch_id: Option<&IdempotencyKey>,
) -> Result<Option<IdempotencyKey>, ApiError> {
    let mut sent = call.request().headers().get_all(&IDEMPOTENCY_KEY).iter();
    let (first, more) = (sent.next(), sent.next().is_some());
    let Some(first) = first else { return Ok(batch_id.cloned()) };
    let text = first.to_str().unwrap_or_default();
    let key = IdempotencyKey::try_new(text)
        .map_err(|broken| ApiError::invalid("Idempotency-Key", Some(text), broken.expected()))?;
    if more || batch_id.is_some_and(|id| *id != key) {
        let expected = "one key: the header once, and batch_id absent or the same";
        return Err(ApiError::invalid("Idempotency-Key", Some(text), expected));
    }
    Ok(Some(key))
}

impl From<FeedFault> for ItemFault {
    fn from(fault: FeedFault) -> Self {
        Self {
            index: fault.index,
            code: ErrorCode::Validation.as_str(),
            message: fault.message,
            details: Some(Details::new(fault.field, fault.received.as_deref(), fault.expected)),
        }
    }
}

impl From<BatchFault> for ApiError {
    fn from(fault: BatchFault) -> Self {
        let details = Details::new(fault.field, fault.received.as_deref(), fault.expected);
        Self::new(ErrorCode::Validation, fault.message).with_details(details)
    }
}

impl From<IngestError> for ApiError {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::AllRefused(faults) => all_refused(faults),
            IngestError::Refused(fault) => fault.into(),
            IngestError::KeyClash => Self::new(
                ErrorCode::IdempotencyMismatch,
                "The idempotency key came with other feeds before",
            ),
            IngestError::Overloaded => {
                Self::new(ErrorCode::Overloaded, "Too many batches wait; try again later")
            }
            IngestError::NotStored(error) => {
                Self::new(ErrorCode::Database, "The batch was not stored; try again later")
                    .caused_by(error)
            }
            IngestError::Expired => {
                Self::new(ErrorCode::Database, "The store is too slow; the batch was not stored")
            }
            IngestError::OutcomeUnknown => {
                let message = "The batch may or may not be stored; send it again with the same Idempotency-Key";
                Self::new(ErrorCode::OutcomeUnknown, message)
            }
            other => Self::internal(other),
        }
    }
}

fn all_refused(faults: Vec<FeedFault>) -> ApiError {
    let items: Vec<_> = faults.into_iter().map(ItemFault::from).collect();
    let first = items.first().cloned();
    let message = first.as_ref().map_or_else(|| "No feed".to_owned(), |item| item.message.clone());
    let error = ApiError::new(ErrorCode::Validation, message).with_items(items);
    match first.and_then(|item| item.details) {
        Some(details) => error.with_details(details),
        None => error,
    }
}
