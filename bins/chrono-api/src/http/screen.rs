//! What every request must satisfy, whatever it asks for.

use hyper::header::{
    CONTENT_ENCODING, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use hyper::http::uri::Authority;
use hyper::{Request, Uri};

/// Longest path and query, in bytes.
const URI_BYTES_MAX: usize = 8 * 1024;

/// Says why a request is refused before anybody looks at what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Path and query are longer than 8 KiB.
    #[error("the URI is longer than {URI_BYTES_MAX} bytes")]
    UriTooLong,
    /// There must be exactly one Host header, and a valid one: others are how requests are smuggled.
    #[error("exactly one valid Host header is expected")]
    Host,
    /// A body's transfer coding is `chunked`, said once: whoever stands before us may read others in another way.
    #[error("the transfer coding must be chunked, once")]
    TransferEncoding,
    /// Bodies are taken as they are; the given encoding is not.
    #[error("the body must not be encoded")]
    ContentEncoding(String),
    /// The only expectation there is, is `100-continue`.
    #[error("the expectation is not known")]
    Expect(String),
}

/// Checks a request's head.
///
/// # Errors
/// The first [`Refusal`].
pub fn screen<B>(request: &Request<B>) -> Result<(), Refusal> {
    let headers = request.headers();
    if uri_bytes(request.uri()) > URI_BYTES_MAX {
        return Err(Refusal::UriTooLong);
    }
    if !has_one_host(headers) {
        return Err(Refusal::Host);
    }
    if headers.get_all(TRANSFER_ENCODING).iter().nth(1).is_some()
        || unlike(headers, &TRANSFER_ENCODING, "chunked").is_some()
    {
        return Err(Refusal::TransferEncoding);
    }
    if let Some(encoding) = unlike(headers, &CONTENT_ENCODING, "identity") {
        return Err(Refusal::ContentEncoding(encoding));
    }
    if let Some(expectation) = unlike(headers, &EXPECT, "100-continue") {
        return Err(Refusal::Expect(expectation));
    }
    Ok(())
}

fn uri_bytes(uri: &Uri) -> usize {
    uri.path_and_query().map_or(0, |path| path.as_str().len())
}

fn has_one_host(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    // A Host has no user part, though an authority may.
    Authority::try_from(host.as_bytes()).is_ok() && !host.as_bytes().contains(&b'@')
}

/// Finds the first value of a header that is not the one that is known.
fn unlike(headers: &HeaderMap, name: &HeaderName, known: &str) -> Option<String> {
    let is_known = |value: &&HeaderValue| value.as_bytes().eq_ignore_ascii_case(known.as_bytes());
    let strange = headers.get_all(name).iter().find(|value| !is_known(value))?;
    Some(String::from_utf8_lossy(strange.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, headers: &[(HeaderName, &str)]) -> Request<()> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn exactly_one_valid_host_passes() {
        for host in ["localhost", "127.0.0.1:3000", "[::1]:3000", "prices.example.org"] {
            assert_eq!(screen(&request("/", &[(HOST, host)])), Ok(()), "{host}");
        }
        for host in ["", "a b", "user@host", "a/b", "a,b c", "[::1", "host:port:9"] {
            assert_eq!(screen(&request("/", &[(HOST, host)])), Err(Refusal::Host), "{host:?}");
        }
        assert_eq!(screen(&request("/", &[])), Err(Refusal::Host));
        assert_eq!(screen(&request("/", &[(HOST, "a"), (HOST, "a")])), Err(Refusal::Host));
    }

    #[test]
    fn a_uri_may_have_8_kib() {
        let uri = |bytes: usize| format!("/{}", "a".repeat(bytes - 1));
        assert_eq!(screen(&request(&uri(8_192), &[(HOST, "a")])), Ok(()));
        assert_eq!(screen(&request(&uri(8_193), &[(HOST, "a")])), Err(Refusal::UriTooLong));
    }

    #[test]
    fn a_body_is_chunked_once_or_not_at_all() {
        let with = |codings: &[&'static str]| {
            let codings = codings.iter().map(|coding| (TRANSFER_ENCODING, *coding));
            let headers: Vec<_> = std::iter::once((HOST, "a")).chain(codings).collect();
            screen(&request("/", &headers))
        };
        assert_eq!((with(&["chunked"]), with(&["Chunked"])), (Ok(()), Ok(())));
        for codings in [&["chunked", "chunked"][..], &["chunked, chunked"], &["gzip, chunked"]] {
            assert_eq!(with(codings), Err(Refusal::TransferEncoding), "{codings:?}");
        }
    }

    #[test]
    fn encodings_and_expectations_are_refused_by_name() {
        let with = |name, value| screen(&request("/", &[(HOST, "a"), (name, value)]));
        assert_eq!(with(CONTENT_ENCODING, "identity"), Ok(()));
        let gzip = Refusal::ContentEncoding("gzip".to_owned());
        assert_eq!(with(CONTENT_ENCODING, "gzip"), Err(gzip));
        assert_eq!(with(EXPECT, "100-Continue"), Ok(()));
        assert_eq!(with(EXPECT, "tea"), Err(Refusal::Expect("tea".to_owned())));
    }
}
