//! A recorded tick, and the feed made of it.

use std::collections::BTreeMap;

use chrono_client::Feed;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::plain_digits;

/// What `volume_kind` says of a ticker's rolling figure, which is no traded size.
const ROLLING: &str = "\"24h\"";
/// Where a rolling figure goes instead.
const ROLLING_FIELD: &str = "volume_24h";

/// Says why a line is no tick.
#[derive(Debug, thiserror::Error)]
#[error("not a tick: {0}")]
pub struct RowError(#[from] serde_json::Error);

/// What becomes of a ticker's rolling 24 h volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TickerVolume {
    /// It moves to `metadata.volume_24h`, for candles would sum it.
    #[default]
    Move,
    /// It is posted as if it were traded.
    Keep,
}

#[derive(Deserialize)]
struct Row {
    symbol: String,
    price: String,
    #[serde(default)]
    volume: Option<String>,
    source: String,
    timestamp: String,
    #[serde(default)]
    metadata: Option<BTreeMap<String, Box<RawValue>>>,
}

/// Reads one line of a recording.
///
/// Prices and volumes with exponents are written out; all else is passed on as it stands, for the gateway to judge.
///
/// # Errors
/// When the line is no JSON object with the texts of a tick.
pub fn read_row(line: &[u8], ticker_volume: TickerVolume) -> Result<Feed, RowError> {
    let row: Row = serde_json::from_slice(line)?;
    let mut volume = row.volume.map(|text| plain_digits(&text).into_owned());
    let mut metadata = row.metadata;
    if let (TickerVolume::Move, Some(fields)) = (ticker_volume, &mut metadata)
        && fields.get("volume_kind").is_some_and(|kind| kind.get() == ROLLING)
        && let Some(rolling) = volume.take()
    {
        fields.insert(ROLLING_FIELD.to_owned(), to_raw_value(&rolling)?);
    }
    let metadata = metadata.map(|fields| to_raw_value(&fields)).transpose()?;
    let price = plain_digits(&row.price).into_owned();
    let Row { symbol, source, timestamp, .. } = row;
    Ok(Feed { symbol, price, volume, source, timestamp, metadata })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(volume: &str, metadata: &str) -> String {
        format!(
            r#"{{"symbol":"A/B","price":"9.2E-7","volume":{volume},"source":"s",
                "timestamp":"2021-04-17T16:39:03.9512289Z","metadata":{metadata}}}"#
        )
    }

    fn read(line: &str, ticker_volume: TickerVolume) -> Feed {
        read_row(line.as_bytes(), ticker_volume).unwrap()
    }

    #[test]
    fn writes_exponents_out_and_passes_the_rest_on() {
        let metadata = r#"{"bid":1.10,"volume_kind":"trade","x":[1.00,null]}"#;
        let feed = read(&row(r#""1.01748847777E7""#, metadata), TickerVolume::Move);
        assert_eq!(feed.price, "0.00000092");
        assert_eq!(feed.volume.as_deref(), Some("10174884.7777"));
        assert_eq!(feed.timestamp, "2021-04-17T16:39:03.9512289Z");
        assert_eq!(feed.metadata.unwrap().get(), metadata);
    }

    #[test]
    fn a_rolling_volume_is_no_volume() {
        let line = row(r#""12.50""#, r#"{"volume_kind":"24h"}"#);
        let feed = read(&line, TickerVolume::Move);
        assert_eq!(feed.volume, None);
        assert_eq!(feed.metadata.unwrap().get(), r#"{"volume_24h":"12.50","volume_kind":"24h"}"#);
        let feed = read(&line, TickerVolume::Keep);
        assert_eq!(feed.volume.as_deref(), Some("12.50"));
        assert_eq!(feed.metadata.unwrap().get(), r#"{"volume_kind":"24h"}"#);
    }

    #[test]
    fn a_rolling_volume_that_is_absent_stays_absent() {
        let feed = read(&row("null", r#"{"volume_kind":"24h"}"#), TickerVolume::Move);
        assert_eq!(feed.metadata.unwrap().get(), r#"{"volume_kind":"24h"}"#);
    }

    #[test]
    fn volume_and_metadata_may_be_absent() {
        let line = r#"{"symbol":"A/B","price":"1","source":"s","timestamp":"t"}"#;
        let feed = read(line, TickerVolume::Move);
        assert!(feed.volume.is_none() && feed.metadata.is_none());
    }

    #[test]
    fn refuses_what_is_no_tick() {
        for line in [
            "",
            "{",
            "null",
            r#"{"price":"1","source":"s","timestamp":"t"}"#,
            r#"{"symbol":"A/B","price":1.5,"source":"s","timestamp":"t"}"#,
            r#"{"symbol":"A/B","price":"1","source":"s","timestamp":"t","metadata":[]}"#,
            r#"{"symbol":"A/B","price":"1","source":"s","timestamp":"t"} x"#,
            "{\"symbol\":\"\u{0}\"}",
        ] {
            assert!(read_row(line.as_bytes(), TickerVolume::Move).is_err(), "{line}");
        }
        assert!(read_row(b"{\"symbol\":\"\xff\"}", TickerVolume::Move).is_err());
    }
}
