//! The other end of a connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

/// The kernel's send buffer of a connection that streams, in bytes.
///
/// Left to itself the kernel takes megabytes: for a reader that lags they are old news and memory. Too low, and a link
/// of long latency carries little.
const STREAM_BUFFER_BYTES: usize = 16 * 1024;
/// What the kernel may hold of an answer beside what is on the wire, in bytes.
///
/// Left to itself Linux takes 4 MiB of a connection once it was read fast: memory that no budget counts, and that a slow
/// reader must empty by a third before anything more is written, so that it seems to stand still. Too low, and a fast
/// reader waits for us between two writes.
const UNSENT_BYTES: u32 = 128 * 1024;

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

/// Bounds what the kernel holds of answers for a reader that takes its time; where it refuses, answers only cost more.
pub(super) fn keep_unsent_small(socket: &TcpStream) {
    if let Err(fault) = limit_unsent(&SockRef::from(socket), UNSENT_BYTES) {
        tracing::debug!(error = &fault as &dyn std::error::Error, "send buffer stays unbounded");
    }
}

/// Bounds what is not sent yet, whatever is on the wire: a link of long latency carries as much as it can.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn limit_unsent(socket: &SockRef<'_>, bytes: u32) -> io::Result<()> {
    socket.set_tcp_notsent_lowat(bytes)
}

/// Bounds the whole buffer, since nothing safe bounds its unsent part here: a link carries this much per round trip.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn limit_unsent(socket: &SockRef<'_>, bytes: u32) -> io::Result<()> {
    socket.set_send_buffer_size(usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// Has the kernel drop what is not sent when the socket is closed: it would hold it for minutes for a peer that takes
/// nothing.
pub(super) fn forget_unsent(socket: &TcpStream) {
    if let Err(fault) = SockRef::from(socket).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(
            error = &fault as &dyn std::error::Error,
            "what is not sent stays for a while"
        );
    }
}

/// Makes the kernel's send buffer small; where it refuses, the stream works and only costs more.
pub(super) fn keep_send_buffer_small(socket: &TcpStream) {
    if let Err(fault) = SockRef::from(socket).set_send_buffer_size(STREAM_BUFFER_BYTES) {
        tracing::debug!(error = &fault as &dyn std::error::Error, "send buffer stays large");
    }
}
