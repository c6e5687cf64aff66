//! The body of a response: whole, or made while it is sent.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Frame, SizeHint};

use super::answer_budget::{AnswerBudget, Crowded, Room, tie};

/// Any error, as it travels inside a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A response's body. The usual one is whole and costs no box.
#[derive(Debug)]
pub struct Body {
    kind: Kind,
    /// What was reserved for it and is not tied to its bytes yet.
    room: Room,
}

#[derive(Debug)]
enum Kind {
    Whole(Bytes),
    Streamed(UnsyncBoxBody<Bytes, BoxError>),
}

impl Body {
    /// Holds bytes that are there already.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { kind: Kind::Whole(bytes.into()), room: Room::default() }
    }

    /// Holds nothing.
    pub fn empty() -> Self {
        Self::whole(Bytes::new())
    }

    /// Sends what another body makes, piece by piece; an error of it cuts the connection.
    pub fn streamed<B>(body: B) -> Self
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let kind = Kind::Streamed(body.map_err(Into::into).boxed_unsync());
        Self { kind, room: Room::default() }
    }

    /// Takes along the room that was reserved for it.
    #[must_use]
    pub fn with_room(mut self, room: Room) -> Self {
        self.room = room;
        self
    }

    /// Counts its bytes against a budget until the socket has taken all of them; what is streamed has bounds of its own.
    ///
    /// # Errors
    /// [`Crowded`], when it is larger than its room and there is none left.
    pub fn charge(&mut self, budget: &AnswerBudget) -> Result<(), Crowded> {
        if let Kind::Whole(bytes) = &mut self.kind {
            *bytes = tie(mem::take(bytes), mem::take(&mut self.room), budget)?;
        }
        Ok(())
    }

    /// Gives the size in bytes, if it is known before sending.
    pub fn bytes(&self) -> Option<u64> {
        hyper::body::Body::size_hint(self).exact()
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.kind {
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(mem::take(bytes))))),
            Kind::Streamed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole(bytes) => bytes.is_empty(),
            Kind::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            // A length in memory fits.
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Streamed(body) => body.size_hint(),
        }
    }
}
