//! `GET /prices/latest` and `GET /prices/range`.

use std::sync::Arc;

use chrono_domain::{Interval, IntervalError};
use chrono_query::{Gaps, PAGE_METADATA_BYTES_MAX, RangeQuery, Series};
use chrono_storage::{Detail, Order};
use futures_util::future::BoxFuture;

use super::question;
use crate::app::App;
use crate::edge::{ApiError, Call, Query, Reply};

/// The parameters of a range.
const RANGE: &[&str] = &[
    "symbol",
    "from",
    "to",
    "interval",
    "source",
    "limit",
    "order",
    "cursor",
    "include_empty",
    "metadata",
];

/// What a tick takes of an answer's memory, as it is read and as text, in bytes.
const TICK_BYTES: usize = 320;
/// The same of a candle.
const CANDLE_BYTES: usize = 512;

/// Answers the latest price of each symbol.
pub(crate) fn latest(app: Arc<App>, call: Call) -> BoxFuture<'static, Result<Reply, ApiError>> {
    Box::pin(async move {
        let (symbols, source) = {
            let query = call.query(&["symbols", "source"])?;
            (question::symbols(&query)?, question::source(&query)?)
        };
        question::answer(app.queries.latest_json(&symbols, source)).await
    })
}

/// Answers ticks or candles of a span of time.
pub(crate) fn range(app: Arc<App>, call: Call) -> BoxFuture<'static, Result<Reply, ApiError>> {
    Box::pin(async move {
        let (range, series) = {
            let query = call.query(RANGE)?;
            (range_query(&query)?, series(&query)?)
        };
        let room = call.reserve(bytes_max(&range, series));
        question::large_answer(room, app.queries.range_json(&range, series)).await
    })
}

/// Gives the most that an answer takes while it is made and sent, in bytes.
fn bytes_max(range: &RangeQuery, series: Series) -> usize {
    match series {
        Series::Ticks(Detail::Plain) => question::page_bytes(range.limit, TICK_BYTES),
        Series::Ticks(Detail::WithMetadata) => {
            question::page_bytes(range.limit, TICK_BYTES) + PAGE_METADATA_BYTES_MAX
        }
        Series::Candles(..) => question::page_bytes(range.limit, CANDLE_BYTES),
    }
}

fn range_query(query: &Query<'_>) -> Result<RangeQuery, ApiError> {
    let order = query.read("order", "asc or desc", |text| match text {
        "asc" => Some(Order::OldestFirst),
        "desc" => Some(Order::NewestFirst),
        _ => None,
    })?;
    Ok(RangeQuery {
        symbol: question::symbol(query)?,
        source: question::source(query)?,
        from: question::time(query, "from")?,
        to: question::time(query, "to")?,
        order: order.unwrap_or(Order::NewestFirst),
        limit: question::limit(query)?,
        cursor: question::cursor(query),
    })
}

fn series(query: &Query<'_>) -> Result<Series, ApiError> {
    let (with_metadata, with_empty) = (query.flag("metadata")?, query.flag("include_empty")?);
    let Some(text) = query.find("interval").filter(|text| *text != "raw") else {
        if with_empty {
            return Err(ApiError::invalid("include_empty", Some("true"), "an interval beside it"));
        }
        let detail = if with_metadata { Detail::WithMetadata } else { Detail::Plain };
        return Ok(Series::Ticks(detail));
    };
    if with_metadata {
        return Err(ApiError::invalid("metadata", Some("true"), "no interval beside it"));
    }
    let interval: Interval = text.parse().map_err(|broken: IntervalError| {
        ApiError::invalid("interval", Some(text), broken.expected())
    })?;
    Ok(Series::Candles(interval, if with_empty { Gaps::Fill } else { Gaps::Skip }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(raw: &str) -> Result<(RangeQuery, Series), ApiError> {
        let query = Query::parse(raw, RANGE)?;
        Ok((range_query(&query)?, series(&query)?))
    }

    #[test]
    fn a_symbol_alone_asks_for_ticks_newest_first() {
        for raw in ["symbol=btc-usd", "symbol=BTC%2FUSD&interval=raw", "symbol=BTC/USD&order=desc"]
        {
            let (range, series) = asked(raw).unwrap();
            assert_eq!(range.symbol.as_str(), "BTC/USD");
            assert_eq!(range, RangeQuery::of(range.symbol));
            assert_eq!(series, Series::Ticks(Detail::Plain));
        }
    }

    #[test]
    fn reads_every_parameter() {
        let raw = "symbol=BTC/USD&from=2025-10-09T00:00:00Z&to=1760054399&interval=1h&source=binance&limit=7&order=asc\
                   &cursor=ab&include_empty=true&metadata=false";
        let (range, series) = asked(raw).unwrap();
        assert_eq!(range.from.unwrap().to_string(), "2025-10-09T00:00:00.000Z");
        assert_eq!(range.to.unwrap().to_string(), "2025-10-09T23:59:59.000Z");
        assert_eq!(range.source.unwrap().as_str(), "binance");
        assert_eq!((range.limit, range.order), (Some(7), Order::OldestFirst));
        assert_eq!(range.cursor.as_deref(), Some("ab"));
        assert_eq!(series, Series::Candles(Interval::H1, Gaps::Fill));
        let (_, series) = asked("symbol=BTC/USD&metadata=true").unwrap();
        assert_eq!(series, Series::Ticks(Detail::WithMetadata));
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for raw in [
            "",
            "symbol=",
            "symbol=BTCUSD",
            "symbol=A/B&interval=2m",
            "symbol=A/B&interval=",
            "symbol=A/B&order=up",
            "symbol=A/B&limit=ten",
            "symbol=A/B&limit=-1",
            "symbol=A/B&from=yesterday",
            "symbol=A/B&source=Binance",
            "symbol=A/B&include_empty=true",
            "symbol=A/B&include_empty=1&interval=1h",
            "symbol=A/B&interval=1h&metadata=true",
            "symbol=A/B&form=2025-10-09T00:00:00Z",
        ] {
            assert!(asked(raw).is_err(), "{raw}");
        }
    }
}
