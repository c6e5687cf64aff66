//! What a client of the stream may say, after `serde_json` and docs/API.md.

use chrono_testkit::oracle::grammar;
use chrono_testkit::oracle::json::{Json, repeated};
use serde_json::Value;

/// Most symbols of a command.
const SYMBOLS_MAX: usize = 1_024;
/// Longest id, in characters.
const ID_CHARS_MAX: usize = 64;

const FIELDS: [&str; 8] = ["action", "id", "symbols", "mode", "snapshot", "epoch", "since", "key"];

/// A command, or the code it is refused with.
#[derive(Debug, PartialEq, Eq)]
pub enum Meant {
    /// Refused.
    Refused(&'static str),
    /// Subscribe: topics, how many texts are none, mode, snapshot, epoch and position.
    Subscribe(Vec<String>, usize, Option<String>, bool, Option<(Option<u64>, u64)>),
    /// Unsubscribe: topics, how many texts are none.
    Unsubscribe(Vec<String>, usize),
    /// Authenticate by a key.
    Auth(String),
    /// Ping.
    Ping,
}

const INVALID: Meant = Meant::Refused("ValidationError");

/// Reads a command and its id; nothing for what nests deeper than `serde_json` goes.
pub fn read(text: &str) -> (Option<Value>, Meant) {
    let Some(Json::Object(fields)) = Json::read(text.as_bytes()) else { return (None, INVALID) };
    let fields: Vec<_> =
        fields.into_iter().filter(|(key, _)| FIELDS.contains(&key.as_str())).collect();
    if repeated(&fields).is_some() || !fields.iter().all(|(key, value)| is_typed(key, value)) {
        return (None, INVALID);
    }
    let find = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let Some(action) = find("action").and_then(Json::text) else { return (None, INVALID) };
    let id = match find("id") {
        Some(Json::Bool(id)) => Some((*id).into()),
        Some(Json::Number(id)) => Some(Value::Number(id.clone())),
        Some(Json::Text(id)) => Some(id.as_str().into()),
        _ => None,
    };
    let text = |name: &str| find(name).and_then(Json::text).map(str::to_owned);
    let since = match find("since") {
        Some(Json::Number(since)) => since.as_u64(),
        _ => None,
    };
    let meant = match action {
        "subscribe" => match (topics(find("symbols")), text("mode").as_deref()) {
            (Err(refused), _) => refused,
            (_, Some(mode)) if !["latest", "all"].contains(&mode) => INVALID,
            (Ok((topics, rejected)), mode) => {
                let epoch = text("epoch").and_then(|epoch| u64::from_str_radix(&epoch, 16).ok());
                let snapshot = find("snapshot") != Some(&Json::Bool(false));
                let resume = since.map(|since| (epoch, since));
                Meant::Subscribe(topics, rejected, mode.map(str::to_owned), snapshot, resume)
            }
        },
        "unsubscribe" => topics(find("symbols")).map_or_else(
            |refused| refused,
            |(topics, rejected)| Meant::Unsubscribe(topics, rejected),
        ),
        "auth" => text("key").map_or(INVALID, Meant::Auth),
        "ping" => Meant::Ping,
        _ => Meant::Refused("UnknownAction"),
    };
    (id, meant)
}

fn is_typed(key: &str, value: &Json) -> bool {
    match (key, value) {
        ("action", value) => value.text().is_some(),
        (_, Json::Null) => true,
        ("id", Json::Text(id)) => id.chars().count() <= ID_CHARS_MAX,
        ("id", value) => matches!(value, Json::Bool(_) | Json::Number(_)),
        ("symbols", Json::Array(names)) => {
            names.iter().take(SYMBOLS_MAX).all(|name| name.text().is_some())
        }
        ("mode" | "epoch" | "key", value) => value.text().is_some(),
        ("snapshot", value) => matches!(value, Json::Bool(_)),
        ("since", Json::Number(since)) => since.is_u64(),
        _ => false,
    }
}

/// Sorts topics, each once, from texts that are none.
fn topics(symbols: Option<&Json>) -> Result<(Vec<String>, usize), Meant> {
    let Some(Json::Array(names)) = symbols else { return Err(INVALID) };
    if names.len() > SYMBOLS_MAX {
        return Err(Meant::Refused("TooManySymbols"));
    }
    if names.is_empty() {
        return Err(INVALID);
    }
    let (mut topics, mut rejected) = (Vec::new(), 0);
    for name in names.iter().filter_map(Json::text) {
        match grammar::topic(name) {
            Some(topic) if topics.contains(&topic) => {}
            Some(topic) => topics.push(topic),
            None => rejected += 1,
        }
    }
    Ok((topics, rejected))
}
