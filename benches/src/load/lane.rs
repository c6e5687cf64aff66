//! One connection of the generator.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, bail};
use mio::net::TcpStream;

use super::{Request, find_answer};

/// A connection with at most one request on its way.
pub(super) struct Lane {
    pub(super) socket: TcpStream,
    request: Box<dyn Request>,
    /// Requests begun.
    pub(super) begun: u64,
    /// When the one on its way was to be sent, while one is.
    pub(super) due: Option<Instant>,
    written: usize,
    answer: Vec<u8>,
}

impl Lane {
    pub(super) fn connect(address: SocketAddr, request: Box<dyn Request>) -> anyhow::Result<Self> {
        // Blocking, so that it stands when the clock starts.
        let socket = std::net::TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let socket = TcpStream::from_std(socket);
        Ok(Self { socket, request, begun: 0, due: None, written: 0, answer: Vec::new() })
    }

    /// Sends the next request, which was to be sent at `due`.
    pub(super) fn begin(&mut self, due: Instant) -> anyhow::Result<()> {
        self.request.prepare(self.begun);
        self.begun += 1;
        self.due = Some(due);
        self.written = 0;
        self.flush()
    }

    /// Writes what the socket takes.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        if self.due.is_none() {
            return Ok(());
        }
        while let Some(rest @ [_, ..]) = self.request.bytes().get(self.written..) {
            match self.socket.write(rest) {
                Ok(bytes) => self.written += bytes,
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => break,
                Err(fault) => return Err(fault.into()),
            }
        }
        Ok(())
    }

    /// Reads what is there; gives when the request was due once its answer is whole.
    ///
    /// Nothing follows an answer, so the socket is not asked again then: the next bytes raise the next event.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> anyhow::Result<Option<Instant>> {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
                Ok(bytes) => {
                    self.answer.extend_from_slice(buffer.get(..bytes).context("bytes read")?);
                    if let Some(answer) = find_answer(&self.answer)? {
                        if answer.status != 200 || answer.bytes != self.answer.len() {
                            bail!("not wanted: {}", String::from_utf8_lossy(&self.answer));
                        }
                        self.answer.clear();
                        return Ok(self.due.take());
                    }
                }
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(fault) => return Err(fault.into()),
            }
        }
    }
}
