//! `/stream/sse` over a plain socket, read as curl reads it.

use std::process::Command;
use std::time::Duration;

use chrono_testkit::{Gateway, PUBLIC_KEY, scratch};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::ticker::{Ticker, gateway};

const SYMBOLS: [&str; 2] = ["BTC/USD", "ETH/USD"];
/// How long to wait for an event, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn events_carry_every_tick_and_resume_from_the_last_id() {
    let home = scratch().unwrap();
    let gateway = gateway(&home).start().unwrap();
    let mut ticker = Ticker::new(&gateway);
    let mut events = Events::open(&gateway, &SYMBOLS, None).await;
    assert_eq!(events.next_of("subscribed").await.message["symbols"], json!(SYMBOLS));
    ticker.post_run("BTC/USD", 50).await;
    ticker.post_run("SOL/USD", 50).await;
    ticker.post_run("ETH/USD", 50).await;
    let (data, last_id) = events.updates(100).await;
    assert_eq!(data, ticker.data_of(&SYMBOLS, 0));
    drop(events);

    let missed_from = ticker.len();
    ticker.post_run("ETH/USD", 30).await;
    ticker.post_run("BTC/USD", 30).await;
    let mut events = Events::open(&gateway, &SYMBOLS, Some(&last_id)).await;
    events.next_of("subscribed").await;
    events.next_of("resumed").await;
    assert_eq!(events.updates(60).await.0, ticker.data_of(&SYMBOLS, missed_from));
}

#[tokio::test]
async fn events_end_with_a_hint_when_the_gateway_stops() {
    let home = scratch().unwrap();
    let mut gateway = gateway(&home).with("WS_HEARTBEAT_INTERVAL", "1000").start().unwrap();
    let mut events = Events::open(&gateway, &SYMBOLS, None).await;
    events.next_of("subscribed").await;
    let heartbeat = events.next().await.unwrap().message;
    assert_eq!(heartbeat["type"], "heartbeat");
    assert!(heartbeat["timestamp"].is_string());

    let sent = Command::new("kill").args(["-TERM", &gateway.pid().to_string()]).status().unwrap();
    assert!(sent.success());
    assert!(events.next_of("reconnect").await.message["after_ms"].is_u64());
    assert!(events.next().await.is_none(), "the stream goes on");
    assert_eq!(gateway.wait(Duration::from_secs(25)).unwrap().code(), Some(0));
}

/// A stream of events.
pub(crate) struct Events {
    socket: BufReader<TcpStream>,
    /// What has come of the next event.
    rest: Vec<u8>,
}

/// One event.
struct Event {
    id: Option<String>,
    message: Value,
}

impl Events {
    /// Asks for events of these symbols, after this one.
    pub(crate) async fn open(gateway: &Gateway, symbols: &[&str], last_id: Option<&str>) -> Self {
        let address = gateway.url().strip_prefix("http://").unwrap();
        let symbols = symbols.join(",");
        let resume = last_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request = format!(
            "GET /stream/sse?symbols={symbols}&key={PUBLIC_KEY} HTTP/1.1\r\nHost: {address}\r\n{resume}\r\n"
        );
        let mut socket = BufReader::new(TcpStream::connect(address).await.unwrap());
        socket.get_mut().write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.last().is_some_and(String::is_empty) {
            head.push(line(&mut socket).await.to_ascii_lowercase());
        }
        assert_eq!(head[0], "http/1.1 200 ok");
        for header in ["content-type: text/event-stream", "transfer-encoding: chunked"] {
            assert!(head.iter().any(|line| line.starts_with(header)), "{header} in {head:?}");
        }
        Self { socket, rest: Vec::new() }
    }

    /// Waits for the next event; none at the stream's end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.rest.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.rest.drain(..end + 2).collect();
                if let Some(event) = Event::parse(std::str::from_utf8(&event).unwrap()) {
                    return Some(event);
                }
                continue;
            }
            let chunk = timeout(PATIENCE, self.chunk()).await.expect("nothing comes");
            if chunk.is_empty() {
                assert!(self.rest.is_empty(), "half an event at the end");
                return None;
            }
            self.rest.extend(chunk);
        }
    }

    /// Waits for the next event but heartbeats, which must be of this type.
    async fn next_of(&mut self, kind: &str) -> Event {
        loop {
            let event = self.next().await.expect("the stream ended");
            if event.message["type"] != "heartbeat" {
                assert_eq!(event.message["type"], kind, "{}", event.message);
                return event;
            }
        }
    }

    /// Waits for so many updates and gives their `data`, with the last id.
    async fn updates(&mut self, count: usize) -> (Vec<Value>, String) {
        let (mut all, mut last_id) = (Vec::new(), String::new());
        for _ in 0..count {
            let mut update = self.next_of("price_update").await;
            last_id = update.id.expect("an update has an id");
            all.push(update.message["data"].take());
        }
        (all, last_id)
    }

    /// The next chunk of the body; an empty one is the last.
    async fn chunk(&mut self) -> Vec<u8> {
        let size = usize::from_str_radix(&line(&mut self.socket).await, 16).unwrap();
        let mut chunk = vec![0; size];
        self.socket.read_exact(&mut chunk).await.unwrap();
        assert_eq!(line(&mut self.socket).await, "");
        chunk
    }
}

impl Event {
    /// Reads an event's fields; a comment alone is none.
    fn parse(text: &str) -> Option<Self> {
        let field = |name| text.lines().find_map(|line| line.strip_prefix(name));
        let message = serde_json::from_str(field("data: ")?).unwrap();
        Some(Self { id: field("id: ").map(str::to_owned), message })
    }
}

/// A line without its end.
async fn line(socket: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    socket.read_line(&mut line).await.unwrap();
    line.strip_suffix("\r\n").expect("a whole line").to_owned()
}
