//! The transport: sockets, hyper connections, bodies and their bounds. It knows no routes, keys or errors of ours.
//!
//! One [`Server`] accepts on one listener and hands each request to an [`Answer`]. Everything a peer may hold is
//! bounded in number, size and time; the bounds are in [`Settings`].

mod admission;
mod answer_budget;
mod body;
mod connection;
mod head_timer;
mod listener;
mod peer;
mod reading;
mod screen;
mod settings;
mod timed_io;
mod tls;

use std::future::Future;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio_util::either::Either;

pub use answer_budget::{AnswerBudget, Crowded, Room};
pub use body::{Body, BoxError};
pub use listener::Server;
pub use peer::Peer;
pub use reading::{BodyFault, read_body};
pub use screen::{Refusal, screen};
pub use settings::{BodyLimits, Settings};
pub use timed_io::TimedIo;
pub use tls::{Tls, TlsFault, TlsFiles};

/// The bytes of a connection, without or with TLS.
pub type Link = Either<TimedIo, tls::Secured>;

/// Gives every request its response.
pub trait Answer: Send + Sync + 'static {
    /// Answers one request of a peer; dropped when the peer leaves before.
    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Body>> + Send;
}
