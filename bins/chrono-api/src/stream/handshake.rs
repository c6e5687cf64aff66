//! From a request to a socket that speaks WebSocket.

use hyper::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::WRITE_BYTES;
use crate::edge::{ApiError, ErrorCode, Reply};
use crate::http::{Body, Link};

/// Largest message a client may send, in bytes.
const INBOUND_BYTES_MAX: usize = 64 * 1024;
/// The read buffer, in bytes: tungstenite allocates it whole and clears it before every read, and commands are small.
const READ_BUFFER_BYTES: usize = 256;
/// Bound of the write buffer, in bytes. It is not met: at most one message is added to at most [`WRITE_BYTES`].
const WRITE_BUFFER_BYTES_MAX: usize = 256 * 1024;

/// A socket that speaks WebSocket.
pub(super) type Socket = WebSocketStream<Link>;

/// Checks the handshake (RFC 6455, section 4.2.1) and answers it.
pub(super) fn accept<B: hyper::body::Body>(request: &Request<B>) -> Result<Reply, ApiError> {
    is_plain_get(request)?;
    let headers = request.headers();
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let has = |name: &HeaderName, token: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let mut tokens = values.flat_map(|value| value.split(','));
        tokens.any(|found| found.trim().eq_ignore_ascii_case(token))
    };
    if !has(&UPGRADE, "websocket") || !has(&CONNECTION, "upgrade") {
        let expected = "a WebSocket handshake; for events use /stream/sse";
        return Err(ApiError::invalid("Upgrade", text(&UPGRADE), expected));
    }
    let version = text(&SEC_WEBSOCKET_VERSION);
    if version != Some("13") {
        return Err(ApiError::invalid("Sec-WebSocket-Version", version, "13"));
    }
    let key = text(&SEC_WEBSOCKET_KEY);
    let Some(nonce) = key.filter(|key| is_nonce(key)) else {
        return Err(ApiError::invalid("Sec-WebSocket-Key", key, "16 bytes in base64"));
    };
    let accept = derive_accept_key(nonce.as_bytes());
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = reply.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept.try_into().map_err(ApiError::internal)?);
    Ok(reply)
}

/// Checks that the request is a GET of HTTP/1.1 without a body: what came behind it is the first frame, and nothing else.
fn is_plain_get<B: hyper::body::Body>(request: &Request<B>) -> Result<(), ApiError> {
    let (method, version) = (request.method(), request.version());
    if method != Method::GET {
        return Err(ApiError::invalid("method", Some(method.as_str()), "GET"));
    }
    if version < Version::HTTP_11 {
        return Err(ApiError::invalid("version", Some(&format!("{version:?}")), "HTTP/1.1"));
    }
    if request.body().is_end_stream() {
        return Ok(());
    }
    Err(ApiError::new(ErrorCode::Validation, "A WebSocket handshake has no body"))
}

/// Tells whether a text is 16 bytes in base64.
fn is_nonce(text: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    text.len() == 24 && text.strip_suffix("==").is_some_and(|digits| digits.bytes().all(digit))
}

/// Takes the socket over when the answer is sent, with what the client may have sent after its request already.
pub(super) async fn open(upgrade: OnUpgrade) -> Option<Socket> {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(fault) => {
            tracing::debug!(error = &fault as &dyn std::error::Error, "upgrade failed");
            return None;
        }
    };
    let parts = upgraded.downcast::<TokioIo<Link>>().ok()?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(INBOUND_BYTES_MAX))
        .max_frame_size(Some(INBOUND_BYTES_MAX));
    let (io, early) = (parts.io.into_inner(), parts.read_buf.to_vec());
    Some(Socket::from_partially_read(io, early, Role::Server, Some(config)).await)
}

#[cfg(test)]
mod tests {
    use hyper::http::request::Builder;

    use super::*;

    fn request(pairs: &[(HeaderName, &'static str)]) -> Request<Body> {
        let builder = Request::get("/stream");
        let add = |builder: Builder, (name, value): &(HeaderName, &'static str)| {
            builder.header(name, *value)
        };
        pairs.iter().fold(builder, add).body(Body::empty()).unwrap()
    }

    /// The example of RFC 6455, section 1.3.
    const SOUND: [(HeaderName, &str); 4] = [
        (CONNECTION, "keep-alive, Upgrade"),
        (UPGRADE, "WebSocket"),
        (SEC_WEBSOCKET_VERSION, "13"),
        (SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn answers_the_example_of_the_standard() {
        let reply = accept(&request(&SOUND)).unwrap();
        assert_eq!(reply.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(reply.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn refuses_what_is_no_get_of_http_1_1_without_a_body() {
        let changes: [fn(&mut Request<Body>); 5] = [
            |request| *request.method_mut() = Method::HEAD,
            |request| *request.method_mut() = Method::POST,
            |request| *request.version_mut() = Version::HTTP_10,
            |request| *request.version_mut() = Version::HTTP_09,
            |request| *request.body_mut() = Body::whole("x"),
        ];
        for (idx, change) in changes.into_iter().enumerate() {
            let mut request = request(&SOUND);
            change(&mut request);
            let code = accept(&request).map_err(|fault| fault.code()).err();
            assert_eq!(code, Some(ErrorCode::Validation), "{idx}");
        }
    }

    #[test]
    fn refuses_every_other_handshake() {
        for (idx, value) in [
            (0, "keep-alive"),
            (1, "h2c"),
            (2, "8"),
            (3, "dGhlIHNhbXBsZSBub25jZQ"),
            (3, "dGhlIHNhbXBsZSBub25jZ==="),
            (3, "dGhl*HNhbXBsZSBub25jZQ=="),
        ] {
            let mut pairs = SOUND;
            pairs[idx].1 = value;
            assert!(accept(&request(&pairs)).is_err(), "{value}");
        }
        for missing in 0..SOUND.len() {
            let kept = SOUND.into_iter().enumerate().filter(|(idx, _)| *idx != missing);
            let kept: Vec<_> = kept.map(|(_, pair)| pair).collect();
            assert!(accept(&request(&kept)).is_err());
        }
    }
}
