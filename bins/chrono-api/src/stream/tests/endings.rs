//! How streams end.

use chrono_storage::StoredKey;
use futures_util::SinkExt;
use hyper::StatusCode;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

use super::client::Client;
use super::*;

#[tokio::test]
async fn a_wrong_key_is_refused_at_the_handshake_or_closes() {
    let desk = Desk::usual().await;
    let refused =
        |query: String| async move { Client::try_connect(desk.address, &query).await.err() };
    assert_eq!(refused("?key=junk".to_owned()).await, Some(StatusCode::UNAUTHORIZED));
    let desk = Desk::usual().await;
    let internal = format!("?key={INTERNAL}");
    let refused = Client::try_connect(desk.address, &internal).await.err();
    assert_eq!(refused, Some(StatusCode::FORBIDDEN));
    for key in ["junk", INTERNAL] {
        let mut client = Client::try_connect(desk.address, "").await.unwrap();
        client.say(&format!(r#"{{"action":"auth","key":"{key}"}}"#)).await;
        let (told, code) = client.ending().await;
        assert_eq!((told[0]["code"].as_str(), code), (Some("UNAUTHORIZED"), 4401));
    }
    desk.until_open(0).await;
}

#[tokio::test]
async fn a_client_without_a_key_is_closed_in_time() {
    let auth_deadline = Duration::from_millis(50);
    let desk = Desk::open(StreamSettings { auth_deadline, ..StreamSettings::default() }).await;
    let mut client = Client::try_connect(desk.address, "").await.unwrap();
    assert_eq!(client.ending().await.1, 4401);
}

#[tokio::test]
async fn a_revoked_key_closes_its_streams_only() {
    let key_check_interval = Duration::from_millis(20);
    let desk = Desk::open(StreamSettings { key_check_interval, ..StreamSettings::default() }).await;
    desk.keyring.replace_stored(&[stored_key()]);
    let mut doomed = Client::connect(desk.address, STORED).await;
    let mut other = Client::connect(desk.address, PUBLIC).await;
    desk.until_open(2).await;
    desk.keyring.replace_stored(&[]);
    let (told, code) = doomed.ending().await;
    assert_eq!((told[0]["code"].as_str(), code), (Some("UNAUTHORIZED"), 4401));
    other.subscribe(r#""A/B""#, "").await;
}

/// A key that the store holds.
const STORED: &str = "chrono_public_stored_key_001";
/// SHA-256 of [`STORED`].
const STORED_HASH: [u8; 32] = [
    0x18, 0x6a, 0x45, 0x9d, 0xc7, 0x4d, 0x46, 0x31, 0x42, 0x05, 0x8a, 0x0f, 0x6e, 0x6e, 0x2f, 0xa9,
    0xbb, 0xaf, 0x05, 0x62, 0x37, 0xe6, 0x65, 0xa0, 0x9b, 0x01, 0x63, 0x5b, 0x6c, 0x49, 0x57, 0x84,
];

fn stored_key() -> StoredKey {
    StoredKey {
        id: configured(Role::Public, STORED).id().to_string(),
        hash: STORED_HASH,
        role: "public".to_owned(),
        tier: None,
        client: "acme".to_owned(),
        created_at: Timestamp::MIN,
        not_after: None,
        revoked_at: None,
    }
}

#[tokio::test]
async fn a_drain_tells_every_client_when_to_come_back() {
    let desk = Desk::usual().await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Client::connect(desk.address, PUBLIC).await);
    }
    desk.until_open(4).await;
    let supervisor = desk.supervisor.clone();
    let (unfinished, hints) = tokio::join!(supervisor.shutdown(SOON), async {
        let mut hints = Vec::new();
        for client in &mut clients {
            let (told, code) = client.ending().await;
            assert_eq!((&told[0]["type"], code), (&"reconnect".into(), 1012));
            hints.push(told[0]["after_ms"].as_u64().unwrap());
        }
        clients.clear();
        hints.sort_unstable();
        hints
    });
    assert_eq!((unfinished, hints), (Vec::new(), vec![0, 2_500, 5_000, 7_500]));
}

#[tokio::test]
async fn messages_too_large_or_not_of_the_protocol_are_closed_with_their_code() {
    let desk = Desk::usual().await;
    let large = Message::text("x".repeat(64 * 1_024 + 1));
    let mut client = Client::connect(desk.address, PUBLIC).await;
    client.socket.send(large).await.unwrap();
    assert_eq!(client.ending().await.1, 1009);
    for (bytes, code) in [
        // Masked text that is not UTF-8; a reserved bit; an unmasked frame; a length of an exbibyte.
        (vec![0x81, 0x82, 0, 0, 0, 0, 0xff, 0xff], 1007),
        (vec![0xc1, 0x80, 0, 0, 0, 0], 1002),
        (vec![0x81, 0x01, b'x'], 1002),
        (vec![0x81, 0xff, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1009),
    ] {
        let mut client = Client::connect(desk.address, PUBLIC).await;
        client.socket.get_mut().write_all(&bytes).await.unwrap();
        assert_eq!(client.ending().await.1, code, "{bytes:?}");
    }
    desk.until_open(0).await;
}

#[tokio::test]
async fn a_flood_of_messages_or_pings_is_closed() {
    let desk = Desk::usual().await;
    for message in [Message::text("{}"), Message::Ping(bytes::Bytes::new())] {
        let mut client = Client::connect(desk.address, PUBLIC).await;
        for _ in 0..60 {
            // The server may be gone before the last of them.
            if client.socket.send(message.clone()).await.is_err() {
                break;
            }
        }
        let (told, code) = client.ending().await;
        let last = told.last().and_then(|told| told["code"].as_str());
        assert_eq!((last, code), (Some("RATE_LIMIT_EXCEEDED"), 1008));
    }
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_dropped() {
    let settings = StreamSettings {
        ping_interval: Duration::from_millis(30),
        pong_deadline: Duration::from_millis(30),
        ..StreamSettings::default()
    };
    let desk = Desk::open(settings).await;
    // It is never read, so the client library never answers.
    let _client = Client::connect(desk.address, PUBLIC).await;
    desk.until_open(1).await;
    desk.until_open(0).await;
}

#[tokio::test]
async fn a_reader_that_stalls_is_dropped_and_slows_nobody() {
    let progress_deadline = Duration::from_millis(100);
    let mut desk =
        Desk::open(StreamSettings { progress_deadline, ..StreamSettings::default() }).await;
    let mut stalled = Client::connect(desk.address, PUBLIC).await;
    stalled.subscribe(r#""A/B""#, r#","mode":"all""#).await;
    let mut other = Client::connect(desk.address, PUBLIC).await;
    other.subscribe(r#""A/B""#, "").await;
    desk.until_open(2).await;
    let mut seq = 0;
    while desk.service.hub.connections() == 2 {
        desk.publish("A/B", 100).await;
        for _ in 0..100 {
            seq += 1;
            assert_eq!(other.told().await["seq"], seq);
        }
        assert!(seq < 10_000_000, "the kernel takes everything");
    }
    stalled.cut().await;
}

#[tokio::test]
async fn a_client_that_closes_is_answered() {
    let desk = Desk::usual().await;
    let mut client = Client::connect(desk.address, PUBLIC).await;
    client.socket.close(None).await.unwrap();
    assert!(matches!(client.next().await, Message::Close(_)));
    desk.until_open(0).await;
}

#[tokio::test]
async fn more_streams_than_the_key_may_have_are_refused() {
    let connections_per_key_max = 1;
    let desk =
        Desk::open(StreamSettings { connections_per_key_max, ..StreamSettings::default() }).await;
    let first = Client::connect(desk.address, PUBLIC).await;
    let query = format!("?key={PUBLIC}");
    let refused = Client::try_connect(desk.address, &query).await.err();
    assert_eq!(refused, Some(StatusCode::TOO_MANY_REQUESTS));
    let mut later = Client::try_connect(desk.address, "").await.unwrap();
    later.say(&format!(r#"{{"action":"auth","key":"{PUBLIC}"}}"#)).await;
    assert_eq!(later.ending().await.1, 1013);
    drop(first);
    desk.until_open(0).await;
    Client::connect(desk.address, PUBLIC).await;
}
