//! An HTTP server that keeps each batch once per idempotency key, and can fail on demand.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use chrono_client::Client;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What to do with the request of a number, from 0.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Stores the batch, then closes the connection instead of answering.
    StoreAndClose,
    /// Answers 503 without storing.
    Overloaded,
    /// Answers 401.
    Unauthorized,
    /// Answers 422: the idempotency key came with other feeds before.
    OtherFeeds,
}

/// A stored batch.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) key: String,
    pub(crate) worker_id: String,
    pub(crate) feeds: Vec<Value>,
}

#[derive(Default)]
struct State {
    requests: usize,
    stored: Vec<Stored>,
}

pub(crate) struct Gateway {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

impl Gateway {
    /// Starts a gateway that fails as `fault` says; it refuses feeds whose symbol is lower case.
    pub(crate) async fn start(fault: fn(usize) -> Fault) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), fault).await
    }

    /// Starts one at an address that others know already.
    pub(crate) async fn start_at(address: SocketAddr, fault: fn(usize) -> Fault) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, Arc::clone(&state), fault));
        Self { address, state, _tasks: tasks }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&format!("http://{}", self.address), "key".into()).unwrap()
    }

    pub(crate) fn stored(&self) -> Vec<Stored> {
        self.state.lock().unwrap().stored.clone()
    }

    /// Gives every stored feed, in the order of storing.
    pub(crate) fn feeds(&self) -> Vec<Value> {
        self.stored().into_iter().flat_map(|batch| batch.feeds).collect()
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>, fault: fn(usize) -> Fault) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _peer)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&state), fault));
            // A connection that is closed on purpose ends in an error, as it should.
            drop(http1::Builder::new().serve_connection(TokioIo::new(socket), service).await);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
    fault: fn(usize) -> Fault,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let key = parts.headers["idempotency-key"].to_str().unwrap().to_owned();
    let mut state = state.lock().unwrap();
    let number = state.requests;
    state.requests += 1;
    let error = |status: u16, code: &str| {
        let body = json!({"error": {"code": code, "message": code}, "status": status});
        Ok(respond(status, false, &body))
    };
    match fault(number) {
        Fault::None => {
            let (replayed, body) = store(&mut state, key, &body);
            Ok(respond(200, replayed, &body))
        }
        Fault::StoreAndClose => {
            store(&mut state, key, &body);
            Err(io::Error::other("closed on purpose"))
        }
        Fault::Overloaded => error(503, "OVERLOADED"),
        Fault::Unauthorized => error(401, "UNAUTHORIZED"),
        Fault::OtherFeeds => error(422, "IDEMPOTENCY_MISMATCH"),
    }
}

fn store(state: &mut State, key: String, body: &[u8]) -> (bool, Value) {
    let mut batch: Value = serde_json::from_slice(body).unwrap();
    let mut feeds: Vec<Value> = serde_json::from_value(batch["feeds"].take()).unwrap();
    let worker_id = batch["worker_id"].as_str().unwrap().to_owned();
    let lower = |feed: &Value| feed["symbol"].as_str().unwrap().contains(char::is_lowercase);
    let errors: Vec<Value> = feeds
        .iter()
        .enumerate()
        .filter(|(_index, feed)| lower(feed))
        .map(|(index, _feed)| json!({"index": index, "code": "VALIDATION_ERROR", "message": "m"}))
        .collect();
    feeds.retain(|feed| !lower(feed));
    let reply = json!({"status": "success", "ingested": feeds.len(), "failed": errors.len(),
        "latency_ms": 0, "message": "m", "errors": errors});
    if let Some(known) = state.stored.iter().find(|stored| stored.key == key) {
        assert_eq!(known.feeds, feeds, "other content under the key {key}");
        return (true, reply);
    }
    state.stored.push(Stored { key, worker_id, feeds });
    (false, reply)
}

fn respond(status: u16, replayed: bool, body: &Value) -> Response<Full<Bytes>> {
    let builder = Response::builder().status(status);
    let builder = if replayed { builder.header("idempotent-replayed", "true") } else { builder };
    builder.body(Full::from(body.to_string())).unwrap()
}
