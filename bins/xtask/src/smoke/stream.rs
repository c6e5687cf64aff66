//! Watches server-sent events until prices have moved.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::http;

/// Updates that must come.
const UPDATES_MIN: usize = 20;
/// Different prices among them: a stream that repeats one price is no market.
const PRICES_MIN: usize = 2;

/// What came over the stream.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// How many `price_update`s.
    pub(super) updates: usize,
    /// Their prices, as texts.
    pub(super) prices: BTreeSet<String>,
    /// What has come of the next event.
    rest: Vec<u8>,
}

/// Reads the stream until it has shown enough.
pub(super) fn watch(port: u16, path: &str, deadline: Instant) -> anyhow::Result<Seen> {
    let mut response = http::get(port, path)?;
    if response.status != 200 {
        bail!("the stream answers {}", response.status);
    }
    let mut seen = Seen::default();
    while !seen.is_enough() {
        let piece = response.piece().with_context(|| format!("the stream broke after {seen:?}"))?;
        let Some(piece) = piece else { bail!("the stream ended after {seen:?}") };
        seen.read(&piece);
        if Instant::now() >= deadline {
            bail!("too little came in time: {seen:?}");
        }
    }
    Ok(seen)
}

impl Seen {
    fn is_enough(&self) -> bool {
        self.updates >= UPDATES_MIN && self.prices.len() >= PRICES_MIN
    }

    /// Takes a piece of the stream; events end with their lines, wherever pieces do.
    fn read(&mut self, piece: &[u8]) {
        self.rest.extend_from_slice(piece);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            if let Some(data) = line.strip_prefix(b"data:") {
                self.count(data);
            }
        }
    }

    fn count(&mut self, data: &[u8]) {
        let Ok(message) = serde_json::from_slice::<Value>(data) else { return };
        let kind = message.pointer("/type").and_then(Value::as_str);
        let price = message.pointer("/data/price").and_then(Value::as_str);
        if let (Some("price_update"), Some(price)) = (kind, price) {
            self.updates += 1;
            self.prices.insert(price.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn event(price: &str) -> String {
        format!("id: 1\ndata: {{\"type\":\"price_update\",\"data\":{{\"price\":\"{price}\"}}}}\n\n")
    }

    #[test]
    fn counts_updates_and_prices_across_pieces() {
        let mut seen = Seen::default();
        let text = event("1.5") + ": ping\ndata: {\"type\":\"heartbeat\"}\n\n" + &event("1.50");
        for piece in text.as_bytes().chunks(7) {
            seen.read(piece);
        }
        assert_eq!((seen.updates, seen.prices.len()), (2, 2));
    }

    /// Watches a server that gives one answer and hangs up.
    fn watch_answer(answer: &str) -> anyhow::Result<Seen> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut socket, _) = listener.accept().unwrap();
                // A socket closed with bytes unread would reset the answer away.
                let lines = BufReader::new(&socket).lines().map(Result::unwrap);
                assert!(lines.take_while(|line| !line.is_empty()).count() > 0);
                socket.write_all(answer.as_bytes()).unwrap();
            });
            watch(port, "/stream", Instant::now() + Duration::from_mins(1))
        })
    }

    #[test]
    fn watches_a_socket_until_prices_have_moved() {
        let body = event("1").repeat(19) + &event("2");
        let answer = format!("HTTP/1.1 200 OK\r\n\r\n{body}");
        assert_eq!(watch_answer(&answer).unwrap().updates, 20);
    }

    #[test]
    fn a_refused_or_a_cut_stream_is_a_fault() {
        let fault = watch_answer("HTTP/1.1 401 Unauthorized\r\n\r\n").unwrap_err();
        assert_eq!(fault.to_string(), "the stream answers 401");
        let fault = watch_answer(&format!("HTTP/1.1 200 OK\r\n\r\n{}", event("1"))).unwrap_err();
        assert!(fault.to_string().starts_with("the stream ended after"), "{fault}");
    }

    #[test]
    fn one_price_repeated_is_not_enough() {
        let mut seen = Seen::default();
        seen.read(event("1").repeat(20).as_bytes());
        assert!(!seen.is_enough());
        seen.read(event("2").as_bytes());
        assert!(seen.is_enough());
    }
}
