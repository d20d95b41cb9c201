//! The way to a provider: its addresses are in the configuration and in what it publishes there, never in a request of
//! somebody's. Nothing follows a redirect.

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::backend::causes;
use crate::backend::https::{HttpsClient, client, system_roots};

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of one.
const LONGEST: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{}: {problem}", .path.display())]
    Authorities { path: PathBuf, problem: String },
    #[error("{0}: name those of the provider in report.oidc.ca")]
    NoAuthorities(String),
    #[error("it does not answer: {0}")]
    Unreachable(String),
    #[error("it does not answer within {} s", PATIENCE.as_secs())]
    Slow,
}

#[derive(Debug, Clone)]
pub struct ProviderClient(HttpsClient);

// === impl ProviderClient ===

impl ProviderClient {
    /// # Errors
    /// There is nobody to trust, or not what the file says.
    pub fn new(ca: Option<&PathBuf>) -> Result<Self, ClientError> {
        Ok(Self(client(roots(ca)?)))
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
    // A file is enough where the system has none.
    let mut roots = match (system_roots(), ca) {
        (Ok(roots), _) => roots,
        (Err(_), Some(_)) => RootCertStore::empty(),
        (Err(problem), None) => return Err(ClientError::NoAuthorities(problem)),
    };
    if let Some(path) = ca {
        let wrong = |problem: String| ClientError::Authorities { path: path.clone(), problem };
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
