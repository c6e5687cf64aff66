//! Delegations in their table.

use chrono_domain::{Metadata, Timestamp, Volume};
use rusqlite::{Connection, Row, ToSql, params};

use super::codec::{self, whole};
use super::fault::Fault;
use crate::{AccountId, Delegation, DelegationOutcome, DelegationRange, StoredDelegation};

const COLUMNS: &str = "id, delegator_id, provider_id, amount, percentage, timestamp, metadata";
const ADD: &str = "INSERT INTO delegations (delegator_id, provider_id, amount, percentage, timestamp, metadata) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (delegator_id, provider_id, timestamp) DO NOTHING";

/// Stores delegations, in their order.
pub(super) fn append(
    connection: &Connection,
    delegations: &[Delegation],
) -> Result<Vec<DelegationOutcome>, Fault> {
    delegations.iter().map(|delegation| add(connection, delegation)).collect()
}

/// Reads a page.
pub(super) fn page(
    connection: &Connection,
    range: &DelegationRange,
) -> Result<Vec<StoredDelegation>, Fault> {
    let (from, limit) = (range.from.micros(), whole(range.limit));
    // One bound for the end: what comes after the given place, or after nothing.
    let whole_range = (range.to.micros(), i64::MAX);
    let after = range.after.map(|(at, id)| (at.micros(), whole(id)));
    let (at, id) = after.map_or(whole_range, |after| after.min(whole_range));
    let (delegator, provider) = (range.delegator, range.provider);
    let delegator = delegator.as_ref().map(AccountId::as_str);
    let provider = provider.as_ref().map(AccountId::as_str);
    let mut parameters: Vec<(&str, &dyn ToSql)> =
        vec![(":from", &from), (":limit", &limit), (":at", &at), (":id", &id)];
    // The filters are spelt out only where they are asked for, so that each combination finds its index.
    let mut filters = String::new();
    if let Some(delegator) = &delegator {
        filters.push_str(" AND delegator_id = :delegator");
        parameters.push((":delegator", delegator));
    }
    if let Some(provider) = &provider {
        filters.push_str(" AND provider_id = :provider");
        parameters.push((":provider", provider));
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM delegations WHERE timestamp >= :from AND (timestamp, id) < (:at, :id){filters} \
         ORDER BY timestamp DESC, id DESC LIMIT :limit"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(&parameters[..])?;
    let mut page = Vec::new();
    while let Some(row) = rows.next()? {
        page.push(read(row)?);
    }
    Ok(page)
}

fn add(connection: &Connection, new: &Delegation) -> Result<DelegationOutcome, Fault> {
    let added = connection.prepare_cached(ADD)?.execute(params![
        new.delegator.as_str(),
        new.provider.as_str(),
        new.amount.to_string(),
        new.percentage.to_string(),
        new.timestamp.micros(),
        new.metadata.as_ref().map(Metadata::as_str),
    ])?;
    if added == 1 {
        return Ok(DelegationOutcome::Stored);
    }
    let same = find(connection, new)?.is_some_and(|held| held.delegation == *new);
    Ok(if same { DelegationOutcome::Repeated } else { DelegationOutcome::Conflicting })
}

fn find(connection: &Connection, like: &Delegation) -> Result<Option<StoredDelegation>, Fault> {
    let sql = format!(
        "SELECT {COLUMNS} FROM delegations WHERE delegator_id = ?1 AND provider_id = ?2 AND timestamp = ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![
        like.delegator.as_str(),
        like.provider.as_str(),
        like.timestamp.micros()
    ])?;
    rows.next()?.map(read).transpose()
}

fn read(row: &Row<'_>) -> Result<StoredDelegation, Fault> {
    Ok(StoredDelegation {
        id: codec::count(row, 0)?,
        delegation: Delegation {
            delegator: AccountId::try_new(codec::text(row, 1)?)?,
            provider: AccountId::try_new(codec::text(row, 2)?)?,
            amount: Volume::try_new(codec::text(row, 3)?)?,
            percentage: Volume::try_new(codec::text(row, 4)?)?,
            timestamp: Timestamp::from_micros(row.get(5)?)?,
            metadata: row.get::<_, Option<String>>(6)?.map(Metadata::from_canonical),
        },
    })
}
