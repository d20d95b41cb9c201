//! The way to a provider: its addresses are in the configuration and in what it publishes there, never in a request of
//! somebody's. Nothing follows a redirect.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of one.
const LONGEST: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{}: {problem}", .path.display())]
    Authorities { path: PathBuf, problem: String },
    #[error("this system has no CA certificates: name those of the provider in report.oidc.ca")]
    NoAuthorities,
    #[error("it does not answer: {0}")]
    Unreachable(String),
    #[error("it does not answer within {} s", PATIENCE.as_secs())]
    Slow,
}

#[derive(Debug, Clone)]
pub struct ProviderClient(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

// === impl ProviderClient ===

impl ProviderClient {
    /// # Errors
    /// There is nobody to trust, or not what the file says.
    pub fn new(ca: Option<&PathBuf>) -> Result<Self, ClientError> {
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks the default versions")
            .with_root_certificates(roots(ca)?)
            .with_no_client_auth();
        let https = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_all_versions().build();
        Ok(Self(Client::builder(TokioExecutor::new()).build(https)))
    }

    /// # Errors
    /// It does not answer, or says too much.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ClientError> {
        let answer = async {
            let response = self.0.request(request.map(|body| Full::new(body.into()))).await;
            let (parts, body) = response.map_err(|error| ClientError::Unreachable(causes(&error)))?.into_parts();
            let body = Limited::new(body, LONGEST).collect().await;
            let body = body.map_err(|error| ClientError::Unreachable(error.to_string()))?.to_bytes();
            Ok(HttpResponse::from_parts(parts, body.to_vec()))
        };
        tokio::time::timeout(PATIENCE, answer).await.map_err(|_| ClientError::Slow)?
    }
}

impl<'c> AsyncHttpClient<'c> for ProviderClient {
    type Error = ClientError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, ClientError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// The system's, and those of a file.
fn roots(ca: Option<&PathBuf>) -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca {
        let wrong = |problem: String| ClientError::Authorities { path: path.clone(), problem };
        let content = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        for certificate in CertificateDer::pem_slice_iter(&content) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
    }
    if roots.is_empty() { Err(ClientError::NoAuthorities) } else { Ok(roots) }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
