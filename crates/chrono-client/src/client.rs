//! The connection to a gateway: pool, key, deadlines, bounds.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::ClientError;
use crate::address::Address;
use crate::tls;

/// What the client calls itself.
const AGENT: &str = concat!("chrono-client/", env!("CARGO_PKG_VERSION"));

/// Deadlines and bounds of a [`Client`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Longest wait for a connection. Too short fails on distant gateways, too long hides dead ones. Default 5 s.
    pub connect_timeout: Duration,
    /// Longest wait for a whole answer. Too short repeats work that was nearly done, too long hides a hung gateway.
    /// Default 30 s.
    pub request_timeout: Duration,
    /// How long an unused connection is kept; below the gateway's 30 s, or requests meet closed ones. Default 20 s.
    pub idle_timeout: Duration,
    /// Most unused connections kept. Too few reconnects under load, too many holds sockets. Default 32.
    pub idle_connections_max: usize,
    /// Largest answer taken, in bytes. Too small refuses long ranges, too large lets a false gateway fill memory.
    /// Default 64 MiB.
    pub answer_bytes_max: usize,
    /// A PEM file of authorities that may vouch for an `https://` gateway, besides the system's; a certificate that
    /// signed itself may be its own. Default none.
    pub ca_file: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(20),
            idle_connections_max: 32,
            answer_bytes_max: 64 << 20,
            ca_file: None,
        }
    }
}

/// A client of one gateway under one key; clones share its connections.
#[derive(Clone)]
pub struct Client {
    pub(crate) address: Arc<Address>,
    pub(crate) key: SecretString,
    pub(crate) options: Options,
    /// Whether the last try to post found nobody.
    pub(crate) in_outage: Arc<AtomicBool>,
    authorization: HeaderValue,
    pub(crate) trust: Arc<ClientConfig>,
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    /// Makes a client of the gateway at `http[s]://host[:port][/prefix]`; connects on first use.
    ///
    /// # Errors
    /// [`ClientError::Setting`] for another kind of URL, a key that no header can carry, or a file of authorities that
    /// cannot be used.
    pub fn new(base_url: &str, key: SecretString) -> Result<Self, ClientError> {
        Self::with_options(base_url, key, Options::default())
    }

    /// Makes a client with deadlines and bounds of its own.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_options(
        base_url: &str,
        key: SecretString,
        options: Options,
    ) -> Result<Self, ClientError> {
        let address = Arc::new(Address::parse(base_url)?);
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()))
            .map_err(|_fault| {
            ClientError::Setting("the key holds characters that no header can carry".to_owned())
        })?;
        authorization.set_sensitive(true);
        let trust = tls::trust(address.is_tls(), options.ca_file.as_deref())?;
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(options.connect_timeout));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(trust.as_ref().clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.idle_timeout)
            .pool_max_idle_per_host(options.idle_connections_max)
            .build(connector);
        let in_outage = Arc::default();
        Ok(Self { address, key, options, in_outage, authorization, trust, pool })
    }

    /// Asks for a path and reads a JSON answer.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        from_json(&self.get_bytes(path).await?)
    }

    /// Asks for a path; every status but a success is an error.
    pub(crate) async fn get_bytes(&self, path: &str) -> Result<Bytes, ClientError> {
        let answer = self.send(Method::GET, path, HeaderMap::new(), Bytes::new()).await?;
        if !answer.status.is_success() {
            return Err(ClientError::from_answer(answer.status, &answer.headers, &answer.body));
        }
        Ok(answer.body)
    }

    /// Sends a request and reads the whole answer, whatever its status, within the deadline and the bound.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, ClientError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.address.http(path)?;
        *request.headers_mut() = headers;
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let whole = async {
            let response = self.pool.request(request).await.map_err(ClientError::transport)?;
            self.read(response).await
        };
        timeout(self.options.request_timeout, whole)
            .await
            .map_err(|_elapsed| ClientError::timed_out("no whole answer in time"))?
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Answer, ClientError> {
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, self.options.answer_bytes_max)
            .collect()
            .await
            .map_err(|fault| {
                if fault.is::<LengthLimitError>() {
                    ClientError::Protocol(format!(
                        "answer larger than {} bytes",
                        self.options.answer_bytes_max
                    ))
                } else {
                    ClientError::Transport(fault)
                }
            })?
            .to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}

/// Reads a JSON answer.
pub(crate) fn from_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|fault| ClientError::Protocol(fault.to_string()))
}
