//! Whom the client believes to be the gateway.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::ClientError;

/// Trusts the system's authorities and those of a file; without TLS nobody, which is never asked.
pub(crate) fn trust(tls: bool, ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, ClientError> {
    let mut roots = RootCertStore::empty();
    match (tls, ca_file) {
        (true, ca_file) => {
            // Certificates that cannot be read are as good as not trusted; the handshake says so.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if let Some(path) = ca_file {
                add_file(&mut roots, path)?;
            }
        }
        (false, Some(_)) => {
            let text = "a file of authorities needs a base URL that starts with https://";
            return Err(ClientError::Setting(text.to_owned()));
        }
        (false, None) => {}
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|fault| ClientError::Setting(fault.to_string()))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), ClientError> {
    let fault = |what: String| {
        ClientError::Setting(format!("{}: expected PEM certificates ({what})", path.display()))
    };
    let found = CertificateDer::pem_file_iter(path).map_err(|broken| fault(broken.to_string()))?;
    let mut count = 0_usize;
    for certificate in found {
        let certificate = certificate.map_err(|broken| fault(broken.to_string()))?;
        roots.add(certificate).map_err(|broken| fault(broken.to_string()))?;
        count += 1;
    }
    if count == 0 { Err(fault("there is none".to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_authorities_must_hold_some_and_be_of_use() {
        let manifest = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        let missing = Path::new("/no/such/file.pem");
        for (tls, file, what) in [
            (true, manifest, "there is none"),
            (true, missing, "/no/such/file.pem"),
            (false, missing, "https://"),
        ] {
            let fault = trust(tls, Some(file)).unwrap_err().to_string();
            assert!(fault.contains(what), "{fault}");
        }
        assert!(trust(true, None).is_ok() && trust(false, None).is_ok());
    }
}
