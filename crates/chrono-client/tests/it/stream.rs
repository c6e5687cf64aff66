//! The stream: authentication, subscription, resumption.

use chrono_client::{Client, ClientError, Event, Mode, StreamAuth, StreamOptions};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, http};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

type Socket = WebSocketStream<TcpStream>;

async fn listen() -> (TcpListener, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, Client::new(&url, "chrono_public_secret".into()).unwrap())
}

/// Takes a connection, says which path it asked for.
async fn accept(listener: &TcpListener) -> (Socket, String) {
    let (socket, _peer) = listener.accept().await.unwrap();
    let mut path = String::new();
    #[expect(clippy::result_large_err, reason = "the callback's type is the library's")]
    let note = |request: &Request, response: Response| {
        path = request.uri().to_string();
        Ok(response)
    };
    let socket = accept_hdr_async(socket, note).await.unwrap();
    (socket, path)
}

async fn hear(socket: &mut Socket) -> Value {
    let message = socket.next().await.unwrap().unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

async fn say(socket: &mut Socket, message: Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

fn subscribed(id: &Value, symbols: &[&str]) -> Value {
    json!({"type": "subscribed", "id": id, "symbols": symbols, "rejected": [], "epoch": "00e1",
        "seq": 4})
}

fn update(seq: u64) -> Value {
    json!({"type": "price_update", "seq": seq, "data": {"symbol": "BTC/USD", "price": "1.50",
        "volume": null, "source": "s", "timestamp": "2025-10-09T12:34:56.123Z"}})
}

#[tokio::test]
async fn resumes_where_it_was_cut_off() {
    let (listener, client) = listen().await;
    let mut server = JoinSet::new();
    server.spawn(async move {
        let (mut socket, path) = accept(&listener).await;
        assert_eq!(path, "/stream");
        let auth = hear(&mut socket).await;
        assert_eq!(auth, json!({"action": "auth", "key": "chrono_public_secret"}));
        let subscribe = hear(&mut socket).await;
        let id = &subscribe["id"];
        let expected =
            json!({"action": "subscribe", "id": id, "symbols": ["BTC/USD"], "mode": "all"});
        assert_eq!(subscribe, expected);
        say(&mut socket, subscribed(id, &["BTC/USD"])).await;
        say(&mut socket, update(5)).await;
        drop(socket);

        let (mut socket, _path) = accept(&listener).await;
        hear(&mut socket).await;
        let subscribe = hear(&mut socket).await;
        assert_eq!((&subscribe["epoch"], &subscribe["since"]), (&json!("00e1"), &json!(5)));
        say(&mut socket, json!({"type": "resumed", "from": 5, "to": 6})).await;
        say(&mut socket, update(6)).await;
        socket
    });

    let options = StreamOptions { mode: Mode::All, ..StreamOptions::default() };
    let mut stream = client.stream(options).await.unwrap();
    stream.subscribe(&["BTC/USD"]).await.unwrap();
    assert!(matches!(stream.next().await.unwrap(), Event::Subscribed { seq: Some(4), .. }));
    assert!(matches!(stream.next().await.unwrap(), Event::PriceUpdate(_)));
    let cut = stream.next().await.unwrap_err();
    assert!(cut.is_retryable(), "{cut}");
    stream.resume().await.unwrap();
    assert_eq!(stream.next().await.unwrap(), Event::Resumed { from: 5, to: 6 });
    assert!(matches!(stream.next().await.unwrap(), Event::PriceUpdate(_)));
    assert_eq!(stream.position().map(|position| position.seq), Some(6));
    server.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn tells_the_close_code() {
    let (listener, client) = listen().await;
    let mut server = JoinSet::new();
    server.spawn(async move {
        let (mut socket, path) = accept(&listener).await;
        assert_eq!(path, "/stream?key=chrono_public_secret");
        let frame = CloseFrame { code: 4401.into(), reason: "key revoked".into() };
        socket.close(Some(frame)).await.unwrap();
    });
    let options = StreamOptions { auth: StreamAuth::Query, ..StreamOptions::default() };
    let mut stream = client.stream(options).await.unwrap();
    let fault = stream.next().await.unwrap_err();
    assert!(
        matches!(&fault, ClientError::Closed { code: Some(4401), reason } if reason == "key revoked"),
        "{fault}"
    );
    assert!(!fault.is_retryable(), "a revoked key stays one");
    server.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_resume_asks_for_what_was_taken_and_then_for_what_was_not_answered() {
    let (listener, client) = listen().await;
    let mut server = JoinSet::new();
    server.spawn(async move {
        let (mut socket, _path) = accept(&listener).await;
        hear(&mut socket).await;
        let [some, all, late] =
            [hear(&mut socket).await, hear(&mut socket).await, hear(&mut socket).await];
        say(&mut socket, subscribed(&some["id"], &["A/X", "B/X"])).await;
        let refusal = json!({"type": "error", "id": all["id"], "code": "TOO_MANY_SYMBOLS",
            "message": "at most 1024 symbols"});
        say(&mut socket, refusal).await;
        say(&mut socket, update(5)).await;
        drop(socket);

        let (mut socket, _path) = accept(&listener).await;
        hear(&mut socket).await;
        let resume = hear(&mut socket).await;
        assert_eq!((&resume["symbols"], &resume["since"]), (&json!(["A/X", "B/X"]), &json!(5)));
        assert_eq!(hear(&mut socket).await, late, "it is new, so it resumes nothing");
        socket
    });

    let mut stream = client.stream(StreamOptions::default()).await.unwrap();
    stream.subscribe(&["b-x", "nonsense", "A/X"]).await.unwrap();
    stream.subscribe(&vec!["C/X"; 1_025]).await.unwrap();
    stream.subscribe(&["D/X"]).await.unwrap();
    while stream.next().await.is_ok() {}
    stream.resume().await.unwrap();
    server.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stream_that_follows_nothing_keeps_no_position_of_an_earlier_epoch() {
    let (listener, client) = listen().await;
    let mut server = JoinSet::new();
    server.spawn(async move {
        let (mut socket, _path) = accept(&listener).await;
        hear(&mut socket).await;
        let id = hear(&mut socket).await["id"].take();
        say(&mut socket, subscribed(&id, &["A/X"])).await;
        say(&mut socket, update(5)).await;
        let gone = json!({"type": "unsubscribed", "id": hear(&mut socket).await["id"],
            "symbols": ["A/X"], "rejected": [], "seq": 5});
        say(&mut socket, gone).await;
        drop(socket);

        let (mut socket, _path) = accept(&listener).await;
        hear(&mut socket).await;
        let subscribe = hear(&mut socket).await;
        assert_eq!((&subscribe["symbols"], &subscribe["since"]), (&json!(["B/X"]), &Value::Null));
        let mut answer = subscribed(&subscribe["id"], &["B/X"]);
        answer["epoch"] = json!("00e2");
        say(&mut socket, answer).await;
        say(&mut socket, update(2)).await;
        socket
    });

    let mut stream = client.stream(StreamOptions::default()).await.unwrap();
    stream.subscribe(&["A/X"]).await.unwrap();
    stream.unsubscribe(&["A/X"]).await.unwrap();
    while stream.next().await.is_ok() {}
    stream.resume().await.unwrap();
    stream.subscribe(&["B/X"]).await.unwrap();
    while !matches!(stream.next().await.unwrap(), Event::PriceUpdate(_)) {}
    let position = stream.position().map(|position| (position.epoch.as_str(), position.seq));
    assert_eq!(position, Some(("00e2", 2)));
    server.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_refused_handshake_is_a_refusal() {
    let (listener, client) = listen().await;
    let mut server = JoinSet::new();
    server.spawn(async move {
        let (socket, _peer) = listener.accept().await.unwrap();
        #[expect(clippy::result_large_err, reason = "the callback's type is the library's")]
        let refuse = |_request: &Request, _response: Response| -> Result<Response, ErrorResponse> {
            let body = r#"{"error":{"code":"UNAUTHORIZED","message":"no such key"},"status":401}"#;
            Err(http::Response::builder().status(401).body(Some(body.to_owned())).unwrap())
        };
        drop(accept_hdr_async(socket, refuse).await);
    });
    let fault = client.stream(StreamOptions::default()).await.unwrap_err();
    let ClientError::Refused(refusal) = fault else { panic!("not refused: {fault}") };
    assert_eq!(refusal.status, 401);
    server.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_silent_stream_is_given_up() {
    let (listener, client) = listen().await;
    let mut server = JoinSet::new();
    server.spawn(async move { accept(&listener).await });
    let silence_max = std::time::Duration::from_millis(20);
    let options = StreamOptions { silence_max, ..StreamOptions::default() };
    let mut stream = client.stream(options).await.unwrap();
    let fault = stream.next().await.unwrap_err();
    assert!(matches!(fault, ClientError::Transport(_)), "{fault}");
    server.join_next().await.unwrap().unwrap();
}
