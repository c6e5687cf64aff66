//! What clients are sent while all is well.

use super::client::Client;
use super::*;

#[tokio::test]
async fn a_client_of_the_spec_gets_every_tick() {
    let mut desk = Desk::usual().await;
    desk.publish("BTC/USD", 1).await;
    let mut client = Client::connect(desk.address, PUBLIC).await;
    let told = client.subscribe(r#""BTC/USD","ETH/USD""#, "").await;
    assert_eq!((&told["symbols"][1], &told["seq"]), (&"ETH/USD".into(), &1.into()));
    let snapshot = client.told().await;
    assert_eq!((&snapshot["snapshot"], &snapshot["data"]["price"]), (&true.into(), &"1".into()));
    desk.publish("BTC/USD", 100).await;
    desk.publish("LTC/USD", 1).await;
    desk.publish("ETH/USD", 1).await;
    for price in (2..=101).chain([103]) {
        let told = client.told().await;
        assert_eq!((&told["type"], &told["seq"]), (&"price_update".into(), &price.into()));
        assert_eq!(told["data"]["price"], price.to_string());
    }
}

#[tokio::test]
async fn a_key_may_come_in_the_first_message() {
    let desk = Desk::usual().await;
    let mut client = Client::try_connect(desk.address, "").await.unwrap();
    client.say(r#"{"action":"subscribe","symbols":["A/B"]}"#).await;
    assert_eq!(client.told().await["code"], "UNAUTHORIZED");
    client.say(&format!(r#"{{"action":"auth","key":"{PUBLIC}","id":1}}"#)).await;
    assert_eq!(client.told().await, serde_json::json!({ "type": "authenticated", "id": 1 }));
    client.subscribe(r#""A/B""#, "").await;
}

#[tokio::test]
async fn a_key_is_counted_wherever_it_comes() {
    let limits =
        Limits { public_free: Limit::per_minute(3.try_into().unwrap()), ..Limits::default() };
    let desk = Desk::open_with(StreamSettings::default(), limits).await;
    let auth = format!(r#"{{"action":"auth","key":"{PUBLIC}"}}"#);
    let mut first = Client::connect(desk.address, PUBLIC).await;
    let mut second = Client::try_connect(desk.address, "").await.unwrap();
    for _ in 0..2 {
        second.say(&auth).await;
        assert_eq!(second.told().await["type"], "authenticated");
    }
    // The fourth of three: a stream that has a key keeps it, one without is ended.
    second.say(&auth).await;
    assert_eq!(second.told().await["code"], "RATE_LIMIT_EXCEEDED");
    let mut third = Client::try_connect(desk.address, "").await.unwrap();
    third.say(&auth).await;
    let (told, code) = third.ending().await;
    assert_eq!((&told[0]["code"], code), (&"RATE_LIMIT_EXCEEDED".into(), 1013));
    let refused = Client::try_connect(desk.address, &format!("?key={PUBLIC}")).await;
    assert_eq!(refused.err().map(|status| status.as_u16()), Some(429));
    for client in [&mut first, &mut second] {
        client.subscribe(r#""A/B""#, "").await;
    }
}

#[tokio::test]
async fn a_slow_reader_is_conflated_while_a_fast_one_gets_everything() {
    const COMMITS: u64 = 400;
    const TICKS: u64 = 100;
    let mut desk = Desk::usual().await;
    let mut slow = Client::connect(desk.address, PUBLIC).await;
    let mut fast = Client::connect(desk.address, PUBLIC).await;
    slow.subscribe(r#""A/B""#, "").await;
    fast.subscribe(r#""A/B""#, "").await;
    for commit in 0..COMMITS {
        desk.publish("A/B", TICKS).await;
        for seq in commit * TICKS + 1..=(commit + 1) * TICKS {
            assert_eq!(fast.told().await["seq"], seq);
        }
    }
    let (mut got, mut last) = (0, 0);
    while last < COMMITS * TICKS {
        let seq = slow.told().await["seq"].as_u64().unwrap();
        assert!(seq > last);
        (got, last) = (got + 1, seq);
    }
    assert!(got < COMMITS * TICKS, "the slow one was fed whole: the kernel held everything");
}

#[tokio::test]
async fn a_reader_of_everything_that_lags_gets_everything() {
    let mut desk = Desk::usual().await;
    let mut client = Client::connect(desk.address, PUBLIC).await;
    client.subscribe(r#""*""#, r#","mode":"all""#).await;
    for _ in 0..300 {
        desk.publish("A/B", 100).await;
    }
    for seq in 1..=30_000 {
        assert_eq!(client.told().await["seq"], seq);
    }
}

#[tokio::test]
async fn a_resumed_client_misses_nothing() {
    let mut desk = Desk::usual().await;
    let mut client = Client::connect(desk.address, PUBLIC).await;
    let epoch = client.subscribe(r#""A/B""#, "").await["epoch"].clone();
    desk.publish("A/B", 2).await;
    assert_eq!(client.told().await["seq"], 1);
    drop(client);
    desk.publish("A/B", 2).await;
    let mut client = Client::connect(desk.address, PUBLIC).await;
    let resume = format!(r#","epoch":{epoch},"since":1"#);
    assert_eq!(client.subscribe(r#""A/B""#, &resume).await["seq"], 1);
    let resumed = serde_json::json!({ "type": "resumed", "from": 1, "to": 4 });
    assert_eq!(client.told().await, resumed);
    for seq in 2..=4 {
        assert_eq!(client.told().await["seq"], seq);
    }
}

#[tokio::test]
async fn heartbeats_come_on_time_and_pings_keep_a_quiet_client() {
    let settings = StreamSettings {
        heartbeat_interval: Duration::from_millis(50),
        ping_interval: Duration::from_millis(40),
        pong_deadline: Duration::from_secs(5),
        ..StreamSettings::default()
    };
    let desk = Desk::open(settings).await;
    let mut client = Client::connect(desk.address, PUBLIC).await;
    let (mut beats, mut pings) = (0, 0);
    while beats < 4 || pings < 2 {
        match client.next().await {
            tokio_tungstenite::tungstenite::Message::Ping(_) => pings += 1,
            tokio_tungstenite::tungstenite::Message::Text(text) => {
                let told: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!((&told["type"], &told["seq"]), (&"heartbeat".into(), &0.into()));
                assert!(told["timestamp"].is_string() && told["bus_lag_ms"].is_u64());
                beats += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(desk.service.hub.connections(), 1);
}

#[tokio::test]
async fn many_clients_share_one_feed() {
    let mut desk = Desk::usual().await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = Client::connect(desk.address, PUBLIC).await;
        client.subscribe(r#""*/USD""#, "").await;
        clients.push(client);
    }
    desk.until_open(50).await;
    desk.publish("A/USD", 30).await;
    for client in &mut clients {
        for seq in 1..=30 {
            assert_eq!(client.told().await["seq"], seq);
        }
    }
    drop(clients);
    desk.until_open(0).await;
}
