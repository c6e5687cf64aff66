//! A small application behind the real transport and edge.

use std::future::{pending, ready};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono_api::edge::{
    Access, ApiError, Call, Edge, Gate, KeyPlace, Origins, Reply, Route, json, with_type,
};
use chrono_api::http::{Body, Server, Settings, Tls};
use chrono_api::supervisor::{Policy, Supervisor};
use chrono_auth::{ConfiguredKey, Keyring, Limit, Limits, Role, Tier};
use chrono_domain::{ManualClock, SystemClock, Timestamp};
use futures_util::stream::{self, StreamExt};
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;

pub(crate) const PUBLIC: &str = "chrono_public_test_key_001";
pub(crate) const PAID: &str = "chrono_public_test_key_paid";
pub(crate) const INTERNAL: &str = "chrono_internal_test_key_001";
pub(crate) const ADMIN: &str = "chrono_admin_test_key_001";
/// Requests a minute of every key but administrators'.
pub(crate) const LIMIT: u32 = 5;
/// Failures a minute of one address.
pub(crate) const FAILURES: u32 = 20;

/// The state that handlers share with a test.
pub(crate) struct Toy {
    supervisor: Supervisor,
    /// Told when a request waits in `/slow` or reads a body.
    pub(crate) begun: Notify,
    /// Lets `/slow` answer.
    pub(crate) go_on: Notify,
    /// Told when an endless answer was given up.
    pub(crate) given_up: Arc<Notify>,
}

/// A running server.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) toy: Arc<Toy>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) supervisor: Supervisor,
}

pub(crate) static ROUTES: &[Route<Toy>] = &[
    Route::get("/open", Access::Open, "open", |_toy, _call| {
        Box::pin(ready(Ok(with_type("application/json", "{\"open\":true}"))))
    }),
    Route::get("/prices/{symbol}", Access::Public, "price", |_toy, call| {
        Box::pin(ready(price(&call)))
    }),
    Route::post("/internal/echo", Access::Internal, "echo", |toy, call| Box::pin(echo(toy, call))),
    Route::get("/admin/keys", Access::Admin, "keys", |_toy, _call| {
        Box::pin(ready(Ok(with_type("application/json", "[]"))))
    }),
    Route::get("/panic", Access::Open, "panic", |_toy, _call| {
        Box::pin(async { panic!("the handler broke") })
    }),
    Route::get("/slow", Access::Open, "slow", |toy, _call| Box::pin(slow(toy))),
    Route::get("/endless", Access::Open, "endless", |toy, _call| {
        Box::pin(ready(Ok(endless(&toy))))
    }),
    Route::get("/events", Access::Open, "events", |toy, call| {
        call.expect_stream();
        Box::pin(ready(Ok(endless(&toy))))
    }),
    Route::get("/stream", Access::Public, "stream", |_toy, call| Box::pin(ready(Ok(who(&call)))))
        .with_key(KeyPlace::HeaderQueryOrLater),
    Route::get("/upgrade", Access::Open, "upgrade", |toy, call| {
        Box::pin(ready(Ok(upgrade(&toy, call))))
    }),
];

impl Running {
    pub(crate) async fn start() -> Self {
        Self::start_with(Settings::default(), Origins::Any).await
    }

    pub(crate) async fn start_with(settings: Settings, origins: Origins) -> Self {
        Self::start_at(settings, origins, None).await
    }

    pub(crate) async fn start_with_tls(settings: Settings, tls: Tls) -> Self {
        Self::start_at(settings, Origins::Any, Some(tls)).await
    }

    async fn start_at(settings: Settings, origins: Origins, tls: Option<Tls>) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::MIN));
        let supervisor = Supervisor::new(Arc::new(SystemClock::new()));
        let gate = Arc::new(gate(&clock));
        let toy = Arc::new(Toy {
            supervisor: supervisor.clone(),
            begun: Notify::new(),
            go_on: Notify::new(),
            given_up: Arc::default(),
        });
        let edge = Edge::try_new(Arc::clone(&toy), ROUTES, gate, origins, settings).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = Server::new(listener, Arc::new(edge), settings, supervisor.clone());
        if let Some(tls) = tls {
            server = server.with_tls(Arc::new(tls));
        }
        let server = Arc::new(server);
        supervisor.task("http", Policy::ToEnd, move || {
            let server = Arc::clone(&server);
            async move { server.run().await }
        });
        Self { address, toy, clock, supervisor }
    }
}

fn gate(clock: &Arc<ManualClock>) -> Gate {
    let key = |role, tier, text: &str| ConfiguredKey::try_new(role, tier, &text.into()).unwrap();
    let keyring = Keyring::new([
        key(Role::Public, Tier::Free, PUBLIC),
        key(Role::Public, Tier::Paid, PAID),
        key(Role::Internal, Tier::Free, INTERNAL),
        key(Role::Admin, Tier::Free, ADMIN),
    ]);
    let limit = |requests| Limit::per_minute(NonZeroU32::new(requests).unwrap());
    let limits = Limits {
        internal: limit(LIMIT),
        worker: limit(LIMIT),
        public_free: limit(LIMIT),
        public_paid: limit(2 * LIMIT),
    };
    Gate::new(Arc::new(keyring), limits, limit(FAILURES), clock.clone())
}

fn price(call: &Call) -> Result<Reply, ApiError> {
    let query = call.query(&["source"])?;
    json(&json!({ "symbol": call.param("symbol")?, "source": query.find("source") }))
}

async fn echo(toy: Arc<Toy>, mut call: Call) -> Result<Reply, ApiError> {
    toy.begun.notify_one();
    Ok(with_type("application/json", call.read_body().await?))
}

async fn slow(toy: Arc<Toy>) -> Result<Reply, ApiError> {
    toy.begun.notify_one();
    toy.go_on.notified().await;
    Ok(with_type("application/json", "{\"slow\":true}"))
}

fn endless(toy: &Toy) -> Reply {
    struct GivenUp(Arc<Notify>);
    impl Drop for GivenUp {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let given_up = GivenUp(Arc::clone(&toy.given_up));
    let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
    let chunks = stream::repeat(chunk).map(move |chunk| {
        let _held = &given_up;
        Ok::<_, std::convert::Infallible>(Frame::data(chunk))
    });
    Response::new(Body::streamed(StreamBody::new(chunks)))
}

fn who(call: &Call) -> Reply {
    let who = call.principal().map_or("nobody", |principal| principal.role.as_str());
    with_type("application/json", format!("{{\"who\":\"{who}\"}}"))
}

/// Switches to a protocol that sends back what it gets.
fn upgrade(toy: &Toy, mut call: Call) -> Reply {
    let upgrade = call.upgrade();
    toy.supervisor.connection(async move {
        let mut io = TokioIo::new(upgrade.await.unwrap());
        let mut line = [0; 5];
        io.read_exact(&mut line).await.unwrap();
        io.write_all(&line).await.unwrap();
        // Keeps the socket until the server halts.
        pending::<()>().await;
        drop(io);
    });
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    reply.headers_mut().insert(UPGRADE, HeaderValue::from_static("echo"));
    reply
}

/// Waits until `done` gives something, and fails when it never does.
pub(crate) async fn until<T>(mut done: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = done().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(crate::client::SOON, wait).await.expect("it never came true")
}
