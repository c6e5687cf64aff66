//! An HTTP server that does what a script says and keeps what it got.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chrono_client::{Client, Options};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What to do with one request, once its body was read.
pub(crate) enum Step {
    /// Answers with a status, headers and a body.
    Answer(u16, &'static [(&'static str, &'static str)], String),
    /// Closes the connection without an answer.
    Close,
    /// Never answers.
    Hang,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

#[derive(Default)]
struct Script {
    steps: Mutex<VecDeque<Step>>,
    got: Mutex<Vec<Got>>,
}

pub(crate) struct Gateway {
    address: SocketAddr,
    script: Arc<Script>,
    _tasks: JoinSet<()>,
}

impl Gateway {
    pub(crate) async fn start(steps: impl IntoIterator<Item = Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Script::default());
        script.steps.lock().unwrap().extend(steps);
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, Arc::clone(&script)));
        Self { address, script, _tasks: tasks }
    }

    pub(crate) fn client(&self) -> Client {
        let options = Options { request_timeout: Duration::from_millis(500), ..Options::default() };
        Client::with_options(&self.url(), "chrono_internal_secret".into(), options).unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/gateway", self.address)
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.script.got.lock().unwrap().clone()
    }
}

async fn serve(listener: TcpListener, script: Arc<Script>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _peer)) = listener.accept().await {
        let script = Arc::clone(&script);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&script)));
            // A connection that the script closes ends in an error, as it should.
            drop(http1::Builder::new().serve_connection(TokioIo::new(socket), service).await);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    script: Arc<Script>,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    script.got.lock().unwrap().push(Got {
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        headers: parts.headers,
        body,
    });
    let step = script.steps.lock().unwrap().pop_front();
    match step.expect("more requests than steps") {
        Step::Answer(status, headers, body) => {
            let builder = headers
                .iter()
                .fold(Response::builder().status(status), |builder, &(name, value)| {
                    builder.header(name, value)
                });
            Ok(builder.body(Full::from(body)).unwrap())
        }
        Step::Close => Err(io::Error::other("closed on purpose")),
        Step::Hang => std::future::pending().await,
    }
}
