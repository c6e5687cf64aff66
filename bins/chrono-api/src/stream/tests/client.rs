//! A WebSocket client that expects things soon.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use hyper::StatusCode;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::SOON;

/// A connection.
pub(super) struct Client {
    pub(super) socket: WebSocketStream<TcpStream>,
}

impl Client {
    pub(super) async fn try_connect(address: SocketAddr, query: &str) -> Result<Self, StatusCode> {
        let stream = TcpStream::connect(address).await.unwrap();
        match client_async(format!("ws://{address}/stream{query}"), stream).await {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(Error::Http(answer)) => Err(answer.status()),
            Err(fault) => panic!("{fault}"),
        }
    }

    pub(super) async fn connect(address: SocketAddr, key: &str) -> Self {
        Self::try_connect(address, &format!("?key={key}")).await.unwrap()
    }

    /// Subscribes and reads the answer.
    pub(super) async fn subscribe(&mut self, symbols: &str, more: &str) -> Value {
        self.say(&format!(r#"{{"action":"subscribe","symbols":[{symbols}]{more}}}"#)).await;
        let told = self.told().await;
        assert_eq!(told["type"], "subscribed", "{told}");
        told
    }

    pub(super) async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(super) async fn next(&mut self) -> Message {
        let next = timeout(SOON, self.socket.next()).await.expect("nothing comes");
        next.expect("the stream is over").expect("the stream is broken")
    }

    /// The next message that is a text.
    pub(super) async fn told(&mut self) -> Value {
        loop {
            match self.next().await {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("no text: {other:?}"),
            }
        }
    }

    /// The codes of the errors told before the close, and the close code.
    pub(super) async fn ending(&mut self) -> (Vec<Value>, u16) {
        let mut told = Vec::new();
        loop {
            match self.next().await {
                Message::Text(text) => told.push(serde_json::from_str(&text).unwrap()),
                Message::Close(Some(close)) => return (told, close.code.into()),
                _ => {}
            }
        }
    }

    /// Reads until the server has cut the connection, without a close.
    pub(super) async fn cut(&mut self) {
        loop {
            match timeout(SOON, self.socket.next()).await.expect("not cut") {
                Some(Ok(Message::Close(_))) => panic!("closed"),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        }
    }
}
