//! What peers may hold and for how long, and how the server stops.

use std::time::Duration;

use chrono_api::edge::Origins;
use chrono_api::http::{BodyLimits, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{Client, SOON};
use crate::toy::{INTERNAL, Running, until};

/// A deadline under test.
const SHORT: Duration = Duration::from_millis(150);
/// A deadline that the test's own reader must keep, on a busy machine.
const ROOMY: Duration = Duration::from_secs(3);

async fn start(settings: Settings) -> Running {
    Running::start_with(settings, Origins::Any).await
}

fn key() -> String {
    format!("X-API-Key: {INTERNAL}")
}

#[tokio::test]
async fn a_connection_carries_many_requests_also_pipelined() {
    let server = Running::start().await;
    let mut client = Client::connect(server.address).await;
    for _ in 0..3 {
        assert_eq!(client.ask("GET", "/open", &[]).await.status, 200);
    }
    let request = "GET /open HTTP/1.1\r\nHost: test\r\n\r\n";
    client.send(&request.repeat(100)).await;
    for _ in 0..100 {
        assert_eq!(client.answer(true).await.body, "{\"open\":true}");
    }
}

#[tokio::test]
async fn a_silent_socket_is_closed() {
    let server = start(Settings { first_byte: SHORT, ..Settings::default() }).await;
    Client::connect(server.address).await.expect_close().await;
}

#[tokio::test]
async fn a_slow_head_and_an_idle_connection_are_closed() {
    let server = start(Settings { header_read: SHORT, ..Settings::default() }).await;
    let mut slow = Client::connect(server.address).await;
    slow.send("GET /open HTTP/1.1\r\nHo").await;
    slow.expect_close().await;
    let mut idle = Client::connect(server.address).await;
    assert_eq!(idle.ask("GET", "/open", &[]).await.status, 200);
    idle.expect_close().await;
}

#[tokio::test]
async fn a_slow_body_is_answered_408_and_closed() {
    let body = BodyLimits { deadline: SHORT, ..Settings::default().body };
    let server = start(Settings { body, ..Settings::default() }).await;
    for framing in ["Content-Length: 10\r\n\r\n1234", "Transfer-Encoding: chunked\r\n\r\n4\r\n1234"]
    {
        let mut client = Client::connect(server.address).await;
        let head = format!("POST /internal/echo HTTP/1.1\r\nHost: test\r\n{}\r\n", key());
        client.send(&format!("{head}{framing}")).await;
        let answer = client.answer(true).await;
        assert_eq!((answer.status, answer.code().as_str()), (408, "VALIDATION_ERROR"));
        client.expect_close().await;
    }
}

#[tokio::test]
async fn a_body_may_have_its_limit_and_no_byte_more() {
    let body = BodyLimits { bytes_max: 100_000, ..Settings::default().body };
    let server = start(Settings { body, ..Settings::default() }).await;
    let mut client = Client::connect(server.address).await;
    let full = "x".repeat(100_000);
    let answer = client.post("/internal/echo", &[&key()], &full).await;
    assert_eq!((answer.status, answer.body.len()), (200, 100_000));
    let answer = client.post("/internal/echo", &[&key()], &format!("{full}x")).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "PAYLOAD_TOO_LARGE"));
    let answer = client.post("/internal/echo", &[&key()], "{}").await;
    assert_eq!(answer.body, "{}", "a body that was thrown away leaves the connection usable");
    // A length far beyond the limit is refused without a byte of it.
    let head = format!("POST /internal/echo HTTP/1.1\r\nHost: test\r\n{}\r\n", key());
    client.send(&format!("{head}Content-Length: 1000000000\r\n\r\n")).await;
    let answer = client.answer(true).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "PAYLOAD_TOO_LARGE"));
    client.expect_close().await;
}

#[tokio::test]
async fn a_chunked_body_is_joined() {
    let server = Running::start().await;
    let mut client = Client::connect(server.address).await;
    let head = format!("POST /internal/echo HTTP/1.1\r\nHost: test\r\n{}\r\n", key());
    client.send(&format!("{head}Transfer-Encoding: chunked\r\n\r\n")).await;
    for piece in ["4\r\n{\"a\"\r\n", "2\r\n:1\r\n", "1\r\n}\r\n", "0\r\n\r\n"] {
        client.send(piece).await;
    }
    assert_eq!(client.answer(true).await.body, "{\"a\":1}");
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_continue() {
    let server = Running::start().await;
    let mut client = Client::connect(server.address).await;
    let head = format!("POST /internal/echo HTTP/1.1\r\nHost: test\r\n{}\r\n", key());
    client.send(&format!("{head}Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")).await;
    assert_eq!(client.answer(false).await.status, 100);
    client.send("{}").await;
    assert_eq!(client.answer(true).await.body, "{}");
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let server = Running::start().await;
    let ask = async |path: &str, lines: &str| {
        let mut client = Client::connect(server.address).await;
        client.send_if_open(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n")).await;
        client.answer(true).await
    };
    assert_eq!(ask("/open", &"a: b\r\n".repeat(63)).await.status, 200);
    assert_eq!(ask("/open", &"a: b\r\n".repeat(64)).await.status, 431);
    assert_eq!(ask("/open", &format!("a: {}\r\n", "b".repeat(17_000))).await.status, 431);
    let long = ask(&format!("/open?{}", "a".repeat(9_000)), "").await;
    assert_eq!((long.status, long.code().as_str()), (414, "VALIDATION_ERROR"));
}

#[tokio::test]
async fn ambiguous_requests_are_refused() {
    let server = Running::start().await;
    for head in [
        "GET /open HTTP/1.1\r\n\r\n",
        "GET /open HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /open HTTP/1.1\r\nHost: a b\r\n\r\n",
        "POST /open HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\n\r\n",
        "POST /open HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n",
    ] {
        let mut client = Client::connect(server.address).await;
        client.send(head).await;
        let answer = client.answer(true).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "VALIDATION_ERROR"), "{head}");
    }
    for head in [
        "GET /open HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let mut client = Client::connect(server.address).await;
        client.send(head).await;
        assert_eq!(client.answer(true).await.status, 400, "{head}");
        client.expect_close().await;
    }
}

#[tokio::test]
async fn a_reader_that_never_reads_is_cut() {
    let server = start(Settings { write_stall: SHORT, ..Settings::default() }).await;
    let mut client = Client::connect(server.address).await;
    client.send("GET /endless HTTP/1.1\r\nHost: test\r\n\r\n").await;
    timeout(SOON, server.toy.given_up.notified()).await.expect("it was never given up");
    while client.more().await {}
}

#[tokio::test]
async fn a_reader_that_reads_is_not_cut() {
    let server = start(Settings { write_stall: ROOMY, ..Settings::default() }).await;
    let mut client = Client::connect(server.address).await;
    client.send("GET /endless HTTP/1.1\r\nHost: test\r\n\r\n").await;
    let reading = timeout(2 * ROOMY, async { while client.more().await {} }).await;
    assert!(reading.is_err(), "it was cut though it read on");
}

#[tokio::test]
async fn a_steady_reader_is_not_cut_however_much_the_kernel_took_before() {
    // A fifteenth of what is usual: 240 KiB a second are asked for once two seconds are over, and 360 are read.
    let settings = Settings {
        write_stall: Duration::from_secs(2),
        write_pace: Settings::default().write_pace / 15,
        ..Settings::default()
    };
    let server = start(settings).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let mut chunk = vec![0; 36 * 1024];
    // Read fast, so that the kernel makes its buffers as large as they become.
    for _ in 0..500 {
        stream.read_exact(&mut chunk).await.unwrap();
    }
    let mut every = tokio::time::interval(Duration::from_millis(100));
    let reading = async {
        for _ in 0..100 {
            every.tick().await;
            stream.read_exact(&mut chunk).await.unwrap();
        }
    };
    tokio::select! {
        // What the kernels hold already would come for a while.
        () = server.toy.given_up.notified() => panic!("it was cut though it read on"),
        () = reading => {}
    }
}

#[tokio::test]
async fn an_answer_must_be_taken_in_time_as_a_whole_but_no_stream() {
    // Whatever is taken gives no time more.
    let settings =
        Settings { write_stall: ROOMY, write_pace: Duration::ZERO, ..Settings::default() };
    let server = start(settings).await;
    let mut client = Client::connect(server.address).await;
    // A stream before it changes nothing.
    assert_eq!(client.ask("HEAD", "/events", &[]).await.status, 200);
    client.send("GET /endless HTTP/1.1\r\nHost: test\r\n\r\n").await;
    timeout(SOON, async { while client.more().await {} }).await.expect("it was never cut");
    let mut client = Client::connect(server.address).await;
    client.send("GET /events HTTP/1.1\r\nHost: test\r\n\r\n").await;
    let reading = timeout(2 * ROOMY, async { while client.more().await {} }).await;
    assert!(reading.is_err(), "a stream was cut though it was read");
}

#[tokio::test]
async fn connections_of_one_address_are_bounded_and_come_back() {
    let server = start(Settings { connections_per_ip_max: 2, ..Settings::default() }).await;
    let mut first = Client::connect(server.address).await;
    let mut second = Client::connect(server.address).await;
    for client in [&mut first, &mut second] {
        assert_eq!(client.ask("GET", "/open", &[]).await.status, 200);
    }
    Client::connect(server.address).await.expect_close().await;
    drop(first);
    until(async || {
        let mut client = Client::connect(server.address).await;
        client.send("GET /open HTTP/1.1\r\nHost: test\r\n\r\n").await;
        client.more().await.then_some(())
    })
    .await;
    assert_eq!(second.ask("GET", "/open", &[]).await.status, 200);
}

#[tokio::test]
async fn an_upgraded_socket_talks_on_and_keeps_its_place() {
    let server = start(Settings { connections_max: 1, ..Settings::default() }).await;
    let mut client = Client::connect(server.address).await;
    let headers = ["Connection: upgrade", "Upgrade: echo"];
    assert_eq!(client.ask("GET", "/upgrade", &headers).await.status, 101);
    client.send("hello").await;
    assert_eq!(client.bytes(5).await, b"hello");
    Client::connect(server.address).await.expect_close().await;
    assert!(server.supervisor.shutdown(SHORT).await.is_empty());
    client.expect_close().await;
}

#[tokio::test]
async fn stopping_lets_the_last_request_finish_and_closes_the_rest() {
    let server = Running::start().await;
    let mut idle = Client::connect(server.address).await;
    assert_eq!(idle.ask("GET", "/open", &[]).await.status, 200);
    let mut silent = Client::connect(server.address).await;
    let mut busy = Client::connect(server.address).await;
    busy.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n").await;
    server.toy.begun.notified().await;
    let stop = server.supervisor.shutdown(SOON);
    let clients = async {
        idle.expect_close().await;
        silent.expect_close().await;
        until(async || Client::try_connect(server.address).await.err()).await;
        server.toy.go_on.notify_one();
        let answer = busy.answer(true).await;
        assert_eq!(answer.body, "{\"slow\":true}");
        assert_eq!(answer.header("connection"), Some("close"));
        busy.expect_close().await;
    };
    let (unfinished, ()) = tokio::join!(stop, clients);
    assert!(unfinished.is_empty());
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_stalled_upload() {
    let server = Running::start().await;
    let mut client = Client::connect(server.address).await;
    let head = format!("POST /internal/echo HTTP/1.1\r\nHost: test\r\n{}\r\n", key());
    client.send(&format!("{head}Content-Length: 10\r\n\r\n1234")).await;
    server.toy.begun.notified().await;
    assert!(server.supervisor.shutdown(SHORT).await.is_empty());
    client.expect_close().await;
}
