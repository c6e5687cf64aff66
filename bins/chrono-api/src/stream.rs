//! Streams on sockets: the transport between the hub and its clients.
//!
//! A task per client moves bytes; what is sent, and when a stream ends, the hub's session decides. WebSocket clients
//! are in `websocket`, server-sent events in `events`.

mod alarm;
mod events;
mod handshake;
mod websocket;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono_auth::{KeyId, Principal, customer_of};
use chrono_cache::{Bus, LatestBook};
use chrono_domain::Clock;
use chrono_stream::{Client, Hub, Refused, Roused, StreamSettings};
use metrics::Gauge;
use tokio::time::sleep;

use crate::config::StreamConfig;
use crate::edge::{ApiError, ErrorCode, Gate};
use crate::supervisor::{Policy, Supervisor};

/// Over how long the hints to come back are spread when the gateway stops.
const DRAIN_WINDOW: Duration = Duration::from_secs(10);
/// What is taken from the hub, and written, at once, about. Higher saves few writes more, since some twenty updates fit,
/// and each client that does not read holds this much beside what the kernel takes.
const WRITE_BYTES: usize = 4 * 1024;

/// The task without which no stream moves, by the name that readiness and metrics show.
pub(crate) const HUB_TASK: &str = "hub";

/// Opens streams.
#[derive(Debug, Clone)]
pub(crate) struct StreamService {
    hub: Arc<Hub>,
    gate: Arc<Gate>,
    supervisor: Supervisor,
}

impl StreamService {
    /// Starts the hub, the watch over keys, and the drain at the stop.
    pub(crate) fn start(
        settings: StreamSettings,
        book: &Arc<LatestBook>,
        bus: &Arc<dyn Bus>,
        gate: Arc<Gate>,
        supervisor: &Supervisor,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let hub = Arc::new(Hub::new(bus.as_ref(), book, Arc::clone(clock), settings));
        let service = Self { hub, gate, supervisor: supervisor.clone() };
        let (hub, bus, book) = (Arc::clone(&service.hub), Arc::clone(bus), Arc::clone(book));
        supervisor.task(HUB_TASK, Policy::Forever, move || {
            let (hub, bus, book) = (Arc::clone(&hub), Arc::clone(&bus), Arc::clone(&book));
            async move { hub.run(bus.as_ref(), &book).await }
        });
        let watching = service.clone();
        supervisor.task("stream-keys", Policy::Forever, move || watching.clone().watch_keys());
        let draining = service.clone();
        supervisor.task("stream-drain", Policy::ToEnd, move || draining.clone().drain());
        service
    }

    /// Waits until a stream that is opened now begins with what is current.
    pub(crate) async fn rouse(&self) -> Roused {
        self.hub.rouse().await
    }

    /// Gives a place in the hub to a caller, with its key if it gave one already.
    fn connect(&self, from: IpAddr, principal: Option<&Principal>) -> Result<Client, ApiError> {
        let mut client = self.hub.connect(customer_of(from))?;
        if let Some(principal) = principal {
            client.identify(principal.key_id.as_str().into())?;
        }
        Ok(client)
    }

    /// Ends the streams of keys that were revoked or are over: the keyring hears of it within two seconds.
    async fn watch_keys(self) {
        loop {
            sleep(self.hub.settings().key_check_interval).await;
            let now = self.hub.clock().now();
            let live =
                |key: &str| KeyId::find(key).is_some_and(|id| self.gate.keyring().is_live(id, now));
            for key in self.hub.keys() {
                if !live(&key) {
                    self.hub.close_key(&key);
                }
            }
        }
    }

    async fn drain(self) {
        self.supervisor.draining().cancelled().await;
        self.hub.drain(DRAIN_WINDOW);
    }
}

impl From<StreamConfig> for StreamSettings {
    fn from(config: StreamConfig) -> Self {
        Self {
            connections_max: config.connections_max,
            connections_per_key_max: config.connections_per_key_max,
            connections_per_ip_max: config.connections_per_ip_max,
            heartbeat_interval: config.heartbeat,
            ..Self::default()
        }
    }
}

/// Counts something in a gauge for as long as it lives.
#[derive(Debug)]
struct Gauged(Gauge);

impl Gauged {
    fn new(name: &'static str) -> Self {
        let gauge = metrics::gauge!(name);
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Gauged {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Total => {
                Self::new(ErrorCode::Overloaded, "The server has as many streams as it takes")
            }
            Refused::Draining => Self::new(ErrorCode::Overloaded, "The server goes away"),
            Refused::Address => {
                Self::new(ErrorCode::RateLimitExceeded, "The address has as many streams as it may")
            }
            Refused::Key => {
                Self::new(ErrorCode::RateLimitExceeded, "The key has as many streams as it may")
            }
            other => Self::internal(other),
        }
    }
}
