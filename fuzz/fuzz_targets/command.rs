//! A message of a stream's client.

#![no_main]

use chrono_fuzz::command::{Meant, read};
use chrono_stream::Mode;
use chrono_stream::protocol::command::{Command, parse};
use chrono_testkit::oracle::json::Json;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (id, command) = parse(text);
    // Deeper than 127 our own reader does not go; the gateway skips such a field without looking at it.
    if Json::read(text.as_bytes()).is_none() && text.matches(['[', '{']).count() > 126 {
        return;
    }
    let (meant_id, meant) = read(text);
    let id = id.map(|id| serde_json::to_value(id).expect("a scalar"));
    assert_eq!((id, said(command)), (meant_id, meant));
});

fn said(command: Result<Command, chrono_stream::protocol::command::Fault>) -> Meant {
    match command {
        Err(fault) => Meant::Refused(match format!("{:?}", fault.code).as_str() {
            "ValidationError" => "ValidationError",
            "UnknownAction" => "UnknownAction",
            "TooManySymbols" => "TooManySymbols",
            other => panic!("an unexpected code {other}"),
        }),
        Ok(Command::Subscribe { request, rejected }) => {
            let mode = request.mode.map(|mode| match mode {
                Mode::Latest => "latest".to_owned(),
                Mode::All => "all".to_owned(),
            });
            let resume =
                request.resume.map(|resume| (resume.epoch.map(|epoch| epoch.0), resume.since.0));
            Meant::Subscribe(texts(&request.topics), rejected.len(), mode, request.snapshot, resume)
        }
        Ok(Command::Unsubscribe { topics, rejected }) => {
            Meant::Unsubscribe(texts(&topics), rejected.len())
        }
        Ok(Command::Auth(key)) => Meant::Auth(key.expose().to_owned()),
        Ok(Command::Ping) => Meant::Ping,
    }
}

fn texts(topics: &[chrono_stream::Topic]) -> Vec<String> {
    topics.iter().map(|topic| topic.as_str().to_owned()).collect()
}
