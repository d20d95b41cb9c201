//! What a webhook is called with: trust, client certificate, token. Read from files, and again when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderValue;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use sha2::{Digest, Sha256};

use crate::policy::settings::WebhookSettings;

#[derive(Debug, thiserror::Error)]
pub enum BackendSetupError {
    #[error("policy {policy}: {path} cannot be read: {source}", path = .path.display())]
    Read { policy: String, path: PathBuf, source: std::io::Error },
    #[error("policy {policy}: {path} holds no {what} in PEM form", path = .path.display())]
    Pem { policy: String, path: PathBuf, what: &'static str },
    #[error("policy {policy}: the system has no root certificates; install ca-certificates, or name a CA in webhook.ca")]
    NoRoots { policy: String },
    #[error("policy {policy}: the certificate {certificate} and the key {key} do not go together: {source}",
        certificate = .certificate.display(), key = .key.display())]
    Identity { policy: String, certificate: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("policy {policy}: {path} does not hold a token of printable characters", path = .path.display())]
    Token { policy: String, path: PathBuf },
}

/// All that the files of one webhook say.
#[derive(Debug)]
pub struct Identity {
    pub tls: ClientConfig,
    pub authorization: Option<HeaderValue>,
    /// When certificates end, in seconds since the epoch, by role.
    pub ends: Vec<(&'static str, i64)>,
    /// Of the content of all files.
    pub fingerprint: [u8; 32],
}

/// Reads the files of one policy, and remembers what it read.
struct Files<'a> {
    policy: &'a str,
    content: Sha256,
}

// === impl Identity ===

impl Identity {
    pub fn read(policy: &str, settings: &WebhookSettings) -> Result<Self, BackendSetupError> {
        let mut files = Files { policy, content: Sha256::new() };
        let mut ends = Vec::new();
        let roots = match &settings.ca {
            Some(path) => files.roots(path, &mut ends)?,
            // Without TLS no root is needed, and a container may have none.
            None if settings.url.scheme_str() == Some("http") => RootCertStore::empty(),
            None => system_roots(policy)?,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has TLS 1.2 and 1.3")
            .with_root_certificates(roots);
        let tls = match &settings.client_identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let (chain, private) = files.client_identity(certificate, key, &mut ends)?;
                builder.with_client_auth_cert(chain, private).map_err(|source| BackendSetupError::Identity {
                    policy: policy.to_owned(),
                    certificate: certificate.clone(),
                    key: key.clone(),
                    source,
                })?
            }
        };
        let authorization = settings.token_file.as_deref().map(|path| files.token(path)).transpose()?;
        Ok(Self { tls, authorization, ends, fingerprint: files.content.finalize().into() })
    }
}

fn system_roots(policy: &str) -> Result<RootCertStore, BackendSetupError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() { Err(BackendSetupError::NoRoots { policy: policy.to_owned() }) } else { Ok(roots) }
}

// === impl Files ===

impl Files<'_> {
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, BackendSetupError> {
        let content = std::fs::read(path).map_err(|source| BackendSetupError::Read {
            policy: self.policy.to_owned(),
            path: path.to_owned(),
            source,
        })?;
        self.content.update((content.len() as u64).to_le_bytes());
        self.content.update(&content);
        Ok(content)
    }

    fn certificates(
        &mut self,
        path: &Path,
        role: &'static str,
        ends: &mut Vec<(&'static str, i64)>,
    ) -> Result<Vec<CertificateDer<'static>>, BackendSetupError> {
        let pem = self.read(path)?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
        if certificates.is_empty() {
            return Err(self.no_pem(path, "certificate"));
        }
        ends.extend(earliest_end(&certificates).map(|end| (role, end)));
        Ok(certificates)
    }

    fn roots(
        &mut self,
        path: &Path,
        ends: &mut Vec<(&'static str, i64)>,
    ) -> Result<RootCertStore, BackendSetupError> {
        let mut roots = RootCertStore::empty();
        let (usable, _) = roots.add_parsable_certificates(self.certificates(path, "backend_ca", ends)?);
        if usable == 0 { Err(self.no_pem(path, "usable CA certificate")) } else { Ok(roots) }
    }

    fn client_identity(
        &mut self,
        certificate: &Path,
        key: &Path,
        ends: &mut Vec<(&'static str, i64)>,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), BackendSetupError> {
        let chain = self.certificates(certificate, "backend_client", ends)?;
        let pem = self.read(key)?;
        let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| self.no_pem(key, "unencrypted private key"))?;
        Ok((chain, private))
    }

    fn token(&mut self, path: &Path) -> Result<HeaderValue, BackendSetupError> {
        let content = self.read(path)?;
        let bad = || BackendSetupError::Token { policy: self.policy.to_owned(), path: path.to_owned() };
        let token = std::str::from_utf8(&content).map_err(|_| bad())?.trim();
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| bad())?;
        if token.is_empty() {
            return Err(bad());
        }
        value.set_sensitive(true);
        Ok(value)
    }

    fn no_pem(&self, path: &Path, what: &'static str) -> BackendSetupError {
        BackendSetupError::Pem { policy: self.policy.to_owned(), path: path.to_owned(), what }
    }
}

fn earliest_end(certificates: &[CertificateDer<'_>]) -> Option<i64> {
    certificates
        .iter()
        .filter_map(|der| x509_parser::parse_x509_certificate(der).ok())
        .map(|(_, certificate)| certificate.validity().not_after.timestamp())
        .min()
}
