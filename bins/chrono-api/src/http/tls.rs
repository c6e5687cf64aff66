//! TLS on a listener: the certificate and its key, how they are followed when they change, and the handshake.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Settings, TimedIo};
use crate::supervisor;

/// How often the files are looked at. Longer serves a certificate that was replaced, shorter reads for nothing.
const FOLLOW_EVERY: Duration = Duration::from_secs(2);
/// Largest file that is taken; a chain has some kilobytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The one protocol there is.
const ALPN: &[u8] = b"http/1.1";
/// What a connection may hold encrypted for a peer that takes nothing, in bytes: one full record (RFC 8446, section
/// 5.1). Higher queues old prices for readers that lag, lower makes more and smaller records of a long answer.
const UNSENT_BYTES_MAX: usize = 16 * 1024;
/// What a client hears that speaks without TLS.
const PLAIN_ANSWER: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n\
    This port speaks TLS only: use https or wss.\n";

/// Where the certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// A PEM file of the certificate chain, the server's own first.
    pub cert: PathBuf,
    /// A PEM file of the private key of that first certificate.
    pub key: PathBuf,
}

/// Says why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// The file of the certificate is not there, or holds none.
    #[error("no certificate in the file")]
    Certificate(#[source] pem::Error),
    /// The file of the key is not there, or holds none.
    #[error("no private key in the file")]
    Key(#[source] pem::Error),
    /// They are no use, or do not belong together.
    #[error("certificate and key do not make a pair")]
    Pair(#[source] rustls::Error),
}

/// Encrypts the connections of a listener, and follows its files.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    hasher: RandomState,
    served: RwLock<Served>,
}

#[derive(Debug, Clone)]
struct Served {
    config: Arc<ServerConfig>,
    /// What the files held, as far as telling a change needs it.
    stamp: u64,
}

/// A connection after its handshake.
pub(super) type Secured = Box<TlsStream<TimedIo>>;

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsFault`]: what is wrong with them.
    pub fn load(files: TlsFiles) -> Result<Self, TlsFault> {
        let hasher = RandomState::new();
        let texts = Texts::read(&files)?;
        let served = Served { config: texts.config()?, stamp: hasher.hash_one(&texts) };
        Ok(Self { files, hasher, served: RwLock::new(served) })
    }

    /// Looks at the files for ever, and takes a new pair for the connections that come after. A pair that is no use
    /// is named in the log and counted at every look, and the one before stays.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn follow(&self) {
        let mut complaint = String::new();
        loop {
            sleep(FOLLOW_EVERY).await;
            let Err(fault) = self.refresh().await else {
                complaint.clear();
                continue;
            };
            metrics::counter!("tls_reloads_total", "result" => "failed").increment(1);
            let fault = anyhow::Error::from(fault);
            let text = format!("{fault:#}");
            if text != complaint {
                let (cert, key) = (self.files.cert.display(), self.files.key.display());
                tracing::error!(error = text, %cert, %key, "the new certificate is no use, the old one stays");
                complaint = text;
            }
        }
    }

    /// Takes the files' pair up if they changed.
    async fn refresh(&self) -> Result<(), TlsFault> {
        let files = self.files.clone();
        // A file may be on a disk that sleeps, or at the other end of a wire.
        let read = supervisor::once(move || Texts::read(&files)).await;
        let texts =
            read.map_err(|broken| TlsFault::Certificate(pem::Error::Io(broken.into())))??;
        let stamp = self.hasher.hash_one(&texts);
        if stamp == self.served().stamp {
            return Ok(());
        }
        let config = texts.config()?;
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = Served { config, stamp };
        metrics::counter!("tls_reloads_total", "result" => "ok").increment(1);
        tracing::info!(cert = %self.files.cert.display(), "new certificate");
        Ok(())
    }

    fn served(&self) -> Served {
        self.served.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does the handshake of a connection that was just accepted, and waits for the first byte after it; none when a
    /// deadline or the peer ends it.
    pub(super) async fn open(
        &self,
        stream: TcpStream,
        wrap: impl FnOnce(TcpStream) -> TimedIo,
        settings: &Settings,
    ) -> Option<Secured> {
        let shaken = match timeout(settings.tls_handshake, self.shake(stream, wrap)).await {
            Ok(Ok(secured)) => Ok(secured),
            Ok(Err(fault)) if fault.kind() == io::ErrorKind::InvalidData => Err("invalid"),
            Ok(Err(_broken)) => Err("broken"),
            Err(_elapsed) => Err("deadline"),
        };
        let mut secured = match shaken {
            Ok(secured) => secured,
            Err(reason) => {
                metrics::counter!("tls_handshakes_failed_total", "reason" => reason).increment(1);
                tracing::debug!(reason, "no TLS handshake");
                return None;
            }
        };
        let spoke = timeout(settings.first_byte, secured.fill_buf()).await;
        matches!(spoke, Ok(Ok(bytes)) if !bytes.is_empty()).then_some(secured)
    }

    async fn shake(
        &self,
        mut stream: TcpStream,
        wrap: impl FnOnce(TcpStream) -> TimedIo,
    ) -> io::Result<Secured> {
        let mut first = [0; 1];
        if stream.peek(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first.iter().all(u8::is_ascii_alphabetic) {
            answer_plainly(&mut stream).await?;
            return Err(io::ErrorKind::InvalidData.into());
        }
        let acceptor = TlsAcceptor::from(self.served().config);
        let bounded = |session: &mut rustls::ServerConnection| {
            session.set_buffer_limit(Some(UNSENT_BYTES_MAX));
        };
        Ok(Box::new(acceptor.accept_with(wrap(stream), bounded).await?))
    }
}

/// Tells a client without TLS what the port speaks; reads what it sent first, or closing would reset the answer away.
async fn answer_plainly(stream: &mut TcpStream) -> io::Result<()> {
    stream.readable().await?;
    let mut unread = [0; 4096];
    stream.try_read(&mut unread)?;
    stream.write_all(PLAIN_ANSWER).await?;
    stream.shutdown().await
}

/// What the two files hold.
#[derive(Hash)]
struct Texts {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Texts {
    fn read(files: &TlsFiles) -> Result<Self, TlsFault> {
        let cert =
            read(&files.cert).map_err(|fault| TlsFault::Certificate(pem::Error::Io(fault)))?;
        let key = read(&files.key).map_err(|fault| TlsFault::Key(pem::Error::Io(fault)))?;
        Ok(Self { cert, key })
    }

    fn config(&self) -> Result<Arc<ServerConfig>, TlsFault> {
        let chain = CertificateDer::pem_slice_iter(&self.cert).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(TlsFault::Certificate)?;
        if chain.is_empty() {
            return Err(TlsFault::Certificate(pem::Error::NoItemsFound));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(TlsFault::Key)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(TlsFault::Pair)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Arc::new(config))
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // A file in the usual sense says how long it is, a device does not.
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let fault = format!("larger than {FILE_BYTES_MAX} bytes, which no certificate is");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, fault));
    }
    Ok(bytes)
}
