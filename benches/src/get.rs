//! Questions, and a single one asked with patience.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, ensure};
use chrono_testkit::PUBLIC_KEY;

use crate::load::{Request, find_answer};

/// How long a single question may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// GET requests.
pub struct Get {
    path: Box<dyn FnMut(u64) -> Option<String> + Send>,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Get {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Get").finish_non_exhaustive()
    }
}

impl Get {
    /// Asks for the same path again and again.
    pub fn always(path: &str) -> Self {
        Self { path: Box::new(|_turn| None), bytes: head(path) }
    }

    /// Asks for another path at every turn, so that no cached answer fits.
    pub fn each(mut path: impl FnMut(u64) -> String + Send + 'static) -> Self {
        Self { path: Box::new(move |turn| Some(path(turn))), bytes: Vec::new() }
    }
}

impl Request for Get {
    fn prepare(&mut self, turn: u64) {
        if let Some(path) = (self.path)(turn) {
            self.bytes = head(&path);
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn head(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\nX-API-Key: {PUBLIC_KEY}\r\n\r\n").into_bytes()
}

/// Asks a gateway for a count that it has among its metrics; none of one that it has not begun yet.
///
/// # Errors
/// As [`ask`], and when it is no whole number.
pub fn metric(address: SocketAddr, name: &str) -> anyhow::Result<Option<u64>> {
    let metrics = String::from_utf8(ask(address, &Get::always("/metrics"))?)?;
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned);
    Ok(metrics.lines().find_map(value).map(|value| value.parse()).transpose()?)
}

/// Sends one request and gives the whole answer, head and body, which must be 200.
///
/// # Errors
/// When there is no such answer within a minute.
pub fn ask(address: SocketAddr, request: &impl Request) -> anyhow::Result<Vec<u8>> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(request.bytes())?;
    let (mut answer, mut buffer) = (Vec::new(), vec![0; 65_536]);
    loop {
        if let Some(found) = find_answer(&answer)? {
            ensure!(found.status == 200, "{}", String::from_utf8_lossy(&answer));
            return Ok(answer);
        }
        let bytes = socket.read(&mut buffer)?;
        ensure!(bytes > 0, "the connection ended");
        answer.extend_from_slice(buffer.get(..bytes).context("bytes that were read")?);
    }
}
