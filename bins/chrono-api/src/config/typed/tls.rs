//! Certificate and key: both or neither, and a pair that can be used.

use std::path::PathBuf;

use super::Reader;
use crate::http::{Tls, TlsFault, TlsFiles};

const CERT: &str = "TLS_CERT";
const KEY: &str = "TLS_KEY";

impl Reader<'_> {
    /// Looks into the files, too: a gateway must not start to find out that nobody can connect.
    pub(super) fn tls(&mut self) -> Option<TlsFiles> {
        let (cert, key) = match (self.text(CERT), self.text(KEY)) {
            (Some(cert), Some(key)) => (PathBuf::from(cert), PathBuf::from(key)),
            (Some(_), None) => {
                self.fault(KEY, None, "the PEM file of the private key, since TLS_CERT is set");
                return None;
            }
            (None, Some(_)) => {
                self.fault(CERT, None, "the PEM file of the certificate, since TLS_KEY is set");
                return None;
            }
            (None, None) => return None,
        };
        let files = TlsFiles { cert, key };
        if let Err(fault) = Tls::load(files.clone()) {
            let (name, what) = match &fault {
                TlsFault::Certificate(_) => (CERT, "a PEM file of the certificate chain"),
                TlsFault::Key(_) | TlsFault::Pair(_) => {
                    (KEY, "the PEM file of the private key of TLS_CERT's first certificate")
                }
            };
            let expected = format!("{what} ({:#})", anyhow::Error::from(fault));
            self.fault(name, self.text(name), &expected);
        }
        Some(files)
    }
}
