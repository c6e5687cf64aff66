//! Random bodies, most of them almost right: both readers must come to the same verdict on every feed.

use chrono_domain::Timestamp;
use chrono_ingest::ParsedBatch;
use chrono_testkit::oracle::batch::{Batch, in_order, judge};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Bodies of each test, unless `PROPTEST_CASES` asks for more.
const CASES: u32 = 4_000;
const NOW: &str = "2025-10-09T12:34:56Z";

fn cases() -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig { cases: asked.cases.max(CASES), ..asked }
}

/// One of some texts, as JSON.
fn quoted(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(texts).prop_map(|text| format!("\"{text}\""))
}

/// A text as JSON, its letters now and then as escapes.
fn written(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (text, prop::option::weighted(0.2, any::<Index>())).prop_map(|(text, escaped)| {
        let letters: Vec<char> = text.chars().collect();
        let escaped = escaped.filter(|_| !letters.is_empty()).map(|at| at.index(letters.len()));
        let written = letters.iter().enumerate().map(|(place, letter)| {
            if Some(place) == escaped {
                let mut units = [0; 2];
                let units = letter.encode_utf16(&mut units).iter();
                units.fold(String::new(), |text, unit| text + &format!("\\u{unit:04x}"))
            } else {
                let json = serde_json::to_string(letter).unwrap();
                json[1..json.len() - 1].to_owned()
            }
        });
        format!("\"{}\"", written.collect::<String>())
    })
}

/// A value that no text is.
fn odd() -> impl Strategy<Value = String> {
    select(
        &[
            "null",
            "true",
            "0",
            "-1",
            "67234.56",
            "1e5",
            "[]",
            "{}",
            "[[1]]",
            "{\"a\":{\"b\":[]}}",
            "18446744073709551616",
            "1e400",
            "-0",
            "01",
            "+1",
            ".5",
            "NaN",
        ][..],
    )
    .prop_map(str::to_owned)
}

fn decimal() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => written("(0|[1-9][0-9]{0,17})(\\.[0-9]{1,18})?"),
        3 => written("-?[0-9]{0,20}[.,_]?[0-9]{0,20}"),
        1 => written("[0-9+.eExX_ ]{0,9}"),
        1 => written("\\PC{0,5}"),
        1 => odd(),
    ]
}

fn matching(pattern: &str) -> impl Strategy<Value = String> + use<> {
    prop::string::string_regex(pattern).unwrap()
}

fn time() -> impl Strategy<Value = String> {
    let date = "(19[67][0-9]|20[0-9]{2}|9999|[0-9]{4})-(0[1-9]|1[0-2]|[0-9]{2})-([0-2][0-9]|3[01])";
    let clock = "([01][0-9]|2[0-4]):[0-5][0-9]:([0-5][0-9]|60)(\\.[0-9]{0,10})?";
    let zone = "(Z|z|[+-][0-2][0-9]:[0-6][0-9]|)";
    prop_oneof![
        6 => quoted(&["2025-10-09T12:34:56.123Z", "2025-10-09T12:35:01Z", "2025-10-09T12:35:01.000001Z", "2016-12-31T23:59:60Z", "2017-01-01T00:59:60+01:00", "2024-02-29T00:00:00Z"]),
        6 => written(matching(&format!("{date}[Tt]{clock}{zone}"))),
        1 => written(matching(&format!("{date}[ _T]?{clock} ?{zone}"))),
        1 => odd(),
    ]
}

fn field() -> impl Strategy<Value = (String, String)> {
    let named = |name: &'static str| written(Just(name.to_owned()));
    prop_oneof![
        (
            named("symbol"),
            prop_oneof![
                4 => written("[A-Z0-9._-]{1,4}/[A-Z0-9._-]{1,4}"),
                2 => written("[A-Za-z0-9._/ -]{0,45}"),
                1 => written("\\PC{0,3}/\\PC{0,3}"),
                1 => odd(),
            ]
        ),
        (
            named("source"),
            prop_oneof![
                4 => written("[a-z0-9][a-z0-9._-]{0,31}"),
                2 => written("[a-zA-Z._-]{0,40}"),
                1 => quoted(&["aggregated", ""]),
                1 => odd(),
            ]
        ),
        (named("price"), decimal()),
        (named("volume"), decimal()),
        (named("timestamp"), time()),
        (
            named("metadata"),
            prop_oneof![
                written("\\PC{0,3}"),
                odd(),
                quoted(&["x"]).prop_map(|json| format!("{{\"a\":{json},\"b\":[1,{{}}]}}")),
                (1_usize..12).prop_map(|depth| format!(
                    "{}1{}",
                    "{\"a\":".repeat(depth),
                    "}".repeat(depth)
                )),
                Just("{\"a\":1,\"\\u0061\":2}".to_owned()),
            ]
        ),
        (written("[a-zA-Z]{0,6}"), prop_oneof![odd(), written("\\PC{0,4}")]),
    ]
}

fn right_fields() -> Vec<(String, String)> {
    [("symbol", "BTC/USD"), ("source", "s"), ("price", "1.50"), ("timestamp", NOW)]
        .map(|(name, value)| (format!("\"{name}\""), format!("\"{value}\"")))
        .into()
}

fn object(fields: &[(String, String)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    format!("{{{}}}", fields.join(" ,\n"))
}

/// A feed that is right but for some fields, which stand in the place of the right ones or, now and then, beside them.
fn feed() -> impl Strategy<Value = String> {
    let wrong = prop::collection::vec((field(), prop::bool::weighted(0.9)), 0..3);
    let made = (wrong, prop::option::weighted(0.1, any::<Index>())).prop_map(|(wrong, missing)| {
        let mut fields = right_fields();
        for ((name, value), replaces) in wrong {
            let read: String = serde_json::from_str(&name).unwrap();
            if replaces {
                fields.retain(|(known, _)| serde_json::from_str::<String>(known).unwrap() != read);
            }
            fields.push((name, value));
        }
        if let Some(missing) = missing {
            fields.remove(missing.index(fields.len()));
        }
        object(&fields)
    });
    prop_oneof![12 => made, 1 => odd()]
}

fn envelope() -> impl Strategy<Value = String> {
    let feeds =
        prop::collection::vec(feed(), 0..6).prop_map(|feeds| format!("[{}]", feeds.join(",")));
    let right = |feeds: String| {
        vec![
            ("\"worker_id\"".to_owned(), "\"w\"".to_owned()),
            ("\"timestamp\"".to_owned(), format!("\"{NOW}\"")),
            ("\"feeds\"".to_owned(), feeds),
        ]
    };
    let other = prop_oneof![
        (Just("\"worker_id\"".to_owned()), prop_oneof![written("[A-Za-z0-9._: -]{0,66}"), odd()]),
        (Just("\"timestamp\"".to_owned()), time()),
        (Just("\"batch_id\"".to_owned()), prop_oneof![written("[ -~]{0,130}"), odd()]),
        (Just("\"feeds\"".to_owned()), odd()),
        (written("[a-z]{1,3}"), odd()),
    ];
    let others = prop::collection::vec((other, any::<bool>()), 0..3);
    (feeds, prop::option::weighted(0.3, others)).prop_map(move |(feeds, others)| {
        let mut fields = right(feeds);
        for ((name, value), replaces) in others.unwrap_or_default() {
            if replaces {
                fields.retain(|(known, _)| *known != name);
            }
            fields.push((name, value));
        }
        object(&fields)
    })
}

/// Reads with both, and gives both verdicts.
fn both(body: &[u8]) -> [Result<Batch, &'static str>; 2] {
    let now = Timestamp::parse_rfc3339(NOW).unwrap();
    let ours = ParsedBatch::parse(&mut body.to_vec(), now).map_err(|fault| fault.field);
    let ours = ours.map(|batch| Batch {
        worker: batch.worker.to_string(),
        batch_id: batch.batch_id.map(|id| id.as_str().to_owned()),
        feeds: in_order(
            &batch.ticks,
            batch.faults.iter().map(|fault| (fault.index, fault.field.as_str())),
        ),
        unknown_fields: batch.unknown_fields,
    });
    [ours, judge(body, now.micros())]
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn every_feed_has_the_verdict_of_the_grammar(body in envelope()) {
        let [ours, theirs] = both(body.as_bytes());
        prop_assert_eq!(ours, theirs, "{}", body);
    }

    #[test]
    fn a_body_with_a_byte_changed_has_the_verdict_of_the_other_parser(
        body in envelope(),
        at in any::<Index>(),
        change in prop_oneof![Just(None), any::<u8>().prop_map(Some), select(&b"\"\\{}[]:,u0\n"[..]).prop_map(Some)],
    ) {
        let mut body = body.into_bytes();
        let at = at.index(body.len());
        match change {
            Some(byte) => body[at] = byte,
            None => drop(body.remove(at)),
        }
        let [ours, theirs] = both(&body);
        prop_assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(&body));
    }
}

#[test]
fn random_bodies_are_taken_and_refused_alike_often_enough() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let (mut refused_whole, mut taken, mut refused) = (0, 0, 0);
    for _ in 0..500 {
        let body = envelope().new_tree(&mut runner).unwrap().current();
        match &both(body.as_bytes())[1] {
            Err(_field) => refused_whole += 1,
            Ok(batch) => batch.feeds.iter().for_each(|feed| match feed {
                Ok(_) => taken += 1,
                Err(_field) => refused += 1,
            }),
        }
    }
    assert!(
        refused_whole > 50 && taken > 200 && refused > 200,
        "{refused_whole} {taken} {refused}"
    );
}
