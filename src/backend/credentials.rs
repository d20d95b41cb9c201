//! The files that a webhook is called with: whom to trust, who we are.
//!
//! They are read whole and compared by content, since a mounted Secret changes without its files' times or names
//! telling, and a file that was only touched must not cost a connection.

use std::fmt;
use std::path::{Path, PathBuf};

use http::HeaderValue;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;

use crate::policy::settings::WebhookSettings;

/// Why a webhook cannot be called as configured: which field, what is wrong, what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("webhook.{field}: {problem}")]
pub struct BackendSetupError {
    /// Of the policy's `webhook`: `url`, `ca`, `client_certificate`, `client_key`, `token_file` or `max_in_flight`.
    pub field: &'static str,
    pub problem: String,
}

/// Where they are.
#[derive(Debug, Clone)]
pub(super) struct Files {
    ca: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
    token: Option<PathBuf>,
}

/// What they hold.
#[derive(Clone, PartialEq)]
pub(super) struct Content {
    pub(super) tls: TlsContent,
    token: Option<Vec<u8>>,
}

/// The part that a connection is made with.
#[derive(Clone, PartialEq)]
pub(super) struct TlsContent {
    ca: Option<Vec<u8>>,
    /// Chain and key.
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

// === impl BackendSetupError ===

impl BackendSetupError {
    pub(super) fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self { field, problem: problem.into() }
    }
}

// === impl Files ===

impl Files {
    pub(super) fn of(settings: &WebhookSettings) -> Self {
        Self { ca: settings.ca.clone(), identity: settings.client_identity.clone(), token: settings.token_file.clone() }
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let identity = self.identity.iter().flat_map(|(certificate, key)| [certificate, key]);
        self.ca.iter().chain(identity).chain(&self.token).map(PathBuf::as_path)
    }

    /// The first file that only https needs.
    pub(super) fn for_https(&self) -> Option<&'static str> {
        self.ca.as_ref().map(|_| "ca").or(self.identity.as_ref().map(|_| "client_certificate"))
    }

    pub(super) fn read(&self) -> Result<Content, BackendSetupError> {
        let ca = self.ca.as_deref().map(|path| read(path, "ca")).transpose()?;
        let identity = match &self.identity {
            None => None,
            Some((certificate, key)) => Some((read(certificate, "client_certificate")?, read(key, "client_key")?)),
        };
        let token = self.token.as_deref().map(|path| read(path, "token_file")).transpose()?;
        Ok(Content { tls: TlsContent { ca, identity }, token })
    }
}

fn read(path: &Path, field: &'static str) -> Result<Vec<u8>, BackendSetupError> {
    let problem = |error| BackendSetupError::new(field, format!("{} cannot be read: {error}", path.display()));
    std::fs::read(path).map_err(problem)
}

// === impl Content ===

impl Content {
    /// `Authorization`, where there is a token.
    pub(super) fn authorization(&self) -> Result<Option<HeaderValue>, BackendSetupError> {
        let Some(token) = &self.token else { return Ok(None) };
        let wrong = |problem| Err(BackendSetupError::new("token_file", problem));
        let token = token.trim_ascii();
        if token.is_empty() {
            return wrong("the file is empty; write the token into it");
        }
        if !token.iter().all(u8::is_ascii_graphic) {
            return wrong("the file holds more than one line or word; write the token into it and nothing else");
        }
        let mut value = HeaderValue::from_bytes(&[b"Bearer ", token].concat()).expect("visible ASCII");
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Content(..)")
    }
}

// === impl TlsContent ===

impl TlsContent {
    pub(super) fn has_identity(&self) -> bool {
        self.identity.is_some()
    }

    /// The certificates of the CA file; `None` where the system's roots are meant.
    pub(super) fn ca(&self) -> Result<Option<Vec<CertificateDer<'static>>>, BackendSetupError> {
        self.ca.as_deref().map(|pem| certificates(pem, "ca")).transpose()
    }

    pub(super) fn identity(&self) -> Result<Option<Identity>, BackendSetupError> {
        let Some((chain, key)) = &self.identity else { return Ok(None) };
        let chain = certificates(chain, "client_certificate")?;
        let problem =
            |error| BackendSetupError::new("client_key", format!("the file holds no private key in PEM: {error}"));
        Ok(Some((chain, PrivateKeyDer::from_pem_slice(key).map_err(problem)?)))
    }

    /// When they end, by role: of a CA file the last to end (one root is enough), of a chain the first (all are
    /// needed).
    pub(super) fn ends(&self) -> Result<Vec<(&'static str, OffsetDateTime)>, BackendSetupError> {
        let mut ends = Vec::new();
        if let Some(last) = ends_of(self.ca()?.unwrap_or_default(), "ca")?.into_iter().max() {
            ends.push(("webhook_ca", last));
        }
        let chain = self.identity()?.map(|(chain, _)| chain).unwrap_or_default();
        if let Some(first) = ends_of(chain, "client_certificate")?.into_iter().min() {
            ends.push(("webhook_client", first));
        }
        Ok(ends)
    }
}

fn certificates(pem: &[u8], field: &'static str) -> Result<Vec<CertificateDer<'static>>, BackendSetupError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(BackendSetupError::new(field, "the file holds no certificate in PEM")),
        Ok(found) => Ok(found),
        Err(error) => Err(BackendSetupError::new(field, format!("the file is not PEM: {error}"))),
    }
}

fn ends_of(
    certificates: Vec<CertificateDer<'static>>,
    field: &'static str,
) -> Result<Vec<OffsetDateTime>, BackendSetupError> {
    let end = |der: &CertificateDer<'_>| match x509_parser::parse_x509_certificate(der) {
        Ok((_, certificate)) => Ok(certificate.validity().not_after.to_datetime()),
        Err(error) => Err(BackendSetupError::new(field, format!("the file holds a broken certificate: {error}"))),
    };
    certificates.iter().map(end).collect()
}
