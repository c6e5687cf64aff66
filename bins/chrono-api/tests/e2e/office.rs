//! Makes, rotates and revokes keys in a gateway's store, beside it and at whatever time a test wants.

use std::path::Path;
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use chrono_auth::{CreatedKey, KeyOrder, KeyService, Keyring, Role, Tier};
use chrono_domain::{Clock, ManualClock, SystemClock};
use chrono_storage::KeyStore;
use chrono_storage::sqlite::{Access, Settings, SqliteStore};
use secrecy::ExposeSecret;
use tokio::runtime::Runtime;

use crate::service::Service;

/// How soon a gateway must know of a key that was made or revoked beside it.
pub(crate) const FOLLOW: Duration = Duration::from_secs(5);
/// Pause between two looks: each may count as a failed authentication.
const STEP: Duration = Duration::from_millis(200);
/// A path that any public key opens.
const PATH: &str = "/metadata/intervals";

pub(crate) struct Office {
    keys: KeyService,
    store: Arc<SqliteStore>,
    clock: Arc<ManualClock>,
    runtime: Runtime,
}

impl Office {
    /// Opens the store of a gateway, as of so long ago.
    pub(crate) fn open(dir: &Path, ago: Duration) -> Self {
        let clock = Arc::new(ManualClock::new(SystemClock::new().now().minus(ago)));
        let settings = Settings { access: Access::Tool, ..Settings::new(dir.join("chrono.db")) };
        let (store, lanes) = SqliteStore::open(settings, clock.as_ref()).unwrap();
        Builder::new().spawn(move || lanes.writer.run()).unwrap();
        for lane in lanes.readers.into_iter().chain([lanes.upkeep]) {
            Builder::new().spawn(move || lane.run()).unwrap();
        }
        let store = Arc::new(store);
        let keys = KeyService::new(
            Arc::clone(&store) as Arc<dyn KeyStore>,
            Arc::new(Keyring::new([])),
            Arc::<ManualClock>::clone(&clock),
        );
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { keys, store, clock, runtime }
    }

    /// Makes a public key for a client, for so long.
    pub(crate) fn create(&self, client: &str, tier: Tier, lifetime: Duration) -> String {
        let not_after = Some(self.clock.now().plus(lifetime));
        let order = KeyOrder { role: Role::Public, tier, client: client.to_owned(), not_after };
        text_of(&self.runtime.block_on(self.keys.create(order)).unwrap())
    }

    /// Makes a second key for the client of another one.
    pub(crate) fn rotate(&self, key: &str) -> String {
        text_of(&self.runtime.block_on(self.keys.rotate(id_of(key), None)).unwrap())
    }

    pub(crate) fn revoke(&self, key: &str) {
        self.runtime.block_on(self.keys.revoke(id_of(key))).unwrap();
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.store.close();
    }
}

pub(crate) fn text_of(made: &CreatedKey) -> String {
    made.text.expose_secret().to_owned()
}

/// Gives the public part of a key that Chrono made.
pub(crate) fn id_of(key: &str) -> &str {
    key.split('_').nth(2).unwrap()
}

/// Gives the status that a public key gets.
pub(crate) fn status(service: &Service, key: &str) -> u16 {
    service.ask("GET", PATH, &[("X-API-Key", key)], "").status
}

/// Asks with a key until it gets a status, for no longer than a gateway may take to follow.
pub(crate) fn wait_for(service: &Service, key: &str, wanted: u16) {
    let clock = SystemClock::new();
    while status(service, key) != wanted {
        assert!(clock.uptime() < FOLLOW, "no {wanted} within {FOLLOW:?}");
        std::thread::sleep(STEP);
    }
}
