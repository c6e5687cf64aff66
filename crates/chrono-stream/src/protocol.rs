//! The messages: what clients may say, and what they are told. Pure text in and out.
//!
//! A client says `subscribe`, `unsubscribe`, `auth` or `ping`, as JSON objects with an `action` and, if it likes, an `id`
//! that comes back with the answer. It is told objects with a `type`; it must ignore types it does not know.
//!
//! | type | when |
//! |---|---|
//! | `subscribed`, `unsubscribed` | answers; `seq` is the connection's position, `rejected` says which symbols were not taken |
//! | `resumed`, `gap`, `reset` | exactly one of them after a `subscribed` that was asked with `since` |
//! | `price_update` | an update; with `snapshot` the current value on request, with `late` one that is older than another of its source |
//! | `heartbeat` | every interval; `seq` is the position |
//! | `authenticated`, `pong`, `error` | answers |
//! | `gap` | also later, in mode `all`, when updates could not be sent in time |
//! | `reconnect` | the server goes away; come back after `after_ms` |
//!
//! The position is the number up to which the connection has been sent every update of its topics. To resume, a new
//! connection's first `subscribe` says the `epoch` and, as `since`, the highest `seq` of a live `price_update` or a
//! `heartbeat`; the `seq` of a `subscribed` serves once its snapshots have come, which they have when anything live comes.

pub mod command;
pub mod message;
