//! What waits while a consensus is computed, and what does not.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use chrono_domain::{Timestamp, WorkerId};
use chrono_query::{ConsensusQuery, Explain};
use chrono_storage::{NewBatch, TickStore};

use crate::house::{House, at, symbol, tick};

const NOW: &str = "2025-10-09T12:34:56.789Z";
/// More than are computed on at once.
const TICKS: u64 = 10_001;

/// Stores a large window of BTC/USD, and one tick that the book knows.
async fn house() -> House {
    let house = House::new(NOW);
    let first = at(NOW).minus(Duration::from_mins(4));
    let time = |nth| Timestamp::plus(first, Duration::from_millis(nth));
    let ticks = (1..TICKS).map(|nth| tick("binance", time(nth), "67230.00")).collect();
    let batch = NewBatch {
        worker: WorkerId::try_new("w").unwrap(),
        idempotency: None,
        ticks,
        receipt: Bytes::new(),
        received_at: at(NOW),
    };
    house.store.append(vec![Arc::new(batch)]).await.unwrap();
    house.post(tick("kraken", at(NOW), "67234.56")).await;
    house
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test stands in the way of what computes")]
fn others_are_answered_while_as_many_windows_as_may_are_computed() {
    // One thread serves, and the one that computes is held before it begins.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().max_blocking_threads(1).build().unwrap();
    let (open, gate) = mpsc::sync_channel::<()>(1);
    runtime.block_on(async {
        let held = tokio::task::spawn_blocking(move || gate.recv().unwrap());
        let house = house().await;
        let query = ConsensusQuery {
            symbols: vec![symbol("BTC/USD")],
            at: None,
            min_sources: None,
            explain: Explain::Figures,
        };
        let two =
            async { tokio::join!(house.fresh.consensus(&query), house.fresh.consensus(&query)) };
        let mut two = pin!(two);
        for _time in 0..100 {
            let ended = poll_fn(|context| Poll::Ready(two.as_mut().poll(context))).await;
            assert!(ended.is_pending(), "computed on the thread that serves");
            tokio::task::yield_now().await;
        }
        let latest = house.fresh.latest(&[symbol("BTC/USD")], None).await.unwrap();
        assert_eq!(latest.prices[0].tick.tick.price.to_string(), "67234.56");

        open.send(()).unwrap();
        held.await.unwrap();
        for answer in <[_; 2]>::from(two.await) {
            assert_eq!(answer.unwrap().prices[0].num_feeds, TICKS);
        }
    });
}
