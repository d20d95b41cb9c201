//! The way to what is no webhook, over HTTP or HTTPS: a provider of identities, the report of another process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

pub type HttpsClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// By whom nobody can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("{}: {problem}", .path.display())]
    OfFile { path: PathBuf, problem: String },
    #[error("{0}")]
    OfSystem(String),
}

/// Trusts `roots`, and follows no redirect.
pub fn client(roots: RootCertStore) -> HttpsClient {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let https = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_all_versions().build();
    Client::builder(TokioExecutor::new()).build(https)
}

/// Those of the system.
///
/// # Errors
/// It has none; why, where that is known.
pub fn system_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some systems carry roots that are no valid X.509: one good root is enough to go on.
    roots.add_parsable_certificates(found.certs);
    if !roots.is_empty() {
        return Ok(roots);
    }
    let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
    Err(format!("this system has no CA certificates{why}"))
}

/// The system's, and those of a file.
///
/// # Errors
/// There is nobody to trust, or not what the file says.
pub fn roots(ca: Option<&Path>) -> Result<RootCertStore, TrustError> {
    // A file is enough where the system has none.
    let mut roots = match (system_roots(), ca) {
        (Ok(roots), _) => roots,
        (Err(_), Some(_)) => RootCertStore::empty(),
        (Err(problem), None) => return Err(TrustError::OfSystem(problem)),
    };
    if let Some(path) = ca {
        let wrong = |problem: String| TrustError::OfFile { path: path.to_owned(), problem };
        let content = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let mut are_any = false;
        for certificate in CertificateDer::pem_slice_iter(&content) {
            are_any = true;
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        if !are_any {
            return Err(wrong("it holds no certificate in PEM".to_owned()));
        }
    }
    Ok(roots)
}
