//! Every way a batch can be wrong, and what the worker is told.

use proptest::prelude::*;

use super::*;

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2025-10-09T12:34:56Z").unwrap()
}

fn parse(body: &str) -> Result<ParsedBatch, BatchFault> {
    ParsedBatch::parse(&mut body.as_bytes().to_vec(), now())
}

fn envelope(feeds: &str) -> String {
    format!(r#"{{"worker_id":"w","timestamp":"2025-10-09T12:34:56Z","feeds":[{feeds}]}}"#)
}

const GOOD: &str = r#"{"symbol":"BTC/USD","price":"67234.56","volume":"1.50","source":"binance","timestamp":"2025-10-09T12:34:56.123Z","metadata":{"bid":"67230.00"}}"#;

fn with(field: &str, value: &str) -> String {
    let mut feed: serde_json::Map<String, serde_json::Value> = serde_json::from_str(GOOD).unwrap();
    feed.remove(field);
    let rest = serde_json::to_string(&feed).unwrap();
    format!(
        "{},\"{field}\":{value}}}",
        rest.trim_end_matches('}').to_owned() + if rest.ends_with("}}") { "}" } else { "" }
    )
}

fn fault(feed: &str) -> FeedFault {
    let batch = parse(&envelope(&format!("{GOOD},{feed},{GOOD}"))).unwrap();
    assert_eq!((batch.ticks.len(), batch.faults.len()), (2, 1), "{feed}");
    batch.faults.into_iter().next().unwrap()
}

#[test]
fn takes_the_spec_s_feed_exactly() {
    let batch = parse(&envelope(GOOD)).unwrap();
    let tick = &batch.ticks[0];
    assert_eq!(tick.price.to_string(), "67234.56");
    assert_eq!(tick.volume.unwrap().to_string(), "1.50");
    assert_eq!(tick.timestamp.to_string(), "2025-10-09T12:34:56.123Z");
    assert_eq!(tick.metadata.as_ref().unwrap().as_str(), r#"{"bid":"67230.00"}"#);
}

#[test]
fn says_what_a_symbol_should_have_been() {
    let fault = fault(&with("symbol", "\"BTC-USD\""));
    assert_eq!(fault.message, "Invalid symbol format: BTC-USD. Expected format: BASE/QUOTE");
    assert_eq!((fault.field.as_str(), fault.received.as_deref()), ("symbol", Some("BTC-USD")));
    assert_eq!((fault.expected.as_str(), fault.index), ("BTC/USD", 1));
}

#[test]
fn a_body_that_is_no_json_is_refused_in_plain_words() {
    for (body, received) in [
        ("{bad", "'b' at byte 1, counted from 0"),
        ("not json", "'n' at byte 0, counted from 0"),
        ("{\"a\":1,}", "'}' at byte 7, counted from 0"),
        ("[]", "JSON, but no object"),
        ("7", "JSON, but no object"),
        ("{\"a\"", "'\"' at byte 1, counted from 0"),
        ("   ", "text that ends too early or is no JSON"),
    ] {
        let fault = parse(body).unwrap_err();
        assert_eq!((fault.field, fault.received.as_deref()), ("body", Some(received)), "{body}");
    }
}

#[test]
fn a_time_ahead_is_given_back_as_it_was_sent() {
    let sent = "2025-10-09T14:35:02.5+02:00";
    let fault = fault(&with("timestamp", &format!("\"{sent}\"")));
    assert_eq!((fault.field.as_str(), fault.received.as_deref()), ("timestamp", Some(sent)));
}

#[test]
fn one_bad_feed_harms_no_other() {
    let cases = [
        ("price", "67234.56", "price"),
        ("price", "\"1e5\"", "price"),
        ("price", "\"0\"", "price"),
        ("price", "null", "price"),
        ("price", "[[1]]", "price"),
        ("volume", "\"-1\"", "volume"),
        ("volume", "1", "volume"),
        ("source", "\"aggregated\"", "source"),
        ("source", "\"Binance\"", "source"),
        ("timestamp", "\"2025-10-09T12:35:02Z\"", "timestamp"),
        ("timestamp", "1760013296", "timestamp"),
        ("timestamp", "\"2025-10-09T12:34:56\"", "timestamp"),
        ("metadata", "\"text\"", "metadata"),
        ("symbol", "\"BTC/USD\\u0000\"", "symbol"),
        ("symbol", "{\"a\":{\"b\":[1,2]}}", "symbol"),
    ];
    for (field, value, at) in cases {
        let fault = fault(&with(field, value));
        assert_eq!(fault.field, at, "{field} = {value}");
        assert!(!fault.message.contains('\0'));
    }
    for feed in ["1", "null", "\"x\"", "[]", "{}", "true"] {
        fault(feed);
    }
}

#[test]
fn a_number_as_price_gets_a_hint() {
    let fault = fault(&with("price", "67234.56"));
    assert!(fault.expected.contains("in a string"), "{}", fault.expected);
}

#[test]
fn an_integer_of_any_length_is_one_feed_s_fault() {
    let long = "1".repeat(40);
    assert_eq!(fault(&with("price", &long)).field, "price");
    let batch = parse(&envelope(&with("metadata", &format!("{{\"id\":{long}}}")))).unwrap();
    assert_eq!(batch.ticks.len(), 1);
}

/// Feeds that are all refused, and of which no two are the same; those of a row differ in one part.
fn refused_feeds() -> Vec<String> {
    let nines = |last: &str| format!("\"{}{last}\"", "9".repeat(200));
    let long = |last: &str| format!("{{\"a\":\"{}{last}\"}}", "x".repeat(5_000));
    let deep = |last: &str| format!("{}{last}{}", "{\"a\":".repeat(9), "}".repeat(9));
    let mut feeds: Vec<String> =
        ["1", "2", "1.5", "null", "true", "false", "\"x\"", "\"null\"", "[]", "[1]", "[[1]]", "{}"]
            .map(str::to_owned)
            .into();
    for field in ["symbol", "price", "volume", "source", "timestamp"] {
        // Alone, so that it is refused also where one of these is right.
        let alone = |value: &str| format!("{{\"{field}\":{value}}}");
        let values = [
            "1",
            "1.5",
            "-1",
            "18446744073709551615",
            "true",
            "false",
            "null",
            "\"null\"",
            "\"\"",
            "\"1 (a number)\"",
            "\"an array\"",
            "[]",
            "[1]",
            "[2]",
            "[[1]]",
            "[1,[]]",
            "{}",
            "{\"a\":1}",
            "{\"b\":1}",
            "{\"a\":\"1\"}",
            "[\"a\",1]",
            "[{\"a\":1}]",
            "[null]",
        ];
        feeds.extend(values.map(alone));
        feeds.extend([nines("1"), nines("2")].iter().map(|value| alone(value)));
        for (first, last) in
            [("\"1\"", "\"2\""), ("\"2\"", "\"1\""), ("1", "\"2\""), ("[1]", "\"2\"")]
        {
            feeds.push(with(field, last).replacen('{', &format!("{{\"{field}\":{first},"), 1));
        }
    }
    let metadata = [
        "1",
        "2",
        "\"x\"",
        "\"y\"",
        "[]",
        "[1]",
        "[2]",
        "true",
        "[{\"a\":[]}]",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"a\":3}",
        "{\"b\":1,\"b\":2}",
    ];
    let metadata = metadata.map(str::to_owned).into_iter();
    feeds.extend(
        metadata
            .chain([long("1"), long("2"), deep("1"), deep("2")])
            .map(|value| with("metadata", &value)),
    );
    for (first, last) in
        [("{}", "null"), ("null", "{}"), ("{\"a\":1}", "{}"), ("1", "{}"), ("2", "{}")]
    {
        let first = format!("{{\"metadata\":{first},");
        feeds.push(with("metadata", last).replacen('{', &first, 1));
    }
    // Right metadata of a feed that is refused for another part.
    feeds.extend(["1", "2"].map(|bid| GOOD.replace("67230.00", bid).replace("BTC/USD", "BTC")));
    feeds
}

#[test]
fn the_fingerprint_holds_what_was_sent_in_a_refused_feed() {
    let mut seen = std::collections::HashMap::new();
    for feed in refused_feeds() {
        fault(&feed);
        let body = envelope(&format!("{GOOD},{feed}"));
        let fingerprint = parse(&body).unwrap().fingerprint();
        assert_eq!(parse(&body).unwrap().fingerprint(), fingerprint, "{feed}");
        if let Some(other) = seen.insert(fingerprint, feed.clone()) {
            panic!("{other} is told as {feed}");
        }
    }
}

#[test]
fn a_field_given_twice_is_refused_also_when_escaped() {
    let twice = GOOD.replacen('{', r#"{"pr\u0069ce":"1","#, 1);
    assert_eq!(fault(&twice).field, "price");
    let body = envelope(GOOD).replacen('{', r#"{"worker_id":"x","#, 1);
    assert_eq!(parse(&body).unwrap_err().field, "worker_id");
}

#[test]
fn metadata_given_twice_and_a_huge_notional_are_faults_of_their_feed() {
    assert_eq!(fault(&GOOD.replacen('{', r#"{"metadata":null,"#, 1)).field, "metadata");
    let huge = GOOD.replace("67234.56", "100000000000000000.1").replace("1.50", "10000000000000");
    let fault = fault(&huge);
    assert_eq!(fault.field, "volume");
    assert_eq!(fault.received.as_deref(), Some("100000000000000000.1 × 10000000000000"));
}

#[test]
fn unknown_fields_are_counted_and_ignored() {
    let feed = GOOD.replacen('{', r#"{"extra":{"deep":[{}]},"Price":"1","#, 1);
    let body = envelope(&feed).replacen('{', r#"{"more":1,"#, 1);
    let batch = parse(&body).unwrap();
    assert_eq!((batch.ticks.len(), batch.unknown_fields), (1, 3));
}

#[test]
fn allows_five_seconds_ahead() {
    let at = |text: &str| parse(&envelope(&with("timestamp", &format!("\"{text}\"")))).unwrap();
    assert_eq!(at("2025-10-09T12:35:01Z").ticks.len(), 1);
    assert_eq!(at("2025-10-09T12:35:01.000001Z").faults.len(), 1);
    assert_eq!(at("2025-10-09T12:35:01.0000009Z").ticks.len(), 1);
}

#[test]
fn refuses_a_broken_envelope() {
    let cases = [
        ("", "body"),
        ("{", "body"),
        ("[]", "body"),
        ("null", "body"),
        ("\u{feff}{}", "body"),
        ("{} {}", "body"),
        ("{}", "worker_id"),
        (r#"{"worker_id":1}"#, "worker_id"),
        (r#"{"worker_id":"a b"}"#, "worker_id"),
        (r#"{"worker_id":"w"}"#, "timestamp"),
        (r#"{"worker_id":"w","timestamp":"x"}"#, "timestamp"),
        (r#"{"worker_id":"w","timestamp":"2025-10-09T12:34:56Z"}"#, "feeds"),
        (r#"{"worker_id":"w","timestamp":"2025-10-09T12:34:56Z","feeds":{}}"#, "feeds"),
        (r#"{"worker_id":"w","timestamp":"2025-10-09T12:34:56Z","feeds":[]}"#, "feeds"),
        (
            r#"{"worker_id":"w","timestamp":"2025-10-09T12:34:56Z","batch_id":"","feeds":[]}"#,
            "batch_id",
        ),
    ];
    for (body, field) in cases {
        assert_eq!(parse(body).unwrap_err().field, field, "{body}");
    }
    let mut invalid = envelope(GOOD).into_bytes();
    invalid[15] = 0xff;
    assert_eq!(ParsedBatch::parse(&mut invalid, now()).unwrap_err().field, "body");
}

#[test]
fn takes_a_hundred_feeds_and_no_more() {
    let feeds = |count: usize| envelope(&vec![GOOD; count].join(","));
    assert_eq!(parse(&feeds(100)).unwrap().ticks.len(), 100);
    let fault = parse(&feeds(101)).unwrap_err();
    assert_eq!((fault.field, fault.received.as_deref()), ("feeds", Some("101 feeds")));
}

#[test]
fn survives_any_nesting() {
    for depth in [17, 1_000, 10_000, 400_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for field in ["extra", "price", "metadata"] {
                let body = envelope(&format!("{{\"{field}\":{deep}}}"));
                let refused = parse(&body).map(|batch| batch.faults.len());
                assert!(refused == Ok(1) || refused.is_err(), "{field} at {depth}");
            }
            assert!(parse(&deep).is_err());
        }
    }
}

#[test]
fn the_fingerprint_leaves_the_clock_and_the_envelope_s_time_out() {
    let body = envelope(&with("timestamp", "\"2025-10-09T12:35:10Z\""));
    let first = parse(&body).unwrap();
    let later =
        ParsedBatch::parse(&mut body.clone().into_bytes(), now().plus(Duration::from_mins(1)))
            .unwrap();
    assert_eq!((first.faults.len(), later.faults.len()), (1, 0));
    assert_eq!(first.fingerprint(), later.fingerprint());
    let resent = body.replacen("12:34:56Z", "12:34:59Z", 1);
    assert_eq!(parse(&resent).unwrap().fingerprint(), first.fingerprint());
    let other = parse(&envelope(&with("price", "\"67234.560\""))).unwrap();
    assert_ne!(other.fingerprint(), parse(&envelope(GOOD)).unwrap().fingerprint());
}

proptest! {
    #[test]
    fn never_panics_on_any_bytes(mut body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(ParsedBatch::parse(&mut body, now()).is_err());
    }

    #[test]
    fn agrees_with_another_json_parser(
        price in "(0|[1-9][0-9]{0,19})(\\.[0-9]{1,20})?",
        volume in prop::option::of("[0-9]{1,3}(\\.[0-9]{0,3})?"),
        note in "\\PC{0,20}",
    ) {
        let feed = serde_json::json!({"symbol": "A/B", "price": price, "volume": volume, "source": "s",
            "timestamp": "2025-10-09T12:34:56Z", "metadata": {"note": note}});
        let batch = parse(&envelope(&feed.to_string())).unwrap();
        let price_ok = chrono_domain::Price::try_new(&price).is_ok();
        let volume_ok = volume.as_deref().is_none_or(|text| chrono_domain::Volume::try_new(text).is_ok());
        if let Some(tick) = batch.ticks.first() {
            prop_assert!(price_ok && volume_ok);
            prop_assert_eq!(tick.price.to_string(), price);
            prop_assert_eq!(tick.volume.map(|volume| volume.to_string()), volume);
            let kept: serde_json::Value = serde_json::from_str(tick.metadata.as_ref().unwrap().as_str()).unwrap();
            prop_assert_eq!(&kept, &feed["metadata"]);
        } else {
            let within = price_ok && volume_ok;
            prop_assert!(!within || batch.faults[0].expected.contains("10^30"));
        }
    }
}
