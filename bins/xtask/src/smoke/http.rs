//! The little HTTP a smoke run needs, over a plain socket: nothing of ours is trusted here.

use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;

/// A socket that says nothing for so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A response whose head was read.
pub(super) struct Response<R> {
    /// The status in its first line.
    pub(super) status: u16,
    is_chunked: bool,
    body: R,
}

/// The status of an answer, 0 while nobody answers.
pub(super) fn status(port: u16, path: &str) -> anyhow::Result<u16> {
    match get(port, path) {
        Ok(response) => Ok(response.status),
        Err(fault) if fault.downcast_ref::<io::Error>().is_some() => Ok(0),
        Err(fault) => Err(fault),
    }
}

/// Sends a GET and reads the head of its answer.
pub(super) fn get(port: u16, path: &str) -> anyhow::Result<Response<BufReader<TcpStream>>> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut socket = TcpStream::connect_timeout(&address, SILENCE_MAX)?;
    socket.set_read_timeout(Some(SILENCE_MAX))?;
    socket.set_write_timeout(Some(SILENCE_MAX))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes())?;
    Response::read(BufReader::new(socket))
}

impl<R: BufRead> Response<R> {
    /// Reads a head.
    pub(super) fn read(mut body: R) -> anyhow::Result<Self> {
        let first = line(&mut body)?;
        let status = first.split(' ').nth(1).and_then(|digits| digits.parse().ok());
        let status = status.with_context(|| format!("no status in {first:?}"))?;
        let mut is_chunked = false;
        loop {
            let header = line(&mut body)?.to_ascii_lowercase();
            if header.is_empty() {
                return Ok(Self { status, is_chunked, body });
            }
            is_chunked |= header.starts_with("transfer-encoding:") && header.ends_with("chunked");
        }
    }

    /// The next piece of the body, as it came; none at the end.
    pub(super) fn piece(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        if !self.is_chunked {
            let bytes = self.body.fill_buf()?.to_vec();
            self.body.consume(bytes.len());
            return Ok((!bytes.is_empty()).then_some(bytes));
        }
        let size = line(&mut self.body)?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        let bytes = u64::from_str_radix(digits, 16).with_context(|| format!("chunk {size:?}"))?;
        let mut chunk = Vec::new();
        (&mut self.body).take(bytes).read_to_end(&mut chunk)?;
        line(&mut self.body)?;
        Ok((!chunk.is_empty()).then_some(chunk))
    }
}

/// A line without its end.
fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    from.read_line(&mut text)?;
    if text.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(response: &str) -> String {
        let mut response = Response::read(response.as_bytes()).unwrap();
        assert_eq!(response.status, 200);
        let mut body = Vec::new();
        while let Some(piece) = response.piece().unwrap() {
            body.extend(piece);
        }
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn joins_chunks() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(body(&format!("{head}5\r\ndata:\r\n3;x=y\r\n a\n\r\n0\r\n\r\n")), "data: a\n");
    }

    #[test]
    fn takes_a_plain_body_to_its_end() {
        assert_eq!(body("HTTP/1.1 200 OK\r\n\r\none\ntwo"), "one\ntwo");
    }

    #[test]
    fn a_cut_head_is_a_fault() {
        assert!(Response::read("HTTP/1.1 200 OK\r\nA: b\r\n".as_bytes()).is_err());
        assert!(Response::read("nothing\r\n\r\n".as_bytes()).is_err());
    }

    #[test]
    fn nobody_there_is_status_zero() {
        // Nobody can listen on port 0.
        assert_eq!(status(0, "/").unwrap(), 0);
    }
}
