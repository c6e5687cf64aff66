//! What the handlers of questions share: reading their parameters, waiting for the answer, naming what went wrong.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use chrono_domain::{Source, Symbol, Timestamp};
use chrono_query::{PAGE_ROWS, PAGE_ROWS_MAX, QueryError, SYMBOLS_MAX};
use chrono_storage::StoreError;
use futures_util::FutureExt;
use tokio::time::timeout;

use crate::edge::{ApiError, ErrorCode, Query, Reply, json_bytes};
use crate::http::Room;

/// How long the store may take to answer; half a second of the promised five is left for everything else.
const READ_DEADLINE: Duration = Duration::from_millis(4_500);

/// A symbol as queries take it: wider than what a batch must send.
const SYMBOL: &str = "BASE/QUOTE or BASE-QUOTE in any case, each side 1 to 20 letters, digits, dots, underscores, dashes";

/// Waits for a small answer, but not for long.
pub(super) async fn answer(
    reading: impl Future<Output = Result<Bytes, QueryError>>,
) -> Result<Reply, ApiError> {
    Ok(json_bytes(in_time(async { Ok(reading.await?) }).await?))
}

/// Waits for room, then for an answer that needs it, but not for long.
pub(super) async fn large_answer(
    room: impl Future<Output = Result<Room, ApiError>>,
    reading: impl Future<Output = Result<Bytes, QueryError>>,
) -> Result<Reply, ApiError> {
    let both = async {
        let room = room.await?;
        Ok((room, reading.await?))
    };
    let (room, body) = in_time(both).await?;
    Ok(json_bytes(body).map(|body| body.with_room(room)))
}

async fn in_time<T>(reading: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    let late = |_elapsed| ApiError::new(ErrorCode::Database, "The store did not answer in time");
    let mut reading = pin!(reading);
    // What memory answers is there at once, and needs no timer.
    match reading.as_mut().now_or_never() {
        Some(answered) => answered,
        None => timeout(READ_DEADLINE, reading).await.map_err(late)?,
    }
}

/// Gives the most that a page takes, in bytes, whose rows take `row_bytes` each.
pub(super) fn page_bytes(limit: Option<usize>, row_bytes: usize) -> usize {
    limit.unwrap_or(PAGE_ROWS).min(PAGE_ROWS_MAX).saturating_mul(row_bytes)
}

/// Reads `symbol`.
pub(super) fn symbol(query: &Query<'_>) -> Result<Symbol, ApiError> {
    parse_symbol("symbol", query.one("symbol", SYMBOL)?)
}

fn parse_symbol(name: &'static str, text: &str) -> Result<Symbol, ApiError> {
    Symbol::parse_query(text).map_err(|_broken| ApiError::invalid(name, Some(text), SYMBOL))
}

/// Reads `symbols`, separated by commas.
pub(super) fn symbols(query: &Query<'_>) -> Result<Vec<Symbol>, ApiError> {
    let texts = query.list("symbols", "symbols such as BTC/USD,ETH/USD", SYMBOLS_MAX)?;
    texts.into_iter().map(|text| parse_symbol("symbols", text)).collect()
}

/// Reads `source`, if it is there.
pub(super) fn source(query: &Query<'_>) -> Result<Option<Source>, ApiError> {
    let Some(text) = query.find("source") else { return Ok(None) };
    Source::try_new(text)
        .map(Some)
        .map_err(|broken| ApiError::invalid("source", Some(text), broken.expected()))
}

/// Reads a time, if it is there.
pub(super) fn time(query: &Query<'_>, name: &'static str) -> Result<Option<Timestamp>, ApiError> {
    let Some(text) = query.find(name) else { return Ok(None) };
    Timestamp::parse_query(text)
        .map(Some)
        .map_err(|broken| ApiError::invalid(name, Some(text), broken.expected()))
}

/// Reads `limit`, if it is there.
pub(super) fn limit(query: &Query<'_>) -> Result<Option<usize>, ApiError> {
    query.read("limit", "a number from 1 to 10000", |text| text.parse().ok())
}

/// Reads `cursor`, if it is there.
pub(super) fn cursor(query: &Query<'_>) -> Option<String> {
    query.find("cursor").map(str::to_owned)
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Invalid { field, received, expected } => {
                Self::invalid(field, Some(&received), expected)
            }
            QueryError::NotFound { symbols } => {
                let names: Vec<&str> = symbols.iter().map(Symbol::as_str).collect();
                Self::new(ErrorCode::NotFound, format!("No prices of {}", names.join(", ")))
            }
            QueryError::TooLarge { symbol, ticks_max } => {
                let message = format!("More than {ticks_max} ticks of {symbol} lie in the window");
                Self::new(ErrorCode::Overloaded, message)
            }
            QueryError::Store(StoreError::Overloaded) => {
                Self::new(ErrorCode::Overloaded, "Too many reads wait; try again later")
            }
            QueryError::Store(error) => {
                Self::new(ErrorCode::Database, "The store could not answer").caused_by(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(error: QueryError) -> ErrorCode {
        ApiError::from(error).code()
    }

    #[test]
    fn every_error_has_its_code() {
        let symbol = Symbol::try_new("A/B").unwrap();
        let invalid =
            QueryError::Invalid { field: "from", received: "x".into(), expected: "y".into() };
        assert_eq!(code(invalid), ErrorCode::Validation);
        assert_eq!(code(QueryError::NotFound { symbols: vec![symbol] }), ErrorCode::NotFound);
        assert_eq!(code(QueryError::TooLarge { symbol, ticks_max: 1 }), ErrorCode::Overloaded);
        assert_eq!(code(StoreError::Overloaded.into()), ErrorCode::Overloaded);
        assert_eq!(code(StoreError::Unavailable("gone".into()).into()), ErrorCode::Database);
        assert_eq!(code(StoreError::Corrupt("torn".into()).into()), ErrorCode::Database);
    }

    #[test]
    fn takes_as_many_symbols_as_a_question_may_have() {
        let raw = |count| format!("symbols={}", vec!["btc-usd"; count].join(","));
        let read = |raw: &str| symbols(&Query::parse(raw, &["symbols"]).unwrap());
        assert_eq!(read(&raw(SYMBOLS_MAX)).unwrap().len(), SYMBOLS_MAX);
        assert!(read(&raw(SYMBOLS_MAX + 1)).is_err());
        for raw in ["symbols=", "symbols=A/B,", "symbols=A/B,X", ""] {
            assert!(read(raw).is_err(), "{raw}");
        }
        assert!(format!("{:?}", read("symbols=btcusd")).contains("in any case"));
    }
}
