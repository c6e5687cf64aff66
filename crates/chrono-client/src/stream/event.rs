//! What the gateway says on a stream.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::ClientError;
use crate::client::from_json;

/// A message of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The key of the first message was taken.
    Authenticated,
    /// A subscription was taken, for some of its symbols at least.
    Subscribed {
        /// Symbols followed from now on.
        symbols: Vec<String>,
        /// Symbols that are not.
        rejected: Vec<Rejected>,
        /// The life of the gateway's bus.
        epoch: Option<String>,
        /// The bus's newest number when the subscription began.
        seq: Option<u64>,
    },
    /// Symbols were given up.
    Unsubscribed {
        /// Symbols no longer followed.
        symbols: Vec<String>,
        /// Symbols that were not followed.
        rejected: Vec<Rejected>,
        /// Updates of the symbols up to this number were sent; none will be after it.
        seq: Option<u64>,
    },
    /// A price.
    PriceUpdate(PriceUpdate),
    /// The connection lives.
    Heartbeat {
        /// The gateway's time, RFC 3339.
        timestamp: String,
        /// Every update up to this number that this stream is entitled to was written before.
        seq: Option<u64>,
        /// How far the gateway itself is behind its bus, in milliseconds.
        bus_lag_ms: Option<u64>,
    },
    /// Everything since the position asked for follows: updates of numbers above `from`, up to `to`.
    Resumed {
        /// The position asked for: the last number that this stream had.
        from: u64,
        /// Last number of what follows; `from` where nothing was missed.
        to: u64,
    },
    /// Updates of numbers above `from`, up to `to`, are no longer to be had here.
    Gap {
        /// The last number that this stream had.
        from: u64,
        /// Last missing number.
        to: u64,
        /// Where the ticks themselves are to be had.
        history_url: Option<String>,
    },
    /// The position asked for is of another life of the bus; current values follow.
    Reset {
        /// The life of the bus from now on.
        epoch: String,
    },
    /// A command was not understood or not allowed.
    Error {
        /// The error code.
        code: String,
        /// The gateway's words.
        message: String,
    },
    /// The gateway is about to close: connect anew, but not before.
    Reconnect {
        /// How long to wait, in milliseconds.
        after_ms: u64,
    },
    /// A message of a type that this client does not know, to be ignored.
    Other {
        /// Its type.
        kind: String,
        /// All of it.
        text: String,
    },
}

/// A symbol that a subscription did not take.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Rejected {
    /// The symbol as asked for.
    pub symbol: String,
    /// Why not.
    pub code: String,
}

/// A price as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceUpdate {
    /// `BASE/QUOTE`.
    pub symbol: String,
    /// Quote currency per unit of base, as sent.
    pub price: String,
    /// Size traded, in base currency, as sent.
    pub volume: Option<String>,
    /// Where the price was seen.
    pub source: String,
    /// The source's time, RFC 3339.
    pub timestamp: String,
    /// The update's number on the bus.
    pub seq: Option<u64>,
    /// Whether it is the current value at the start of a subscription.
    pub snapshot: bool,
    /// Whether a newer one of its symbol and source came before it.
    pub late: bool,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, rename = "type")]
    kind: std::borrow::Cow<'a, str>,
}

#[derive(Deserialize)]
struct Answer {
    id: u64,
}

#[derive(Deserialize)]
struct Subscribed {
    #[serde(default)]
    symbols: Vec<String>,
    #[serde(default)]
    rejected: Vec<Rejected>,
    #[serde(default)]
    epoch: Option<String>,
    #[serde(default)]
    seq: Option<u64>,
}

#[derive(Deserialize)]
struct Update {
    data: UpdateData,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(default)]
    snapshot: bool,
    #[serde(default)]
    late: bool,
}

#[derive(Deserialize)]
struct UpdateData {
    symbol: String,
    price: String,
    #[serde(default)]
    volume: Option<String>,
    source: String,
    timestamp: String,
}

#[derive(Deserialize)]
struct Heartbeat {
    timestamp: String,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(default)]
    bus_lag_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Stretch {
    from: u64,
    to: u64,
    #[serde(default)]
    history_url: Option<String>,
}

#[derive(Deserialize)]
struct Reset {
    epoch: String,
}

#[derive(Deserialize)]
struct Said {
    code: String,
    message: String,
}

#[derive(Deserialize)]
struct Reconnect {
    after_ms: u64,
}

impl Event {
    pub(crate) fn read(text: &str) -> Result<Self, ClientError> {
        let head: Head<'_> = from_json(text.as_bytes())?;
        Ok(match &*head.kind {
            "authenticated" => Self::Authenticated,
            "subscribed" => {
                let Subscribed { symbols, rejected, epoch, seq } = body(text)?;
                Self::Subscribed { symbols, rejected, epoch, seq }
            }
            "unsubscribed" => {
                let Subscribed { symbols, rejected, seq, .. } = body(text)?;
                Self::Unsubscribed { symbols, rejected, seq }
            }
            "price_update" => Self::PriceUpdate(body::<Update>(text)?.into()),
            "heartbeat" => {
                let Heartbeat { timestamp, seq, bus_lag_ms } = body(text)?;
                Self::Heartbeat { timestamp, seq, bus_lag_ms }
            }
            "resumed" => {
                let Stretch { from, to, .. } = body(text)?;
                Self::Resumed { from, to }
            }
            "gap" => {
                let Stretch { from, to, history_url } = body(text)?;
                Self::Gap { from, to, history_url }
            }
            "reset" => Self::Reset { epoch: body::<Reset>(text)?.epoch },
            "error" => {
                let Said { code, message } = body(text)?;
                Self::Error { code, message }
            }
            "reconnect" => Self::Reconnect { after_ms: body::<Reconnect>(text)?.after_ms },
            kind => Self::Other { kind: kind.to_owned(), text: text.to_owned() },
        })
    }

    /// Tells whether it answers a command about symbols.
    pub(crate) const fn is_answer(&self) -> bool {
        matches!(self, Self::Subscribed { .. } | Self::Unsubscribed { .. } | Self::Error { .. })
    }
}

/// Gives the `id` of the command that a message answers; none where it has none of ours.
pub(crate) fn id_of(text: &str) -> Option<u64> {
    from_json::<Answer>(text.as_bytes()).ok().map(|answer| answer.id)
}

impl From<Update> for PriceUpdate {
    fn from(update: Update) -> Self {
        let Update { data, seq, snapshot, late } = update;
        let UpdateData { symbol, price, volume, source, timestamp } = data;
        Self { symbol, price, volume, source, timestamp, seq, snapshot, late }
    }
}

fn body<T: DeserializeOwned>(text: &str) -> Result<T, ClientError> {
    from_json(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_specs_own_messages() {
        let update = Event::read(
            r#"{"type":"price_update","data":{"symbol":"BTC/USD","price":"67234.50",
               "volume":"1234.567890","source":"binance","timestamp":"2025-10-09T12:34:56.123Z"}}"#,
        );
        let Ok(Event::PriceUpdate(update)) = update else { panic!("no update: {update:?}") };
        assert_eq!((update.price.as_str(), update.seq, update.late), ("67234.50", None, false));
        let heartbeat =
            Event::read(r#"{"type":"heartbeat","timestamp":"2025-10-09T12:34:56.789Z"}"#).unwrap();
        assert!(matches!(heartbeat, Event::Heartbeat { seq: None, .. }));
    }

    #[test]
    fn knows_which_command_is_answered() {
        let answer = |id: &str| format!(r#"{{"type":"error",{id}"code":"c","message":"m"}}"#);
        let ids = [r#""id":7,"#, r#""id":"x","#, ""].map(|id| id_of(&answer(id)));
        assert_eq!(ids, [Some(7), None, None]);
        let gone = r#"{"type":"unsubscribed","id":8,"symbols":["A/X"],"rejected":[],"seq":5}"#;
        let expected = Event::Unsubscribed {
            symbols: vec!["A/X".to_owned()],
            rejected: Vec::new(),
            seq: Some(5),
        };
        assert_eq!((Event::read(gone).unwrap(), id_of(gone)), (expected, Some(8)));
    }

    #[test]
    fn passes_on_what_it_does_not_know() {
        let text = r#"{"type":"news","x":1}"#;
        let other = Event::Other { kind: "news".to_owned(), text: text.to_owned() };
        assert_eq!(Event::read(text).unwrap(), other);
        for text in ["", "[]", "{}", r#"{"type":1}"#, r#"{"type":"gap"}"#] {
            assert!(matches!(Event::read(text), Err(ClientError::Protocol(_))), "{text}");
        }
    }
}
