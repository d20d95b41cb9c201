//! The webhook's side of TLS: certificates from files, exchanged under live connections.
//!
//! What is loaded is one immutable whole. [`ServerTls::reload`] builds the next one complete and swaps it, or keeps
//! the old one and says why. Each accept takes the whole that is current; connections that live are not touched.
//!
//! With a client CA no session is ever resumed: a resumed one would skip the check of the client's certificate, so it
//! would outlive that certificate's end and the CA's removal. The API server keeps its connections and resumes none.

mod attribute;
mod failure;
mod pem;
mod subject;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};
use tracing::warn;

use super::callers::Peer;
use super::certificates::{self, CertificateError};
use super::settings::TlsSettings;
use crate::review::clock::Timestamp;
use crate::review::said::CertificateEnd;

pub use failure::HandshakeFailure;
pub use subject::{NoSubject, Subject};

/// What the webhook's listener accepts with.
#[derive(Debug)]
pub struct ServerTls {
    files: Files,
    /// The directory and the names of a certificate that we make ourselves.
    self_made: Option<(PathBuf, Vec<String>)>,
    current: ArcSwap<Loaded>,
    /// Held while reloading, so that an older reading never replaces a newer one.
    reloading: Mutex<()>,
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    /// Of the content that it was built from.
    fingerprint: pem::Fingerprint,
    ends: Vec<CertificateEnd>,
}

/// What a [`ServerTls::reload`] that did not fail found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// New connections get what the files hold now.
    Changed,
    /// The files hold what was loaded already.
    Same,
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: {problem}", path.display())]
    Pem { path: PathBuf, problem: String },
    #[error(
        "{} is not the key of {}: the first certificate in that file must be the server's own, and both files must \
         come from the same issuance",
        key.display(),
        certificate.display()
    )]
    KeyMismatch { certificate: PathBuf, key: PathBuf },
    #[error(transparent)]
    SelfMade(#[from] CertificateError),
    #[error("the TLS settings cannot be used: {0}")]
    Config(String),
}

// === impl ServerTls ===

impl ServerTls {
    /// Loads what `settings` name; makes what is missing of a self-made one. `None` when TLS is off.
    ///
    /// # Errors
    ///
    /// Names the file and what to do about it.
    pub fn load(settings: &TlsSettings) -> Result<Option<Self>, TlsError> {
        let (files, self_made) = match settings {
            TlsSettings::Off => return Ok(None),
            TlsSettings::Files { certificate, key, client_ca } => {
                let (certificate, key) = (certificate.clone(), key.clone());
                (Files { certificate, key, client_ca: client_ca.clone() }, None)
            }
            TlsSettings::SelfMade { dir, names, client_ca } => {
                ensure_or_keep(dir, names)?;
                let files = Files {
                    certificate: dir.join(certificates::CERTIFICATE),
                    key: dir.join(certificates::KEY),
                    client_ca: client_ca.clone(),
                };
                (files, Some((dir.clone(), names.clone())))
            }
        };
        let current = ArcSwap::from_pointee(files.read()?.build(&files)?);
        Ok(Some(Self { files, self_made, current, reloading: Mutex::new(()) }))
    }

    /// For the next accept.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// Reads the files again, after renewing a self-made certificate that is due: call it when a file has changed and
    /// once a day. Connections that live stay as they are.
    ///
    /// # Errors
    ///
    /// What is in the files cannot be used; what was loaded before stays in use.
    pub fn reload(&self) -> Result<Reloaded, TlsError> {
        // What the lock guards is no data: a panic under it left nothing half done.
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((dir, names)) = &self.self_made {
            certificates::ensure(dir, names)?;
        }
        let contents = self.files.read()?;
        if contents.fingerprint() == self.current.load().fingerprint {
            return Ok(Reloaded::Same);
        }
        self.current.store(Arc::new(contents.build(&self.files)?));
        Ok(Reloaded::Changed)
    }

    /// The files to watch.
    pub fn files(&self) -> Vec<PathBuf> {
        let Files { certificate, key, client_ca } = &self.files;
        [certificate, key].into_iter().chain(client_ca).cloned().collect()
    }

    /// When each certificate in use ends, those of the chain that we send (`server`) and those of the client CA
    /// (`client_ca`), by its subject or the first name that it is for.
    pub fn ends(&self) -> Vec<CertificateEnd> {
        self.current.load().ends.clone()
    }
}

/// Who shows this certificate, which was verified.
pub fn peer(certificate: &CertificateDer<'_>) -> Option<Peer> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let subject = subject::text(parsed.subject()).parse().ok();
    Some(Peer { name: subject::name(&parsed), subject })
}

// === impl Files ===

impl Files {
    fn read(&self) -> Result<pem::Contents, TlsError> {
        pem::Contents::read(&self.certificate, &self.key, self.client_ca.as_deref())
    }
}

// === impl Contents ===

impl pem::Contents {
    fn build(&self, files: &Files) -> Result<Loaded, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = pem::certificates(&files.certificate, &self.certificate)?;
        let mut ends = chain_ends("server", &chain);
        let identity = identity(files, chain, &self.key, &provider)?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Config(error.to_string()))?;
        let builder = match files.client_ca.as_ref().zip(self.client_ca.as_ref()) {
            None => builder.with_no_client_auth(),
            Some((path, content)) => {
                let authorities = pem::certificates(path, content)?;
                ends.extend(chain_ends("client_ca", &authorities));
                let roots = pem::roots(path, authorities)?;
                builder.with_client_cert_verifier(client_verifier(roots, provider)?)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(identity)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if files.client_ca.is_some() {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Loaded { config: Arc::new(config), fingerprint: self.fingerprint(), ends })
    }
}

/// At the start. A directory that cannot be written keeps nobody from answering with the leaf that is there.
fn ensure_or_keep(dir: &Path, names: &[String]) -> Result<(), TlsError> {
    match certificates::ensure(dir, names) {
        Err(error @ CertificateError::Io { .. }) if dir.join(certificates::CERTIFICATE).exists() => {
            warn!(
                "webhook.tls: starting with the self-made certificate that is there, it could not be renewed: {error}"
            );
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

fn identity(
    files: &Files,
    chain: Vec<CertificateDer<'static>>,
    key: &[u8],
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let key = pem::private_key(&files.key, key)?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::KeyMismatch { certificate: files.certificate.clone(), key: files.key.clone() }
        }
        rustls::Error::InvalidCertificate(error) => TlsError::Pem {
            path: files.certificate.clone(),
            problem: format!("its first certificate cannot be used: {error}"),
        },
        error => TlsError::Pem {
            path: files.key.clone(),
            problem: format!(
                "the key cannot be used: {error}; use ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits or more"
            ),
        },
    })
}

fn client_verifier(
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| TlsError::Config(error.to_string()))
}

fn chain_ends(role: &str, chain: &[CertificateDer<'_>]) -> Vec<CertificateEnd> {
    let parsed = chain.iter().filter_map(|certificate| x509_parser::parse_x509_certificate(certificate).ok());
    parsed
        .map(|(_, certificate)| CertificateEnd {
            end: Timestamp(certificate.validity().not_after.timestamp().saturating_mul(1_000)),
            role: role.to_owned(),
            name: subject::name(&certificate),
        })
        .collect()
}

#[cfg(test)]
mod tests;
