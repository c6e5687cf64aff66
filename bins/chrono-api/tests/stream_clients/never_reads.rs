//! Clients that never read: what they cost the gateway, and everybody else.

use std::collections::HashMap;

use chrono_testkit::{PUBLIC_KEY, scratch};
use serde_json::{Value, json};

use crate::server_sent::Events;
use crate::socket::Socket;
use crate::ticker::{Ticker, gateway};

const SYMBOLS: [&str; 3] = ["BTC/USD", "ETH/USD", "SOL/USD"];
/// Clients that never read, half of each kind of stream: enough that what they cost stands out from what memory does
/// by itself.
const STALLED: usize = 100;
/// What one of them may cost.
const COST_KIB_MAX: u64 = 64;
/// Batches of 100 ticks, more than three megabytes of messages for each client: far more than the sockets between
/// hold of them.
const BATCHES: usize = 150;
const BATCH: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_read_cost_little_and_nobody_else_anything() {
    let home = scratch().unwrap();
    let gateway = gateway(&home).start().unwrap();
    let mut ticker = Ticker::new(&gateway);
    let mut fast = Socket::open(&gateway, PUBLIC_KEY).await;
    fast.subscribe(&SYMBOLS, "latest").await;

    // What the same traffic takes by itself: the ring fills, caches grow.
    pump(&mut ticker, &mut fast).await;
    let before = gateway.resident_kib().unwrap();
    pump(&mut ticker, &mut fast).await;
    let by_itself = gateway.resident_kib().unwrap().saturating_sub(before);

    let before = gateway.resident_kib().unwrap();
    let mut stalled = Vec::new();
    let mut stalled_events = Vec::new();
    for mode in ["latest", "all"].into_iter().cycle().take(STALLED / 2) {
        let mut socket = Socket::open(&gateway, PUBLIC_KEY).await;
        socket
            .send(
                json!({"action": "subscribe", "symbols": SYMBOLS, "mode": mode, "snapshot": false}),
            )
            .await;
        socket.next_of("subscribed").await;
        stalled.push(socket);
        stalled_events.push(Events::open(&gateway, &SYMBOLS, None).await);
    }
    pump(&mut ticker, &mut fast).await;
    let beside_stalled = gateway.resident_kib().unwrap().saturating_sub(before);
    let cost = beside_stalled.saturating_sub(by_itself) / STALLED as u64;
    println!(
        "grows by {by_itself} KiB by itself, {beside_stalled} KiB beside {STALLED} stalled clients"
    );
    assert!(cost <= COST_KIB_MAX, "{cost} KiB for each client that never reads");
    wake_up(stalled, &ticker).await;
}

/// Lets one client of each mode read at last: so it is seen that they had stalled, and that they lost what their
/// mode says and no more.
async fn wake_up(stalled: Vec<Socket>, ticker: &Ticker) {
    let missed = ticker.data_of(&SYMBOLS, ticker.len() - BATCHES * BATCH);
    let mut stalled = stalled.into_iter();
    let (mut latest, mut all) = (stalled.next().unwrap(), stalled.next().unwrap());

    let mut newest = HashMap::new();
    let mut updates = 0;
    while newest.len() < SYMBOLS.len() || newest.values().any(|data| !is_last(data, &missed)) {
        let data = latest.updates(1).await.0.remove(0);
        newest.insert(data["symbol"].to_string(), data);
        updates += 1;
    }
    assert!(updates < missed.len() / 2, "{updates} of {} sent: it had not stalled", missed.len());

    assert_eq!(all.updates(missed.len()).await.0, missed);
}

/// Whether it is the last tick of its symbol.
fn is_last(data: &Value, all: &[Value]) -> bool {
    all.iter().rev().find(|other| other["symbol"] == data["symbol"]) == Some(data)
}

/// Posts the traffic; the client that reads gets all of it, whoever else does not.
async fn pump(ticker: &mut Ticker, fast: &mut Socket) {
    for symbol in SYMBOLS.into_iter().cycle().take(BATCHES) {
        let from = ticker.len();
        ticker.post_run(symbol, BATCH).await;
        assert_eq!(fast.updates(BATCH).await.0, ticker.data_of(&SYMBOLS, from));
    }
}
