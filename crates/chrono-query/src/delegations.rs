//! Vote delegations of the Flare protocol.

use bytes::Bytes;
use chrono_domain::{Arrival, OrderKey, Timestamp};
use chrono_storage::{AccountId, DelegationRange, StoredDelegation};

use crate::cursor::{Fingerprint, Place, refused};
use crate::queries::{Gathered, Page, page_rows};
use crate::{PriceQueries, QueryError, json};

/// Which delegations are asked for, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DelegationsQuery {
    /// One delegator, or all.
    pub delegator: Option<AccountId>,
    /// One provider, or all.
    pub provider: Option<AccountId>,
    /// First moment, inclusive; by default the beginning.
    pub from: Option<Timestamp>,
    /// Last moment, inclusive; by default the end.
    pub to: Option<Timestamp>,
    /// Rows of a page, 1 to 10,000; by default 1,000.
    pub limit: Option<usize>,
    /// Where the last page ended, out of its `next_cursor`.
    pub cursor: Option<String>,
}

impl PriceQueries {
    /// Answers a page of delegations, newest first, those of one moment in falling order of their numbers; it
    /// ends early at a megabyte of metadata.
    ///
    /// # Errors
    /// [`QueryError::Invalid`]; [`QueryError::Store`].
    pub async fn delegations(
        &self,
        query: &DelegationsQuery,
    ) -> Result<Page<StoredDelegation>, QueryError> {
        let name = |id: &Option<AccountId>| id.map_or_else(String::new, |id| id.to_string());
        let (delegator, provider) = (name(&query.delegator), name(&query.provider));
        let fingerprint = Fingerprint::of(&format!("delegations/{delegator}/{provider}"));
        let from = query.from.unwrap_or(Timestamp::MIN);
        let to = query.to.unwrap_or(Timestamp::MAX);
        if from > to {
            return Err(QueryError::invalid("from", &from, "a time not after to"));
        }
        let after = match &query.cursor {
            Some(cursor) => Some(continued(cursor, fingerprint, (from, to))?),
            None => None,
        };
        let limit = page_rows(query.limit)?;
        let (delegator, provider) = (query.delegator, query.provider);
        let mut rows = Gathered::with_metadata(limit);
        while let Some(limit) = rows.wanted() {
            let last = rows.last().map(|row: &StoredDelegation| (row.delegation.timestamp, row.id));
            let after = last.or(after);
            let range = DelegationRange { delegator, provider, from, to, after, limit };
            rows.add(self.store.delegations(&range).await?, |row| row.delegation.metadata.as_ref());
        }
        Ok(rows.into_page(|row| {
            let last = OrderKey { timestamp: row.delegation.timestamp, arrival: Arrival(row.id) };
            Place { from, to, last }.cursor(fingerprint)
        }))
    }

    /// Answers as [`PriceQueries::delegations`], in JSON: `{data:[{delegator_id, provider_id, amount, percentage,
    /// timestamp, metadata}], count, next_cursor, latency_ms}`.
    ///
    /// # Errors
    /// As [`PriceQueries::delegations`].
    pub async fn delegations_json(&self, query: &DelegationsQuery) -> Result<Bytes, QueryError> {
        let started = self.clock.uptime();
        let body = json::metadata::delegations(&self.delegations(query).await?);
        Ok(json::finish(body, self.latency_ms(started)))
    }
}

fn continued(
    cursor: &str,
    of: Fingerprint,
    ends: (Timestamp, Timestamp),
) -> Result<(Timestamp, u64), QueryError> {
    let Place { from, to, last } = Place::read(cursor, of)?;
    if (from, to) != ends {
        return Err(refused(cursor));
    }
    Ok((last.timestamp, last.arrival.0))
}
