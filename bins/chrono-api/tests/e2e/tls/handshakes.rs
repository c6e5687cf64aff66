//! Handshakes that are broken, slow or none at all: cut in time, counted, and no harm to anybody else.

use std::sync::Arc;
use std::time::Duration;

use chrono_domain::{Clock, SystemClock};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::secure::{Secure, get};
use super::{SOON, STEP};

/// What the contract gives a handshake, and room for a busy machine.
const CUT: Duration = Duration::from_secs(5 + 5);
/// Sockets of each kind.
const EACH: usize = 75;

/// How a peer does not get through its handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Says nothing.
    Silent,
    /// Sends half of what it has to say first.
    Half,
    /// Sends a byte at a time, and never comes to an end.
    Drip,
    /// Leaves after half of it.
    Leaves,
    /// Sends bytes that are no handshake.
    Noise,
    /// Begins anew in the middle of it.
    Again,
    /// Says that nothing more comes, and stays.
    Notice,
}

const MANNERS: [Manner; 7] = [
    Manner::Silent,
    Manner::Half,
    Manner::Drip,
    Manner::Leaves,
    Manner::Noise,
    Manner::Again,
    Manner::Notice,
];
/// The alert `close_notify`, in a record of its own.
const CLOSE_NOTIFY: [u8; 7] = [0x15, 3, 3, 0, 2, 1, 0];

/// Gives the first message of a handshake.
fn hello(secure: &Secure) -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::new(secure.client_config()), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// Behaves so until the gateway closes; gives how long that took.
async fn misbehave(mut stream: TcpStream, manner: Manner, hello: Vec<u8>) -> Duration {
    let clock = SystemClock::new();
    let half = &hello[..hello.len() / 2];
    match manner {
        Manner::Silent | Manner::Drip => {}
        Manner::Half => stream.write_all(half).await.unwrap(),
        Manner::Leaves => {
            stream.write_all(half).await.unwrap();
            stream.shutdown().await.unwrap();
        }
        Manner::Noise => stream.write_all(&[0x16, 3, 1, 0, 4, 9, 9, 9, 9]).await.unwrap(),
        Manner::Again => stream.write_all(&[&hello[..], &hello].concat()).await.unwrap(),
        Manner::Notice => stream.write_all(&[&hello[..], &CLOSE_NOTIFY].concat()).await.unwrap(),
    }
    let (mut read, mut write) = stream.into_split();
    let drip = async {
        for byte in hello {
            if manner == Manner::Drip && write.write_all(&[byte]).await.is_err() {
                break;
            }
            sleep(STEP).await;
        }
    };
    let closed = async {
        let mut rest = [0; 1024];
        while matches!(read.read(&mut rest).await, Ok(1..)) {}
    };
    tokio::select! {
        () = closed => {}
        () = async { drip.await; std::future::pending().await } => {}
    }
    clock.uptime()
}

#[tokio::test]
async fn handshakes_that_lead_nowhere_are_cut_while_others_are_served() {
    let secure = Secure::start(&[]);
    let hello = hello(&secure);
    let mut crowd = JoinSet::new();
    for _ in 0..EACH {
        for manner in MANNERS {
            let (stream, hello) = (secure.tcp().await, hello.clone());
            crowd.spawn(async move { (manner, misbehave(stream, manner, hello).await) });
        }
    }
    let served = async {
        let mut kept = secure.connect().await.unwrap();
        loop {
            assert!(get(&mut kept, "/health/live").await.contains("alive"));
            let mut fresh = secure.connect().await.unwrap();
            assert!(get(&mut fresh, "/health/live").await.contains("alive"));
            sleep(STEP).await;
        }
    };
    let cut = async {
        while let Some(ended) = crowd.join_next().await {
            let (manner, took) = ended.unwrap();
            assert!(took < CUT, "{manner:?} took {took:?}");
        }
    };
    tokio::select! {
        () = cut => {}
        () = served => {}
    }
    let metrics = secure.metrics(secure.authority()).await;
    // The one that is served may be in a handshake when the last of the others is cut, and then leaves it.
    for (reason, count, more) in
        [("deadline", 3 * EACH, 0), ("broken", EACH, 1), ("invalid", 3 * EACH, 0)]
    {
        let name = format!("tls_handshakes_failed_total{{reason=\"{reason}\"}} ");
        let counted = metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap();
        let counted: usize = counted.parse().unwrap();
        assert!((count..=count + more).contains(&counted), "{reason}: {counted}");
    }
    let mut panics = metrics.lines().filter(|line| line.starts_with("task_panics_total"));
    assert!(panics.all(|line| line.ends_with(" 0")), "{metrics}");
}

#[tokio::test]
async fn a_handshake_in_progress_takes_a_place_and_gives_it_back() {
    let secure = Secure::start(&[("HTTP_MAX_CONNECTIONS_PER_IP", "3")]);
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(secure.tcp().await);
    }
    let mut refused = secure.tcp().await;
    let read = timeout(STEP * 20, refused.read(&mut [0; 1])).await.expect("a fourth was let in");
    assert!(matches!(read, Ok(0) | Err(_)));
    for mut stream in silent {
        let read = timeout(CUT, stream.read(&mut [0; 1])).await.expect("never cut");
        assert!(matches!(read, Ok(0) | Err(_)));
    }
    let waited = SystemClock::new();
    while secure.connect().await.is_err() {
        assert!(waited.uptime() < SOON, "no place came back");
        sleep(STEP).await;
    }
}

#[tokio::test]
async fn a_handshake_in_pieces_of_a_byte_is_a_handshake() {
    let secure = Secure::start(&[]);
    let tcp = secure.tcp().await;
    tcp.set_nodelay(true).unwrap();
    let (mut read, mut write) = tcp.into_split();
    let (near, far) = duplex(16 * 1024);
    let (mut from_client, mut to_client) = tokio::io::split(far);
    let mut pumps = JoinSet::new();
    pumps.spawn(async move {
        while let Ok(byte) = from_client.read_u8().await {
            write.write_all(&[byte]).await.unwrap();
        }
    });
    pumps.spawn(async move {
        let _ended = tokio::io::copy(&mut read, &mut to_client).await;
    });
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(secure.client_config()));
    let mut stream = timeout(SOON, connector.connect(name, near)).await.unwrap().unwrap();
    stream
        .write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn whoever_speaks_plain_http_is_told_what_the_port_speaks() {
    let secure = Secure::start(&[]);
    let mut stream = secure.tcp().await;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("TLS"), "{answer}");
}
