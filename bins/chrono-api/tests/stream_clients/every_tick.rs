//! Clients written from the spec's text get every posted tick, and the heartbeat on time.

use std::time::Duration;

use chrono_testkit::{Gateway, PUBLIC_KEY, scratch};
use serde_json::Value;

use crate::foreign::{Foreign, Heard, KeyPlace, Language};
use crate::ticker::{Ticker, gateway};

const SYMBOLS: [&str; 2] = ["BTC/USD", "ETH/USD"];
/// Heartbeats looked at, after the last tick.
const HEARTBEATS: usize = 6;
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// How late one heartbeat may be heard, on a busy machine; the grid itself is tested by a clock that is set by hand.
const HEARTBEAT_LATE_MAX: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_other_languages_get_every_tick_and_the_heartbeat_on_time() {
    let home = scratch().unwrap();
    let interval = HEARTBEAT_INTERVAL.as_millis().to_string();
    let gateway = gateway(&home).with("WS_HEARTBEAT_INTERVAL", &interval).start().unwrap();
    let mut clients = Vec::new();
    for language in [Language::Node, Language::Python] {
        for place in [KeyPlace::Query, KeyPlace::FirstMessage] {
            let client = Foreign::start(language, place, &gateway, PUBLIC_KEY, &SYMBOLS).await;
            clients.push((language, place, client));
        }
    }
    let expected = post_known_ticks(&gateway).await;
    for (language, place, mut client) in clients {
        let mut beats = 0;
        let mut updates = 0;
        let heard = client
            .until(|heard| {
                updates += usize::from(heard.is("price_update"));
                beats += usize::from(updates >= expected.len() && heard.is("heartbeat"));
                beats == HEARTBEATS
            })
            .await;
        assert_eq!(updates_in(&heard), expected, "{language:?}, key in {place:?}");
        check_heartbeats(&heard);
    }
}

/// Several sources and batches, several ticks of a symbol in one batch, symbols nobody asked for; texts that a
/// detour through floats or a shorter decimal would change.
async fn post_known_ticks(gateway: &Gateway) -> Vec<Value> {
    let mut ticker = Ticker::new(gateway);
    ticker
        .post(&[
            ("BTC/USD", "binance", "67230.00", Some("1234.567890")),
            ("BTC/USD", "binance", "67230.00", Some("0")),
            ("BTC/USD", "binance", "67229.999999999999999999", Some("0.000000000000000001")),
            ("ETH/USD", "binance", "2678.90", None),
            ("SOL/USD", "binance", "145.1", Some("3")),
            ("BTC/USD", "kraken", "67231.10", Some("0.10")),
        ])
        .await;
    for round in 0..20 {
        let price = format!("2678.9{round}0");
        ticker
            .post(&[
                ("ETH/USD", "kraken", &price, Some("1.0")),
                ("SOL/USD", "kraken", &price, None),
                ("BTC/USD", "coinbase", &price, Some("0.00")),
                ("ETH/USD", "kraken", "0.000000000000000001", Some("100000000000000000")),
                ("ETH/USD", "coinbase", "123456789012345678.1234567890", Some("0.1")),
            ])
            .await;
    }
    ticker.post_run("BTC/USD", 100).await;
    ticker.data_of(&SYMBOLS, 0)
}

/// The `data` of every update, which must have the spec's keys where the spec has them.
fn updates_in(heard: &[Heard]) -> Vec<Value> {
    let updates = heard.iter().filter(|heard| heard.is("price_update"));
    updates.map(|update| update.message["data"].clone()).collect()
}

fn check_heartbeats(heard: &[Heard]) {
    let beats: Vec<_> = heard.iter().filter(|heard| heard.is("heartbeat")).collect();
    assert!(beats.iter().all(|beat| beat.message["timestamp"].as_str().unwrap().ends_with('Z')));
    // The first and the last are late by a bit of their own, so the time between may be longer or shorter by that.
    let intervals = beats.len() - 1;
    let passed = beats[intervals].after().abs_diff(beats[0].after());
    let due = HEARTBEAT_INTERVAL * u32::try_from(intervals).unwrap();
    assert!(passed.abs_diff(due) <= HEARTBEAT_LATE_MAX, "{intervals} heartbeats in {passed:?}");
}
