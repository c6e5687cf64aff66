//! The transport with TLS: its deadlines hold inside and before the encryption.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono_api::http::{Settings, Tls, TlsFiles};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::authority::Authority;
use crate::client::SOON;
use crate::toy::Running;

/// A deadline under test.
const SHORT: Duration = Duration::from_millis(150);

/// A server with a certificate, and who vouches for it.
async fn start(settings: Settings) -> (Running, Authority) {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let (cert, key) = authority.issue();
    let files = TlsFiles { cert: dir.path().join("cert.pem"), key: dir.path().join("key.pem") };
    std::fs::write(&files.cert, cert).unwrap();
    std::fs::write(&files.key, key).unwrap();
    (Running::start_with_tls(settings, Tls::load(files).unwrap()).await, authority)
}

async fn connect(server: &Running, authority: &Authority) -> io::Result<TlsStream<TcpStream>> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    let tcp = TcpStream::connect(server.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

/// Checks that the server closes the connection without another byte.
async fn expect_close(stream: &mut (impl AsyncReadExt + Unpin)) {
    let read = timeout(SOON, stream.read(&mut [0; 1])).await.expect("never closed");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn a_silent_socket_is_closed_before_its_handshake_and_after_it() {
    let settings = Settings { tls_handshake: SHORT, ..Settings::default() };
    let (server, _) = start(settings).await;
    expect_close(&mut TcpStream::connect(server.address).await.unwrap()).await;
    let settings = Settings { first_byte: SHORT, ..Settings::default() };
    let (server, authority) = start(settings).await;
    expect_close(&mut connect(&server, &authority).await.unwrap()).await;
}

#[tokio::test]
async fn a_slow_head_and_an_idle_connection_are_closed() {
    let (server, authority) = start(Settings { header_read: SHORT, ..Settings::default() }).await;
    let mut slow = connect(&server, &authority).await.unwrap();
    slow.write_all(b"GET /open HTTP/1.1\r\nHo").await.unwrap();
    expect_close(&mut slow).await;
    let mut idle = connect(&server, &authority).await.unwrap();
    idle.write_all(b"GET /open HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    timeout(SOON, idle.read_to_end(&mut answer)).await.expect("never closed").ok();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_reader_that_never_reads_is_cut() {
    let (server, authority) = start(Settings { write_stall: SHORT, ..Settings::default() }).await;
    let mut client = connect(&server, &authority).await.unwrap();
    client.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    timeout(SOON, server.toy.given_up.notified()).await.expect("it was never given up");
}

#[tokio::test]
async fn stopping_waits_for_no_handshake() {
    let (server, authority) = start(Settings::default()).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    // The one after it is served, so this one was let in.
    connect(&server, &authority).await.unwrap();
    assert!(timeout(SOON, server.supervisor.shutdown(SOON)).await.unwrap().is_empty());
    expect_close(&mut silent).await;
    assert!(connect(&server, &authority).await.is_err());
}
