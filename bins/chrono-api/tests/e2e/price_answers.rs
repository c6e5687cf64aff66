//! Ticks as readers get them: the newest, ranges, pages, and every way to ask wrongly.

use std::time::Duration;

use chrono_domain::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::scene::{PAST, expect_refused, feed, keys, minutes, past, post, prices};
use crate::service::Service;

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

#[test]
fn a_range_that_makes_no_sense_is_refused_by_its_field() {
    let service = Service::start();
    post(&service, &[feed("a", "1", None, past())]);
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
