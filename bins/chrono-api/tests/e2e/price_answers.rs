//! What readers are told: the spec's shapes, every interval, pages, and every way to ask wrongly.

use std::time::Duration;

use chrono_domain::{Clock, SystemClock, Timestamp};
use serde_json::{Value, json};

use crate::service::Service;

/// Half past twelve on a Thursday, long ago.
const PAST: &str = "2025-10-09T12:30:00.000Z";

fn past() -> Timestamp {
    Timestamp::parse_rfc3339(PAST).unwrap()
}

fn feed(source: &str, price: &str, volume: Option<&str>, at: Timestamp) -> Value {
    json!({"symbol": "BTC/USD", "price": price, "volume": volume, "source": source, "timestamp": at.to_string()})
}

fn post(service: &Service, feeds: &[Value]) {
    let batch = json!({"worker_id": "w", "timestamp": PAST, "feeds": feeds});
    assert_eq!(service.post("/internal/ingest", &[], &batch).ok()["ingested"], feeds.len());
}

fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

fn prices(answer: &Value) -> Vec<&str> {
    answer["data"].as_array().unwrap().iter().map(|row| row["price"].as_str().unwrap()).collect()
}

/// Answers 400 and names the field.
fn expect_refused(service: &Service, path: &str, field: &str) {
    let error = service.get(path).error(400, "VALIDATION_ERROR");
    assert_eq!(error["details"]["field"], field, "{path} {error}");
}

#[test]
fn the_latest_price_is_the_newest_tick_of_all_sources() {
    let service = Service::start();
    let at = past();
    post(&service, &[feed("binance", "67234.560", Some("0.250"), at)]);
    let answer = service.get("/prices/latest?symbols=BTC/USD,NO/SUCH").ok();
    assert_eq!(keys(&answer), ["cached", "data", "latency_ms", "missing"]);
    assert_eq!(answer["missing"], json!(["NO/SUCH"]));
    let mut price = answer["data"][0].clone();
    let staleness =
        price.as_object_mut().unwrap().remove("staleness_ms").unwrap().as_u64().unwrap();
    assert!(staleness > 86_400_000);
    let one = json!({"symbol": "BTC/USD", "price": "67234.560", "volume": "0.250", "source": "binance", "timestamp": PAST});
    assert_eq!(price, one);

    // Two sources are an aggregate; an equal time goes to the later arrival, an older one replaces nothing.
    let older = at.minus(minutes(1));
    post(&service, &[feed("kraken", "67240", None, at), feed("coinbase", "1", Some("9"), older)]);
    for symbol in ["BTC/USD", "btc/usd", "BTC%2FUSD", "BTC-USD", "BTC/USD,btc-usd"] {
        let answer = service.get(&format!("/prices/latest?symbols={symbol}")).ok();
        let [price] = answer["data"].as_array().unwrap().as_slice() else { panic!("{answer}") };
        assert_eq!(
            (&price["source"], &price["last_source"]),
            (&json!("aggregated"), &json!("kraken"))
        );
        assert_eq!((&price["price"], &price["volume"]), (&json!("67240"), &Value::Null));
        assert_eq!((&answer["cached"], &answer["missing"]), (&json!(true), &json!([])));
    }
    let of_source = service.get("/prices/latest?symbols=BTC/USD&source=coinbase").ok();
    assert_eq!(
        (&of_source["data"][0]["price"], &of_source["data"][0]["source"]),
        (&json!("1"), &json!("coinbase"))
    );

    service.get("/prices/latest?symbols=NO/SUCH,OR/THIS").error(404, "NOT_FOUND");
    service.get("/prices/latest?symbols=BTC/USD&source=nobody").error(404, "NOT_FOUND");
    let many = vec!["A/B"; 101].join(",");
    for (path, field) in [
        ("/prices/latest", "symbols"),
        ("/prices/latest?symbols=", "symbols"),
        ("/prices/latest?symbols=BTCUSD", "symbols"),
        ("/prices/latest?symbols=A/B&source=Kraken", "source"),
        ("/prices/latest?symbol=A/B", "query"),
        (&format!("/prices/latest?symbols={many}"), "symbols"),
    ] {
        expect_refused(&service, path, field);
    }
}

#[test]
fn ticks_of_a_range_come_newest_first_with_both_ends() {
    let service = Service::start();
    let at = past();
    let micro = Duration::from_micros(1);
    let times = [at.minus(micro), at, at.plus(minutes(1)), at.plus(minutes(1)).plus(micro)];
    let feeds: Vec<Value> = times
        .iter()
        .zip(["1.0", "2.00", "3", "4"])
        .map(|(at, price)| feed("a", price, Some("0.10"), *at))
        .collect();
    post(&service, &feeds);
    post(&service, &[feed("b", "5", None, at)]);
    let (from, to) = (at, at.plus(minutes(1)));
    let path = format!("/prices/range?symbol=BTC/USD&from={from}&to={to}");
    let answer = service.get(&path).ok();
    assert_eq!(keys(&answer), ["count", "data", "interval", "latency_ms", "next_cursor"]);
    assert_eq!(prices(&answer), ["3", "5", "2.00"]);
    assert_eq!(
        (&answer["interval"], &answer["count"], &answer["next_cursor"]),
        (&json!("raw"), &json!(3), &Value::Null)
    );
    let tick = json!({"timestamp": PAST, "price": "2.00", "volume": "0.10", "source": "a"});
    assert_eq!(answer["data"][2], tick);
    assert_eq!(prices(&service.get(&format!("{path}&order=asc")).ok()), ["2.00", "5", "3"]);
    assert_eq!(prices(&service.get(&format!("{path}&source=a")).ok()), ["3", "2.00"]);
    // Epochs of every unit say the same.
    let (from, to) = (from.micros(), to.micros());
    for unit in [1, 1_000, 1_000_000] {
        let path = format!("/prices/range?symbol=BTC/USD&from={}&to={}", from / unit, to / unit);
        assert_eq!(prices(&service.get(&path).ok()), ["3", "5", "2.00"], "{path}");
    }
    // Without ends it is the last day.
    let now = SystemClock::new().now();
    post(
        &service,
        &[
            feed("a", "6", None, now.minus(minutes(1))),
            feed("a", "7", None, now.minus(minutes(60 * 25))),
        ],
    );
    assert_eq!(prices(&service.get("/prices/range?symbol=BTC/USD").ok()), ["6"]);
    let empty = service
        .get("/prices/range?symbol=BTC/USD&from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z")
        .ok();
    assert_eq!((&empty["data"], &empty["count"]), (&json!([]), &json!(0)));
}

#[test]
fn pages_join_to_the_whole_and_a_cursor_fits_its_question_only() {
    let service = Service::start();
    let at = past();
    // Several ticks of one moment, so that pages end between equal times.
    let feeds: Vec<Value> = (0..50)
        .map(|idx| feed("a", &format!("{}", idx + 1), None, at.plus(minutes(idx / 7))))
        .collect();
    post(&service, &feeds);
    let question = format!("/prices/range?symbol=BTC/USD&from={at}&to={}", at.plus(minutes(60)));
    for extra in [
        "",
        "&order=asc",
        "&interval=1m",
        "&interval=1m&order=asc",
        "&interval=1m&include_empty=true",
    ] {
        let path = format!("{question}{extra}");
        let whole = service.get(&path).ok()["data"].take();
        let (mut joined, mut page) = (Vec::new(), format!("{path}&limit=3"));
        loop {
            let mut answer = service.get(&page).ok();
            let rows = answer["data"].as_array_mut().unwrap();
            assert!(rows.len() <= 3);
            joined.append(rows);
            let Some(cursor) = answer["next_cursor"].as_str() else { break };
            page = format!("{path}&limit=3&cursor={cursor}");
        }
        assert_eq!(Value::from(joined), whole, "{path}");
    }
    let answer = service.get(&format!("{question}&limit=3")).ok();
    let cursor = answer["next_cursor"].as_str().unwrap();
    // A cursor remembers the ends of its question.
    let second = service.get(&format!("/prices/range?symbol=BTC/USD&limit=3&cursor={cursor}")).ok();
    assert_eq!(prices(&second), ["47", "46", "45"]);
    for other in [
        format!("/prices/range?symbol=ETH/USD&cursor={cursor}"),
        format!("{question}&order=asc&cursor={cursor}"),
        format!("{question}&interval=1m&cursor={cursor}"),
        format!("{question}&source=a&cursor={cursor}"),
        format!("/prices/range?symbol=BTC/USD&from=2025-10-09T12:00:00Z&cursor={cursor}"),
        format!("{question}&cursor=x{cursor}"),
    ] {
        expect_refused(&service, &other, "cursor");
    }
}

/// Ticks of four weeks, at places where buckets of every length begin and end.
fn post_weeks(service: &Service) {
    let at = |text| Timestamp::parse_rfc3339(text).unwrap();
    post(
        service,
        &[
            feed("a", "10", Some("1.0"), at("2025-09-28T23:59:59.999999Z")),
            feed("a", "11.0", Some("2.00"), at("2025-09-29T00:00:00Z")),
            feed("b", "13", None, at("2025-10-05T23:59:59.999Z")),
            feed("a", "12", Some("0.5"), at("2025-10-06T00:00:00Z")),
            feed("a", "9.5", Some("1"), at("2025-10-06T00:00:59.999999Z")),
            feed("b", "12.5", Some("0.25"), at("2025-10-06T00:14:59Z")),
            feed("a", "12.50", Some("0.25"), at("2025-10-06T03:59:59Z")),
        ],
    );
}

#[test]
fn candles_of_each_interval_have_the_spec_s_shape() {
    let service = Service::start();
    post_weeks(&service);
    let ask = |extra: &str| {
        let path = format!(
            "/prices/range?symbol=BTC/USD&from=2025-09-22T00:00:00Z&to=2025-10-12T23:59:59.999999Z{extra}"
        );
        service.get(&path).ok()
    };
    let starts = |answer: &Value| {
        let rows = answer["data"].as_array().unwrap().iter();
        rows.map(|row| row["timestamp"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (interval, wanted) in [
        (
            "1m",
            vec![
                "2025-10-06T03:59:00Z",
                "2025-10-06T00:14:00Z",
                "2025-10-06T00:00:00Z",
                "2025-10-05T23:59:00Z",
                "2025-09-29T00:00:00Z",
                "2025-09-28T23:59:00Z",
            ],
        ),
        (
            "5m",
            vec![
                "2025-10-06T03:55:00Z",
                "2025-10-06T00:10:00Z",
                "2025-10-06T00:00:00Z",
                "2025-10-05T23:55:00Z",
                "2025-09-29T00:00:00Z",
                "2025-09-28T23:55:00Z",
            ],
        ),
        (
            "15m",
            vec![
                "2025-10-06T03:45:00Z",
                "2025-10-06T00:00:00Z",
                "2025-10-05T23:45:00Z",
                "2025-09-29T00:00:00Z",
                "2025-09-28T23:45:00Z",
            ],
        ),
        (
            "1h",
            vec![
                "2025-10-06T03:00:00Z",
                "2025-10-06T00:00:00Z",
                "2025-10-05T23:00:00Z",
                "2025-09-29T00:00:00Z",
                "2025-09-28T23:00:00Z",
            ],
        ),
        (
            "4h",
            vec![
                "2025-10-06T00:00:00Z",
                "2025-10-05T20:00:00Z",
                "2025-09-29T00:00:00Z",
                "2025-09-28T20:00:00Z",
            ],
        ),
        (
            "1d",
            vec![
                "2025-10-06T00:00:00Z",
                "2025-10-05T00:00:00Z",
                "2025-09-29T00:00:00Z",
                "2025-09-28T00:00:00Z",
            ],
        ),
        ("1w", vec!["2025-10-06T00:00:00Z", "2025-09-29T00:00:00Z", "2025-09-22T00:00:00Z"]),
    ] {
        let answer = ask(&format!("&interval={interval}"));
        assert_eq!(keys(&answer), ["count", "data", "interval", "latency_ms", "next_cursor"]);
        assert_eq!(
            (&answer["interval"], &answer["count"]),
            (&json!(interval), &json!(wanted.len()))
        );
        assert_eq!(starts(&answer), wanted, "{interval}");
        for row in answer["data"].as_array().unwrap() {
            assert_eq!(
                keys(row),
                [
                    "close",
                    "high",
                    "low",
                    "num_feeds",
                    "open",
                    "status",
                    "timestamp",
                    "volume",
                    "vwap"
                ]
            );
        }
    }
    let week = ask("&interval=1w")["data"][0].take();
    let wanted = json!({
        "timestamp": "2025-10-06T00:00:00Z", "open": "12", "high": "12.50", "low": "9.5", "close": "12.50",
        "volume": "2.00", "vwap": "10.875", "num_feeds": 4, "status": "closed",
    });
    assert_eq!(without(&week, "vwap"), without(&wanted, "vwap"));
    // (12 × 0.5 + 9.5 × 1 + 12.5 × 0.25 + 12.50 × 0.25) ÷ 2
    assert_eq!(week["vwap"], "10.875");
    let silent = ask("&interval=1d")["data"][1].take();
    assert_eq!(
        (&silent["volume"], &silent["vwap"], &silent["num_feeds"]),
        (&Value::Null, &Value::Null, &json!(1))
    );
    let of_b = ask("&interval=1d&source=b");
    assert_eq!(starts(&of_b), ["2025-10-06T00:00:00Z", "2025-10-05T00:00:00Z"]);
    assert_eq!(starts(&ask("&interval=1d&order=asc")).first().unwrap(), "2025-09-28T00:00:00Z");
}

fn without(row: &Value, field: &str) -> Value {
    let mut row = row.clone();
    row.as_object_mut().unwrap().remove(field).unwrap();
    row
}

#[test]
fn a_bucket_says_whether_it_is_closed_cut_or_not_over() {
    let service = Service::start();
    post_weeks(&service);
    let ask =
        |query: &str| service.get(&format!("/prices/range?symbol=BTC/USD&interval={query}")).ok();
    let statuses = |answer: &Value| {
        let rows = answer["data"].as_array().unwrap().iter();
        rows.map(|row| row["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // Cut in its middle: only the ticks within count.
    let cut = ask("1d&from=2025-10-06T00:00:30Z&to=2025-10-06T00:14:59Z");
    assert_eq!((&cut["data"][0]["open"], &cut["data"][0]["num_feeds"]), (&json!("9.5"), &json!(2)));
    assert_eq!(
        (&cut["data"][0]["timestamp"], statuses(&cut)),
        (&json!("2025-10-06T00:00:00Z"), vec!["partial".to_owned()])
    );
    let whole = ask("1d&from=2025-10-06T00:00:00Z&to=2025-10-06T23:59:59.999999Z");
    assert_eq!(statuses(&whole), ["closed"]);

    let now = SystemClock::new().now();
    post(&service, &[feed("a", "20", None, now)]);
    let open = ask("1w");
    assert_eq!(
        (&open["data"][0]["close"], statuses(&open)),
        (&json!("20"), vec!["open".to_owned()])
    );

    // Empty buckets are flat from the first tick on, and none comes before it.
    let filled = ask(
        "1h&from=2025-09-28T20:00:00Z&to=2025-09-29T02:59:59.999999Z&include_empty=true&order=asc",
    );
    let rows = filled["data"].as_array().unwrap();
    let counts: Vec<_> = rows.iter().map(|row| row["num_feeds"].as_u64().unwrap()).collect();
    assert_eq!((&rows[0]["timestamp"], counts), (&json!("2025-09-28T23:00:00Z"), vec![1, 1, 0, 0]));
    let flat = json!({
        "timestamp": "2025-09-29T01:00:00Z", "open": "11.0", "high": "11.0", "low": "11.0", "close": "11.0",
        "volume": null, "vwap": null, "num_feeds": 0, "status": "closed",
    });
    assert_eq!(rows[2], flat);
}

#[test]
fn a_late_tick_changes_its_candle_at_once() {
    let service = Service::start();
    post_weeks(&service);
    let path = "/prices/range?symbol=BTC/USD&interval=1d&from=2025-10-06T00:00:00Z&to=2025-10-06T23:59:59.999999Z";
    let before = service.get(path).ok()["data"][0].take();
    assert_eq!((&before["high"], &before["num_feeds"]), (&json!("12.50"), &json!(4)));
    let late = Timestamp::parse_rfc3339("2025-10-06T05:00:00Z").unwrap();
    post(&service, &[feed("c", "99", Some("1"), late)]);
    let after = service.get(path).ok()["data"][0].take();
    assert_eq!(
        (&after["high"], &after["close"], &after["num_feeds"]),
        (&json!("99"), &json!("99"), &json!(5))
    );
    assert_eq!(after["volume"], "3.00");
}

#[test]
fn a_range_that_makes_no_sense_is_refused_by_its_field() {
    let service = Service::start();
    post_weeks(&service);
    for (query, field) in [
        ("", "symbol"),
        ("symbol=BTCUSD", "symbol"),
        ("symbol=BTC/USD&interval=2m", "interval"),
        ("symbol=BTC/USD&limit=0", "limit"),
        ("symbol=BTC/USD&limit=10001", "limit"),
        ("symbol=BTC/USD&limit=many", "limit"),
        ("symbol=BTC/USD&order=up", "order"),
        ("symbol=BTC/USD&from=yesterday", "from"),
        ("symbol=BTC/USD&to=2025-10-09T00:00:00", "to"),
        ("symbol=BTC/USD&from=2025-10-09T00:00:01Z&to=2025-10-09T00:00:00Z", "from"),
        ("symbol=BTC/USD&from=2025-01-01T00:00:00Z&to=2025-04-01T00:00:00.000001Z", "from"),
        ("symbol=BTC/USD&interval=1d&from=2020-01-01T00:00:00Z&to=2022-01-02T00:00:00Z", "from"),
        ("symbol=BTC/USD&source=Binance", "source"),
        ("symbol=BTC/USD&include_empty=true", "include_empty"),
        ("symbol=BTC/USD&interval=1m&metadata=true", "metadata"),
        ("symbol=BTC/USD&form=2025-10-09T00:00:00Z", "query"),
        ("symbol=BTC/USD&symbol=BTC/USD", "symbol"),
        ("symbol=BTC/USD&cursor=nonsense", "cursor"),
    ] {
        expect_refused(&service, &format!("/prices/range?{query}"), field);
    }
    // Exactly ninety days, and exactly two years, are not too long.
    service
        .get("/prices/range?symbol=BTC/USD&from=2025-01-01T00:00:00Z&to=2025-04-01T00:00:00Z")
        .ok();
    service.get("/prices/range?symbol=BTC/USD&interval=1d&from=2020-01-01T00:00:00Z&to=2022-01-01T00:00:00Z").ok();
    service.get("/prices/range?symbol=NO/SUCH").error(404, "NOT_FOUND");
    service.get("/prices/range?symbol=NO/SUCH&interval=1h").error(404, "NOT_FOUND");
}

#[test]
fn a_consensus_has_the_spec_s_shape_and_its_own_additions() {
    let service = Service::start();
    let at = past();
    post(
        &service,
        &[
            feed("binance", "67230.00", None, at),
            feed("coinbase", "67230.00", None, at),
            feed("kraken", "67245.36", None, at),
        ],
    );
    let path = format!("/aggregates/consensus?symbols=BTC/USD,NO/SUCH&timestamp={at}");
    let answer = service.get(&path).ok();
    assert_eq!(keys(&answer), ["data", "latency_ms", "missing"]);
    assert_eq!(answer["missing"], json!(["NO/SUCH"]));
    let wanted = json!({
        "symbol": "BTC/USD", "price": "67230.00", "median": "67230.00", "mean": "67235.12", "std_dev": "8.86810013",
        "num_sources": 3, "timestamp": "2025-10-09T12:30:00Z", "sources": ["binance", "coinbase", "kraken"],
        "status": "ok", "num_feeds": 3, "revision": null,
    });
    assert_eq!(answer["data"][0], wanted);
    let explained = service.get(&format!("{path}&explain=true")).ok()["data"][0].take();
    let vote = json!({
        "source": "kraken", "group": "kraken", "price": "67245.36", "timestamp": PAST, "age_ms": 0, "weight": 1,
        "verdict": "counted",
    });
    assert_eq!(explained["votes"][2], vote);
    let few = service.get(&format!("{path}&min_sources=4")).ok()["data"][0].take();
    assert_eq!(
        (&few["status"], &few["price"], &few["median"]),
        (&json!("no_quorum"), &Value::Null, &json!("67230.00"))
    );

    service
        .get(&format!("/aggregates/consensus?symbols=BTC/USD&timestamp={}", at.minus(minutes(1))))
        .error(404, "NOT_FOUND");
    service.get("/aggregates/consensus?symbols=BTC/USD").error(404, "NOT_FOUND");
    post(&service, &[feed("okx", "5", None, SystemClock::new().now())]);
    let latest = service.get("/aggregates/consensus?symbols=BTC/USD").ok()["data"][0].take();
    assert_eq!(
        (&latest["status"], &latest["price"], &latest["std_dev"]),
        (&json!("thin"), &json!("5"), &Value::Null)
    );
    for (query, field) in [
        ("", "symbols"),
        ("symbols=A", "symbols"),
        ("symbols=A/B&timestamp=2125-01-01T00:00:00Z", "timestamp"),
        ("symbols=A/B&timestamp=noon", "timestamp"),
        ("symbols=A/B&min_sources=0", "min_sources"),
        ("symbols=A/B&min_sources=1001", "min_sources"),
        ("symbols=A/B&explain=yes", "explain"),
    ] {
        expect_refused(&service, &format!("/aggregates/consensus?{query}"), field);
    }
}

#[test]
fn metadata_tells_what_there_is() {
    let service = Service::start();
    post(
        &service,
        &[feed("binance", "1", None, past()), feed("kraken", "2", None, past().plus(minutes(1)))],
    );
    let eth = json!({"symbol": "ETH/EUR", "price": "1", "source": "kraken", "timestamp": PAST});
    post(&service, &[eth]);
    let btc = json!({
        "symbol": "BTC/USD", "base": "BTC", "quote": "USD", "sources": ["binance", "kraken"],
        "last_timestamp": "2025-10-09T12:31:00.000Z",
    });
    let mut symbols = service.get("/metadata/symbols").ok();
    assert!(symbols.as_object_mut().unwrap().remove("latency_ms").unwrap().is_u64());
    assert_eq!((&symbols["count"], &symbols["next_cursor"]), (&json!(2), &Value::Null));
    assert_eq!((&symbols["data"][0], &symbols["data"][1]["symbol"]), (&btc, &json!("ETH/EUR")));
    assert_eq!(service.get("/metadata/symbols?quote=usd").ok()["data"], json!([btc]));
    assert_eq!(service.get("/metadata/symbols?source=binance").ok()["data"], json!([btc]));
    let first = service.get("/metadata/symbols?limit=1").ok();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = service.get(&format!("/metadata/symbols?limit=1&cursor={cursor}")).ok();
    assert_eq!((&first["data"][0], &second["data"][0]["symbol"]), (&btc, &json!("ETH/EUR")));
    assert_eq!(second["next_cursor"], Value::Null);

    let sources = service.get("/metadata/sources").ok();
    let binance = json!({"source": "binance", "num_symbols": 1, "last_timestamp": PAST});
    assert_eq!((&sources["count"], &sources["data"][0]), (&json!(2), &binance));
    assert_eq!(
        (&sources["data"][1]["source"], &sources["data"][1]["num_symbols"]),
        (&json!("kraken"), &json!(2))
    );

    let intervals = service.get("/metadata/intervals").ok();
    let names: Vec<_> = intervals["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["interval"], &row["seconds"]))
        .collect();
    let wanted = [
        ("1m", 60),
        ("5m", 300),
        ("15m", 900),
        ("1h", 3_600),
        ("4h", 14_400),
        ("1d", 86_400),
        ("1w", 604_800),
    ];
    assert_eq!(names.len(), wanted.len());
    assert!(
        names
            .iter()
            .zip(wanted)
            .all(|((name, seconds), wanted)| (*name, *seconds)
                == (&json!(wanted.0), &json!(wanted.1)))
    );

    let system = service.get("/metadata/system").ok();
    assert_eq!(
        (&system["store"]["ticks"], &system["num_symbols"], &system["num_sources"]),
        (&json!(3), &json!(2), &json!(2))
    );
    assert_eq!(
        system["limits"],
        json!({"symbols_max": 100, "rows_max": 10_000, "raw_days_max": 90, "candle_days_max": 731})
    );
    assert_eq!(system["consensus_interval_ms"], 5_000);
    for path in [
        "/metadata/sources?x=1",
        "/metadata/intervals?x=1",
        "/metadata/system?x=1",
        "/metadata/symbols?x=1",
    ] {
        expect_refused(&service, path, "query");
    }
    expect_refused(&service, "/metadata/symbols?limit=0", "limit");
    expect_refused(&service, "/metadata/symbols?cursor=x", "cursor");
}
