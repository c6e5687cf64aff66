//! Answers every request with the same head and body.

use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::header::{CONTENT_LENGTH, DATE, HeaderMap, HeaderName, HeaderValue};
use memchr::memmem;

/// Serves the answer in a file, as it was read from a socket.
pub(crate) fn run(file: &Path) -> anyhow::Result<()> {
    let whole = std::fs::read(file)?;
    let end = memmem::find(&whole, b"\r\n\r\n").context("an answer with a head")?;
    let (head, body) = whole.split_at(end + 4);
    let headers = headers(std::str::from_utf8(head)?)?;
    let body = Bytes::copy_from_slice(body);
    crate::http::serve(move |_request| {
        let mut response = Response::new(Full::new(body.clone()));
        *response.headers_mut() = headers.clone();
        std::future::ready(Ok(response))
    })
}

/// Reads the headers but those that hyper adds by itself.
fn headers(head: &str) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in head.lines().skip(1).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").context("a header")?;
        let name: HeaderName = name.parse()?;
        if name != CONTENT_LENGTH && name != DATE {
            headers.append(name, HeaderValue::from_str(value)?);
        }
    }
    Ok(headers)
}
