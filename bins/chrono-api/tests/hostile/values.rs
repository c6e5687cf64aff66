//! Values in every form that senders have: one bad feed is named and its neighbours are stored.

use std::time::Duration;

use chrono_domain::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::ask::Answer;
use crate::feeds::{INGEST, batch, feed, feed_with};
use crate::honest::Honest;
use crate::service::Service;

/// How far ahead of the gateway's a source's clock may be.
const AHEAD: Duration = Duration::from_secs(5);

/// What no price and no volume may be, as JSON.
const NO_DECIMALS: &[&str] = &[
    "0.1",
    "1",
    "-1",
    "1e5",
    "67234.56",
    "123456789.123456789123",
    "true",
    "false",
    "[]",
    "{}",
    r#""""#,
    r#"" ""#,
    r#"" 1""#,
    r#""1 ""#,
    r#""1\n""#,
    r#""1\u0000""#,
    r#""NaN""#,
    r#""nan""#,
    r#""Inf""#,
    r#""-Infinity""#,
    r#""1e5""#,
    r#""1E400""#,
    r#""1e-29""#,
    r#""+1""#,
    r#"".5""#,
    r#""5.""#,
    r#"".""#,
    r#""1_0""#,
    r#""1,0""#,
    r#""1.0.0""#,
    r#""0x1""#,
    r#""1f""#,
    r#""00""#,
    r#""01.5""#,
    r#""-0""#,
    r#""-1.5""#,
    r#""--1""#,
    r#""１""#,
    r#""٣""#,
    r#""1٫5""#,
    r#""½""#,
    r#""1234567890123456789""#,
    r#""0.1234567890123456789""#,
    r#""12345678901.123456789012345678""#,
    r#""1/3""#,
    r#""$1""#,
    r#""1%""#,
    r#""null""#,
];

/// What no symbol may be.
const NO_SYMBOLS: &[&str] = &[
    "",
    "/",
    "A/",
    "/B",
    "A",
    "AB",
    "A//B",
    "A/B/C",
    "a/b",
    "A-B",
    "A B/C",
    " A/B",
    "A/B ",
    "A/B\\n",
    "A/B\\u0000",
    "\\u0000A/B",
    "A\\u0000/B",
    "A/B\\r\\nX: y",
    "A/B\\u001b[31m",
    "A/B\\u007f",
    "A/B\\u200b",
    "A/B\\u200d",
    "A/B\\u202e",
    "A/B\\u2066",
    "A/B\\ufeff",
    "\\ufeffA/B",
    "\\u0410/B",
    "A\\u0301/B",
    "\\u00c1/B",
    "\\uff21/B",
    "\\u8fd9\\u662f/USD",
    "\\ud83d\\ude00/USD",
    "A/B'",
    "A/B\\\"",
    "A/B;",
    "A/B' OR '1'='1",
    "A/B%00",
    "A/B*",
    "*/B",
    "*",
    "A/B:latest",
    "A/B{x}",
    "A/B|",
    "A/B\\\\",
    "A/..%2f",
    "A/B?x",
    "A/B#x",
    "A/B&x=y",
    "=A/B",
    "@A/B",
    "+A/B",
    "AAAAAAAAAAAAAAAAAAAAA/B",
    "A/BBBBBBBBBBBBBBBBBBBBB",
];

/// What no time of a feed may be, as JSON; that of a number is not guessed at.
const NO_TIMES: &[&str] = &[
    "0",
    "-1",
    "1760013296",
    "1760013296123",
    "1760013296123456",
    "1760013296123456789",
    "9223372036854775808",
    "1e308",
    "null",
    "true",
    "[]",
    r#""""#,
    r#""0""#,
    r#""1760013296""#,
    r#""now""#,
    r#""2025-10-09""#,
    r#""2025-10-09T12:34:56""#,
    r#""2025-10-09 12:34:56""#,
    r#""2025-10-09T12:34:56+0000""#,
    r#""2025-10-09T12:34Z""#,
    r#""2025-10-09x12:34:56Z""#,
    r#""2025-10-09T12:34:56.Z""#,
    r#""2025-10-09T12:34:56,5Z""#,
    r#""2025-10-09T24:00:00Z""#,
    r#""2025-10-09T12:60:00Z""#,
    r#""2025-10-09T12:34:61Z""#,
    r#""2025-02-29T12:00:00Z""#,
    r#""2025-13-01T00:00:00Z""#,
    r#""1969-12-31T23:59:59Z""#,
    r#""10000-01-01T00:00:00Z""#,
    r#""+10000-01-01T00:00:00Z""#,
    r#""-0001-01-01T00:00:00Z""#,
    r#""2025-10-09T12:34:56Z ""#,
    r#"" 2025-10-09T12:34:56Z""#,
    r#""2025-10-09T12:34:56Z\u0000""#,
    r#""2025-10-09T12:34:56+25:00""#,
    r#""２025-10-09T12:34:56Z""#,
    r#""2025-W41-4T12:34:56Z""#,
    r#""Thu, 09 Oct 2025 12:34:56 GMT""#,
    r#""9999-12-31T23:59:59.999999Z""#,
];

/// What no source may be.
const NO_SOURCES: &[&str] = &[
    "",
    "S",
    "Binance",
    "aggregated",
    "-s",
    ".s",
    "s s",
    "s\\u0000",
    "s\\u202e",
    "\\u0455",
    "s'",
    "s:x",
    "s/x",
    "s*",
    "sssssssssssssssssssssssssssssssss",
];

/// What no metadata may be, as JSON.
const NO_METADATA: &[&str] = &[
    "1",
    "true",
    "[]",
    r#""{}""#,
    r#"{"a":1,"\u0061":2}"#,
    r#"{"a":{"b":1,"b":2}}"#,
    r#"{"1":{"2":{"3":{"4":{"5":{"6":{"7":{"8":{"9":1}}}}}}}}}"#,
];

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_feed_is_named_and_its_neighbours_are_stored() {
    let service = Service::start();
    let honest = Honest::start(&service).await;
    let decimals = ["price", "volume"]
        .into_iter()
        .flat_map(|field| NO_DECIMALS.iter().map(move |json| (field, (*json).to_owned())));
    let of = |field, jsons: &[&str]| {
        jsons.iter().map(|json| (field, (*json).to_owned())).collect::<Vec<_>>()
    };
    let quoted = |field, texts: &[&str]| {
        texts.iter().map(|text| (field, format!("\"{text}\""))).collect::<Vec<_>>()
    };
    let huge = format!("\"{}\"", "9".repeat(900_000));
    let poisons = decimals
        .chain(of("price", &["null", "\"0\"", "\"0.00\"", &huge]))
        .chain(of("symbol", &["null", "1", "[\"A/B\"]"]))
        .chain(quoted("symbol", NO_SYMBOLS))
        .chain(of("source", &["null", "1"]))
        .chain(quoted("source", NO_SOURCES))
        .chain(of("timestamp", NO_TIMES))
        .chain(of("metadata", NO_METADATA));
    for (field, json) in poisons {
        let body = batch(&[feed("1"), feed_with(field, &json), feed("3")]);
        let shown = &json[..json.len().min(80)];
        let answer = service.post_text(INGEST, &[], &body);
        assert_is_inert(&answer);
        let answer = answer.ok();
        assert_eq!(
            (&answer["ingested"], &answer["failed"]),
            (&2.into(), &1.into()),
            "{field} {shown}"
        );
        let error = &answer["errors"][0];
        assert_eq!(
            (&error["index"], &error["code"], &error["details"]["field"]),
            (&1.into(), &"VALIDATION_ERROR".into(), &field.into()),
            "{field} {shown}"
        );
        assert!(!error["details"]["expected"].as_str().unwrap().is_empty());
    }
    honest.end().await;
    assert!(service.gateway.stop().unwrap().success());
}

#[test]
fn a_number_beyond_binary64_refuses_the_batch_and_is_named() {
    let service = Service::start();
    let digits = "9".repeat(400);
    for number in ["1e400", "-1e400", "1.8E+308", &digits] {
        for (field, json) in [
            ("price", number.to_owned()),
            ("timestamp", number.to_owned()),
            ("metadata", format!("{{\"a\":[{number}]}}")),
            ("nobody_asked", number.to_owned()),
        ] {
            let body = batch(&[feed("1"), feed_with(field, &json)]);
            let error = service.post_text(INGEST, &[], &body).error(400, "VALIDATION_ERROR");
            let (first, at) = (&number[..1], body.find(number).unwrap());
            let received = format!(
                "'{first}' at byte {at}, counted from 0, in a number that is malformed or beyond binary64"
            );
            let expected = "a JSON object, well formed";
            assert_eq!(
                error["details"],
                json!({"field": "body", "received": received, "expected": expected})
            );
            assert_eq!(error["message"], format!("Invalid body: {received}. Expected {expected}"));
        }
    }
    let metadata = r#"{"a":[1.7976931348623157e308,1e-400]}"#;
    let inside = batch(&[feed_with("price", "1e308"), feed_with("metadata", metadata)]);
    let answer = service.post_text(INGEST, &[], &inside).ok();
    assert_eq!(
        (&answer["ingested"], &answer["errors"][0]["details"]["field"]),
        (&1.into(), &"price".into())
    );
    let stored =
        service.get("/prices/range?symbol=A/B&metadata=true&from=1760013000&to=1760014000");
    let kept = r#""metadata":{"a":[1.7976931348623157e+308,0.0]}"#;
    assert!(stored.body.contains(kept), "{}", stored.body);
}

/// Gives a body without the line feed it ends in.
fn line(answer: &Answer) -> &str {
    answer.body.strip_suffix('\n').unwrap()
}

/// Nothing of what was sent can steer a terminal, hide or break a line in the answer.
fn assert_is_inert(answer: &Answer) {
    let is_hidden = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    assert!(!line(answer).contains(is_hidden), "{:?}", answer.body);
    let message = answer.json()["errors"][0]["message"].to_string();
    assert!(message.len() < 1_024, "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_given_twice_is_that_feed_s_fault_however_it_is_written() {
    let service = Service::start();
    for field in ["symbol", "price", "source", "timestamp", "volume", "metadata"] {
        let value = if field == "metadata" { "null" } else { "\"1\"" };
        let first = field.chars().next().unwrap();
        let escaped = format!("\\u{:04x}{}", u32::from(first), &field[1..]);
        for name in [field.to_owned(), escaped] {
            let good = feed_with(field, &known(field));
            let twice = good.replacen('{', &format!("{{\"{name}\":{value},"), 1);
            let answer = service.post_text(INGEST, &[], &batch(&[feed("1"), twice])).ok();
            assert_eq!(answer["errors"][0]["details"]["field"], field, "{name}");
        }
        // Another case is another field, which nobody asked for.
        let other = feed("1").replacen('{', &format!("{{\"{}\":{value},", field.to_uppercase()), 1);
        assert_eq!(service.post_text(INGEST, &[], &batch(&[other])).ok()["ingested"], 1);
    }
}

/// A value that is right in a field.
fn known(field: &str) -> String {
    let right: Value = serde_json::from_str(&feed("1")).unwrap();
    match field {
        "volume" => "\"1\"".to_owned(),
        "metadata" => "{}".to_owned(),
        _ => right[field].to_string(),
    }
}

#[test]
fn what_is_taken_prints_back_as_it_was_sent() {
    let service = Service::start();
    let prices = [
        "0.000000000000000001",
        "0.1",
        "1",
        "1.0",
        "1.000000000000000000",
        "999999999999999999",
        "1234567890.123456789012345678",
        "9999999999.999999999999999999",
        "123456789.123456789123",
    ];
    let feeds: Vec<_> = prices.iter().map(|price| feed(price)).collect();
    assert_eq!(service.post_text(INGEST, &[], &batch(&feeds)).ok()["ingested"], prices.len());
    let day = "from=2025-10-09T00:00:00Z&to=2025-10-10T00:00:00Z&order=asc";
    let data = service.get(&format!("/prices/range?symbol=A/B&{day}")).ok()["data"].take();
    let found: Vec<_> = data.as_array().unwrap().iter().map(|tick| &tick["price"]).collect();
    assert_eq!(found, prices);
    // The largest product of price and volume, and one beyond it.
    let product = |volume: &str| {
        let json = feed_with("volume", &format!("\"{volume}\""));
        json.replace("\"price\":\"1\"", "\"price\":\"100000000000000000\"")
    };
    let body = batch(&[product("10000000000000"), product("10000000000000.1")]);
    let answer = service.post_text(INGEST, &[], &body).ok();
    assert_eq!((&answer["ingested"], &answer["errors"][0]["index"]), (&1.into(), &1.into()));
}

#[test]
fn a_time_ahead_is_taken_up_to_five_seconds_and_never_freezes_the_latest_price() {
    let service = Service::start();
    let clock = SystemClock::new();
    let post = |ahead: Duration, price: &str| {
        let at = format!("\"{}\"", clock.now().plus(ahead));
        let json = feed_with("timestamp", &at)
            .replace("\"price\":\"1\"", &format!("\"price\":\"{price}\""));
        service.post_text(INGEST, &[], &batch(&[json]))
    };
    let latest = || service.get("/prices/latest?symbols=A/B").ok()["data"][0]["price"].take();
    post(Duration::ZERO, "1").ok();
    post(Duration::from_secs(2), "2").ok();
    assert_eq!(latest(), "2");
    for ahead in [2 * AHEAD, Duration::from_hours(1), Duration::from_hours(24 * 3_652)] {
        let error = post(ahead, "3").error(400, "VALIDATION_ERROR");
        assert_eq!(error["details"]["field"], "timestamp");
    }
    assert_eq!(latest(), "2");
    // Once the clock has passed it, the next price counts.
    let mut tries = 0;
    while latest() != "4" {
        post(Duration::ZERO, "4").ok();
        tries += 1;
        assert!(clock.uptime() < 2 * AHEAD, "still frozen after {tries} tries");
    }
}

#[test]
fn questions_take_times_in_every_unit_and_refuse_what_is_none() {
    let service = Service::start();
    service.post_text(INGEST, &[], &batch(&[feed("1")])).ok();
    let count = |from: &str, to: &str| {
        service.get(&format!("/prices/range?symbol=A/B&from={from}&to={to}"))
    };
    // The same second in seconds, milliseconds and microseconds.
    for (from, to) in [
        ("1760013296", "1760013297"),
        ("1760013296000", "1760013297000"),
        ("1760013296000000", "1760013297000000"),
        ("2025-10-09T12:34:56Z", "2025-10-09T14:34:57%2B02:00"),
        ("2025-10-09T12:34:56.123Z", "2025-10-09T12:34:56.123999Z"),
    ] {
        assert_eq!(count(from, to).ok()["count"], 1, "{from}");
    }
    for bad in [
        "",
        "-1",
        "1.5",
        "1e9",
        "1760013296000000000",
        "9223372036854775808",
        "99999999999999999999999",
        "0x1",
        "yesterday",
        "2025-10-09",
        "2025-10-09T12:34:56",
        "10000-01-01T00:00:00Z",
        "%00",
        "%F0%9F%98%80",
    ] {
        for path in [
            format!("/prices/range?symbol=A/B&from={bad}"),
            format!("/delegations?to={bad}"),
            format!("/aggregates/consensus?symbols=A/B&timestamp={bad}"),
        ] {
            service.get(&path).error(400, "VALIDATION_ERROR");
        }
    }
    for symbol in [
        "",
        "%00",
        "A%00/B",
        "A/B%0d%0aX:y",
        "%E2%80%AEA/B",
        "A/B'--",
        "*",
        "..%2f..%2fB",
        "%C3%81/B",
    ] {
        for path in
            ["/prices/latest?symbols=", "/prices/range?symbol=", "/aggregates/consensus?symbols="]
        {
            let answer = service.get(&format!("{path}{symbol}"));
            answer.error(400, "VALIDATION_ERROR");
            assert!(!line(&answer).contains(char::is_control), "{:?}", answer.body);
        }
    }
}

#[test]
fn a_key_that_is_used_is_not_harmed_by_a_batch_of_bad_feeds() {
    let service = Service::start();
    let key = [("Idempotency-Key", "run-1")];
    let good = batch(&[feed("1"), feed("bad")]);
    let first = service.post_text(INGEST, &key, &good).ok();
    for bad in [batch(&[feed("bad")]), batch(&[feed("0"), feed("-1")])] {
        service.post_text(INGEST, &key, &bad).error(400, "VALIDATION_ERROR");
    }
    let again = service.post_text(INGEST, &key, &good);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(
        (&again.ok()["ingested"], &again.ok()["errors"]),
        (&first["ingested"], &first["errors"])
    );
    // A key of refused batches only is free.
    let unused = [("Idempotency-Key", "run-2")];
    service.post_text(INGEST, &unused, &batch(&[feed("bad")])).error(400, "VALIDATION_ERROR");
    let answer = service.post_text(INGEST, &unused, &batch(&[feed("2")]));
    assert_eq!((answer.status, answer.header("idempotent-replayed")), (200, None));
}
