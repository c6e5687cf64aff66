//! The live price stream: who gets which update, in what order, and what they are told.
//!
//! Three things are kept apart. The [`Hub`] owns subscriptions and values, numbers nothing itself (the bus does) and
//! decides what each client gets: live, from the ring after a pause, conflated when the socket does not keep up, or a
//! declared gap. [`protocol`] reads commands and writes messages. [`Session`] is one client's conversation over the
//! two: keys, limits, heartbeats, deadlines. None of them knows a socket; a transport moves their bytes.
//!
//! Read first: [`Hub`] (the promises), [`Outgoing`] (what a transport writes), [`Session`] (what it calls).
//!
//! ```
//! use chrono_stream::protocol::command::{Command, parse};
//!
//! let (_, command) = parse(r#"{"action":"subscribe","symbols":["btc/usd","*/EUR"]}"#);
//! assert!(matches!(command, Ok(Command::Subscribe { request, .. }) if request.topics.len() == 2));
//! ```

mod batch;
mod close;
mod frame;
mod hub;
mod outbox;
pub mod protocol;
mod registry;
mod ring;
mod session;
mod settings;
mod topic;
mod values;

pub use batch::{Batch, Outgoing};
pub use close::CloseReason;
pub use frame::Frame;
pub use hub::{
    Client, Hub, KeyId, Pulse, Refused, Resume, Resumption, Roused, Subscribe, Subscribed,
    Unsubscribed,
};
pub use outbox::{Flow, Mode};
pub use session::{AuthRequest, Denied, Peer, Session};
pub use settings::StreamSettings;
pub use topic::Topic;
