//! Keys from order to revocation, over the model store.

use chrono_domain::ManualClock;
use chrono_storage::model::{Fault, ModelStore, ReadFault};
use secrecy::ExposeSecret;
use tokio::time::timeout;

use super::*;
use crate::{AuthError, Principal};

/// One process: its keyring and its service over the shared store.
struct Process {
    keyring: Arc<Keyring>,
    service: KeyService,
}

struct World {
    store: Arc<ModelStore>,
    clock: Arc<ManualClock>,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_000_000).unwrap()));
        Self { store: Arc::default(), clock }
    }

    fn process(&self) -> Process {
        let keyring = Arc::new(Keyring::new([]));
        let service = KeyService::new(self.store.clone(), Arc::clone(&keyring), self.clock.clone());
        Process { keyring, service }
    }

    fn open(&self, process: &Process, key: &CreatedKey) -> Result<Principal, AuthError> {
        process.keyring.authenticate(key.text.expose_secret(), self.clock.now())
    }
}

fn order(client: &str) -> KeyOrder {
    KeyOrder { role: Role::Public, tier: Tier::Paid, client: client.to_owned(), not_after: None }
}

#[tokio::test]
async fn a_created_key_opens_at_once_and_is_listed_without_its_text() {
    let world = World::new();
    let process = world.process();
    let key = process.service.create(order("acme")).await.unwrap();
    let principal = world.open(&process, &key).unwrap();
    assert_eq!(
        (principal.role, principal.tier, principal.key_id),
        (Role::Public, Tier::Paid, key.id)
    );
    let listed = process.service.list().await.unwrap();
    let expected = KeyRecord {
        id: key.id.to_string(),
        role: "public".to_owned(),
        tier: Some("paid".to_owned()),
        client: "acme".to_owned(),
        created_at: world.clock.now(),
        not_after: None,
        revoked_at: None,
    };
    assert_eq!(listed, [expected]);
    assert!(!format!("{key:?}").contains(key.text.expose_secret()));
}

#[tokio::test]
async fn a_revoked_key_opens_nothing_from_then_on() {
    let world = World::new();
    let process = world.process();
    let key = process.service.create(order("acme")).await.unwrap();
    process.service.revoke(key.id.as_str()).await.unwrap();
    assert_eq!(world.open(&process, &key), Err(AuthError::Unknown));
    let listed = process.service.list().await.unwrap();
    assert_eq!(listed[0].revoked_at, Some(world.clock.now()));
    let again = process.service.revoke(key.id.as_str()).await;
    assert!(matches!(again, Err(KeyError::NotFound)));
    assert!(matches!(process.service.revoke("nobody00").await, Err(KeyError::NotFound)));
}

#[tokio::test]
async fn a_rotation_has_two_live_keys_and_no_third() {
    let world = World::new();
    let process = world.process();
    let old = process.service.create(order("acme")).await.unwrap();
    let new = process.service.rotate(old.id.as_str(), None).await.unwrap();
    let principal = world.open(&process, &new).unwrap();
    assert_eq!((principal.tier, &*principal.client), (Tier::Paid, "acme"));
    assert!(world.open(&process, &old).is_ok());
    let third = process.service.rotate(new.id.as_str(), None).await;
    assert!(matches!(third, Err(KeyError::TwoLive)));
    assert!(matches!(process.service.create(order("acme")).await, Err(KeyError::TwoLive)));
    process.service.create(order("other")).await.unwrap();
    process.service.revoke(old.id.as_str()).await.unwrap();
    let revoked = process.service.rotate(old.id.as_str(), None).await;
    assert!(matches!(revoked, Err(KeyError::NotFound)));
    process.service.rotate(new.id.as_str(), None).await.unwrap();
}

#[tokio::test]
async fn a_key_expires_and_makes_room_for_another() {
    let world = World::new();
    let process = world.process();
    let not_after = Some(world.clock.now().plus(Duration::from_secs(10)));
    let short = || KeyOrder { not_after, ..order("acme") };
    let key = process.service.create(short()).await.unwrap();
    process.service.create(short()).await.unwrap();
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(world.open(&process, &key), Err(AuthError::Expired));
    assert!(matches!(process.service.create(short()).await, Err(KeyError::Expired)));
    process.service.create(order("acme")).await.unwrap();
}

#[tokio::test]
async fn only_public_keys_have_a_tier_and_clients_have_sane_names() {
    let world = World::new();
    let process = world.process();
    let internal = KeyOrder { role: Role::Internal, ..order("worker") };
    process.service.create(internal).await.unwrap();
    assert_eq!(process.service.list().await.unwrap()[0].tier, None);
    for client in ["", "a\nb", "a;b", &"x".repeat(65)] {
        let refused = process.service.create(order(client)).await;
        assert!(matches!(refused, Err(KeyError::Client)), "{client:?}");
    }
}

#[tokio::test]
async fn a_store_that_fails_makes_no_key() {
    let world = World::new();
    let process = world.process();
    world.store.next_commit(Fault::Unavailable);
    let refused = process.service.create(order("acme")).await;
    assert!(matches!(refused, Err(KeyError::Store(StoreError::Unavailable(_)))));
    assert!(process.keyring.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_another_process_does_is_seen_within_five_seconds() {
    let world = World::new();
    let (here, there) = (world.process(), world.process());
    let service = here.service.clone();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { service.run().await });
    let seen = async |key: &CreatedKey, live: bool| {
        let mut changes = here.keyring.changes();
        let wait = async {
            while world.open(&here, key).is_ok() != live {
                changes.changed().await.unwrap();
            }
        };
        timeout(Duration::from_secs(5), wait).await.expect("not seen in time");
    };
    let key = there.service.create(order("acme")).await.unwrap();
    seen(&key, true).await;
    there.service.revoke(key.id.as_str()).await.unwrap();
    seen(&key, false).await;
    // A store that fails takes no key away, and is asked again.
    let key = there.service.create(order("acme")).await.unwrap();
    seen(&key, true).await;
    for _ in 0..3 {
        world.store.next_read(ReadFault::Unavailable);
    }
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert!(world.open(&here, &key).is_ok());
    let other = there.service.create(order("other")).await.unwrap();
    seen(&other, true).await;
}
