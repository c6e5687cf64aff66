//! A socket that gives up on peers that take nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::Settings;
use super::admission::Permit;
use super::peer::{Peer, forget_unsent, keep_send_buffer_small};

/// Largest write of several pieces that is joined into one.
///
/// Joining so much costs less than what the kernel takes for a list of pieces over one piece.
const JOINED_BYTES_MAX: usize = 2 * 1024;

/// What a peer takes for each [`Settings::write_pace`], as a power of two: 64 KiB.
const PACE_BITS: u32 = 16;

/// A TCP stream whose writes fail with [`io::ErrorKind::TimedOut`] when the peer takes no byte for too long, or an
/// answer too slowly on the whole.
///
/// hyper bounds how long a peer may take to ask, not how long to read the answer. The stream holds the place of its
/// connection among all; an upgraded connection keeps it, and `hyper::upgrade::Upgraded::downcast` gives the
/// stream back inside its [`Link`](super::Link) and `TokioIo`.
#[derive(Debug)]
pub struct TimedIo {
    stream: TcpStream,
    write_stall: Duration,
    write_pace: Duration,
    /// Made at the first stall and used again; it counts only while `stalled`.
    timer: Option<Pin<Box<Sleep>>>,
    stalled: bool,
    /// What waited the longest since all was written, if anything.
    backlog: Option<Backlog>,
    peer: Peer,
    /// The send buffer was made small already.
    small: bool,
    _permit: Permit,
}

/// An answer that the peer does not take as fast as it comes.
#[derive(Debug)]
struct Backlog {
    /// Until when it would have to be written, had the peer taken nothing of it.
    due: Instant,
    /// What the peer took of it, in bytes.
    taken: usize,
}

impl TimedIo {
    pub(super) fn new(stream: TcpStream, peer: Peer, settings: &Settings, permit: Permit) -> Self {
        let Settings { write_stall, write_pace, .. } = *settings;
        let (timer, backlog, stalled, small) = (None, None, false, false);
        Self {
            stream,
            write_stall,
            write_pace,
            timer,
            stalled,
            backlog,
            peer,
            small,
            _permit: permit,
        }
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
        if let Poll::Ready(outcome) = &written {
            self.stalled = false;
            if let (Some(backlog), Ok(bytes)) = (&mut self.backlog, outcome) {
                backlog.taken = backlog.taken.saturating_add(*bytes);
            }
            return written;
        }
        if !self.stalled {
            self.stalled = true;
            self.wind();
        }
        let Some(timer) = &mut self.timer else { return Poll::Pending };
        ready!(timer.as_mut().poll(cx));
        metrics::counter!("http_write_stalls_total").increment(1);
        forget_unsent(&self.stream);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Sets the timer to the earlier of two ends: that of this stall, and that of the whole answer, unless it is a
    /// stream.
    fn wind(&mut self) {
        let stall = sleep(self.write_stall);
        let mut end = stall.deadline();
        if self.peer.is_streaming() {
            self.backlog = None;
        } else {
            let backlog = self.backlog.get_or_insert(Backlog { due: end, taken: 0 });
            let paces = u32::try_from(backlog.taken >> PACE_BITS).unwrap_or(u32::MAX);
            end = end.min(backlog.due + self.write_pace.saturating_mul(paces));
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(stall));
        timer.as_mut().reset(end);
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
        // Whoever flushes has written all there is.
        self.backlog = None;
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
