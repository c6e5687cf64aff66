//! Streams over loopback sockets, through the real transport and edge.

mod client;
mod endings;
mod events;
mod messages;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono_auth::{ConfiguredKey, Keyring, Limit, Limits, Role, Tier};
use chrono_cache::memory::MemoryBus;
use chrono_cache::{Bus, LatestBook};
use chrono_domain::{
    Arrival, Clock, Price, Source, StoredTick, Symbol, SystemClock, Tick, Timestamp,
};
use chrono_stream::StreamSettings;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::StreamService;
use crate::edge::{Access, Edge, Gate, KeyPlace, Origins, Route};
use crate::http::{Server, Settings};
use crate::supervisor::{Policy, Supervisor};

const PUBLIC: &str = "chrono_public_test_key_001";
const INTERNAL: &str = "chrono_internal_test_key_001";
/// Far longer than anything here takes.
const SOON: Duration = Duration::from_secs(20);

static ROUTES: &[Route<StreamService>] = &[
    Route::get("/stream", Access::Public, "socket", |service: Arc<StreamService>, call| {
        Box::pin(async move {
            let _awake = service.rouse().await;
            service.websocket(call)
        })
    })
    .with_key(KeyPlace::HeaderQueryOrLater),
    Route::get("/stream/sse", Access::Public, "events", |service: Arc<StreamService>, call| {
        Box::pin(async move {
            let _awake = service.rouse().await;
            service.events(&call)
        })
    })
    .with_key(KeyPlace::HeaderOrQuery),
];

/// A gateway that only streams, and what feeds it.
struct Desk {
    address: SocketAddr,
    service: StreamService,
    supervisor: Supervisor,
    keyring: Arc<Keyring>,
    book: Arc<LatestBook>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    published: u64,
}

fn configured(role: Role, text: &str) -> ConfiguredKey {
    ConfiguredKey::try_new(role, Tier::Free, &text.into()).unwrap()
}

impl Desk {
    async fn open(settings: StreamSettings) -> Self {
        Self::open_with(settings, Limits::default()).await
    }

    async fn open_with(settings: StreamSettings, limits: Limits) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let supervisor = Supervisor::new(Arc::clone(&clock));
        let keys = [configured(Role::Public, PUBLIC), configured(Role::Internal, INTERNAL)];
        let keyring = Arc::new(Keyring::new(keys));
        let failures = Limit::per_minute(1_000.try_into().unwrap());
        let gate = Gate::new(Arc::clone(&keyring), limits, failures, Arc::clone(&clock));
        let gate = Arc::new(gate);
        let book = Arc::new(LatestBook::default());
        let bus: Arc<dyn Bus> = Arc::new(MemoryBus::default());
        let service =
            StreamService::start(settings, &book, &bus, Arc::clone(&gate), &supervisor, &clock);
        let http = Settings::default();
        let edge =
            Edge::try_new(Arc::new(service.clone()), ROUTES, gate, Origins::Any, http).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::new(Server::new(listener, Arc::new(edge), http, supervisor.clone()));
        supervisor.task("http", Policy::ToEnd, move || {
            let server = Arc::clone(&server);
            async move { server.run().await }
        });
        Self { address, service, supervisor, keyring, book, bus, clock, published: 0 }
    }

    async fn usual() -> Self {
        Self::open(StreamSettings::default()).await
    }

    /// Publishes one commit of so many ticks of a symbol; each price is its tick's number.
    async fn publish(&mut self, symbol: &str, count: u64) {
        let ticks: Vec<_> = (self.published + 1..=self.published + count)
            .map(|number| {
                let tick = Tick::try_new(
                    Symbol::try_new(symbol).unwrap(),
                    Source::try_new("s").unwrap(),
                    Price::try_new(&number.to_string()).unwrap(),
                    None,
                    Timestamp::from_micros(i64::try_from(number).unwrap()).unwrap(),
                );
                let ingested_at = Timestamp::MIN;
                StoredTick { tick: tick.unwrap(), arrival: Arrival(number), ingested_at }
            })
            .collect();
        self.published += count;
        self.book.apply(&ticks, Timestamp::MIN);
        self.bus.publish(ticks.into(), self.clock.now()).await.unwrap();
    }

    /// Waits until so many streams are open.
    async fn until_open(&self, count: usize) {
        let reached = async {
            while self.service.hub.connections() != count {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, reached).await.expect("the number of streams is never reached");
    }
}
