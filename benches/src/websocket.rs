//! Subscribers: many sockets, read by one thread, that count the updates they get and answer pings.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use chrono_testkit::PUBLIC_KEY;
use memchr::memmem;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// Bytes read at once.
const BUFFER_BYTES: usize = 64 * 1024;
/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The nonce of RFC 6455, section 1.3; it is no secret.
const NONCE: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The first byte of a ping, and a whole pong of a client (RFC 6455, section 5.5); its mask is zero.
const PING: u8 = 0x89;
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];
/// What every update begins with, in the gateway's order of members.
const UPDATE: &[u8] = br#""type":"price_update""#;

/// Clients that listen.
#[derive(Debug)]
pub struct Audience {
    poll: Poll,
    clients: Vec<Client>,
    events: Events,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Client {
    socket: TcpStream,
    /// What was read of a frame that is not whole.
    part: Vec<u8>,
    updates: usize,
    /// Pings that are not answered yet.
    pings: usize,
}

/// When the clients had what they waited for.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// The first of them.
    pub first: Instant,
    /// The last of them.
    pub last: Instant,
}

impl Audience {
    /// Connects so many clients that speak WebSocket and subscribe to these symbols without snapshots.
    ///
    /// # Errors
    /// When one is not let in.
    pub fn subscribe(
        address: SocketAddr,
        clients: usize,
        symbols: &[String],
    ) -> anyhow::Result<Self> {
        Self::subscribe_each(address, clients, |_client| symbols.to_vec())
    }

    /// Connects clients that subscribe to symbols of their own.
    ///
    /// # Errors
    /// As [`Audience::subscribe`].
    pub fn subscribe_each(
        address: SocketAddr,
        clients: usize,
        symbols: impl Fn(usize) -> Vec<String>,
    ) -> anyhow::Result<Self> {
        Self::of(clients, |client| {
            let (action, symbols) = ("subscribe", symbols(client));
            let command =
                serde_json::json!({"action": action, "symbols": symbols, "snapshot": false});
            open(address, &masked(command.to_string().as_bytes()))
        })
    }

    /// Connects so many clients that speak no protocol and only get frames.
    ///
    /// # Errors
    /// When one cannot connect.
    pub fn plain(address: SocketAddr, clients: usize) -> anyhow::Result<Self> {
        Self::of(clients, |_client| Ok(std::net::TcpStream::connect(address)?))
    }

    fn of(
        clients: usize,
        mut open: impl FnMut(usize) -> anyhow::Result<std::net::TcpStream>,
    ) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let mut listening = Vec::with_capacity(clients);
        for idx in 0..clients {
            let socket = open(idx)?;
            socket.set_nonblocking(true)?;
            let mut socket = TcpStream::from_std(socket);
            poll.registry().register(&mut socket, Token(idx), Interest::READABLE)?;
            listening.push(Client { socket, part: Vec::new(), updates: 0, pings: 0 });
        }
        let (events, buffer) = (Events::with_capacity(4_096), vec![0; BUFFER_BYTES]);
        Ok(Self { poll, clients: listening, events, buffer })
    }

    /// Waits until every client has got so many updates more.
    ///
    /// # Errors
    /// When they do not come in time, or one gets more.
    pub fn hear(&mut self, updates: usize, time: Duration) -> anyhow::Result<Heard> {
        let deadline = Instant::now() + time;
        self.clients.iter_mut().for_each(|client| client.updates = 0);
        let mut waiting = self.clients.len();
        let mut first = None;
        while waiting > 0 {
            ensure!(Instant::now() < deadline, "{waiting} clients still wait for their updates");
            self.poll.poll(&mut self.events, Some(Duration::from_millis(100)))?;
            for event in &self.events {
                let client = self.clients.get_mut(event.token().0).context("a client")?;
                let before = client.updates;
                client.read(&mut self.buffer, &mut |_update| ())?;
                ensure!(client.updates <= updates, "a client got more than was sent");
                if before < updates && client.updates == updates {
                    waiting -= 1;
                    first.get_or_insert_with(Instant::now);
                }
            }
        }
        let last = Instant::now();
        Ok(Heard { first: first.unwrap_or(last), last })
    }

    /// Reads what is there, for so long, and counts the updates over all clients.
    ///
    /// # Errors
    /// When a connection breaks.
    pub fn listen(&mut self, time: Duration) -> anyhow::Result<u64> {
        let mut updates = 0;
        self.listen_to(time, &mut |_update| updates += 1)?;
        Ok(updates)
    }

    /// Reads what is there, for so long, and hands every update of every client over, as JSON.
    ///
    /// # Errors
    /// When a connection breaks.
    pub fn listen_to(&mut self, time: Duration, seen: &mut dyn FnMut(&[u8])) -> anyhow::Result<()> {
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.poll.poll(&mut self.events, Some(left))?;
            for event in &self.events {
                let client = self.clients.get_mut(event.token().0).context("a client")?;
                client.read(&mut self.buffer, seen)?;
            }
        }
    }
}

impl Client {
    fn read(&mut self, buffer: &mut [u8], seen: &mut dyn FnMut(&[u8])) -> anyhow::Result<()> {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => bail!("a client was cut off"),
                Ok(bytes) => {
                    self.take(buffer.get(..bytes).context("bytes read")?, seen);
                    for _ in 0..std::mem::take(&mut self.pings) {
                        // So small that the socket takes it whole.
                        self.socket.write_all(&PONG)?;
                    }
                    if bytes < buffer.len() {
                        return Ok(());
                    }
                }
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(fault) => return Err(fault.into()),
            }
        }
    }

    fn take(&mut self, read: &[u8], seen: &mut dyn FnMut(&[u8])) {
        if self.part.is_empty() {
            let used = self.count(read, seen);
            self.part.extend_from_slice(read.get(used..).unwrap_or_default());
        } else {
            let mut joined = std::mem::take(&mut self.part);
            joined.extend_from_slice(read);
            let used = self.count(&joined, seen);
            joined.drain(..used);
            self.part = joined;
        }
    }

    /// Counts the updates and the pings among the whole frames; gives their bytes.
    fn count(&mut self, bytes: &[u8], seen: &mut dyn FnMut(&[u8])) -> usize {
        let mut used = 0;
        while let Some((payload, length)) = frame(bytes.get(used..).unwrap_or_default()) {
            self.pings += usize::from(bytes.get(used) == Some(&PING));
            used += length;
            if memmem::find(payload, UPDATE).is_some() {
                self.updates += 1;
                seen(payload);
            }
        }
        used
    }
}

/// Finds the first frame of a server (RFC 6455, section 5.2): its payload and its whole length.
fn frame(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (head, length) = match *bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    Some((bytes.get(head..head + length)?, head + length))
}

/// Frames a text of a client; the mask is zero, so that it stays readable.
fn masked(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    match u8::try_from(length) {
        Ok(short @ ..=125) => frame.push(0x80 + short),
        _ => frame.extend([&[0xfe][..], &length.to_be_bytes()].concat()),
    }
    frame.extend([0; 4]);
    frame.extend(text);
    frame
}

/// Shakes hands, subscribes, and waits for the answer.
fn open(address: SocketAddr, command: &[u8]) -> anyhow::Result<std::net::TcpStream> {
    let mut socket = std::net::TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let head = format!(
        "GET /stream HTTP/1.1\r\nHost: bench\r\nX-API-Key: {PUBLIC_KEY}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {NONCE}\r\n\r\n"
    );
    socket.write_all(head.as_bytes())?;
    let mut read = Vec::new();
    read_until(&mut socket, &mut read, b"\r\n\r\n")?;
    ensure!(read.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&read));
    socket.write_all(command)?;
    read_until(&mut socket, &mut read, br#""type":"subscribed""#)?;
    let from = memmem::find(&read, b"\r\n\r\n").map_or(0, |at| at + 4);
    while frame(read.get(from..).unwrap_or_default()).is_none() {
        read_more(&mut socket, &mut read)?;
    }
    Ok(socket)
}

fn read_until(
    socket: &mut std::net::TcpStream,
    read: &mut Vec<u8>,
    text: &[u8],
) -> anyhow::Result<()> {
    while memmem::find(read, text).is_none() {
        read_more(socket, read)?;
    }
    Ok(())
}

fn read_more(socket: &mut std::net::TcpStream, read: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut buffer = [0; 1_024];
    let bytes = socket.read(&mut buffer)?;
    ensure!(bytes > 0, "a client was cut off: {}", String::from_utf8_lossy(read));
    read.extend_from_slice(buffer.get(..bytes).context("bytes read")?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_frames_of_every_length() {
        for length in [0_usize, 5, 125, 126, 65_535] {
            let mut bytes = vec![0x81];
            match u8::try_from(length) {
                Ok(short @ ..=125) => bytes.push(short),
                _ => bytes
                    .extend([&[126][..], &u16::try_from(length).unwrap().to_be_bytes()].concat()),
            }
            bytes.extend(vec![b'x'; length]);
            let whole = bytes.len();
            assert_eq!(frame(&bytes), Some((&vec![b'x'; length][..], whole)));
            assert_eq!(frame(&bytes[..whole - 1]), None);
        }
    }
}
