//! A stream that breaks is taken up where it was, or says that it cannot be.

use std::time::Duration;

use chrono_client::{ClientError, Event, Stream, StreamOptions};
use chrono_testkit::{PUBLIC_KEY, scratch};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use crate::socket::{Position, Socket};
use crate::ticker::{Ticker, gateway};

const SYMBOLS: [&str; 2] = ["BTC/USD", "ETH/USD"];

#[tokio::test]
async fn a_client_that_comes_back_gets_exactly_what_it_missed() {
    let home = scratch().unwrap();
    let gateway = gateway(&home).start().unwrap();
    let mut ticker = Ticker::new(&gateway);
    let mut socket = Socket::open(&gateway, PUBLIC_KEY).await;
    let Position { epoch, .. } = socket.subscribe(&SYMBOLS, "latest").await;
    ticker.post_run("BTC/USD", 10).await;
    let (_, seq) = socket.updates(10).await;
    drop(socket);

    let missed_from = ticker.len();
    for symbol in ["ETH/USD", "SOL/USD", "BTC/USD", "ETH/USD"] {
        ticker.post_run(symbol, 25).await;
    }
    let mut socket = Socket::open(&gateway, PUBLIC_KEY).await;
    socket.resume(&SYMBOLS, &Position { epoch: epoch.clone(), seq }).await;
    assert_eq!(socket.next_of("subscribed").await["epoch"], json!(epoch));
    let resumed = socket.next_of("resumed").await;
    assert_eq!((&resumed["from"], &resumed["to"]), (&json!(seq), &json!(seq + 100)));
    assert_eq!(socket.updates(75).await.0, ticker.data_of(&SYMBOLS, missed_from));

    let live_from = ticker.len();
    ticker.post_run("BTC/USD", 5).await;
    assert_eq!(socket.updates(5).await.0, ticker.data_of(&SYMBOLS, live_from));
}

#[tokio::test]
async fn a_restarted_gateway_says_reset_and_sends_the_current_values() {
    let home = scratch().unwrap();
    let command = gateway(&home);
    let before = command.start().unwrap();
    let mut ticker = Ticker::new(&before);
    let mut socket = Socket::open(&before, PUBLIC_KEY).await;
    let Position { epoch, .. } = socket.subscribe(&SYMBOLS, "latest").await;
    ticker.post_run("BTC/USD", 10).await;
    ticker.post_run("ETH/USD", 10).await;
    let (_, seq) = socket.updates(20).await;
    drop(socket);
    before.kill().unwrap();

    let after = command.start().unwrap();
    let mut socket = Socket::open(&after, PUBLIC_KEY).await;
    socket.resume(&SYMBOLS, &Position { epoch: epoch.clone(), seq }).await;
    let new_epoch = socket.next_of("subscribed").await["epoch"].take();
    assert_ne!(new_epoch, json!(epoch));
    assert_eq!(socket.next_of("reset").await["epoch"], new_epoch);
    let mut current = [snapshot(&mut socket).await, snapshot(&mut socket).await];
    current.sort_by_key(|data| data["symbol"].to_string());
    let posted = ticker.data_of(&SYMBOLS, 0);
    assert_eq!(current.as_slice(), [posted[9].clone(), posted[19].clone()]);

    let mut later = Ticker::after(&after, &ticker);
    later.post_run("ETH/USD", 2).await;
    assert_eq!(socket.updates(2).await.0, later.data_of(&SYMBOLS, 0));
}

#[tokio::test]
async fn a_stream_that_asked_for_more_symbols_than_it_may_have_resumes_with_those_it_has() {
    let home = scratch().unwrap();
    let gateway = gateway(&home).start().unwrap();
    let mut ticker = Ticker::new(&gateway);
    let reader = gateway.client(PUBLIC_KEY).unwrap();
    let mut stream = reader.stream(StreamOptions::default()).await.unwrap();
    let names: Vec<_> = (0..1_100).map(|number| format!("N{number}/USD")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    stream.subscribe(&names[..1_000]).await.unwrap();
    stream.subscribe(&names[1_000..]).await.unwrap();
    stream.subscribe(&["nonsense"]).await.unwrap();
    assert_eq!(next_of(&mut stream).await, Event::Authenticated);
    for (taken, refused) in [(1_000, 0), (24, 76), (0, 1)] {
        assert_eq!(answer(&mut stream).await, (taken, refused));
    }
    ticker.post_run("N1/USD", 1).await;
    let seq = update(&mut stream).await;

    stream.resume().await.unwrap();
    assert_eq!(next_of(&mut stream).await, Event::Authenticated);
    assert_eq!(answer(&mut stream).await, (1_024, 0));
    assert_eq!(next_of(&mut stream).await, Event::Resumed { from: seq, to: seq });
    ticker.post_run("N1/USD", 1).await;
    assert_eq!(update(&mut stream).await, seq + 1);
}

#[tokio::test]
async fn a_command_that_the_gateway_would_not_take_is_not_sent_and_ends_no_stream() {
    let home = scratch().unwrap();
    let gateway = gateway(&home).start().unwrap();
    let reader = gateway.client(PUBLIC_KEY).unwrap();
    let mut stream = reader.stream(StreamOptions::default()).await.unwrap();
    let names: Vec<_> = (0..6_000).map(|number| format!("N{number}/USD")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let refused = stream.subscribe(&names).await;
    assert!(matches!(refused, Err(ClientError::Setting(_))), "{refused:?}");
    stream.resume().await.unwrap();
    stream.subscribe(&["A/USD"]).await.unwrap();
    assert_eq!(next_of(&mut stream).await, Event::Authenticated);
    assert_eq!(answer(&mut stream).await, (1, 0));
}

#[tokio::test]
async fn however_many_commands_had_no_answer_a_resume_is_not_too_fast() {
    const COMMANDS: usize = 50;
    let home = scratch().unwrap();
    let gateway = gateway(&home).start().unwrap();
    let reader = gateway.client(PUBLIC_KEY).unwrap();
    let mut stream = reader.stream(StreamOptions::default()).await.unwrap();
    // As fast as anybody may send for long, and without a look at the answers.
    let mut pace = interval(Duration::from_millis(50));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0..COMMANDS {
        pace.tick().await;
        stream.subscribe(&[&format!("N{number}/USD")]).await.unwrap();
    }
    stream.resume().await.unwrap();
    assert_eq!(next_of(&mut stream).await, Event::Authenticated);
    for _ in 0..COMMANDS {
        assert_eq!(answer(&mut stream).await, (1, 0));
    }
}

/// How many symbols were taken and how many refused by the next message, which must say so.
async fn answer(stream: &mut Stream) -> (usize, usize) {
    match next_of(stream).await {
        Event::Subscribed { symbols, rejected, .. } => (symbols.len(), rejected.len()),
        other => panic!("{other:?}"),
    }
}

/// The number of the next message, which must be an update.
async fn update(stream: &mut Stream) -> u64 {
    match next_of(stream).await {
        Event::PriceUpdate(update) => update.seq.unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The next message but heartbeats.
async fn next_of(stream: &mut Stream) -> Event {
    loop {
        let event = stream.next().await.unwrap();
        if !matches!(event, Event::Heartbeat { .. }) {
            return event;
        }
    }
}

/// The next message, which must be a current value.
async fn snapshot(socket: &mut Socket) -> Value {
    let mut update = socket.next_of("price_update").await;
    assert_eq!(update["snapshot"], true);
    update["data"].take()
}
