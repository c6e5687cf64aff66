//! Server-sent events: the same messages as a body that does not end.

use std::convert::Infallible;

use bytes::{Bytes, BytesMut};
use chrono_domain::{Epoch, Seq};
use chrono_stream::protocol::command::sort_names;
use chrono_stream::protocol::message::farewell;
use chrono_stream::{Batch, Mode, Peer, Resume, Session, Subscribe};
use futures_util::{StreamExt, stream};
use http_body_util::StreamBody;
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use tokio::time::sleep;

use super::{StreamService, WRITE_BYTES};
use crate::edge::{ApiError, Call, Query, Reply};
use crate::http::Body;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Asks proxies not to hold events back.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Tells browsers to come back after two seconds.
const PREAMBLE: &str = "retry: 2000\n\n";
/// The parameters; the key is the gate's.
const PARAMETERS: &[&str] = &["symbols", "mode", "snapshot", "epoch", "since", "key"];

impl StreamService {
    /// Answers with a body of events.
    pub(crate) fn events(&self, call: &Call) -> Result<Reply, ApiError> {
        let (request, rejected) = {
            let query = call.query(PARAMETERS)?;
            let names = query.list(
                "symbols",
                "symbols separated by commas",
                self.hub.settings().topics_max,
            )?;
            let (topics, rejected) = sort_names(names.iter().map(AsRef::as_ref));
            let mode = query.read("mode", "latest or all", mode_of)?;
            let snapshot =
                query.read("snapshot", "true or false", |text| text.parse().ok())?.unwrap_or(true);
            (Subscribe { topics, mode, snapshot, resume: resume(call, &query)? }, rejected)
        };
        let client = self.connect(call.peer().ip(), call.principal())?;
        let mut session = Session::new(client, Peer::Listening);
        session.subscribe(None, &request, rejected);
        let chunks = stream::unfold(Feed::Begun(session), Feed::next).map(Ok::<_, Infallible>);
        let mut reply = Response::new(Body::streamed(StreamBody::new(chunks)));
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(BUFFERING, HeaderValue::from_static("no"));
        Ok(reply)
    }
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

/// What makes the next chunk.
enum Feed {
    Begun(Session),
    Running(Session),
    Over,
}

/// Bytes of the body.
type Chunk = Frame<Bytes>;

impl Feed {
    /// Waits for the next chunk; none ends the body.
    async fn next(self) -> Option<(Chunk, Self)> {
        let mut session = match self {
            Self::Begun(session) => {
                return Some((Frame::data(PREAMBLE.into()), Self::Running(session)));
            }
            Self::Running(session) => session,
            Self::Over => return None,
        };
        session.asked();
        loop {
            if let Some(reason) = session.closing() {
                let text = farewell(reason)?;
                let event = [b"data: ".as_slice(), &text, b"\n\n"].concat();
                return Some((Frame::data(event.into()), Self::Over));
            }
            let mut batch = Batch::new(WRITE_BYTES);
            session.take(&mut batch);
            if !batch.is_empty() {
                let epoch = session.hub().epoch();
                let mut bytes = BytesMut::new();
                batch
                    .into_items()
                    .iter()
                    .for_each(|item| bytes.extend_from_slice(&item.event(epoch)));
                session.handed();
                return Some((Frame::data(bytes.freeze()), Self::Running(session)));
            }
            let due = session.next_deadline().saturating_sub(session.hub().clock().uptime());
            tokio::select! {
                () = session.woken() => {}
                () = sleep(due) => {
                    session.tick();
                }
            }
        }
    }
}
