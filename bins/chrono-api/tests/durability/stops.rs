//! Stops under load: whoever is connected is told or served to the end, and nothing acknowledged is lost.

use std::net::SocketAddr;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, ensure};
use chrono_domain::{Clock, SystemClock};
use chrono_testkit::{Gateway, INTERNAL_KEY, PUBLIC_KEY};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::campaign::{Campaign, Repeats};

/// Open streams, and those of them that are told prices.
const STREAMS: usize = 2_000;
const SUBSCRIBED: usize = 100;
/// Connections that were answered once and stay.
const IDLE: usize = 100;
/// Readers of a long answer, and the ticks that make it long.
const READERS: usize = 10;
const TICKS: usize = 10_000;
/// Acknowledgements until the load is well under way.
const ACKNOWLEDGED: usize = 50;
/// The promise of a stop.
const STOPPED_WITHIN: Duration = Duration::from_secs(25);
/// The promise of a second signal.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How long anything else may take, on a busy machine.
const SOON: Duration = Duration::from_mins(1);
/// A subscription to every symbol, as a masked frame (RFC 6455, section 5.2) whose mask changes nothing.
const SUBSCRIBE: &str = r#"{"action":"subscribe","symbols":["*"]}"#;
/// Close frame with the code 1012.
const RESTARTS: [u8; 2] = 1_012_u16.to_be_bytes();

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_tells_everybody_and_loses_nothing() -> anyhow::Result<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let mut campaign = Campaign::new("stop under load")?;
    let many = (2 * STREAMS).to_string();
    let mut gateway = campaign.start(&[
        ("WS_MAX_CONNECTIONS_PER_KEY", &many),
        ("WS_MAX_CONNECTIONS_PER_IP", &many),
        ("HTTP_MAX_CONNECTIONS_PER_IP", "10000"),
    ])?;
    fill(gateway.address()).await?;
    let mut streams = JoinSet::new();
    for number in 0..STREAMS {
        let stream = open_stream(gateway.address(), number < SUBSCRIBED).await?;
        streams.spawn(follow_to_the_end(stream));
    }
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        idle.push(ask_once(gateway.address()).await?);
    }
    let mut upload = TcpStream::connect(gateway.address()).await?;
    let head =
        format!("POST /internal/ingest HTTP/1.1\r\nHost: a\r\nX-API-Key: {INTERNAL_KEY}\r\n");
    let head = head + "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";
    upload.write_all(head.as_bytes()).await?;
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(ask_for_much(gateway.address()).await?);
    }
    let load = campaign.load(&gateway)?;
    for _ in 0..ACKNOWLEDGED {
        load.acknowledged().await?;
    }

    let clock = SystemClock::new();
    gateway.terminate()?;
    for reader in readers {
        read_whole(reader).await?;
    }
    for mut connection in idle {
        ensure!(read_to_end(&mut connection).await?.is_empty(), "an idle connection is answered");
    }
    while let Some(told) = streams.join_next().await {
        told??;
    }
    read_to_end(&mut upload).await?;
    load.end().await?;
    let status = gateway.wait(STOPPED_WITHIN)?;
    let took = clock.uptime();
    ensure!(status.code() == Some(0) && took < STOPPED_WITHIN, "{status} after {took:?}");
    eprintln!("stopped after {took:?}, {STREAMS} streams told");

    let gateway = campaign.start(&[])?;
    campaign.settle(&gateway, Repeats::Some).await?;
    let (verdict, _) = campaign.check_whole(&gateway).await?;
    ensure!(verdict.is_clean(), "{verdict}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() -> anyhow::Result<()> {
    let mut campaign = Campaign::new("second signal")?;
    let mut gateway = campaign.start(&[])?;
    let _upload = begin_upload(&gateway).await?;
    gateway.terminate()?;
    until_refused(&gateway).await?;
    ensure!(gateway.wait(Duration::ZERO).is_err(), "it did not wait for the upload");
    let status = end_by_signals(&mut gateway)?;
    ensure!(status.code() == Some(1), "{status}");
    let said = gateway.errors();
    ensure!(said == ["chrono-api: stopped at once by a second signal"], "{said:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_that_comes_twice_at_once_is_one_stop() -> anyhow::Result<()> {
    let mut campaign = Campaign::new("signal that comes twice")?;
    let mut gateway = campaign.start(&[])?;
    let mut upload = begin_upload(&gateway).await?;
    let twice = format!("kill -TERM {0} && kill -TERM {0}", gateway.pid());
    ensure!(Command::new("sh").args(["-c", &twice]).status()?.success(), "no signal was sent");
    until_refused(&gateway).await?;
    upload.write_all(b"0123456789").await?;
    ensure!(!read_to_end(&mut upload).await?.is_empty(), "the upload is not answered");
    let status = gateway.wait(STOPPED_WITHIN)?;
    ensure!(status.code() == Some(0), "{status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stops_come_to_their_end_while_nobody_reads_the_log() -> anyhow::Result<()> {
    let campaign = Campaign::new("stops without a reader of the log")?;
    let mut gateway = campaign.start_unread(&[], &[])?;
    gateway.terminate()?;
    let status = gateway.wait(STOPPED_WITHIN)?;
    ensure!(status.code() == Some(0), "{status}");

    let mut gateway = campaign.start_unread(&[], &[])?;
    let _upload = begin_upload(&gateway).await?;
    gateway.terminate()?;
    until_refused(&gateway).await?;
    let status = end_by_signals(&mut gateway)?;
    ensure!(status.code() == Some(1), "{status}");
    Ok(())
}

/// Signals a gateway that stops already until it ends.
fn end_by_signals(gateway: &mut Gateway) -> anyhow::Result<ExitStatus> {
    let clock = SystemClock::new();
    loop {
        // What comes right after the first counts as the same.
        gateway.terminate()?;
        if let Ok(status) = gateway.wait(Duration::from_millis(20)) {
            return Ok(status);
        }
        ensure!(clock.uptime() < AT_ONCE, "it still runs");
    }
}

/// Begins an upload of ten bytes, which holds a stop up.
async fn begin_upload(gateway: &Gateway) -> anyhow::Result<TcpStream> {
    let mut upload = TcpStream::connect(gateway.address()).await?;
    let head =
        format!("POST /internal/ingest HTTP/1.1\r\nHost: a\r\nX-API-Key: {INTERNAL_KEY}\r\n");
    let head = head
        + "Content-Type: application/json\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n";
    upload.write_all(head.as_bytes()).await?;
    // Being asked to go on, it is in the handler.
    upload.read_exact(&mut [0; 12]).await?;
    Ok(upload)
}

/// Waits until nobody is let in any more, which is where a stop begins.
async fn until_refused(gateway: &Gateway) -> anyhow::Result<()> {
    let refused = async {
        while TcpStream::connect(gateway.address()).await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, refused).await.context("the first signal is not heard")
}

/// Stores the ticks of a long answer, of a symbol and a worker that nobody else uses.
async fn fill(address: SocketAddr) -> anyhow::Result<()> {
    let feed = r#"{"symbol":"LONG/ANSWER","price":"1.5","source":"s","timestamp":"2025-10-09T12:34:56.123456Z"}"#;
    let feeds = vec![feed; 100].join(",");
    let body =
        format!(r#"{{"worker_id":"fill","timestamp":"2025-10-09T12:34:56Z","feeds":[{feeds}]}}"#);
    let head =
        format!("POST /internal/ingest HTTP/1.1\r\nHost: a\r\nX-API-Key: {INTERNAL_KEY}\r\n");
    let length = body.len();
    let request =
        format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
    let mut stream = TcpStream::connect(address).await?;
    for _ in 0..TICKS / 100 {
        stream.write_all(request.as_bytes()).await?;
        let answer = read_head(&mut stream).await?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        stream.read_exact(&mut vec![0; content_length(&answer)?]).await?;
    }
    Ok(())
}

/// Opens a stream, and subscribes it to everything if it is to be told.
async fn open_stream(address: SocketAddr, subscribes: bool) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let head = format!("GET /stream?key={PUBLIC_KEY} HTTP/1.1\r\nHost: a\r\n{upgrade}{key}\r\n");
    stream.write_all(head.as_bytes()).await?;
    let answer = read_head(&mut stream).await?;
    ensure!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    if subscribes {
        let mut frame = vec![0x81, 0x80 | u8::try_from(SUBSCRIBE.len())?, 0, 0, 0, 0];
        frame.extend_from_slice(SUBSCRIBE.as_bytes());
        stream.write_all(&frame).await?;
    }
    Ok(stream)
}

/// Reads a stream until it ends, which must be with a hint when to come back and the code of a restart.
async fn follow_to_the_end(mut stream: TcpStream) -> anyhow::Result<()> {
    let mut tail = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let count = timeout(SOON, stream.read(&mut chunk)).await.context("never told")??;
        if count == 0 {
            break;
        }
        tail.extend_from_slice(&chunk[..count]);
        tail.drain(..tail.len().saturating_sub(512));
    }
    let said = String::from_utf8_lossy(&tail).into_owned();
    ensure!(said.contains(r#"{"type":"reconnect","after_ms":"#), "{said}");
    ensure!(tail.windows(2).any(|pair| pair == RESTARTS), "{said}");
    Ok(())
}

/// Opens a connection that is answered once.
async fn ask_once(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"HEAD /health/live HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    let answer = read_head(&mut stream).await?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(stream)
}

/// Asks for the long answer and reads only how long it is.
async fn ask_for_much(address: SocketAddr) -> anyhow::Result<(TcpStream, usize)> {
    let socket = TcpSocket::new_v4()?;
    // So that little of it waits on this side.
    socket.set_recv_buffer_size(8 * 1024)?;
    let mut stream = socket.connect(address).await?;
    let path = "/prices/range?symbol=LONG/ANSWER&limit=10000&from=2025-10-09T00:00:00Z&to=2025-10-10T00:00:00Z";
    let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-API-Key: {PUBLIC_KEY}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let answer = read_head(&mut stream).await?;
    let length = content_length(&answer)?;
    ensure!(length > TICKS * 80, "{answer}");
    Ok((stream, length))
}

async fn read_whole((mut stream, length): (TcpStream, usize)) -> anyhow::Result<()> {
    let body = read_to_end(&mut stream).await?;
    ensure!(body.len() == length && body.ends_with(b"}\n"), "{} of {length} bytes", body.len());
    Ok(())
}

async fn read_to_end(stream: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    let mut read = Vec::new();
    timeout(SOON, stream.read_to_end(&mut read)).await.context("left open")??;
    Ok(read)
}

/// Reads the head of an answer, and nothing behind it.
async fn read_head(stream: &mut TcpStream) -> anyhow::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = timeout(SOON, stream.read_u8()).await.context("no answer")??;
        head.push(byte);
    }
    Ok(String::from_utf8(head)?)
}

fn content_length(head: &str) -> anyhow::Result<usize> {
    let value = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    Ok(value.context("no length")?.parse()?)
}
