//! Simulated exchanges over real HTTP.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono_domain::{Clock, Symbol, SystemClock, Timestamp};
use chrono_worker::WorkerError;
use chrono_worker::sim::{self, SimConfig};
use tokio_util::sync::CancellationToken;

use crate::gateway::{Fault, Gateway};

fn config() -> SimConfig {
    SimConfig {
        seed: 7,
        exchanges: 3,
        symbols: ["BTC/USD", "ETH/USD"].map(|symbol| Symbol::try_new(symbol).unwrap()).to_vec(),
        rate: 100,
        duration: Some(Duration::from_millis(500)),
        run: "r".to_owned(),
    }
}

#[tokio::test]
async fn each_exchange_posts_as_its_own_worker() {
    let gateway = Gateway::start(|_request| Fault::None).await;
    let clock = Arc::new(SystemClock::new());
    let cancel = CancellationToken::new();
    let report =
        sim::run(config(), gateway.client(), Arc::clone(&clock) as _, &cancel).await.unwrap();
    let feeds = gateway.feeds();
    assert_eq!(report.tally.ingested, feeds.len() as u64);
    assert_eq!((report.dropped, report.tally.refused), (0, 0));
    assert_eq!(feeds.len(), 150, "three exchanges, 100 a second, half a second");
    let workers: HashSet<String> =
        gateway.stored().into_iter().map(|batch| batch.worker_id).collect();
    assert_eq!(workers, HashSet::from(["sim-a", "sim-b", "sim-c"].map(str::to_owned)));

    let mut newest: HashMap<String, Timestamp> = HashMap::new();
    for feed in &feeds {
        let at = Timestamp::parse_rfc3339(feed["timestamp"].as_str().unwrap()).unwrap();
        assert!(at <= clock.now());
        let last = newest.insert(feed["source"].to_string(), at);
        assert!(last.is_none_or(|last| last <= at), "the ticks of a source are in order");
    }
}

#[tokio::test]
async fn ends_when_it_is_cancelled() {
    let gateway = Gateway::start(|_request| Fault::None).await;
    let cancel = CancellationToken::new();
    let config = SimConfig { duration: None, ..config() };
    let running = sim::run(config, gateway.client(), Arc::new(SystemClock::new()), &cancel);
    let cancelling = async {
        while gateway.stored().is_empty() {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let (report, ()) = tokio::join!(running, cancelling);
    assert_eq!(report.unwrap().tally.refused, 0);
}

#[tokio::test]
async fn a_gateway_that_does_not_want_the_key_ends_the_simulation() {
    let gateway = Gateway::start(|_request| Fault::Unauthorized).await;
    let cancel = CancellationToken::new();
    let config = SimConfig { duration: None, ..config() };
    let fault = sim::run(config, gateway.client(), Arc::new(SystemClock::new()), &cancel)
        .await
        .unwrap_err();
    assert!(matches!(fault, WorkerError::Gateway { .. }), "{fault}");
}
