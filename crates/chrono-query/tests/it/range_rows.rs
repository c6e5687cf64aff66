//! What a row of a range says, and which ranges are refused.

use std::time::Duration;

use chrono_domain::Interval;
use chrono_query::{BucketStatus, Gaps, QueryError, RangeQuery, Series};
use chrono_storage::model::ReadFault;
use chrono_storage::{Detail, Order};

use crate::house::{House, at, json, source, symbol, tick, tick_of, with_metadata};

const NOW: &str = "2025-10-09T12:34:56.789Z";

fn query(from: &str, to: &str) -> RangeQuery {
    RangeQuery {
        from: Some(at(from)),
        to: Some(at(to)),
        order: Order::OldestFirst,
        ..RangeQuery::of(symbol("BTC/USD"))
    }
}

async fn house() -> House {
    let house = House::new(NOW);
    let first = tick_of("BTC/USD", "kraken", at("2025-10-09T10:10:00Z"), "66800.00", Some("1.5"));
    house.post(with_metadata(first, r#"{"bid":"66799.00"}"#)).await;
    house.post(tick("binance", at("2025-10-09T10:50:00.123456Z"), "66900.5")).await;
    house.post(tick("kraken", at("2025-10-09T12:34:00Z"), "67000")).await;
    house
}

#[tokio::test]
async fn writes_single_ticks() {
    let query = query("2025-10-09T10:10:00Z", "2025-10-09T10:50:00.123456Z");
    let plain = Series::Ticks(Detail::Plain);
    let body = house().await.kept.range_json(&query, plain).await.unwrap();
    assert_eq!(
        str::from_utf8(&body).unwrap(),
        concat!(
            r#"{"data":[{"timestamp":"2025-10-09T10:10:00.000Z","price":"66800.00","volume":"1.5","source":"kraken"},"#,
            r#"{"timestamp":"2025-10-09T10:50:00.123456Z","price":"66900.5","volume":null,"source":"binance"}],"#,
            r#""interval":"raw","count":2,"next_cursor":null,"latency_ms":0}"#
        )
    );
}

#[tokio::test]
async fn writes_metadata_where_it_is_asked_for() {
    let query = query("2025-10-09T10:00:00Z", "2025-10-09T11:00:00Z");
    let with = Series::Ticks(Detail::WithMetadata);
    let answer = json(&house().await.kept.range_json(&query, with).await.unwrap());
    assert_eq!(answer["data"][0]["metadata"]["bid"], "66799.00");
    assert_eq!(answer["data"][1].get("metadata"), Some(&serde_json::Value::Null));
}

#[tokio::test]
async fn writes_candles() {
    let query = query("2025-10-09T10:00:00Z", "2025-10-09T10:59:59.999999Z");
    let hours = Series::Candles(Interval::H1, Gaps::Skip);
    let body = house().await.kept.range_json(&query, hours).await.unwrap();
    assert_eq!(
        str::from_utf8(&body).unwrap(),
        concat!(
            r#"{"data":[{"timestamp":"2025-10-09T10:00:00Z","open":"66800.00","high":"66900.5","low":"66800.00","#,
            r#""close":"66900.5","volume":"1.5","num_feeds":2,"vwap":"66800.00","status":"closed"}],"#,
            r#""interval":"1h","count":1,"next_cursor":null,"latency_ms":0}"#
        )
    );
}

#[tokio::test]
async fn a_source_has_candles_of_its_own() {
    let all = query("2025-10-09T10:00:00Z", "2025-10-09T10:59:59.999999Z");
    let query = RangeQuery { source: Some(source("binance")), ..all };
    let house = house().await;
    let page = house.kept.candles(&query, Interval::D1, Gaps::Skip).await.unwrap();
    assert_eq!((page.rows[0].num_feeds, page.rows[0].volume), (1, None));
}

#[tokio::test]
async fn a_bucket_is_closed_open_or_partial() {
    use BucketStatus::{Closed, Open, Partial};
    let house = house().await;
    let statuses = async |from, to, interval| {
        let page = house.kept.candles(&query(from, to), interval, Gaps::Skip).await.unwrap();
        page.rows.iter().map(|row| row.status).collect::<Vec<_>>()
    };
    let (ten, eleven) = ("2025-10-09T10:00:00Z", "2025-10-09T10:59:59.999999Z");
    assert_eq!(statuses(ten, eleven, Interval::H1).await, [Closed]);
    assert_eq!(statuses("2025-10-09T10:00:00.000001Z", eleven, Interval::H1).await, [Partial]);
    assert_eq!(statuses(ten, "2025-10-09T10:59:59.999998Z", Interval::H1).await, [Partial]);
    assert_eq!(statuses(ten, NOW, Interval::H1).await, [Closed, Open]);
    assert_eq!(statuses(ten, "2025-10-09T12:34:30Z", Interval::H1).await, [Closed, Open]);
    assert_eq!(statuses(ten, eleven, Interval::D1).await, [Open]);
    house.advance_ms(25 * 60_000 + 3_210);
    assert_eq!(statuses(ten, "2025-10-09T12:59:59.999998Z", Interval::H1).await, [Closed, Open]);
    house.advance_ms(1);
    assert_eq!(statuses(ten, "2025-10-09T12:59:59.999998Z", Interval::H1).await, [Closed, Partial]);
    assert_eq!(statuses(ten, "2025-10-09T13:00:00Z", Interval::H1).await, [Closed, Closed]);
}

#[tokio::test]
async fn the_last_24_hours_are_the_default() {
    let house = house().await;
    house.post(tick("kraken", at("2025-10-08T12:34:56.788Z"), "1")).await;
    house.post(tick("kraken", at("2025-10-08T12:34:56.789Z"), "2")).await;
    let page = house.kept.ticks(&RangeQuery::of(symbol("BTC/USD")), Detail::Plain).await.unwrap();
    let prices: Vec<_> = page.rows.iter().map(|row| row.tick.price.to_string()).collect();
    assert_eq!(prices, ["67000", "66900.5", "66800.00", "2"]);
    let up_to =
        RangeQuery { to: Some(at("2025-10-09T10:10:00Z")), ..RangeQuery::of(symbol("BTC/USD")) };
    assert_eq!(house.kept.ticks(&up_to, Detail::Plain).await.unwrap().rows.len(), 3);
}

#[tokio::test]
async fn an_empty_span_of_a_known_symbol_is_empty_and_an_unknown_symbol_is_not_found() {
    let house = house().await;
    let empty = query("2025-10-01T00:00:00Z", "2025-10-02T00:00:00Z");
    for series in [Series::Ticks(Detail::Plain), Series::Candles(Interval::M5, Gaps::Fill)] {
        let answer = json(&house.kept.range_json(&empty, series).await.unwrap());
        assert_eq!((&answer["count"], &answer["data"]), (&0.into(), &serde_json::json!([])));
        let unknown = RangeQuery { symbol: symbol("XRP/USD"), ..empty.clone() };
        let answer = house.kept.range_json(&unknown, series).await;
        assert!(
            matches!(answer, Err(QueryError::NotFound { symbols }) if symbols == [unknown.symbol])
        );
    }
}

#[tokio::test]
async fn bounds_span_and_rows() {
    let house = house().await;
    let field = async |query: &RangeQuery, series| match house.kept.range_json(query, series).await
    {
        Ok(_) => "",
        Err(QueryError::Invalid { field, .. }) => field,
        Err(error) => panic!("{error}"),
    };
    let (ticks, candles) =
        (Series::Ticks(Detail::Plain), Series::Candles(Interval::D1, Gaps::Skip));
    let days_90 = query("2025-07-01T00:00:00Z", "2025-09-29T00:00:00Z");
    let more = query("2025-07-01T00:00:00Z", "2025-09-29T00:00:00.000001Z");
    assert_eq!([field(&days_90, ticks).await, field(&more, ticks).await], ["", "from"]);
    assert_eq!(field(&more, candles).await, "");
    let years_2 = query("2023-10-09T00:00:00Z", "2025-10-09T00:00:00Z");
    let more = query("2023-10-08T00:00:00Z", "2025-10-09T00:00:01Z");
    assert_eq!([field(&years_2, candles).await, field(&more, candles).await], ["", "from"]);
    let moment = query("2025-10-09T00:00:00Z", "2025-10-09T00:00:00Z");
    assert_eq!([field(&moment, ticks).await, field(&moment, candles).await], ["", ""]);
    let backwards = query("2025-10-09T00:00:01Z", "2025-10-09T00:00:00Z");
    assert_eq!(field(&backwards, ticks).await, "from");
    for (limit, expected) in [(0, "limit"), (1, ""), (10_000, ""), (10_001, "limit")] {
        let limited = RangeQuery { limit: Some(limit), ..days_90.clone() };
        assert_eq!(field(&limited, ticks).await, expected);
    }
}

#[tokio::test]
async fn a_gap_is_flat_at_the_close_before_it() {
    let house = house().await;
    let query = query("2025-10-09T10:30:00Z", "2025-10-09T10:49:00Z");
    let page = house.kept.candles(&query, Interval::M15, Gaps::Fill).await.unwrap();
    let rows: Vec<_> =
        page.rows.iter().map(|row| (row.close.to_string(), row.num_feeds, row.status)).collect();
    assert_eq!(
        rows,
        [
            ("66800.00".into(), 0, BucketStatus::Closed),
            ("66800.00".into(), 0, BucketStatus::Partial)
        ]
    );
    let body =
        house.kept.range_json(&query, Series::Candles(Interval::M15, Gaps::Fill)).await.unwrap();
    let row = &json(&body)["data"][0];
    assert_eq!(
        (&row["volume"], &row["vwap"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
}

#[tokio::test]
async fn the_close_before_a_page_is_read_only_where_its_oldest_bucket_may_be_empty() {
    let house = house().await;
    for (from, reads) in [("2025-10-09T10:10:00Z", 1), ("2025-10-09T10:09:00Z", 2)] {
        // The read after those that are meant to be would fail.
        (0..reads).for_each(|_| house.store.next_read(ReadFault::Late(Duration::ZERO)));
        house.store.next_read(ReadFault::Unavailable);
        let query = query(from, "2025-10-09T10:12:00Z");
        assert!(house.fresh.candles(&query, Interval::M1, Gaps::Fill).await.is_ok());
        assert!(house.fresh.candles(&query, Interval::M1, Gaps::Fill).await.is_err());
    }
}

#[tokio::test]
async fn no_bucket_after_now_is_filled() {
    let house = house().await;
    let query = query("2025-10-09T12:30:00Z", "2025-10-09T13:00:00Z");
    let page = house.kept.candles(&query, Interval::M1, Gaps::Fill).await.unwrap();
    assert_eq!(page.rows.len(), 5);
    assert_eq!(page.rows[4].status, BucketStatus::Open);
}
