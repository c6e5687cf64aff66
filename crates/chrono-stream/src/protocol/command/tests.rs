//! Commands as clients write them, and as nobody should.

use chrono_domain::Epoch;
use proptest::prelude::*;

use super::*;

fn subscribe(text: &str) -> (Subscribe, Vec<Rejected>) {
    match parse(text).1 {
        Ok(Command::Subscribe { request, rejected }) => (request, rejected),
        other => panic!("not a subscription: {other:?}"),
    }
}

fn fault(text: &str) -> Fault {
    parse(text).1.unwrap_err()
}

fn names(topics: &[Topic]) -> Vec<&str> {
    topics.iter().map(Topic::as_str).collect()
}

#[test]
fn takes_the_subscription_of_the_spec() {
    let (request, rejected) =
        subscribe(r#"{"action":"subscribe","symbols":["BTC/USD","ETH/USD"]}"#);
    assert_eq!(names(&request.topics), ["BTC/USD", "ETH/USD"]);
    assert_eq!((request.mode, request.snapshot, request.resume), (None, true, None));
    assert!(rejected.is_empty());
}

#[test]
fn takes_every_field_of_a_subscription() {
    let text = r#"{"id":7,"action":"subscribe","symbols":["btc-usd","*/EUR","BTC/USD","nope"],
        "mode":"all","snapshot":false,"epoch":"00000000000000ff","since":41,"other":[[{}]]}"#;
    let (request, rejected) = subscribe(text);
    assert_eq!(names(&request.topics), ["BTC/USD", "*/EUR"]);
    assert_eq!((request.mode, request.snapshot), (Some(Mode::All), false));
    assert_eq!(request.resume, Some(Resume { epoch: Some(Epoch(255)), since: Seq(41) }));
    assert_eq!(rejected, [Rejected { symbol: "nope".into(), code: Code::ValidationError }]);
    assert_eq!(parse(text).0, Some(CommandId(7.into())));
}

#[test]
fn takes_a_since_without_a_readable_epoch_as_one_of_another_epoch() {
    for epoch in ["", r#","epoch":"zz""#, r#","epoch":null"#] {
        let text = format!(r#"{{"action":"subscribe","symbols":["A/B"],"since":1{epoch}}}"#);
        assert_eq!(subscribe(&text).0.resume, Some(Resume { epoch: None, since: Seq(1) }));
    }
}

#[test]
fn refuses_an_array_of_the_fields_in_their_order() {
    let text = r#" ["ping",null,null,null,null,null,null,null]"#;
    assert_eq!(fault(text).code, Code::ValidationError);
}

#[test]
fn takes_the_other_actions() {
    assert!(matches!(parse(r#"{"action":"ping"}"#).1, Ok(Command::Ping)));
    let Ok(Command::Auth(key)) = parse(r#"{"action":"auth","key":"chrono_public_1"}"#).1 else {
        panic!("not taken")
    };
    assert_eq!((key.expose(), format!("{key:?}").as_str()), ("chrono_public_1", "Secret"));
    let text = r#"{"action":"unsubscribe","symbols":["A/B","x","A/B"]}"#;
    let Ok(Command::Unsubscribe { topics, rejected }) = parse(text).1 else { panic!("not taken") };
    assert_eq!((names(&topics), rejected.len()), (vec!["A/B"], 1));
}

#[test]
fn gives_back_any_scalar_id_and_refuses_others() {
    for id in ["1", "-1", "1.5", "true", r#""a""#, r#""é\"\\""#] {
        let (read, _) = parse(&format!(r#"{{"action":"ping","id":{id}}}"#));
        assert_eq!(read, Some(CommandId(serde_json::from_str(id).unwrap())));
    }
    assert_eq!(parse(r#"{"action":"ping","id":null}"#).0, None);
    let longest = "é".repeat(64);
    assert!(parse(&format!(r#"{{"action":"ping","id":"{longest}"}}"#)).1.is_ok());
    for id in ["[]", "{}", "[[1]]", &format!("\"{longest}a\""), "1e999"] {
        let refused = fault(&format!(r#"{{"action":"ping","id":{id}}}"#));
        assert_eq!(refused.code, Code::ValidationError, "{id}");
    }
}

#[test]
fn tells_an_unknown_action_from_a_malformed_command() {
    let (id, refused) = parse(r#"{"action":"buy","id":1}"#);
    assert_eq!((id.is_some(), refused.unwrap_err().code), (true, Code::UnknownAction));
    for text in [
        "",
        "null",
        "[]",
        "{}",
        "subscribe",
        r#"{"action":1}"#,
        r#"{"action":"subscribe"}"#,
        r#"{"action":"subscribe","symbols":[]}"#,
        r#"{"action":"subscribe","symbols":"A/B"}"#,
        r#"{"action":"subscribe","symbols":["A/B",1]}"#,
        r#"{"action":"subscribe","symbols":["A/B"],"mode":"some"}"#,
        r#"{"action":"subscribe","symbols":["A/B"],"since":-1}"#,
        r#"{"action":"subscribe","symbols":["A/B"],"since":1.5}"#,
        r#"{"action":"subscribe","symbols":["A/B"],"since":"1"}"#,
        r#"{"action":"subscribe","symbols":["A/B"],"snapshot":"yes"}"#,
        r#"{"action":"auth"}"#,
        r#"{"action":"ping"} {"action":"ping"}"#,
    ] {
        assert_eq!(fault(text).code, Code::ValidationError, "{text}");
    }
}

#[test]
fn refuses_a_field_given_twice_even_if_escaped() {
    for text in [
        r#"{"action":"ping","action":"auth"}"#,
        r#"{"action":"ping","\u0061ction":"auth"}"#,
        r#"{"action":"subscribe","symbols":["A/B"],"symbols":["C/D"]}"#,
    ] {
        assert!(fault(text).explanation.contains("duplicate field"), "{text}");
    }
}

#[test]
fn survives_nesting_and_length() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let deep = format!("{}1{}", open.repeat(30_000), close.repeat(30_000));
        for text in [
            deep.clone(),
            format!(r#"{{"action":"ping","id":{deep}}}"#),
            format!(r#"{{"action":"subscribe","symbols":[{deep}]}}"#),
        ] {
            assert_eq!(fault(&text).code, Code::ValidationError);
        }
        // An unknown field is skipped, or refused where it nests deeper than the parser goes.
        let skipped = parse(&format!(r#"{{"action":"ping","other":{deep}}}"#)).1;
        assert!(skipped.is_ok() || skipped.is_err_and(|fault| fault.code == Code::ValidationError));
    }
    let many =
        format!(r#"{{"action":"subscribe","symbols":[{}"A/B"]}}"#, r#""A/B","#.repeat(SYMBOLS_MAX));
    assert_eq!(fault(&many).code, Code::TooManySymbols);
    let most = format!(
        r#"{{"action":"subscribe","symbols":[{}"A/B"]}}"#,
        r#""A/B","#.repeat(SYMBOLS_MAX - 1)
    );
    assert_eq!(names(&subscribe(&most).0.topics), ["A/B"]);
}

#[test]
fn keeps_its_answers_short() {
    let long = "é".repeat(30_000);
    let (_, rejected) = subscribe(&format!(r#"{{"action":"subscribe","symbols":["{long}"]}}"#));
    assert_eq!(rejected[0].symbol.chars().count(), ECHO_CHARS_MAX);
    let refused = fault(&format!(r#"{{"action":"subscribe","since":"{long}"}}"#));
    assert!(refused.explanation.chars().count() <= EXPLANATION_CHARS_MAX);
}

proptest! {
    #[test]
    fn never_panics_and_is_as_strict_as_json(text in "\\PC{0,80}") {
        if parse(&text).1.is_ok() {
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
        }
    }

    #[test]
    fn never_panics_on_almost_commands(
        action in "(subscribe|unsubscribe|auth|ping|[a-z]{0,5})",
        symbols in proptest::collection::vec("[A-Za-z*/\\-\\\\\"]{0,9}", 0..4),
        since in proptest::option::of(any::<i64>()),
    ) {
        let text = serde_json::json!({ "action": action, "symbols": symbols, "since": since });
        if let Ok(Command::Subscribe { request, rejected }) = parse(&text.to_string()).1 {
            prop_assert!(request.topics.len() + rejected.len() <= symbols.len());
        }
    }
}
