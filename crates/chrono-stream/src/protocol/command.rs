//! What clients say.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use chrono_domain::Seq;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;

use super::message::{Code, Rejected};
use crate::hub::{Resume, Subscribe};
use crate::outbox::Mode;
use crate::topic::Topic;

/// Most symbols of one command.
pub const SYMBOLS_MAX: usize = 1_024;
/// Longest `id`, in characters.
const ID_CHARS_MAX: usize = 64;
/// Longest echo of a text that was refused, in characters.
const ECHO_CHARS_MAX: usize = 64;
/// Longest explanation of a fault, in characters.
const EXPLANATION_CHARS_MAX: usize = 160;

/// A command's `id`, given back with its answer: any JSON scalar, a string of at most 64 characters.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(transparent)]
pub struct CommandId(Value);

/// A well-formed command.
#[derive(Debug)]
pub enum Command {
    /// Send updates.
    Subscribe {
        /// What to send.
        request: Subscribe,
        /// Texts that are not symbols.
        rejected: Vec<Rejected>,
    },
    /// Stop sending updates.
    Unsubscribe {
        /// Of what.
        topics: Vec<Topic>,
        /// Texts that are not symbols.
        rejected: Vec<Rejected>,
    },
    /// Here is my key.
    Auth(Secret),
    /// Are you there?
    Ping,
}

/// A key as a client sent it; it does not show in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Gives the key itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Why a text is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{explanation}")]
pub struct Fault {
    /// The code the client is told.
    pub code: Code,
    /// The words the client is told.
    pub explanation: Cow<'static, str>,
}

impl Fault {
    fn invalid(explanation: impl Into<Cow<'static, str>>) -> Self {
        Self { code: Code::ValidationError, explanation: explanation.into() }
    }
}

/// Reads a command and its `id`.
///
/// The `id` is given beside a fault too, where the text is JSON of the right types.
pub fn parse(text: &str) -> (Option<CommandId>, Result<Command, Fault>) {
    if text.trim_start().starts_with('[') {
        // A derived reader would take an array for the fields in their order.
        return (None, Err(Fault::invalid("not a command: a command is an object")));
    }
    match serde_json::from_str::<Raw<'_>>(text) {
        Ok(mut raw) => (raw.id.take().and_then(|id| id.0), raw.command()),
        Err(fault) => {
            let explanation: String =
                format!("not a command: {fault}").chars().take(EXPLANATION_CHARS_MAX).collect();
            (None, Err(Fault::invalid(explanation)))
        }
    }
}

/// A command's fields, of whatever action. A field given twice is refused, an unknown one ignored.
#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
    id: Option<RawId>,
    #[serde(borrow)]
    symbols: Option<Names<'a>>,
    #[serde(borrow)]
    mode: Option<Cow<'a, str>>,
    snapshot: Option<bool>,
    #[serde(borrow)]
    epoch: Option<Cow<'a, str>>,
    since: Option<u64>,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
}

impl Raw<'_> {
    fn command(self) -> Result<Command, Fault> {
        match &*self.action {
            "subscribe" => self.subscribe(),
            "unsubscribe" => {
                let (topics, rejected) = self.topics()?;
                Ok(Command::Unsubscribe { topics, rejected })
            }
            "auth" => match self.key {
                Some(key) => Ok(Command::Auth(Secret(key.into()))),
                None => Err(Fault::invalid("auth takes a key")),
            },
            "ping" => Ok(Command::Ping),
            _ => Err(Fault {
                code: Code::UnknownAction,
                explanation: "actions are subscribe, unsubscribe, auth and ping".into(),
            }),
        }
    }

    fn subscribe(self) -> Result<Command, Fault> {
        let (topics, rejected) = self.topics()?;
        let mode = match self.mode.as_deref() {
            None => None,
            Some("latest") => Some(Mode::Latest),
            Some("all") => Some(Mode::All),
            Some(_) => return Err(Fault::invalid("mode is latest or all")),
        };
        // An epoch that cannot be read is not ours.
        let epoch = self.epoch.and_then(|text| text.parse().ok());
        let resume = self.since.map(|since| Resume { epoch, since: Seq(since) });
        let snapshot = self.snapshot.unwrap_or(true);
        Ok(Command::Subscribe { request: Subscribe { topics, mode, snapshot, resume }, rejected })
    }

    fn topics(&self) -> Result<(Vec<Topic>, Vec<Rejected>), Fault> {
        let names = match &self.symbols {
            Some(names) if names.surplus => {
                let explanation = format!("at most {SYMBOLS_MAX} symbols");
                return Err(Fault { code: Code::TooManySymbols, explanation: explanation.into() });
            }
            Some(names) if !names.texts.is_empty() => &names.texts,
            _ => return Err(Fault::invalid("symbols is a list of at least one symbol")),
        };
        Ok(sort_names(names.iter().map(AsRef::as_ref)))
    }
}

/// Tells topics, each once, from texts that are none.
pub fn sort_names<'a>(names: impl Iterator<Item = &'a str>) -> (Vec<Topic>, Vec<Rejected>) {
    let (mut topics, mut rejected, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for name in names {
        match Topic::parse(name) {
            Ok(topic) if seen.insert(topic) => topics.push(topic),
            Ok(_repeated) => {}
            Err(_fault) => {
                let symbol = name.chars().take(ECHO_CHARS_MAX).collect::<String>().into();
                rejected.push(Rejected { symbol, code: Code::ValidationError });
            }
        }
    }
    (topics, rejected)
}

/// The texts of `symbols`, bounded while they are read.
#[derive(Default)]
struct Names<'a> {
    texts: Vec<Cow<'a, str>>,
    surplus: bool,
}

/// One of the texts; borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Names<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Names<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of symbols")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names<'de>, A::Error> {
                let mut names = Names::default();
                while names.texts.len() < SYMBOLS_MAX {
                    match list.next_element::<Name<'de>>()? {
                        Some(name) => names.texts.push(name.0),
                        None => return Ok(names),
                    }
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    names.surplus = true;
                }
                Ok(names)
            }
        }

        deserializer.deserialize_seq(List)
    }
}

/// An `id` as sent; null is none.
struct RawId(Option<CommandId>);

impl<'de> Deserialize<'de> for RawId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;

        impl Visitor<'_> for Scalar {
            type Value = RawId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an id that is a scalar of at most {ID_CHARS_MAX} characters")
            }

            fn visit_bool<E: serde::de::Error>(self, id: bool) -> Result<RawId, E> {
                Ok(RawId(Some(CommandId(id.into()))))
            }

            fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<RawId, E> {
                Ok(RawId(Some(CommandId(id.into()))))
            }

            fn visit_i64<E: serde::de::Error>(self, id: i64) -> Result<RawId, E> {
                Ok(RawId(Some(CommandId(id.into()))))
            }

            fn visit_f64<E: serde::de::Error>(self, id: f64) -> Result<RawId, E> {
                Ok(RawId(Some(CommandId(id.into()))))
            }

            fn visit_str<E: serde::de::Error>(self, id: &str) -> Result<RawId, E> {
                if id.chars().count() > ID_CHARS_MAX {
                    return Err(E::invalid_length(id.len(), &self));
                }
                Ok(RawId(Some(CommandId(id.into()))))
            }

            fn visit_unit<E: serde::de::Error>(self) -> Result<RawId, E> {
                Ok(RawId(None))
            }
        }

        deserializer.deserialize_any(Scalar).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
