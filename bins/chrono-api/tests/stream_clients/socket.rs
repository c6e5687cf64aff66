//! A WebSocket of this process, for what the clients in other languages have no switch for.

use std::time::Duration;

use chrono_testkit::Gateway;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async};

/// How long to wait for a message, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connected stream.
pub(crate) struct Socket {
    inner: WebSocketStream<TcpStream>,
}

/// Where a stream can be taken up again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) epoch: String,
    pub(crate) seq: u64,
}

impl Socket {
    /// Connects with a key.
    pub(crate) async fn open(gateway: &Gateway, key: &str) -> Self {
        let address = gateway.url().strip_prefix("http://").unwrap();
        let socket = TcpStream::connect(address).await.unwrap();
        let url = format!("ws://{address}/stream?key={key}");
        Self { inner: client_async(url, socket).await.unwrap().0 }
    }

    /// Sends a command.
    pub(crate) async fn send(&mut self, command: Value) {
        self.inner.send(Message::text(command.to_string())).await.unwrap();
    }

    /// Subscribes and gives the position in the answer.
    pub(crate) async fn subscribe(&mut self, symbols: &[&str], mode: &str) -> Position {
        self.send(json!({"action": "subscribe", "symbols": symbols, "mode": mode})).await;
        let answer = self.next_of("subscribed").await;
        assert_eq!(answer["symbols"], json!(symbols));
        Position {
            epoch: answer["epoch"].as_str().unwrap().to_owned(),
            seq: answer["seq"].as_u64().unwrap(),
        }
    }

    /// Subscribes from an earlier position on; the answers are still to be read.
    pub(crate) async fn resume(&mut self, symbols: &[&str], from: &Position) {
        let Position { epoch, seq } = from;
        let command =
            json!({"action": "subscribe", "symbols": symbols, "epoch": epoch, "since": seq});
        self.send(command).await;
    }

    /// Closes, and waits for the close in answer (RFC 6455, section 5.5.1).
    pub(crate) async fn close(mut self) {
        let frame = CloseFrame { code: CloseCode::Away, reason: Utf8Bytes::from_static("bye") };
        self.inner.close(Some(frame.clone())).await.unwrap();
        let answer = timeout(PATIENCE, self.inner.next()).await.expect("no answer to the close");
        assert_eq!(answer.expect("the stream broke").unwrap(), Message::Close(Some(frame)));
    }

    /// Waits for the next message.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            let message = timeout(PATIENCE, self.inner.next()).await.expect("nothing comes");
            match message.expect("the stream ended").unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("no message but {other:?}"),
            }
        }
    }

    /// Waits for the next message but heartbeats, which must be of this type.
    pub(crate) async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await;
            if message["type"] != "heartbeat" {
                assert_eq!(message["type"], kind, "{message}");
                return message;
            }
        }
    }

    /// Waits for so many updates and gives their `data`, with the newest number.
    pub(crate) async fn updates(&mut self, count: usize) -> (Vec<Value>, u64) {
        let (mut all, mut seq) = (Vec::new(), 0);
        for _ in 0..count {
            let mut update = self.next_of("price_update").await;
            assert!(update["snapshot"].is_null(), "a value that was current already: {update}");
            let number = update["seq"].as_u64().unwrap();
            assert!(number > seq, "{number} after {seq}");
            seq = number;
            all.push(update["data"].take());
        }
        (all, seq)
    }
}
