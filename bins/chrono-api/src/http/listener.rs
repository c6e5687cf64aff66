//! The accept loop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::connection::Conversation;
use super::{Answer, Settings, Tls};
use crate::supervisor::Supervisor;

/// How long accepting rests when the process has no descriptor left; without it the loop would spin.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections on one listener and serves them.
#[derive(Debug)]
pub struct Server<A> {
    listener: TcpListener,
    answer: Arc<A>,
    settings: Settings,
    admission: Arc<Admission>,
    supervisor: Supervisor,
    draining: CancellationToken,
    tls: Option<Arc<Tls>>,
}

impl<A: Answer> Server<A> {
    /// Takes a bound listener; nothing is accepted before [`Server::run`].
    pub fn new(
        listener: TcpListener,
        answer: Arc<A>,
        settings: Settings,
        supervisor: Supervisor,
    ) -> Self {
        let admission = Arc::new(Admission::new(&settings));
        let draining = supervisor.draining();
        Self { listener, answer, settings, admission, supervisor, draining, tls: None }
    }

    /// Takes connections with TLS only.
    #[must_use]
    pub fn with_tls(mut self, tls: Arc<Tls>) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Accepts until the supervisor drains; the listener is closed when the server is dropped after that.
    ///
    /// # Cancel safety
    /// May be dropped at any point; connections live on under the supervisor.
    pub async fn run(&self) {
        let mut is_resting = false;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.draining.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    is_resting = false;
                    self.admit(stream, peer);
                }
                Err(fault) if is_peers(&fault) => {}
                Err(fault) => {
                    metrics::counter!("http_connections_refused_total", "reason" => "accept")
                        .increment(1);
                    // Said once until it works again: it comes ten times a second.
                    if !std::mem::replace(&mut is_resting, true) {
                        let error = &fault as &dyn std::error::Error;
                        tracing::error!(error, "accept fails; it is tried again and again");
                    }
                    sleep(EXHAUSTED_PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        match self.admission.try_admit(peer.ip()) {
            Ok(permit) => {
                let (answer, settings) = (Arc::clone(&self.answer), self.settings);
                // A child of its own: connections must not meet at one lock whenever they are polled.
                let draining = self.draining.child_token();
                let tls = self.tls.clone();
                let conversation = Conversation { stream, peer, permit, settings, draining, tls };
                self.supervisor.connection(conversation.hold(answer));
            }
            Err(full) => {
                metrics::counter!("http_connections_refused_total", "reason" => full.as_str())
                    .increment(1);
                tracing::debug!(%peer, reason = full.as_str(), "connection refused");
            }
        }
    }
}

/// Tells the faults of one peer from those of the process.
fn is_peers(fault: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(fault.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
