//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::admission::Permit;
use super::head_timer::HeadTimer;
use super::peer::keep_unsent_small;
use super::{Answer, Link, Peer, Settings, TimedIo, Tls};

/// Most headers of a request; more are answered 431 by hyper.
const HEADERS_MAX: usize = 64;
/// Largest head of a request, and what hyper buffers of a body or an answer; larger heads are answered 431 by hyper.
const BUFFER_BYTES_MAX: usize = 16 * 1024;

/// A connection that was let in.
pub(super) struct Conversation {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) permit: Permit,
    pub(super) settings: Settings,
    pub(super) draining: CancellationToken,
    pub(super) tls: Option<Arc<Tls>>,
}

impl Conversation {
    /// Serves requests until the peer leaves, a bound is met, or draining lets the last request finish.
    pub(super) async fn hold<A: Answer>(self, answer: Arc<A>) {
        let Self { stream, peer, permit, settings, draining, tls } = self;
        // Answers go out when they are written; a socket that cannot be told so is dead.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        keep_unsent_small(&stream);
        let other = Peer::new(peer);
        let wrap = |stream| TimedIo::new(stream, other.clone(), &settings, permit);
        // Boxed, both: what opens a connection, and a handshake above all, is not to be held for the rest of it.
        let opening = Box::pin(async {
            match tls {
                Some(tls) => Box::pin(tls.open(stream, wrap, &settings)).await.map(Link::Right),
                None => {
                    speaks(&stream, settings.first_byte).await.then(|| Link::Left(wrap(stream)))
                }
            }
        });
        let Some(Some(link)) = draining.run_until_cancelled(opening).await else { return };
        let io = TokioIo::new(link);
        let service = service_fn(move |request| {
            other.expect_answer();
            let (answer, other) = (Arc::clone(&answer), other.clone());
            async move { Ok::<_, Infallible>(answer.answer(request, other).await) }
        });
        let connection = builder(&settings).serve_connection(io, service).with_upgrades();
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            biased;
            () = draining.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            ended = connection.as_mut() => ended,
        };
        if let Err(fault) = ended {
            tracing::debug!(%peer, error = &fault as &dyn std::error::Error, "connection broke");
        }
    }
}

/// Waits for the first byte: hyper's own deadline starts with it, and is longer.
async fn speaks(stream: &TcpStream, deadline: Duration) -> bool {
    matches!(timeout(deadline, stream.peek(&mut [0; 1])).await, Ok(Ok(1..)))
}

fn builder(settings: &Settings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(HeadTimer::default())
        .header_read_timeout(settings.header_read)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    builder
}
