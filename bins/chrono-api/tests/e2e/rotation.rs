//! Keys that are rotated while their clients ask on.

use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use chrono_auth::Tier;

use crate::office::{Office, status, wait_for};
use crate::service::Service;

const CLIENTS: usize = 20;
/// Rotations of each client: a hundred in all.
const ROUNDS: usize = 5;
const DAY: Duration = Duration::from_hours(24);

/// The keys of a client that must work now. Whoever asks with one holds the lock, so that none is revoked meanwhile.
type Live = RwLock<Vec<String>>;

#[test]
fn no_request_fails_while_the_old_key_and_the_new_one_are_live() {
    let service = Service::start();
    let office = Office::open(service.data_dir(), Duration::ZERO);
    let clients: Vec<Live> = (0..CLIENTS)
        .map(|number| RwLock::new(vec![office.create(&format!("c{number}"), Tier::Paid, DAY)]))
        .collect();
    wait_for(&service, &clients[CLIENTS - 1].read().unwrap()[0], 200);
    let (over, asked) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    for live in &clients {
                        ask_with_all(&service, live, &asked);
                    }
                }
            });
        }
        for _ in 0..ROUNDS {
            rotate_all(&service, &office, &clients);
        }
        over.store(true, Ordering::Relaxed);
    });
    let asked = asked.into_inner();
    assert!(asked > 1_000, "{asked} requests are no load");
}

fn ask_with_all(service: &Service, live: &Live, asked: &AtomicU32) {
    for key in live.read().unwrap().iter() {
        assert_eq!(status(service, key), 200);
        asked.fetch_add(1, Ordering::Relaxed);
    }
}

/// Gives every client a new key, lets both work side by side, and ends the old one.
fn rotate_all(service: &Service, office: &Office, clients: &[Live]) {
    let old: Vec<String> = clients.iter().map(|live| live.read().unwrap()[0].clone()).collect();
    let new: Vec<String> = old.iter().map(|key| office.rotate(key)).collect();
    // One look of the gateway finds all that were made before it: the last one tells.
    wait_for(service, new.last().unwrap(), 200);
    for (live, key) in clients.iter().zip(&new) {
        live.write().unwrap().push(key.clone());
    }
    for (live, key) in clients.iter().zip(&old) {
        live.write().unwrap().remove(0);
        office.revoke(key);
    }
    wait_for(service, old.last().unwrap(), 401);
    assert!(old.iter().all(|key| status(service, key) == 401), "an old key still works");
    assert!(new.iter().all(|key| status(service, key) == 200));
}
