//! A socket that gives up on peers that take nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::admission::Permit;
use super::peer::{Peer, keep_send_buffer_small};

/// Largest write of several pieces that is joined into one.
///
/// Joining so much costs less than what the kernel takes for a list of pieces over one piece.
const JOINED_BYTES_MAX: usize = 2 * 1024;

/// A TCP stream whose writes fail with [`io::ErrorKind::TimedOut`] when the peer takes no byte for too long.
///
/// hyper bounds how long a peer may take to ask, not how long to read the answer. The stream holds the place of its
/// connection among all; an upgraded connection keeps it, and `hyper::upgrade::Upgraded::downcast` gives the
/// stream back inside its [`Link`](super::Link) and `TokioIo`.
#[derive(Debug)]
pub struct TimedIo {
    stream: TcpStream,
    write_stall: Duration,
    /// Made at the first stall and used again; it counts only while `stalled`.
    timer: Option<Pin<Box<Sleep>>>,
    stalled: bool,
    peer: Peer,
    /// The send buffer was made small already.
    small: bool,
    _permit: Permit,
}

impl TimedIo {
    pub(super) fn new(
        stream: TcpStream,
        peer: Peer,
        write_stall: Duration,
        permit: Permit,
    ) -> Self {
        let (timer, stalled, small) = (None, false, false);
        Self { stream, write_stall, timer, stalled, peer, small, _permit: permit }
    }

    fn shape(&mut self) {
        if !self.small && self.peer.is_streaming() {
            self.small = true;
            keep_send_buffer_small(&self.stream);
        }
    }

    /// Passes on what a write did, or fails it when the peer has taken nothing for too long.
    fn progress(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = false;
            return written;
        }
        let fresh = || sleep(self.write_stall);
        let timer = self.timer.get_or_insert_with(|| Box::pin(fresh()));
        if !self.stalled {
            self.stalled = true;
            timer.set(fresh());
        }
        ready!(timer.as_mut().poll(cx));
        metrics::counter!("http_write_stalls_total").increment(1);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Copies pieces behind each other, if there is room for all.
fn join<'j>(pieces: &[io::IoSlice<'_>], joined: &'j mut [u8]) -> Option<&'j [u8]> {
    let mut end = 0;
    for piece in pieces {
        joined.get_mut(end..end + piece.len())?.copy_from_slice(piece);
        end += piece.len();
    }
    joined.get(..end)
}

impl AsyncRead for TimedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for TimedIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.shape();
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.progress(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shape();
        let mut joined = [0; JOINED_BYTES_MAX];
        let stream = Pin::new(&mut self.stream);
        let written = match join(bufs, &mut joined) {
            Some(whole) => stream.poll_write(cx, whole),
            None => stream.poll_write_vectored(cx, bufs),
        };
        self.progress(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::*;

    #[test]
    fn pieces_are_joined_in_order_and_only_where_all_have_room() {
        let pieces = [&b"head"[..], b"", b"body"].map(IoSlice::new);
        assert_eq!(join(&pieces, &mut [0; 8]), Some(&b"headbody"[..]));
        assert_eq!(join(&pieces, &mut [0; 9]), Some(&b"headbody"[..]));
        assert_eq!(join(&pieces, &mut [0; 7]), None);
        assert_eq!(join(&[], &mut [0; 7]), Some(&b""[..]));
    }
}
