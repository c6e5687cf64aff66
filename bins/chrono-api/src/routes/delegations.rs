//! `POST /internal/delegations` and `GET /delegations`: the Flare protocol's vote delegations.

use std::sync::Arc;
use std::time::Duration;

use chrono_domain::{Metadata, Timestamp, Volume};
use chrono_query::{DelegationsQuery, PAGE_METADATA_BYTES_MAX};
use chrono_storage::{AccountId, Delegation, DelegationOutcome, StoreError};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{expect_json, question};
use crate::app::App;
use crate::edge::{ApiError, Call, Details, ErrorCode, ItemFault, Query, Reply, json};

/// Most delegations in a batch.
const DELEGATIONS_MAX: usize = 100;
/// Longest metadata, in bytes.
const METADATA_BYTES_MAX: usize = 4_096;
/// Deepest nesting of metadata, the object itself counted.
const METADATA_DEPTH_MAX: usize = 8;
/// What a delegation takes of an answer's memory beside its metadata, as it is read and as text, in bytes.
const ROW_BYTES: usize = 512;
/// How far a delegation's time may be ahead of ours.
const AHEAD_MAX: Duration = Duration::from_secs(5);
/// How long the store may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// The parameters of a question.
const QUESTION: &[&str] = &["delegator_id", "provider_id", "from", "to", "limit", "cursor"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    delegations: Vec<Sent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    delegator_id: String,
    provider_id: String,
    amount: String,
    percentage: String,
    timestamp: String,
    metadata: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Serialize)]
struct Taken {
    status: &'static str,
    ingested: usize,
    repeated: usize,
    failed: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ItemFault>,
}

/// Takes delegations in; each is stored once, and what is stored is never changed.
pub(crate) fn post(app: Arc<App>, call: Call) -> BoxFuture<'static, Result<Reply, ApiError>> {
    Box::pin(take_in(app, call))
}

/// Answers delegations, newest first.
pub(crate) fn get(app: Arc<App>, call: Call) -> BoxFuture<'static, Result<Reply, ApiError>> {
    Box::pin(async move {
        let query = delegations_query(&call.query(QUESTION)?)?;
        let bytes = question::page_bytes(query.limit, ROW_BYTES) + PAGE_METADATA_BYTES_MAX;
        question::large_answer(call.reserve(bytes), app.queries.delegations_json(&query)).await
    })
}

fn delegations_query(query: &Query<'_>) -> Result<DelegationsQuery, ApiError> {
    Ok(DelegationsQuery {
        delegator: account(query, "delegator_id")?,
        provider: account(query, "provider_id")?,
        from: question::time(query, "from")?,
        to: question::time(query, "to")?,
        limit: question::limit(query)?,
        cursor: question::cursor(query),
    })
}

fn account(query: &Query<'_>, name: &'static str) -> Result<Option<AccountId>, ApiError> {
    let Some(text) = query.find(name) else { return Ok(None) };
    AccountId::try_new(text)
        .map(Some)
        .map_err(|broken| ApiError::invalid(name, Some(text), broken.expected()))
}

async fn take_in(app: Arc<App>, mut call: Call) -> Result<Reply, ApiError> {
    call.query(&[])?;
    expect_json(&call)?;
    let body = call.read_body().await?;
    let expected = "{\"delegations\":[{delegator_id, provider_id, amount, percentage, timestamp, metadata}]}: strings, metadata an object or null";
    let batch: Batch = serde_json::from_slice(&body)
        .map_err(|broken| ApiError::invalid("body", Some(&broken.to_string()), expected))?;
    if !(1..=DELEGATIONS_MAX).contains(&batch.delegations.len()) {
        let received = format!("{} delegations", batch.delegations.len());
        return Err(ApiError::invalid("delegations", Some(&received), "1 to 100 of them"));
    }
    let mut good = Vec::new();
    let mut errors = Vec::new();
    for (index, sent) in batch.delegations.into_iter().enumerate() {
        match sent.check(app.clock.now()) {
            Ok(delegation) => good.push((index, delegation)),
            Err(details) => errors.push(fault(index, &details.sentence(), Some(details))),
        }
    }
    if good.is_empty() {
        return Err(all_refused(errors));
    }
    let (places, delegations): (Vec<_>, Vec<_>) = good.into_iter().unzip();
    let stored = timeout(PATIENCE, app.store.append_delegations(delegations)).await;
    let outcomes =
        stored.map_err(|elapsed| not_stored(StoreError::OutcomeUnknown(elapsed.into())))?;
    let outcomes = outcomes.map_err(not_stored)?;
    answer(&places, &outcomes, errors)
}

fn answer(
    places: &[usize],
    outcomes: &[DelegationOutcome],
    mut errors: Vec<ItemFault>,
) -> Result<Reply, ApiError> {
    let sent = places.len() + errors.len();
    let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    let clashes = places
        .iter()
        .zip(outcomes)
        .filter(|(_, outcome)| **outcome == DelegationOutcome::Conflicting);
    let message = "Other values are stored for this delegator, provider and timestamp";
    errors.extend(clashes.map(|(index, _)| fault(*index, message, None)));
    errors.sort_by_key(|item| item.index);
    if errors.len() == sent {
        return Err(all_refused(errors));
    }
    json(&Taken {
        status: if errors.is_empty() { "success" } else { "partial" },
        ingested: count(DelegationOutcome::Stored),
        repeated: count(DelegationOutcome::Repeated),
        failed: errors.len(),
        errors,
    })
}

fn fault(index: usize, message: &str, details: Option<Details>) -> ItemFault {
    ItemFault { index, code: ErrorCode::Validation.as_str(), message: message.to_owned(), details }
}

impl Sent {
    fn check(self, now: Timestamp) -> Result<Delegation, Details> {
        let account = |field, text: &str| {
            AccountId::try_new(text)
                .map_err(|broken| Details::new(field, Some(text), broken.expected()))
        };
        let amount = |field, text: &str| {
            Volume::try_new(text)
                .map_err(|broken| Details::new(field, Some(text), broken.expected()))
        };
        let percentage = amount("percentage", &self.percentage)?;
        if Volume::try_new("100").is_ok_and(|most| percentage > most) {
            return Err(Details::new("percentage", Some(&self.percentage), "0 to 100"));
        }
        let timestamp = Timestamp::parse_rfc3339(&self.timestamp).map_err(|broken| {
            Details::new("timestamp", Some(&self.timestamp), broken.expected())
        })?;
        if timestamp > now.plus(AHEAD_MAX) {
            return Err(Details::new(
                "timestamp",
                Some(&self.timestamp),
                "a time at most 5 s ahead of the gateway's",
            ));
        }
        Ok(Delegation {
            delegator: account("delegator_id", &self.delegator_id)?,
            provider: account("provider_id", &self.provider_id)?,
            amount: amount("amount", &self.amount)?,
            percentage,
            timestamp,
            metadata: self.metadata.map(canonical).transpose()?,
        })
    }
}

fn canonical(metadata: serde_json::Map<String, serde_json::Value>) -> Result<Metadata, Details> {
    let metadata = serde_json::Value::Object(metadata);
    let text = metadata.to_string();
    if text.len() > METADATA_BYTES_MAX || depth(&metadata) > METADATA_DEPTH_MAX {
        return Err(Details::new("metadata", None, "at most 4096 bytes, nested at most 8 deep"));
    }
    Ok(Metadata::from_canonical(text))
}

fn depth(value: &serde_json::Value) -> usize {
    let inner: Box<dyn Iterator<Item = &serde_json::Value>> = match value {
        serde_json::Value::Array(items) => Box::new(items.iter()),
        serde_json::Value::Object(fields) => Box::new(fields.values()),
        _ => return 0,
    };
    1 + inner.map(depth).max().unwrap_or(0)
}

fn all_refused(errors: Vec<ItemFault>) -> ApiError {
    let (message, details) = match errors.first() {
        Some(first) => (first.message.clone(), first.details.clone()),
        None => ("Every delegation was refused".to_owned(), None),
    };
    let error = ApiError::new(ErrorCode::Validation, message).with_items(errors);
    match details {
        Some(details) => error.with_details(details),
        None => error,
    }
}

fn not_stored(error: StoreError) -> ApiError {
    match error {
        StoreError::Overloaded => {
            ApiError::new(ErrorCode::Overloaded, "Too many calls wait; try again later")
        }
        StoreError::OutcomeUnknown(_) => ApiError::new(
            ErrorCode::OutcomeUnknown,
            "The delegations may or may not be stored; send them again",
        )
        .caused_by(error),
        error => {
            ApiError::new(ErrorCode::Database, "The delegations were not stored").caused_by(error)
        }
    }
}
