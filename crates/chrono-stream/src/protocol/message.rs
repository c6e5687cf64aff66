//! What clients are told.

use std::borrow::Cow;

use bytes::Bytes;
use chrono_domain::{Epoch, Seq, Timestamp};
use serde::{Serialize, Serializer};

use super::command::{CommandId, Fault};
use crate::close::CloseReason;
use crate::hub::{Resumption, Subscribed, Unsubscribed};
use crate::topic::Topic;

/// Where updates of a gap can be read; the client fills in the symbol and the time of the last update it had.
const HISTORY_URL: &str = "/prices/range?symbol={symbol}&from={timestamp}&order=asc";

/// What went wrong, in the words of the error codes of the REST surface where they fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// Not a command, or not a symbol.
    ValidationError,
    /// No such action.
    UnknownAction,
    /// No key yet, or a wrong one.
    Unauthorized,
    /// More messages than the rate allows, or more requests of the key.
    RateLimitExceeded,
    /// More symbols than a command or a connection may have.
    TooManySymbols,
    /// More streams than the key may have.
    TooManyConnections,
    /// The symbol was not subscribed to.
    NotSubscribed,
}

/// A symbol that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// The text as it was sent, cut to 64 characters.
    pub symbol: Box<str>,
    /// Why.
    pub code: Code,
}

/// A message but `price_update`, which is encoded with its frame.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Message<'a> {
    Subscribed {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a CommandId>,
        symbols: Vec<&'a str>,
        rejected: &'a [Rejected],
        #[serde(serialize_with = "as_text")]
        epoch: Epoch,
        seq: u64,
    },
    Unsubscribed {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a CommandId>,
        symbols: Vec<&'a str>,
        rejected: &'a [Rejected],
        seq: u64,
    },
    Authenticated {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a CommandId>,
    },
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a CommandId>,
    },
    Resumed {
        from: u64,
        to: u64,
    },
    Gap {
        from: u64,
        to: u64,
        history_url: &'static str,
    },
    Reset {
        #[serde(serialize_with = "as_text")]
        epoch: Epoch,
    },
    Heartbeat {
        #[serde(serialize_with = "as_text")]
        timestamp: Timestamp,
        seq: u64,
        bus_lag_ms: u64,
    },
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a CommandId>,
        code: Code,
        message: &'a str,
    },
    Reconnect {
        after_ms: u64,
    },
}

impl Message<'_> {
    fn encode(&self) -> Bytes {
        // Cannot fail: every key is a text and every value has a JSON form.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

fn as_text<S: Serializer>(
    value: &impl std::fmt::Display,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Answers a subscription; those of its symbols that were not taken are in `rejected`.
pub fn subscribed(
    id: Option<&CommandId>,
    done: &Subscribed,
    mut rejected: Vec<Rejected>,
    epoch: Epoch,
) -> Bytes {
    rejected.extend(done.surplus.iter().map(|topic| reject(topic, Code::TooManySymbols)));
    Message::Subscribed {
        id,
        symbols: done.topics.iter().map(Topic::as_str).collect(),
        rejected: &rejected,
        epoch,
        seq: done.position.0,
    }
    .encode()
}

/// Answers how a resume ends.
pub fn resumption(answer: Resumption, epoch: Epoch) -> Bytes {
    match answer {
        Resumption::Resumed { from, to } => Message::Resumed { from: from.0, to: to.0 }.encode(),
        Resumption::Gap { from, to } => gap(from, to),
        Resumption::Reset => Message::Reset { epoch }.encode(),
    }
}

/// Says that updates after `from` up to `to` will not come.
pub fn gap(from: Seq, to: Seq) -> Bytes {
    Message::Gap { from: from.0, to: to.0, history_url: HISTORY_URL }.encode()
}

/// Answers an unsubscription.
pub fn unsubscribed(
    id: Option<&CommandId>,
    done: &Unsubscribed,
    mut rejected: Vec<Rejected>,
) -> Bytes {
    rejected.extend(done.unknown.iter().map(|topic| reject(topic, Code::NotSubscribed)));
    let symbols = done.topics.iter().map(Topic::as_str).collect();
    Message::Unsubscribed { id, symbols, rejected: &rejected, seq: done.position.0 }.encode()
}

/// Answers a key that was taken.
pub fn authenticated(id: Option<&CommandId>) -> Bytes {
    Message::Authenticated { id }.encode()
}

/// Answers a ping.
pub fn pong(id: Option<&CommandId>) -> Bytes {
    Message::Pong { id }.encode()
}

/// Says that the server is there, and how far the client is.
pub fn heartbeat(now: Timestamp, position: Seq, lag: std::time::Duration) -> Bytes {
    let bus_lag_ms = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
    Message::Heartbeat { timestamp: now, seq: position.0, bus_lag_ms }.encode()
}

/// Says what was wrong with a message.
pub fn error(id: Option<&CommandId>, code: Code, message: &str) -> Bytes {
    Message::Error { id, code, message }.encode()
}

/// Says what was wrong with a command.
pub fn fault(id: Option<&CommandId>, fault: &Fault) -> Bytes {
    error(id, fault.code, &fault.explanation)
}

/// Says that the server goes away, and when to come back.
pub fn reconnect(after: std::time::Duration) -> Bytes {
    let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    Message::Reconnect { after_ms }.encode()
}

/// Says what a stream ends with, where the peer still takes something.
pub fn farewell(reason: CloseReason) -> Option<Bytes> {
    let code = match reason {
        CloseReason::Draining(after) => return Some(reconnect(after)),
        CloseReason::Unauthorized | CloseReason::KeyGone => Code::Unauthorized,
        CloseReason::TooManyMessages | CloseReason::TooManyRequests => Code::RateLimitExceeded,
        CloseReason::TooManyConnections => Code::TooManyConnections,
        CloseReason::AnswersUnread | CloseReason::NoProgress | CloseReason::NoPong => return None,
    };
    Some(error(None, code, reason.text()))
}

fn reject(topic: &Topic, code: Code) -> Rejected {
    let symbol: Cow<'_, str> = topic.as_str().into();
    Rejected { symbol: symbol.into(), code }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::protocol::command;

    fn text(bytes: &Bytes) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn say_what_the_design_says() {
        let (id, _) = command::parse(r#"{"action":"ping","id":"a\"1"}"#);
        let id = id.as_ref();
        let done = Subscribed {
            topics: vec![Topic::parse("BTC/USD").unwrap(), Topic::parse("*/EUR").unwrap()],
            surplus: vec![Topic::parse("A/B").unwrap()],
            position: Seq(7),
            resumption: None,
            snapshot: true,
        };
        let rejected = vec![Rejected { symbol: "x".into(), code: Code::ValidationError }];
        assert_eq!(
            text(&subscribed(id, &done, rejected, Epoch(255))),
            r#"{"type":"subscribed","id":"a\"1","symbols":["BTC/USD","*/EUR"],"rejected":[{"symbol":"x","code":"VALIDATION_ERROR"},{"symbol":"A/B","code":"TOO_MANY_SYMBOLS"}],"epoch":"00000000000000ff","seq":7}"#
        );
        let done = Unsubscribed {
            topics: done.topics,
            unknown: vec![Topic::parse("A/B").unwrap()],
            position: Seq(8),
        };
        assert_eq!(
            text(&unsubscribed(None, &done, Vec::new())),
            r#"{"type":"unsubscribed","symbols":["BTC/USD","*/EUR"],"rejected":[{"symbol":"A/B","code":"NOT_SUBSCRIBED"}],"seq":8}"#
        );
        assert_eq!(text(&authenticated(None)), r#"{"type":"authenticated"}"#);
        assert_eq!(text(&pong(id)), r#"{"type":"pong","id":"a\"1"}"#);
        assert_eq!(
            text(&error(None, Code::Unauthorized, "no \"key\"")),
            r#"{"type":"error","code":"UNAUTHORIZED","message":"no \"key\""}"#
        );
    }

    #[test]
    fn tell_positions_and_times() {
        let resumed = Resumption::Resumed { from: Seq(1), to: Seq(2) };
        assert_eq!(text(&resumption(resumed, Epoch(1))), r#"{"type":"resumed","from":1,"to":2}"#);
        assert_eq!(
            text(&resumption(Resumption::Gap { from: Seq(1), to: Seq(2) }, Epoch(1))),
            r#"{"type":"gap","from":1,"to":2,"history_url":"/prices/range?symbol={symbol}&from={timestamp}&order=asc"}"#
        );
        assert_eq!(
            text(&resumption(Resumption::Reset, Epoch(1))),
            r#"{"type":"reset","epoch":"0000000000000001"}"#
        );
        assert_eq!(
            text(&heartbeat(Timestamp::MIN, Seq(3), Duration::from_micros(1_900))),
            r#"{"type":"heartbeat","timestamp":"1970-01-01T00:00:00.000Z","seq":3,"bus_lag_ms":1}"#
        );
        assert_eq!(
            text(&reconnect(Duration::from_millis(1_500))),
            r#"{"type":"reconnect","after_ms":1500}"#
        );
    }
}
