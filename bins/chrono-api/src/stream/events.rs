//! Server-sent events: the same messages as a body that does not end.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use chrono_domain::{Epoch, Seq};
use chrono_stream::protocol::command::sort_names;
use chrono_stream::protocol::message::{Rejected, farewell};
use chrono_stream::{Batch, CloseReason, Mode, Peer, Resume, Session, Subscribe};
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};

use super::alarm::Alarm;
use super::{Gauged, StreamService, WRITE_BYTES};
use crate::edge::{ApiError, Call, Query, Reply};
use crate::http::Body;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Asks proxies not to hold events back.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Tells browsers to come back after two seconds.
const PREAMBLE: &str = "retry: 2000\n\n";
/// Looks for something to send before other tasks get their turn.
const LOOKS_PER_TURN: usize = 16;
/// The parameters; the key is the gate's.
const PARAMETERS: &[&str] = &["symbols", "mode", "snapshot", "epoch", "since", "key"];

impl StreamService {
    /// Answers with a body of events.
    pub(crate) fn events(&self, call: &Call) -> Result<Reply, ApiError> {
        let (request, rejected) = asked(call, self.hub.settings().topics_max)?;
        let client = self.connect(call.peer().ip(), call.principal())?;
        let mut session = Session::new(client, Peer::Listening);
        session.subscribe(None, &request, rejected);
        call.expect_stream();
        let mut reply = Response::new(Body::streamed(Events::new(session)));
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(BUFFERING, HeaderValue::from_static("no"));
        Ok(reply)
    }
}

/// Reads what to send; symbols that are none are told in the stream, unless all of them are.
fn asked(call: &Call, topics_max: usize) -> Result<(Subscribe, Vec<Rejected>), ApiError> {
    let query = call.query(PARAMETERS)?;
    let expected = "symbols or patterns such as BTC/USD,*/EUR";
    let names = query.list("symbols", expected, topics_max)?;
    let (topics, rejected) = sort_names(names.into_iter());
    if topics.is_empty() {
        return Err(ApiError::invalid("symbols", query.find("symbols"), expected));
    }
    let mode = query.read("mode", "latest or all", mode_of)?;
    let snapshot = query.read("snapshot", "true or false", |text| text.parse().ok())?;
    let (snapshot, resume) = (snapshot.unwrap_or(true), resume(call, &query)?);
    Ok((Subscribe { topics, mode, snapshot, resume }, rejected))
}

fn mode_of(text: &str) -> Option<Mode> {
    match text {
        "latest" => Some(Mode::Latest),
        "all" => Some(Mode::All),
        _ => None,
    }
}

/// Reads where an earlier stream ended: what browsers send by themselves, or the parameters.
fn resume(call: &Call, query: &Query<'_>) -> Result<Option<Resume>, ApiError> {
    let place = |epoch: Option<&str>, since: &str| {
        let since = Seq(since.parse().ok()?);
        Some(Resume { epoch: epoch.and_then(|epoch| epoch.parse::<Epoch>().ok()), since })
    };
    if let Some(id) = call.header(&LAST_EVENT_ID) {
        let found = id.split_once('-').and_then(|(epoch, since)| place(Some(epoch), since));
        return found
            .map(Some)
            .ok_or_else(|| ApiError::invalid("Last-Event-ID", Some(id), "the id of an event"));
    }
    let Some(since) = query.find("since") else { return Ok(None) };
    let found = place(query.find("epoch"), since);
    found.map(Some).ok_or_else(|| {
        ApiError::invalid("since", Some(since), "the seq of an update, with its epoch")
    })
}

/// A body that ends when the session does.
struct Events {
    /// None once the last chunk was made.
    session: Option<Session>,
    epoch: Epoch,
    alarm: Alarm,
    begun: bool,
    _counted: Gauged,
}

impl Events {
    fn new(session: Session) -> Self {
        let alarm = Alarm::new(Arc::clone(session.hub().clock()), session.next_deadline());
        let (epoch, counted) = (session.hub().epoch(), Gauged::new("sse_connections_active"));
        Self { session: Some(session), epoch, alarm, begun: false, _counted: counted }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(session) = &mut self.session else { return Poll::Ready(None) };
        // The writer has room: it asks.
        session.asked();
        if !std::mem::replace(&mut self.begun, true) {
            return Poll::Ready(Some(PREAMBLE.into()));
        }
        for _ in 0..LOOKS_PER_TURN {
            if let Some(reason) = session.closing() {
                self.session = None;
                return Poll::Ready(last_words(reason));
            }
            let mut batch = Batch::new(WRITE_BYTES);
            let more = session.take(&mut batch);
            if !batch.is_empty() {
                session.handed();
                return Poll::Ready(Some(encode(batch, self.epoch)));
            }
            if more || session.poll_woken(cx).is_ready() {
                continue;
            }
            ready!(self.alarm.poll(cx, session.next_deadline()));
            session.tick();
        }
        // Others wait for this thread too.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.poll_chunk(cx).map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes))))
    }
}

fn encode(batch: Batch, epoch: Epoch) -> Bytes {
    let items = batch.into_items();
    if let [only] = items.as_slice() {
        return only.event(epoch);
    }
    let mut bytes = BytesMut::with_capacity(2 * WRITE_BYTES);
    for item in &items {
        bytes.extend_from_slice(&item.event(epoch));
    }
    bytes.freeze()
}

/// Says why the stream ends, and when to come back where that is known.
fn last_words(reason: CloseReason) -> Option<Bytes> {
    let text = farewell(reason)?;
    let retry = match reason {
        CloseReason::Draining(after) => format!("retry: {}\n", after.as_millis()),
        _ => String::new(),
    };
    Some([retry.as_bytes(), b"data: ", &text, b"\n\n"].concat().into())
}
