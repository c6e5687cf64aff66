//! Where the gateway is: its base URL, and the paths below it.

use hyper::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::ClientError;

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A checked base URL: `http` or `https`, a host, perhaps a port and a path prefix.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// The schemes of requests and of streams.
    schemes: (&'static str, &'static str),
    authority: String,
    prefix: String,
}

impl Address {
    /// Takes `http[s]://host[:port][/prefix]`.
    pub(crate) fn parse(base_url: &str) -> Result<Self, ClientError> {
        let fault = |what: &str| ClientError::Setting(format!("base URL {base_url:?}: {what}"));
        let uri: Uri = base_url.parse().map_err(|_fault| fault("not a URL"))?;
        let schemes = match uri.scheme_str() {
            Some("http") => ("http", "ws"),
            Some("https") => ("https", "wss"),
            _ => return Err(fault("must start with http:// or https://")),
        };
        let authority =
            uri.authority().map(hyper::http::uri::Authority::as_str).unwrap_or_default();
        if authority.is_empty() {
            return Err(fault("has no host"));
        }
        if authority.contains('@') {
            return Err(fault("must not hold a user or a password"));
        }
        if uri.query().is_some() {
            return Err(fault("must not hold a query"));
        }
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { schemes, authority: authority.to_owned(), prefix })
    }

    /// Tells whether connections are encrypted.
    pub(crate) fn is_tls(&self) -> bool {
        self.schemes.0 == "https"
    }

    /// Gives the HTTP URL of a path, which starts with a slash and may hold a query.
    pub(crate) fn http(&self, path: &str) -> Result<Uri, ClientError> {
        format!("{}://{}{}{path}", self.schemes.0, self.authority, self.prefix)
            .parse()
            .map_err(|_fault| ClientError::Setting("a parameter is too long for a URL".to_owned()))
    }

    /// Gives the WebSocket URL of a path.
    pub(crate) fn websocket(&self, path: &str) -> String {
        format!("{}://{}{}{path}", self.schemes.1, self.authority, self.prefix)
    }
}

/// A path with its query, every value escaped.
#[derive(Debug)]
pub(crate) struct PathQuery {
    text: String,
    first: bool,
}

impl PathQuery {
    pub(crate) fn new(path: &str) -> Self {
        Self { text: path.to_owned(), first: true }
    }

    pub(crate) fn pair(mut self, name: &str, value: &str) -> Self {
        self.text.push(if self.first { '?' } else { '&' });
        self.text.push_str(name);
        self.text.push('=');
        self.text.extend(utf8_percent_encode(value, RESERVED));
        self.first = false;
        self
    }

    pub(crate) fn pair_if(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.pair(name, value),
            None => self,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_port_and_prefix() {
        for (base, url) in [
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000/health"),
            ("http://127.0.0.1:3000/", "http://127.0.0.1:3000/health"),
            ("http://example.org/chrono/", "http://example.org/chrono/health"),
            ("http://[::1]:3000", "http://[::1]:3000/health"),
            ("https://example.org", "https://example.org/health"),
        ] {
            assert_eq!(Address::parse(base).unwrap().http("/health").unwrap().to_string(), url);
        }
        let address = Address::parse("http://localhost:3000/x").unwrap();
        assert_eq!(address.websocket("/stream"), "ws://localhost:3000/x/stream");
        let address = Address::parse("https://localhost").unwrap();
        assert_eq!(address.websocket("/stream"), "wss://localhost/stream");
    }

    #[test]
    fn says_what_is_supported() {
        for (base, what) in [
            ("ftp://example.org", "must start with http"),
            ("example.org:3000", "must start with http"),
            ("", "not a URL"),
            ("http://user:secret@example.org", "user"),
            ("http://example.org/?a=b", "query"),
        ] {
            let fault = Address::parse(base).unwrap_err().to_string();
            assert!(fault.contains(what), "{base:?}: {fault}");
        }
    }

    #[test]
    fn escapes_every_value() {
        let path = PathQuery::new("/prices/range")
            .pair("symbol", "BTC/USD")
            .pair_if("cursor", Some("a+b&c=d é"))
            .pair_if("source", None);
        assert_eq!(path.as_str(), "/prices/range?symbol=BTC%2FUSD&cursor=a%2Bb%26c%3Dd%20%C3%A9");
    }
}
