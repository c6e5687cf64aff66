//! One request as a handler sees it.

use std::net::SocketAddr;

use chrono_auth::Principal;
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::HeaderName;
use hyper::upgrade::OnUpgrade;

use super::percent::decode;
use super::router::Params;
use super::{ApiError, ErrorCode, Query, RequestId};
use crate::http::{AnswerBudget, BodyLimits, Peer, Room, read_body};

/// A request that passed the gate, and what is known of it.
#[derive(Debug)]
pub struct Call {
    request: Request<Incoming>,
    peer: Peer,
    request_id: RequestId,
    params: Params,
    limits: BodyLimits,
    answers: AnswerBudget,
    principal: Option<Principal>,
}

impl Call {
    pub(super) fn new(
        request: Request<Incoming>,
        peer: Peer,
        request_id: RequestId,
        params: Params,
        limits: BodyLimits,
        answers: AnswerBudget,
    ) -> Self {
        Self { request, peer, request_id, params, limits, answers, principal: None }
    }

    pub(super) fn enter(&mut self, principal: Option<Principal>) {
        self.principal = principal;
    }

    /// Gives the request's head; the body is read with [`Call::read_body`].
    pub fn request(&self) -> &Request<Incoming> {
        &self.request
    }

    /// Gives the address of the socket's other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer.address
    }

    /// Says that the answer is a stream, so that little of it waits in the kernel for a reader that lags.
    pub fn expect_stream(&self) {
        self.peer.expect_stream();
    }

    /// Takes room for an answer of at most so many bytes, before it is made; it goes into
    /// [`Body::with_room`](crate::http::Body::with_room).
    ///
    /// # Errors
    /// `OVERLOADED` when there is none within a moment.
    pub fn reserve(
        &self,
        bytes: usize,
    ) -> impl Future<Output = Result<Room, ApiError>> + Send + use<> {
        let answers = self.answers.clone();
        async move { Ok(answers.reserve(bytes).await?) }
    }

    /// Gives the request's name.
    pub fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// Gives whoever asks; nobody on open routes, and on streams whose key comes later.
    pub fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }

    /// Gives the value of a header that stands once and is text.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        let mut values = self.request.headers().get_all(name).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        value.to_str().ok()
    }

    /// Reads the query string, in which only the names `allowed` may stand.
    ///
    /// # Errors
    /// As [`Query::parse`].
    pub fn query(&self, allowed: &[&'static str]) -> Result<Query<'_>, ApiError> {
        Query::parse(self.request.uri().query().unwrap_or_default(), allowed)
    }

    /// Gives a parameter of the path, decoded.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a broken escape, `NOT_FOUND` when the route has no such parameter.
    pub fn param(&self, name: &'static str) -> Result<String, ApiError> {
        let raw = self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        let raw = raw.ok_or_else(|| ApiError::new(ErrorCode::NotFound, "No such path"))?;
        let decoded = decode(raw)
            .ok_or_else(|| ApiError::invalid(name, Some(raw), "percent-encoded UTF-8"))?;
        Ok(decoded.into_owned())
    }

    /// Reads the body whole; a second time it is empty.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE`, or `VALIDATION_ERROR` for a body that is too slow or breaks off.
    pub async fn read_body(&mut self) -> Result<Vec<u8>, ApiError> {
        Ok(read_body(self.request.body_mut(), self.limits).await?)
    }

    /// Takes the socket over once the answer 101 is sent.
    pub fn upgrade(&mut self) -> OnUpgrade {
        hyper::upgrade::on(&mut self.request)
    }
}
