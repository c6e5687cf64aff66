//! A gateway with a certificate, and connections to it.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use chrono_client::Client;
use chrono_domain::{Clock, SystemClock};
use chrono_testkit::{Gateway, GatewayCommand, PUBLIC_KEY, scratch};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::authority::Authority;
use super::{FOLLOW, SOON, STEP};
use crate::service::BINARY;

pub(crate) type Secured = TlsStream<TcpStream>;

pub(crate) struct Secure {
    gateway: Gateway,
    authority: Authority,
    dir: TempDir,
}

impl Secure {
    /// Starts a gateway with a certificate of an authority of its own, and further settings.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let (authority, dir) = (Authority::new(), scratch().unwrap());
        fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        write_pair(&dir, &authority.issue());
        let path = |name: &str| dir.path().join(name).display().to_string();
        let command = GatewayCommand::new(BINARY, dir.path().join("data"))
            .with("TLS_CERT", &path("cert.pem"))
            .with("TLS_KEY", &path("key.pem"));
        let with =
            |command: GatewayCommand, (name, value): &(&str, &str)| command.with(name, value);
        let gateway = settings.iter().fold(command, with).start().unwrap();
        Self { gateway, authority, dir }
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Ends it as an operator does, or as a crash.
    pub(crate) fn end(self, orderly: bool) {
        if orderly {
            assert!(self.gateway.stop().unwrap().success());
        } else {
            self.gateway.kill().unwrap();
        }
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Puts another certificate and key in place, one file after the other.
    pub(crate) fn write_pair(&self, pair: &(String, String)) {
        write_pair(&self.dir, pair);
    }

    pub(crate) fn client(&self, key: &str) -> Client {
        self.gateway.client_trusting(key, &self.ca_file()).unwrap()
    }

    pub(crate) fn client_trusting(&self, other: &Authority) -> Client {
        let path = self.dir.path().join("other.pem");
        fs::write(&path, other.pem()).unwrap();
        self.gateway.client_trusting(PUBLIC_KEY, &path).unwrap()
    }

    pub(crate) fn address(&self) -> &str {
        self.gateway.url().strip_prefix("https://").unwrap()
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    pub(crate) async fn connect(&self) -> io::Result<Secured> {
        self.connect_trusting(&self.authority).await
    }

    pub(crate) async fn connect_trusting(&self, authority: &Authority) -> io::Result<Secured> {
        shake(self.tcp().await, config(authority, rustls::ALL_VERSIONS, &[])).await
    }

    pub(crate) async fn connect_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&[u8]],
    ) -> io::Result<Secured> {
        shake(self.tcp().await, config(&self.authority, versions, alpn)).await
    }

    pub(crate) fn client_config(&self) -> ClientConfig {
        config(&self.authority, rustls::ALL_VERSIONS, &[])
    }

    /// Waits until the gateway shows a certificate of an authority.
    pub(crate) async fn wait_for(&self, authority: &Authority) {
        let waited = SystemClock::new();
        while self.connect_trusting(authority).await.is_err() {
            assert!(waited.uptime() < FOLLOW, "no new certificate within {FOLLOW:?}");
            tokio::time::sleep(STEP).await;
        }
    }

    pub(crate) async fn metrics(&self, authority: &Authority) -> String {
        get(&mut self.connect_trusting(authority).await.unwrap(), "/metrics").await
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }
}

fn write_pair(dir: &TempDir, (cert, key): &(String, String)) {
    fs::write(dir.path().join("cert.pem"), cert).unwrap();
    fs::write(dir.path().join("key.pem"), key).unwrap();
}

fn config(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&[u8]],
) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

/// Does the handshake, to its very end: a server that refuses a TLS 1.3 client says so after the client is done.
pub(crate) async fn shake(stream: TcpStream, config: ClientConfig) -> io::Result<Secured> {
    let name = ServerName::try_from("localhost").unwrap();
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    timeout(SOON, connecting).await.expect("no handshake")
}

/// Asks for a path and reads the whole answer, whose length is given.
pub(crate) async fn get(stream: &mut Secured, path: &str) -> String {
    let head = get_head(stream, path, PUBLIC_KEY).await;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    timeout(SOON, stream.read_exact(&mut body)).await.expect("no body").unwrap();
    String::from_utf8(body).unwrap()
}

/// Asks for a path and reads the head of the answer.
pub(crate) async fn get_head(stream: &mut Secured, path: &str, key: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let byte = timeout(SOON, stream.read_u8()).await.expect("no answer").unwrap();
        head.push(char::from(byte));
    }
    head
}

/// Reads until a text has come.
pub(crate) async fn read_until(stream: &mut Secured, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) {
        let mut chunk = [0; 4096];
        let count = timeout(SOON, stream.read(&mut chunk)).await.expect("nothing came").unwrap();
        assert!(count > 0, "closed after {text}");
        text.push_str(&String::from_utf8_lossy(&chunk[..count]));
    }
    text
}
