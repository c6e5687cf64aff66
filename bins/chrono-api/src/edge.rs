//! The edge: everything between the transport and the use cases.
//!
//! One table of [`Route`]s drives the router, the role check and the metrics' label. A request passes, in this order:
//! request id, screen, route, key, role, limit, handler; whatever happens, the answer gets its headers, its line in
//! the log and its place in the histogram. Only here are errors of the layers below turned into status and code.

mod call;
mod cors;
mod error;
mod gate;
mod limit_headers;
mod percent;
mod query;
mod reply;
mod request_id;
mod route;
mod router;
mod timings;
mod visit;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use chrono_domain::Clock;
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderName, HeaderValue, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request};

use crate::http::{Answer, AnswerBudget, BodyLimits, Peer, Settings, Share, screen};
use crate::supervisor::message_of;
use gate::Passage;
use router::{Endpoint, Found, Router};
use visit::Visit;

pub use call::Call;
pub use cors::Origins;
pub use error::{ApiError, Details, ErrorCode, ItemFault};
pub use gate::{Gate, Quota};
pub use query::Query;
pub use reply::{Reply, json, json_bytes, with_type};
pub use request_id::RequestId;
pub use route::{Access, Handler, KeyPlace, Route};
pub use router::RouteError;

/// Headers that most answers get here.
const HEADERS_USUAL: usize = 9;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Answers requests by a table of routes, for an application state `A`.
#[derive(Debug)]
pub struct Edge<A: 'static> {
    app: Arc<A>,
    router: Router<A>,
    gate: Arc<Gate>,
    origins: Origins,
    body: BodyLimits,
    answers: AnswerBudget,
    clock: Arc<dyn Clock>,
}

impl<A: Send + Sync + 'static> Edge<A> {
    /// Builds the router from the table.
    ///
    /// # Errors
    /// [`RouteError`] when two routes cannot stand beside each other.
    pub fn try_new(
        app: Arc<A>,
        routes: &'static [Route<A>],
        gate: Arc<Gate>,
        origins: Origins,
        settings: Settings,
    ) -> Result<Self, RouteError> {
        let (clock, body) = (gate.clock(), settings.body);
        let answers = AnswerBudget::new(settings.answer_bytes_max);
        Ok(Self { app, router: Router::try_new(routes)?, gate, origins, body, answers, clock })
    }

    /// Does what the request asks for, and says for whom.
    async fn respond(
        &self,
        found: Found<'_, A>,
        mut call: Call,
        passage: &mut Passage,
    ) -> Result<Reply, ApiError> {
        screen(call.request()).map_err(ApiError::from)?;
        let route = match found {
            Found::Route(route) => route,
            Found::Options => return Ok(reply::no_content()),
            Found::WrongMethod(allow) => return Err(ApiError::wrong_method(allow)),
            Found::Nothing => return Err(ApiError::new(ErrorCode::NotFound, "No such path")),
        };
        self.gate.admit(route, call.request(), call.peer(), passage)?;
        call.enter(passage.principal.clone());
        if let Some(quota) = passage.quota.filter(|quota| !quota.allows()) {
            return Err(ApiError::rate_limited(quota));
        }
        #[cfg(feature = "failpoints")]
        chrono_storage::failpoint::hit("handler");
        (route.handler)(Arc::clone(&self.app), call).await
    }

    /// Gives the answer the headers that every answer has.
    fn dress(
        &self,
        endpoint: &Endpoint<A>,
        asked: &Asked,
        quota: Option<Quota>,
        response: &mut Reply,
    ) {
        let headers = response.headers_mut();
        headers.reserve(HEADERS_USUAL);
        headers.insert(REQUEST_ID, asked.id.header());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(quota) = quota {
            limit_headers::dress(headers, quota);
        }
        if asked.method == Method::OPTIONS {
            headers.insert(ALLOW, endpoint.allow.clone());
        }
        if endpoint.cross_origin {
            let preflight = (asked.method == Method::OPTIONS).then_some(&endpoint.allow);
            self.origins.dress(headers, asked.origin.as_ref(), preflight);
        }
    }
}

/// What of a request is still needed when it is gone.
struct Asked {
    id: RequestId,
    method: Method,
    origin: Option<HeaderValue>,
}

impl Asked {
    /// Counts the answer against the memory that answers share. What a post did is told in any case, and is no longer
    /// than what it sent.
    fn charge(&self, share: &Share, mut reply: Reply) -> Result<Reply, ApiError> {
        if self.method == Method::GET {
            reply.body_mut().charge(share)?;
        }
        Ok(reply)
    }
}

impl<A: Send + Sync + 'static> Answer for Edge<A> {
    async fn answer(self: Arc<Self>, request: Request<Incoming>, peer: Peer) -> Reply {
        let asked = Asked {
            id: RequestId::of(request.headers(), self.clock.now()),
            method: request.method().clone(),
            origin: request.headers().get(ORIGIN).cloned(),
        };
        let (endpoint, found, params) = self.router.find(&asked.method, request.uri().path());
        let ip = peer.address.ip();
        let mut visit = Visit::begin(&self.clock, &asked.id, &request, ip, &endpoint.timings);
        let share = self.answers.of(ip);
        let call = Call::new(request, peer, asked.id.clone(), params, self.body, share.clone());
        let mut passage = Passage::default();
        let outcome = AssertUnwindSafe(self.respond(found, call, &mut passage)).catch_unwind();
        let outcome = outcome.await.unwrap_or_else(|payload| Err(panicked(&*payload)));
        let outcome = outcome.and_then(|reply| asked.charge(&share, reply));
        // Beside the key's, what a handler counted.
        let mut own = None;
        let mut response = outcome.unwrap_or_else(|fault| {
            fault.log(&asked.id);
            own = fault.quota();
            fault.into_response(&asked.id)
        });
        own = response.extensions_mut().remove().or(own);
        let quota = passage.quota.map(|quota| own.map_or(quota, |own| quota.tighter(own))).or(own);
        self.dress(endpoint, &asked, quota, &mut response);
        visit.end(&response, passage.principal.as_ref().map(|principal| principal.key_id));
        response
    }
}

fn panicked(payload: &(dyn Any + Send)) -> ApiError {
    metrics::counter!("task_panics_total", "task" => "request").increment(1);
    ApiError::internal(message_of(payload))
}
