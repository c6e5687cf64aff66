//! A client that sends what it is told, byte by byte, and reads one answer at a time.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than any deadline under test.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Gives the value of a header that must stand at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.head.lines().skip(1).filter_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        });
        let value = found.next();
        assert!(found.next().is_none(), "{name} stands twice in {}", self.head);
        value
    }

    /// Gives the code of an error, after checking its shape.
    pub(crate) fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).expect("no JSON");
        assert_eq!(body["status"], self.status, "{}", self.body);
        assert_eq!(body["error"]["request_id"].as_str(), self.header("x-request-id"));
        assert!(!body["error"]["message"].as_str().expect("no message").is_empty());
        body["error"]["code"].as_str().expect("no code").to_owned()
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).await.expect("not accepted")
    }

    pub(crate) async fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        Ok(Self { stream, unread: Vec::new() })
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.expect("not sent");
    }

    /// Sends as far as the server takes it: it may have closed the connection already.
    pub(crate) async fn send_if_open(&mut self, text: &str) {
        drop(self.stream.write_all(text.as_bytes()).await);
    }

    /// Asks for a path and reads the answer; `headers` are whole lines.
    pub(crate) async fn ask(&mut self, method: &str, path: &str, headers: &[&str]) -> Answer {
        let lines: String = headers.iter().flat_map(|line| [line, "\r\n"]).collect();
        self.send(&format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n")).await;
        self.answer(method != "HEAD").await
    }

    /// Posts a body and reads the answer.
    pub(crate) async fn post(&mut self, path: &str, headers: &[&str], body: &str) -> Answer {
        let lines: String = headers.iter().flat_map(|line| [line, "\r\n"]).collect();
        let bytes = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {bytes}\r\n");
        self.send(&format!("{head}{lines}\r\n{body}")).await;
        self.answer(true).await
    }

    /// Reads one answer whose length is given, with or without its body.
    pub(crate) async fn answer(&mut self, with_body: bool) -> Answer {
        let end = loop {
            let found = self.unread.windows(4).position(|window| window == b"\r\n\r\n");
            match found {
                Some(end) => break end,
                None => assert!(self.more().await, "closed before an answer"),
            }
        };
        let rest = self.unread.split_off(end + 4);
        let head = String::from_utf8(std::mem::replace(&mut self.unread, rest)).expect("no text");
        let status = head.get(9..12).and_then(|status| status.parse().ok()).expect("no status");
        let mut answer = Answer { status, head, body: String::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        if with_body {
            while self.unread.len() < length {
                assert!(self.more().await, "closed within a body");
            }
            let rest = self.unread.split_off(length);
            let body = std::mem::replace(&mut self.unread, rest);
            answer.body = String::from_utf8(body).expect("no text");
        }
        answer
    }

    /// Reads a line of text after an upgrade.
    pub(crate) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            assert!(self.more().await, "closed too early");
        }
        let rest = self.unread.split_off(count);
        std::mem::replace(&mut self.unread, rest)
    }

    /// Checks that the server closes the connection without another byte.
    pub(crate) async fn expect_close(&mut self) {
        let more = self.more().await;
        assert!(!more, "more: {}", String::from_utf8_lossy(&self.unread));
    }

    /// Reads what there is; false once the server has closed or reset the connection.
    pub(crate) async fn more(&mut self) -> bool {
        let mut chunk = [0; 4096];
        let read = timeout(SOON, self.stream.read(&mut chunk)).await.expect("nothing came");
        let count = read.unwrap_or(0);
        self.unread.extend_from_slice(&chunk[..count]);
        count > 0
    }
}
