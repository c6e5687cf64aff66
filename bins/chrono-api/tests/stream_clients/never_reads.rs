//! Clients that never read: what they cost the gateway, and everybody else.

use std::fs;
use std::process::Command;

use chrono_testkit::{Gateway, PUBLIC_KEY, scratch};

use crate::socket::Socket;
use crate::ticker::{Ticker, gateway};

const SYMBOLS: [&str; 3] = ["BTC/USD", "ETH/USD", "SOL/USD"];
/// Clients that never read: enough that what they cost stands out from what memory does by itself.
const STALLED: usize = 100;
/// What one of them may cost.
const COST_KIB_MAX: usize = 64;
/// Batches of 100 ticks, several megabytes of messages in all: far more than the sockets between hold for a client
/// (a tenth of it), and more than the bound allows for all of them.
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
    let before = resident_kib(&gateway);
    pump(&mut ticker, &mut fast).await;
    let by_itself = resident_kib(&gateway).saturating_sub(before);

    let mut stalled = Vec::new();
    for mode in ["latest", "all"].into_iter().cycle().take(STALLED) {
        let mut socket = Socket::open(&gateway, PUBLIC_KEY).await;
        socket.subscribe(&SYMBOLS, mode).await;
        stalled.push(socket);
    }
    let before = resident_kib(&gateway);
    pump(&mut ticker, &mut fast).await;
    let beside_stalled = resident_kib(&gateway).saturating_sub(before);
    let cost = beside_stalled.saturating_sub(by_itself) / STALLED;
    println!(
        "grows by {by_itself} KiB by itself, {beside_stalled} KiB beside {STALLED} stalled clients"
    );
    assert!(cost <= COST_KIB_MAX, "{cost} KiB for each client that never reads");
}

/// Posts the traffic; the client that reads gets all of it, whoever else does not.
async fn pump(ticker: &mut Ticker, fast: &mut Socket) {
    for symbol in SYMBOLS.into_iter().cycle().take(BATCHES) {
        let from = ticker.len();
        ticker.post_run(symbol, BATCH).await;
        assert_eq!(fast.updates(BATCH).await.0, ticker.data_of(&SYMBOLS, from));
    }
}

/// What of the gateway is in memory.
fn resident_kib(gateway: &Gateway) -> usize {
    let pid = gateway.pid().to_string();
    let text = match fs::read_to_string(format!("/proc/{pid}/status")) {
        Ok(status) => {
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().to_owned()
        }
        // No such files on macOS.
        Err(_) => {
            let output = Command::new("ps").args(["-o", "rss=", "-p", &pid]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        }
    };
    text.trim().trim_end_matches(" kB").parse().unwrap()
}
