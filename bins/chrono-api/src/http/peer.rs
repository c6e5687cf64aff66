//! The other end of a connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::SockRef;
use tokio::net::TcpStream;

/// The kernel's send buffer of a connection that streams, in bytes.
///
/// Left to itself the kernel takes megabytes: for a reader that lags they are old news and memory. Too low, and a link
/// of long latency carries little.
const STREAM_BUFFER_BYTES: usize = 16 * 1024;

/// Who is at the other end, and how its socket is to be used.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    streams: Arc<AtomicBool>,
}

impl Peer {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, streams: Arc::default() }
    }

    /// Says that what is written from now on is a stream, until another request comes on the connection: it has bounds
    /// of its own, and the socket gets a small send buffer, for good.
    pub fn expect_stream(&self) {
        self.streams.store(true, Ordering::Relaxed);
    }

    /// Takes back that the answer is a stream: another request came.
    pub(super) fn expect_answer(&self) {
        self.streams.store(false, Ordering::Relaxed);
    }

    /// Tells whether the answer is a stream.
    pub(super) fn is_streaming(&self) -> bool {
        self.streams.load(Ordering::Relaxed)
    }
}

/// Makes the kernel's send buffer small; where it refuses, the stream works and only costs more.
pub(super) fn keep_send_buffer_small(socket: &TcpStream) {
    if let Err(fault) = SockRef::from(socket).set_send_buffer_size(STREAM_BUFFER_BYTES) {
        tracing::debug!(error = &fault as &dyn std::error::Error, "send buffer stays large");
    }
}
