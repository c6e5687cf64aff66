//! One request, one connection, and the answer as it came: status, headers, body.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// Far longer than any answer takes.
const SOON: Duration = Duration::from_mins(1);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

/// Sends a request and reads until the connection closes.
pub(crate) fn ask(
    url: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut stream = send(url, method, path, &[&[("Connection", "close")], headers].concat(), body);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        panic!("no answer to {method} {path}: {read:?} {answer:?}")
    };
    Answer { status: status_of(head), head: head.to_owned(), body: body.to_owned() }
}

/// Opens what does not end, such as a stream: reads the head of the answer, and gives the connection back.
pub(crate) fn open(url: &str, path: &str, headers: &[(&str, &str)]) -> (Answer, TcpStream) {
    let mut stream = send(url, "GET", path, headers, "");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0; 1];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().trim_end().to_owned();
    (Answer { status: status_of(&head), head, body: String::new() }, stream)
}

fn status_of(head: &str) -> u16 {
    head.get(9..12).unwrap().parse().unwrap()
}

fn send(url: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
    let host = url.strip_prefix("http://").unwrap();
    let lines: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let lines = lines.concat();
    let bytes = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {bytes}\r\n{lines}\r\n"
    );
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    // A gateway that refuses a body by its length may close before it has read it; its answer tells.
    drop(stream.write_all(body.as_bytes()));
    stream
}

impl Answer {
    /// Gives all of it but the time of day.
    pub(crate) fn without_date(&self) -> String {
        let is_date = |line: &&str| line.to_ascii_lowercase().starts_with("date:");
        let head: Vec<&str> = self.head.lines().filter(|line| !is_date(line)).collect();
        format!("{}\n\n{}", head.join("\n"), self.body)
    }

    /// Gives the value of a header, which stands once or not at all.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value);
        assert!(found.next().is_none(), "{name} stands twice in {}", self.head);
        value
    }

    pub(crate) fn json(&self) -> Value {
        let content_type = self.header("content-type");
        assert_eq!(content_type, Some("application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// Gives the JSON of a success.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.json()
    }

    /// Gives the error of an answer with this status and code, after checking its shape.
    pub(crate) fn error(&self, status: u16, code: &str) -> Value {
        let body = self.json();
        assert_eq!((self.status, body["error"]["code"].as_str()), (status, Some(code)), "{body}");
        assert_eq!(body["status"], status);
        assert_eq!(body["error"]["request_id"].as_str(), self.header("x-request-id"));
        assert!(!body["error"]["message"].as_str().unwrap().is_empty());
        body["error"].clone()
    }
}
