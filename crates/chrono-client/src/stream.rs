//! Following prices as they come: `WS /stream`.

mod event;
mod followed;
mod position;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use secrecy::ExposeSecret;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
};

pub use event::{Event, PriceUpdate, Rejected};
pub use position::Position;

use crate::address::PathQuery;
use crate::{Client, ClientError};
use followed::{Action, Followed, Pending};
use position::Tracker;

const PATH: &str = "/stream";
/// Largest message taken; a price update has a few hundred bytes, an ack lists at most 1,024 symbols.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Longest command sent, in bytes; at a longer one the gateway closes the stream.
const COMMAND_BYTES_MAX: usize = 64 << 10;
/// Commands that a resume sends again at once, and the rest before each further one: of a stream the gateway takes 40
/// messages at once, the key among them, and 20 a second.
const COMMANDS_AT_ONCE: usize = 32;
const COMMAND_EVERY: Duration = Duration::from_millis(60);
/// Bytes read from the socket at once; the library's 128 KiB would be held by every idle stream.
const READ_BUFFER_BYTES: usize = 8 << 10;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How the stream shows its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StreamAuth {
    /// In the first message, so that the key never stands in a URL that a proxy may log.
    #[default]
    FirstMessage,
    /// In `?key=`; a bad key is then refused at the handshake.
    Query,
}

/// What a client that cannot keep up gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The newest value of each symbol; older ones are passed over.
    #[default]
    Latest,
    /// Every tick, late ones too, or a `gap` that says which are missing.
    All,
}

/// How to follow.
#[derive(Debug, Clone)]
pub struct StreamOptions {
    /// How the key is shown.
    pub auth: StreamAuth,
    /// What to get when too slow.
    pub mode: Mode,
    /// Longest silence taken for a living connection. Below the gateway's heartbeat (30 s) it cuts good ones, far
    /// above it a dead one goes unnoticed. Default 90 s.
    pub silence_max: Duration,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            auth: StreamAuth::default(),
            mode: Mode::default(),
            silence_max: Duration::from_secs(90),
        }
    }
}

/// A stream of prices that knows how far it got.
///
/// When [`Stream::next`] fails with a retryable error ([`ClientError::is_retryable`]), [`Stream::resume`] connects anew
/// and asks for everything since; the gateway answers [`Event::Resumed`], [`Event::Gap`] or [`Event::Reset`], never
/// silence. Any other error comes back however often one connects: a revoked key, say.
#[derive(Debug)]
pub struct Stream {
    client: Client,
    options: StreamOptions,
    socket: Socket,
    followed: Followed,
    tracker: Tracker,
}

#[derive(Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
enum Command<'a> {
    Auth {
        key: &'a str,
    },
    Subscribe {
        id: u64,
        symbols: &'a [String],
        mode: Mode,
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        from: Option<&'a Position>,
    },
    Unsubscribe {
        id: u64,
        symbols: &'a [String],
    },
}

impl<'a> Command<'a> {
    fn of(pending: &'a Pending, mode: Mode, from: Option<&'a Position>) -> Self {
        let (id, symbols) = (pending.id, pending.symbols.as_slice());
        match pending.action {
            Action::Subscribe => Self::Subscribe { id, symbols, mode, from },
            Action::Unsubscribe => Self::Unsubscribe { id, symbols },
        }
    }
}

impl Client {
    /// Opens a stream, without any symbol yet.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when the gateway refuses the handshake, [`ClientError::Transport`] when it is not
    /// there. A key shown in the first message is judged later: [`Stream::next`] then says [`ClientError::Closed`].
    pub async fn stream(&self, options: StreamOptions) -> Result<Stream, ClientError> {
        let socket = self.open(&options).await?;
        let (followed, tracker) = (Followed::default(), Tracker::default());
        Ok(Stream { client: self.clone(), options, socket, followed, tracker })
    }

    async fn open(&self, options: &StreamOptions) -> Result<Socket, ClientError> {
        let key = self.key.expose_secret();
        let path =
            PathQuery::new(PATH).pair_if("key", (options.auth == StreamAuth::Query).then_some(key));
        let url = self.address.websocket(path.as_str());
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let connector = Connector::Rustls(Arc::clone(&self.trust));
        let connecting = connect_async_tls_with_config(url, Some(config), true, Some(connector));
        let (mut socket, _response) = timeout(self.options.request_timeout, connecting)
            .await
            .map_err(|_elapsed| ClientError::timed_out("no handshake in time"))?
            .map_err(from_socket)?;
        if options.auth == StreamAuth::FirstMessage {
            send(&mut socket, &Command::Auth { key }, self.options.request_timeout).await?;
        }
        Ok(socket)
    }
}

impl Stream {
    /// Asks for symbols (`BASE/QUOTE`, or patterns such as `*/EUR`) besides those already followed.
    ///
    /// [`Event::Subscribed`] tells which were taken; the current value of each comes as a snapshot. A stream takes 1,024
    /// at most; more in one call are refused as a whole by [`Event::Error`].
    ///
    /// # Errors
    /// [`ClientError::Transport`] or [`ClientError::Closed`] when the connection is gone; [`Stream::resume`] then asks
    /// again. [`ClientError::Setting`] for more than 64 KiB of symbols, which are not asked for.
    pub async fn subscribe(&mut self, symbols: &[&str]) -> Result<(), ClientError> {
        self.ask(Action::Subscribe, symbols).await
    }

    /// Stops following symbols; [`Event::Unsubscribed`] is the answer.
    ///
    /// # Errors
    /// As [`Stream::subscribe`].
    pub async fn unsubscribe(&mut self, symbols: &[&str]) -> Result<(), ClientError> {
        self.ask(Action::Unsubscribe, symbols).await
    }

    async fn ask(&mut self, action: Action, symbols: &[&str]) -> Result<(), ClientError> {
        let pending = self.followed.ask(action, symbols);
        let (command, deadline) =
            (Command::of(&pending, self.options.mode, None), self.client.options.request_timeout);
        let sent = send(&mut self.socket, &command, deadline).await;
        if let Err(ClientError::Setting(_)) = sent {
            self.followed.forget(pending.id);
        }
        sent
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// [`ClientError::Closed`] or [`ClientError::Transport`] when the connection is gone or silent for too long: then
    /// [`Stream::resume`], if the error is retryable. [`ClientError::Protocol`] for a message that is no JSON object with
    /// a type.
    ///
    /// # Cancel safety
    /// Dropped before it ends, no message is lost.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            let message = timeout(self.options.silence_max, self.socket.next())
                .await
                .map_err(|_elapsed| ClientError::timed_out("the stream fell silent"))?;
            match message {
                Some(Ok(Message::Text(text))) => {
                    let event = Event::read(text.as_str())?;
                    self.tracker.note(&event);
                    if event.is_answer() {
                        self.followed.note(event::id_of(text.as_str()), &event);
                    }
                    return Ok(event);
                }
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = frame
                        .map(|frame| (u16::from(frame.code), frame.reason.to_string()))
                        .unzip();
                    return Err(ClientError::Closed { code, reason: reason.unwrap_or_default() });
                }
                // Pings are answered by the library; the gateway sends no binary frames.
                Some(Ok(_)) => {}
                Some(Err(fault)) => return Err(from_socket(fault)),
                None => return Err(ClientError::Closed { code: None, reason: String::new() }),
            }
        }
    }

    /// Gives how far this stream got: every update up to here was seen, or was told to be missing.
    pub fn position(&self) -> Option<&Position> {
        self.tracker.position()
    }

    /// Connects anew and asks for everything since [`Stream::position`], of the symbols that the gateway had taken.
    ///
    /// Commands that it had not answered are sent again after that, many of them at 16 a second.
    ///
    /// # Errors
    /// As [`Client::stream`]; the position is kept, so it may be called again.
    ///
    /// # Cancel safety
    /// Dropped before it ends, it is to be called again: the gateway may not have been asked for everything.
    pub async fn resume(&mut self) -> Result<(), ClientError> {
        self.socket = self.client.open(&self.options).await?;
        let (mode, deadline) = (self.options.mode, self.client.options.request_timeout);
        if let Some(taken) = self.followed.resume() {
            self.tracker.reconnected();
            let command = Command::of(&taken, mode, self.tracker.position());
            send(&mut self.socket, &command, deadline).await?;
        } else {
            // Whoever follows nothing has missed nothing, and the gateway may count anew by now.
            self.tracker = Tracker::default();
        }
        for (nr, pending) in self.followed.pending().enumerate() {
            if nr >= COMMANDS_AT_ONCE {
                sleep(COMMAND_EVERY).await;
            }
            send(&mut self.socket, &Command::of(pending, mode, None), deadline).await?;
        }
        Ok(())
    }
}

async fn send(
    socket: &mut Socket,
    command: &Command<'_>,
    deadline: Duration,
) -> Result<(), ClientError> {
    let text = serde_json::to_string(command)
        .map_err(|fault| ClientError::Setting(format!("the command is no JSON: {fault}")))?;
    if text.len() > COMMAND_BYTES_MAX {
        let fault = format!("a command of {} bytes: name fewer symbols at once", text.len());
        return Err(ClientError::Setting(fault));
    }
    timeout(deadline, socket.send(Message::text(text)))
        .await
        .map_err(|_elapsed| ClientError::timed_out("the gateway takes no commands"))?
        .map_err(from_socket)
}

fn from_socket(fault: SocketError) -> ClientError {
    match fault {
        SocketError::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            ClientError::from_answer(response.status(), response.headers(), body)
        }
        SocketError::ConnectionClosed | SocketError::AlreadyClosed => {
            ClientError::Closed { code: None, reason: String::new() }
        }
        SocketError::Url(fault) => ClientError::Setting(fault.to_string()),
        SocketError::Capacity(fault) => ClientError::Protocol(fault.to_string()),
        fault => ClientError::transport(fault),
    }
}
