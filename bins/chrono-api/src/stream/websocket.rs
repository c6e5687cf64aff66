//! WebSocket clients, a task each.

use std::time::Duration;

use bytes::Bytes;
use chrono_stream::protocol::message::farewell;
use chrono_stream::{Batch, CloseReason, Peer, Session};
use futures_util::{SinkExt, StreamExt, poll};
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::Upgraded;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::{StreamService, WRITE_BYTES};
use crate::edge::{ApiError, Call, Reply};
use crate::http::{Body, TimedIo};

/// Largest message a client may send, in bytes.
const INBOUND_BYTES_MAX: usize = 64 * 1024;
/// The kernel's send buffer; large ones hide megabytes of old updates from us.
const SEND_BUFFER_BYTES: usize = 16 * 1024;
/// The read buffer: tungstenite clears it before every read, so a large one costs time as well as memory.
const READ_BUFFER_BYTES: usize = 1024;
/// How long the end of a stream may take.
const FAREWELL: Duration = Duration::from_secs(2);

type Socket = WebSocketStream<TimedIo>;

impl StreamService {
    /// Takes the socket of a request over.
    pub(crate) fn websocket(&self, mut call: Call) -> Result<Reply, ApiError> {
        let accept = accept_key(call.request().headers())?;
        let client = self.connect(call.peer().ip(), call.principal())?;
        let (from, upgrade, service) = (call.peer().ip(), call.upgrade(), self.clone());
        self.supervisor.connection(async move {
            match upgrade.await {
                Ok(upgraded) => {
                    if let Some(socket) = open(upgraded).await {
                        Conversation {
                            service,
                            from,
                            socket,
                            session: Session::new(client, Peer::Talking),
                            woken: false,
                        }
                        .run()
                        .await;
                    }
                }
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "upgrade failed");
                }
            }
        });
        let mut reply = Response::new(Body::empty());
        *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = reply.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        Ok(reply)
    }
}

/// Checks the handshake (RFC 6455, section 4.2.1) and gives the answer's key.
fn accept_key(headers: &HeaderMap) -> Result<HeaderValue, ApiError> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let has = |name: &HeaderName, token: &str| {
        text(name).is_some_and(|value| {
            value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token))
        })
    };
    if !has(&UPGRADE, "websocket") || !has(&CONNECTION, "upgrade") {
        return Err(ApiError::invalid(
            "Upgrade",
            text(&UPGRADE),
            "a WebSocket handshake; for events use /stream/sse",
        ));
    }
    if text(&SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(ApiError::invalid("Sec-WebSocket-Version", text(&SEC_WEBSOCKET_VERSION), "13"));
    }
    let key = text(&SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24 && key.ends_with("=="));
    let key = key.ok_or_else(|| {
        ApiError::invalid("Sec-WebSocket-Key", text(&SEC_WEBSOCKET_KEY), "16 bytes in base64")
    })?;
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).map_err(ApiError::internal)
}

async fn open(upgraded: Upgraded) -> Option<Socket> {
    let parts = upgraded.downcast::<TokioIo<TimedIo>>().ok()?;
    let io = parts.io.into_inner();
    if let Err(error) = SockRef::from(io.socket()).set_send_buffer_size(SEND_BUFFER_BYTES) {
        tracing::debug!(error = &error as &dyn std::error::Error, "send buffer stays large");
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BYTES)
        .max_write_buffer_size(4 * WRITE_BYTES)
        .max_message_size(Some(INBOUND_BYTES_MAX))
        .max_frame_size(Some(INBOUND_BYTES_MAX));
    Some(
        WebSocketStream::from_partially_read(
            io,
            parts.read_buf.to_vec(),
            Role::Server,
            Some(config),
        )
        .await,
    )
}

struct Conversation {
    service: StreamService,
    from: std::net::IpAddr,
    socket: Socket,
    session: Session,
    /// A wake-up came while a write was under way.
    woken: bool,
}

impl Conversation {
    /// Goes on until the session or the peer ends it.
    async fn run(mut self) {
        loop {
            if let Some(reason) = self.session.closing() {
                return self.say_farewell(reason).await;
            }
            let mut batch = Batch::new(WRITE_BYTES);
            let more = self.session.take(&mut batch);
            let messages = batch.into_items().into_iter().map(|item| text_of(item.text()));
            if messages.len() > 0 && !self.write(messages).await {
                return;
            }
            if !more && !self.wait().await {
                return;
            }
        }
    }

    /// Writes messages; while the socket takes no more, only deadlines and a reason to end count. Answers false when
    /// the peer is gone.
    async fn write(&mut self, messages: impl Iterator<Item = Message>) -> bool {
        let (socket, session) = (&mut self.socket, &mut self.session);
        let mut writing = std::pin::pin!(async {
            for message in messages {
                socket.feed(message).await?;
            }
            socket.flush().await
        });
        let mut written = poll!(&mut writing);
        while written.is_pending() {
            session.blocked();
            let due = session.next_deadline().saturating_sub(session.hub().clock().uptime());
            tokio::select! {
                done = &mut writing => written = std::task::Poll::Ready(done),
                () = session.woken() => self.woken = true,
                () = sleep(due) => {
                    session.tick();
                }
            }
            if written.is_pending() && session.closing().is_some() {
                return true;
            }
        }
        session.flushed();
        matches!(written, std::task::Poll::Ready(Ok(())))
    }

    /// Waits for something to do. Answers false when the peer is gone.
    async fn wait(&mut self) -> bool {
        if std::mem::take(&mut self.woken) {
            return true;
        }
        let due = self.session.next_deadline().saturating_sub(self.session.hub().clock().uptime());
        tokio::select! {
            () = self.session.woken() => true,
            heard = self.socket.next() => match heard {
                Some(Ok(Message::Close(_))) => {
                    self.read_out().await;
                    false
                }
                Some(Ok(message)) => {
                    self.hear(message);
                    true
                }
                Some(Err(_)) | None => false,
            },
            () = sleep(due) => {
                let ping = self.session.tick();
                !ping || self.write(std::iter::once(Message::Ping(Bytes::new()))).await
            }
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Text(text) => {
                if let Some(request) = self.session.hear(&text) {
                    let found =
                        self.service.gate.authenticate(request.key.expose(), self.from).ok();
                    let allowed = found.filter(|principal| {
                        self.service.gate.authorize(principal, crate::edge::Access::Public).is_ok()
                    });
                    self.session.authenticate(
                        &request,
                        allowed.map(|principal| principal.key_id.as_str().into()),
                    );
                }
            }
            Message::Binary(_) => self.session.hear_binary(),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {
                self.session.hear_noise();
            }
        }
    }

    /// Says why the stream ends, and reads until the peer has heard it.
    async fn say_farewell(mut self, reason: CloseReason) {
        let Some(code) = reason.code() else { return };
        let goodbye = async {
            if let Some(text) = farewell(reason) {
                self.socket.feed(text_of(text)).await?;
            }
            let frame = CloseFrame {
                code: CloseCode::from(code),
                reason: Utf8Bytes::from_static(reason.text()),
            };
            self.socket.close(Some(frame)).await
        };
        match timeout(FAREWELL, goodbye).await {
            Ok(Ok(())) => self.read_out().await,
            _ => tracing::debug!(reason = reason.label(), "the peer did not hear why"),
        }
    }

    /// Reads until both sides have closed: the answer to a close goes out on the way, and a connection closed with
    /// unread input would be reset, so that the peer missed the reason.
    async fn read_out(&mut self) {
        let reading = async { while let Some(Ok(_)) = self.socket.next().await {} };
        if timeout(FAREWELL, reading).await.is_err() {
            tracing::debug!("the peer did not close");
        }
    }
}

/// What the protocol wrote is JSON, so it is UTF-8; an empty message would say that it was not.
fn text_of(text: Bytes) -> Message {
    Message::Text(Utf8Bytes::try_from(text).unwrap_or_default())
}
