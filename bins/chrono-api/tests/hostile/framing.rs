//! Heads and bodies on the edge of the grammar: one request has one answer, and what is ambiguous ends the connection.

use chrono_testkit::PUBLIC_KEY;

use crate::client::Client;
use crate::feeds::post_head;
use crate::honest::Honest;
use crate::service::Service;

/// What must become of the connection after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The next request is answered as ever.
    Kept,
    /// Nothing more comes, whatever was sent behind.
    Closed,
}

use Fate::{Closed, Kept};

/// Says what is wrong with an answer, if anything; sent behind each request is another that must not be answered on a
/// connection that is closed.
async fn look(service: &Service, case: &Case) -> Option<String> {
    let mut client = Client::connect(service.gateway.address()).await;
    client.send_if_open(&case.request).await;
    if case.fate == Closed {
        client.send_if_open("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
    }
    let answer = client.answer(true).await;
    let code = (!answer.body.is_empty() && answer.status >= 400).then(|| answer.code());
    if (answer.status, code.as_deref()) != (case.status, case.code) {
        return Some(format!("{}: {} {code:?}", case.name, answer.status));
    }
    match case.fate {
        Kept => {
            let next = client.ask("GET", "/health/live", &[]).await;
            (next.status != 200).then(|| format!("{}: {} comes next", case.name, next.status))
        }
        Closed => client.more().await.then(|| format!("{}: it goes on", case.name)),
    }
}

struct Case {
    name: &'static str,
    request: String,
    status: u16,
    code: Option<&'static str>,
    fate: Fate,
}

const INVALID: Option<&str> = Some("VALIDATION_ERROR");
const TOO_LARGE: Option<&str> = Some("PAYLOAD_TOO_LARGE");

/// A way to say how long a body is, what comes after the head, and what is answered: an empty object is a batch
/// without its fields, which is refused as such.
type Framing = (&'static str, &'static str, u16, Option<&'static str>, Fate);

/// What is refused without a code was no HTTP.
const FRAMINGS: &[Framing] = &[
    ("Content-Length: 2", "{}", 400, INVALID, Kept),
    ("Content-Length: 2\r\nContent-Length: 2", "{}", 400, INVALID, Kept),
    ("Content-Length: 0002", "{}", 400, INVALID, Kept),
    ("", "", 400, INVALID, Kept),
    ("Content-Length: 2\r\nContent-Length: 3", "{}", 400, None, Closed),
    ("Content-Length: +2", "{}", 400, None, Closed),
    ("Content-Length: 2, 2", "{}", 400, None, Closed),
    ("Content-Length: 2 2", "{}", 400, None, Closed),
    ("Content-Length: -1", "", 400, None, Closed),
    ("Content-Length: 0x2", "{}", 400, None, Closed),
    ("Content-Length: ", "{}", 400, None, Closed),
    ("Content-Length: 18446744073709551616", "{}", 400, None, Closed),
    // 413 would be right. The two largest numbers stand for other things inside hyper, which answers them itself.
    ("Content-Length: 18446744073709551615", "{}", 431, None, Closed),
    ("Content-Length: 9223372036854775808", "{}", 413, TOO_LARGE, Closed),
    ("Content-Length: 9437184", "{}", 413, TOO_LARGE, Closed),
    ("Content-Length : 2", "{}", 400, None, Closed),
    // Both: the chunks count, and nothing else is read on this connection (RFC 9112, section 6.1).
    (
        "Content-Length: 7\r\nTransfer-Encoding: chunked",
        "2\r\n{}\r\n0\r\n\r\n",
        400,
        INVALID,
        Closed,
    ),
    (
        "Transfer-Encoding: chunked\r\nContent-Length: 7",
        "2\r\n{}\r\n0\r\n\r\n",
        400,
        INVALID,
        Closed,
    ),
    ("Transfer-Encoding: chunked", "2\r\n{}\r\n0\r\n\r\n", 400, INVALID, Kept),
    ("Transfer-Encoding: CHUNKED", "2\r\n{}\r\n0\r\n\r\n", 400, INVALID, Kept),
    (
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "2\r\n{}\r\n0\r\n\r\n",
        400,
        INVALID,
        Closed,
    ),
    ("Transfer-Encoding: chunked, chunked", "2\r\n{}\r\n0\r\n\r\n", 400, INVALID, Closed),
    ("Transfer-Encoding: gzip, chunked", "2\r\n{}\r\n0\r\n\r\n", 400, INVALID, Closed),
    ("Transfer-Encoding: identity, chunked", "2\r\n{}\r\n0\r\n\r\n", 400, INVALID, Closed),
    ("Transfer-Encoding: chunked, gzip", "2\r\n{}\r\n0\r\n\r\n", 400, None, Closed),
    ("Transfer-Encoding: xchunked", "2\r\n{}\r\n0\r\n\r\n", 400, None, Closed),
    ("Transfer-Encoding: identity", "{}", 400, None, Closed),
    ("Transfer-Encoding : chunked", "2\r\n{}\r\n0\r\n\r\n", 400, None, Closed),
    (" Transfer-Encoding: chunked", "2\r\n{}\r\n0\r\n\r\n", 400, None, Closed),
    ("Transfer-Encoding: \u{b}chunked", "2\r\n{}\r\n0\r\n\r\n", 400, None, Closed),
    ("Transfer-Encoding: chunked", "2;a=b\r\n{}\r\n0\r\n\r\n", 400, INVALID, Kept),
    ("Transfer-Encoding: chunked", "2\r\n{}\r\n0\r\nX: y\r\n\r\n", 400, INVALID, Kept),
    ("Transfer-Encoding: chunked", "2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n", 400, INVALID, Kept),
    ("Transfer-Encoding: chunked", "2;a\nb\r\n{}\r\n0\r\n\r\n", 400, INVALID, Closed),
    ("Transfer-Encoding: chunked", "2\n{}\n0\n\n", 400, INVALID, Closed),
    ("Transfer-Encoding: chunked", "2\r\n{}xx0\r\n\r\n", 400, INVALID, Closed),
    ("Transfer-Encoding: chunked", "FFFFFFFFFFFFFFFFF\r\n{}", 400, INVALID, Closed),
    ("Transfer-Encoding: chunked", "-1\r\n{}", 400, INVALID, Closed),
    ("Transfer-Encoding: chunked", "+2\r\n{}\r\n0\r\n\r\n", 400, INVALID, Closed),
    ("Transfer-Encoding: chunked", "0x2\r\n{}\r\n0\r\n\r\n", 400, INVALID, Closed),
    ("Transfer-Encoding: chunked", "\r\n{}\r\n0\r\n\r\n", 400, INVALID, Closed),
    ("Content-Encoding: gzip\r\nContent-Length: 2", "{}", 400, INVALID, Kept),
    ("Content-Encoding: identity, br\r\nContent-Length: 2", "{}", 400, INVALID, Kept),
    ("Content-Encoding: \r\nContent-Length: 2", "{}", 400, INVALID, Kept),
    ("Expect: tea\r\nContent-Length: 2", "{}", 400, INVALID, Kept),
    ("Expect: 100-continue\r\nExpect: tea\r\nContent-Length: 2", "{}", 400, INVALID, Kept),
    ("Content-Type: text/plain\r\nContent-Length: 2", "{}", 400, INVALID, Kept),
];

/// Whole heads of requests without a body.
const HEADS: &[(&str, u16, Option<&str>, Fate)] = &[
    ("GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n", 200, None, Kept),
    ("\r\n\r\nGET /health/live HTTP/1.1\r\nHost: a\r\n\r\n", 200, None, Kept),
    // A line feed alone may end a line (RFC 9112, section 2.2); one request stays one request.
    ("GET /health/live HTTP/1.1\nHost: a\n\n", 200, None, Kept),
    ("GET /health/live HTTP/1.1\r\nX: y\nHost: a\r\n\r\n", 200, None, Kept),
    ("GET /health/live HTTP/1.1\r\nX: y\rHost: a\r\n\r\n", 400, None, Closed),
    ("GET /health/live HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", 400, None, Closed),
    ("GET /health/live HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n", 400, None, Closed),
    ("GET /health/live HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400, None, Closed),
    ("GET /health/live HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n", 400, None, Closed),
    ("GET /health/live HTTP/1.1\r\nHost: a\r\nX(): y\r\n\r\n", 400, None, Closed),
    ("GET /health/live HTTP/1.1\r\n\r\n", 400, INVALID, Closed),
    ("GET /health/live HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, INVALID, Closed),
    ("GET /health/live HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, INVALID, Closed),
    ("GET /health/live HTTP/1.1\r\nHost: a b\r\n\r\n", 400, INVALID, Closed),
    ("GET /health/live HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, INVALID, Closed),
    ("GET http://b/health/live HTTP/1.1\r\n\r\n", 400, INVALID, Closed),
    ("GET  /health/live HTTP/1.1\r\nHost: a\r\n\r\n", 400, None, Closed),
    ("GET /health/live HTTP/1.2\r\nHost: a\r\n\r\n", 400, None, Closed),
    ("GET /health/live\r\n\r\n", 400, None, Closed),
    ("GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n", 400, None, Closed),
    ("\u{16}\u{3}\u{1}\0\u{5}\u{1}\0\0\u{1}\0", 400, None, Closed),
    ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 404, Some("NOT_FOUND"), Kept),
    ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 404, Some("NOT_FOUND"), Kept),
    ("TRACE /health/live HTTP/1.1\r\nHost: a\r\n\r\n", 405, Some("METHOD_NOT_ALLOWED"), Kept),
    ("get /health/live HTTP/1.1\r\nHost: a\r\n\r\n", 405, Some("METHOD_NOT_ALLOWED"), Kept),
    ("GET /prices/..%2fhealth HTTP/1.1\r\nHost: a\r\n\r\n", 404, Some("NOT_FOUND"), Kept),
    ("GET /prices/../health/live HTTP/1.1\r\nHost: a\r\n\r\n", 404, Some("NOT_FOUND"), Kept),
    ("GET //health/live HTTP/1.1\r\nHost: a\r\n\r\n", 404, Some("NOT_FOUND"), Kept),
    ("GET /health/live HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 200, None, Kept),
];

/// First lines of the head of a WebSocket handshake, what comes behind the head, and what is answered.
const HANDSHAKES: &[(&str, &str, u16, Option<&str>, Fate)] = &[
    ("GET /stream HTTP/1.0", "", 400, INVALID, Closed),
    ("POST /stream HTTP/1.1\r\nContent-Length: 0", "", 405, Some("METHOD_NOT_ALLOWED"), Kept),
    ("GET /stream HTTP/1.1\r\nContent-Length: 2", "{}", 400, INVALID, Kept),
    ("GET /stream HTTP/1.1\r\nTransfer-Encoding: chunked", "0\r\n\r\n", 400, INVALID, Kept),
    ("GET /stream HTTP/1.1\r\nSec-WebSocket-Version: 12", "", 400, INVALID, Kept),
];

/// The rest of that head.
fn handshake(first: &str, body: &str) -> String {
    let version = if first.contains("Version") { "" } else { "Sec-WebSocket-Version: 13\r\n" };
    format!(
        "{first}\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{version}\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n{body}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_has_one_answer_however_it_is_framed() {
    let service = Service::start();
    let honest = Honest::start(&service).await;
    let framings = FRAMINGS.iter().map(|&(framing, body, status, code, fate)| Case {
        name: framing,
        request: format!("{}{framing}{}{body}", post_head(), end_of(framing)),
        status,
        code,
        fate,
    });
    let heads = HEADS.iter().map(|&(head, status, code, fate)| Case {
        name: head,
        request: head.to_owned(),
        status,
        code,
        fate,
    });
    let handshakes = HANDSHAKES.iter().map(|&(first, body, status, code, fate)| Case {
        name: first,
        request: handshake(first, body),
        status,
        code,
        fate,
    });
    let mut wrong = Vec::new();
    for case in framings.chain(heads).chain(handshakes).chain(large_heads()) {
        wrong.extend(look(&service, &case).await);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    honest.end().await;
    assert!(service.gateway.stop().unwrap().success());
}

/// The end of the head after a framing, which may be none.
fn end_of(framing: &str) -> &'static str {
    if framing.is_empty() { "\r\n" } else { "\r\n\r\n" }
}

/// Heads at their bounds and beyond.
fn large_heads() -> Vec<Case> {
    let get = |path: &str, lines: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-API-Key: {PUBLIC_KEY}\r\n{lines}\r\n")
    };
    let case = |name, request, status, code, fate| Case { name, request, status, code, fate };
    let pairs = vec!["a=1"; 1_900].join("&");
    vec![
        case("64 headers", get("/health/live", &"a: b\r\n".repeat(62)), 200, None, Kept),
        case("65 headers", get("/health/live", &"a: b\r\n".repeat(63)), 431, None, Closed),
        case("10,000 headers", get("/health/live", &"a: b\r\n".repeat(10_000)), 431, None, Closed),
        case(
            "12 KiB",
            get("/health/live", &format!("a: {}\r\n", "b".repeat(12_000))),
            200,
            None,
            Kept,
        ),
        case(
            "17 KiB",
            get("/health/live", &format!("a: {}\r\n", "b".repeat(17_000))),
            431,
            None,
            Closed,
        ),
        case(
            "no end",
            get("/health/live", &format!("a: {}", "b".repeat(4_000_000))),
            431,
            None,
            Closed,
        ),
        case("a URI of 9 KiB", get(&format!("/{}", "a".repeat(9_000)), ""), 414, INVALID, Kept),
        case("a URI of 70 KiB", get(&format!("/{}", "a".repeat(70_000)), ""), 431, None, Closed),
        case("1,900 pairs", get(&format!("/prices/latest?{pairs}"), ""), 400, INVALID, Kept),
        case("a NUL", get("/prices/latest?symbols=%00", ""), 400, INVALID, Kept),
        case("half an escape", get("/prices/latest?symbols=%0", ""), 400, INVALID, Kept),
        case("no UTF-8", get("/prices/latest?symbols=%ff", ""), 400, INVALID, Kept),
        case(
            "a long method",
            get("/", "").replacen("GET", &"A".repeat(5_000), 1),
            405,
            Some("METHOD_NOT_ALLOWED"),
            Kept,
        ),
    ]
}
