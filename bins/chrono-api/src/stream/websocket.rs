//! WebSocket clients, a task each.

use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use chrono_stream::protocol::message::farewell;
use chrono_stream::{AuthRequest, Batch, Denied, Outgoing, Peer, Session};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::alarm::Alarm;
use super::handshake::{Socket, accept, open};
use super::{Gauged, StreamService, WRITE_BYTES};
use crate::edge::{Access, ApiError, Call, Gate, Reply};

/// Batches written before the client is listened to again.
const BATCHES_PER_TURN: usize = 16;
/// How long the end of a stream may take.
const FAREWELL: Duration = Duration::from_secs(2);

impl StreamService {
    /// Takes the socket of a request over.
    pub(crate) fn websocket(&self, mut call: Call) -> Result<Reply, ApiError> {
        call.query(&["key"])?;
        let reply = accept(call.request())?;
        let from = call.peer().ip();
        let session = Session::new(self.connect(from, call.principal())?, Peer::Talking);
        let (gate, upgrade) = (Arc::clone(&self.gate), call.upgrade());
        call.expect_stream();
        // Boxed, here and below: a future that is moved into another one counts twice in the task's memory, and what
        // opens and ends a stream is larger than what holds it.
        self.supervisor.connection(Box::pin(async move {
            let Some(socket) = Box::pin(open(upgrade)).await else { return };
            let mut conversation = Box::new(Conversation::new(gate, from, socket, session));
            let ending = conversation.hold().await;
            Box::pin(conversation.end(ending)).await;
        }));
        Ok(reply)
    }
}

/// One client at its socket.
struct Conversation {
    gate: Arc<Gate>,
    from: IpAddr,
    socket: Socket,
    session: Session,
    alarm: Alarm,
    /// Taken from the session, not yet given to the socket.
    pending: std::vec::IntoIter<Outgoing>,
    ping: bool,
    /// Given to the socket and perhaps not written yet.
    unflushed: bool,
    _counted: Gauged,
}

/// What happens next.
enum Event {
    Heard(Message),
    Broken(Error),
    Gone,
    Due,
    /// There may be more to write, or a reason to end.
    Look,
}

/// How a conversation ends.
enum Ending {
    /// With a close code, and words before it.
    Told(CloseCode, &'static str, Option<Bytes>),
    /// The peer closes; it is owed the same.
    Returned,
    /// Nobody is there to be told.
    Dropped,
}

impl Conversation {
    fn new(gate: Arc<Gate>, from: IpAddr, socket: Socket, session: Session) -> Self {
        let alarm = Alarm::new(Arc::clone(session.hub().clock()), session.next_deadline());
        Self {
            gate,
            from,
            socket,
            session,
            alarm,
            pending: Vec::new().into_iter(),
            ping: false,
            unflushed: false,
            _counted: Gauged::new("websocket_connections_active"),
        }
    }

    /// Goes on until the session or the peer ends it.
    async fn hold(&mut self) -> Ending {
        loop {
            if let Some(reason) = self.session.closing() {
                return match reason.code() {
                    Some(code) => Ending::Told(code.into(), reason.text(), farewell(reason)),
                    None => Ending::Dropped,
                };
            }
            match std::future::poll_fn(|cx| self.poll_event(cx)).await {
                Event::Heard(Message::Close(_)) => return Ending::Returned,
                Event::Heard(message) => self.hear(&message),
                Event::Broken(fault) => return ending_of(&fault),
                Event::Gone => return Ending::Dropped,
                Event::Due => self.ping |= self.session.tick(),
                Event::Look => {}
            }
        }
    }

    /// Frees the client's place, so that nothing more is queued for it, and lets the peer take note.
    async fn end(self: Box<Self>, ending: Ending) {
        let Self { socket, session, .. } = *self;
        drop(session);
        match ending {
            Ending::Told(code, reason, words) => say_farewell(socket, code, reason, words).await,
            Ending::Returned => return_farewell(socket).await,
            Ending::Dropped => {}
        }
    }

    /// Writes what the socket takes, and looks for the next event. Deadlines and messages come through while a write
    /// is stuck.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let more = match self.poll_write(cx) {
            Poll::Ready(Ok(more)) => more,
            Poll::Ready(Err(fault)) => return Poll::Ready(Event::Broken(fault)),
            Poll::Pending => {
                self.session.blocked();
                false
            }
        };
        match self.socket.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(message))) => return Poll::Ready(Event::Heard(message)),
            Poll::Ready(Some(Err(fault))) => return Poll::Ready(Event::Broken(fault)),
            Poll::Ready(None) => return Poll::Ready(Event::Gone),
            Poll::Pending => {}
        }
        if more || self.session.poll_woken(cx).is_ready() {
            return Poll::Ready(Event::Look);
        }
        self.alarm.poll(cx, self.session.next_deadline()).map(|()| Event::Due)
    }

    /// Writes until there is nothing more, or for one turn: then it answers true.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        let mut more = true;
        for _ in 0..BATCHES_PER_TURN {
            ready!(self.poll_give(cx))?;
            if !more {
                break;
            }
            let mut batch = Batch::new(WRITE_BYTES);
            more = self.session.take(&mut batch);
            self.pending = batch.into_items().into_iter();
        }
        if self.unflushed {
            ready!(self.socket.poll_flush_unpin(cx))?;
            self.unflushed = false;
        }
        self.session.flushed();
        Poll::Ready(Ok(more))
    }

    /// Gives the socket what is pending.
    fn poll_give(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while self.ping || !self.pending.as_slice().is_empty() {
            ready!(self.socket.poll_ready_unpin(cx))?;
            let message = if std::mem::take(&mut self.ping) {
                Message::Ping(Bytes::new())
            } else {
                let Some(next) = self.pending.next() else { break };
                text_of(next.text())
            };
            self.unflushed = true;
            self.socket.start_send_unpin(message)?;
        }
        Poll::Ready(Ok(()))
    }

    fn hear(&mut self, message: &Message) {
        match message {
            Message::Text(text) => {
                if let Some(request) = self.session.hear(text) {
                    let key = self.key_of(&request);
                    self.session.authenticate(&request, key);
                }
            }
            Message::Binary(_) => self.session.hear_binary(),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) | Message::Close(_) => {
                self.session.hear_noise();
            }
        }
    }

    /// Does with a key what is done with one in a header, counting included.
    fn key_of(&self, request: &AuthRequest) -> Result<chrono_stream::KeyId, Denied> {
        let known = self.gate.authenticate(request.key.expose(), self.from).and_then(|principal| {
            self.gate.authorize(&principal, Access::Public)?;
            Ok(principal)
        });
        let Ok(principal) = known else { return Err(Denied::Unauthorized) };
        match self.gate.count(&principal) {
            Some(quota) if !quota.allows() => Err(Denied::RateLimited),
            _ => Ok(principal.key_id.as_str().into()),
        }
    }
}

/// Frames a text; it is JSON that the protocol wrote, so nobody checks again that it is UTF-8.
fn text_of(text: Bytes) -> Message {
    Message::Frame(Frame::message(text, OpCode::Data(Data::Text), true))
}

/// Says how to end after a fault, by RFC 6455, section 7.4.1.
fn ending_of(fault: &Error) -> Ending {
    match fault {
        Error::Capacity(_) => Ending::Told(CloseCode::Size, "message too large", None),
        Error::Utf8(_) => Ending::Told(CloseCode::Invalid, "not UTF-8", None),
        Error::Protocol(_) => Ending::Told(CloseCode::Protocol, "not WebSocket", None),
        _ => Ending::Dropped,
    }
}

/// Says why the stream ends, and reads until the peer has heard it: closing with unread input would reset the connection,
/// and the reason would be lost with it.
async fn say_farewell(
    mut socket: Socket,
    code: CloseCode,
    reason: &'static str,
    words: Option<Bytes>,
) {
    let said = timeout(FAREWELL, async {
        if let Some(words) = words {
            socket.feed(text_of(words)).await?;
        }
        let reason = Utf8Bytes::from_static(reason);
        socket.send(Message::Close(Some(CloseFrame { code, reason }))).await?;
        let io = socket.get_mut();
        io.shutdown().await?;
        let mut unread = [0; 512];
        while io.read(&mut unread).await? > 0 {}
        Ok::<(), Error>(())
    });
    if !matches!(said.await, Ok(Ok(()))) {
        tracing::debug!(code = u16::from(code), "the peer did not hear the end of its stream");
    }
}

/// Lets the peer's close be answered, which reading does.
async fn return_farewell(mut socket: Socket) {
    let answered = timeout(FAREWELL, async { while socket.next().await.is_some() {} });
    if answered.await.is_err() {
        tracing::debug!("the peer did not take the end of its stream");
    }
}
