//! The way to a provider: its addresses are in the configuration and in what it publishes there, never in a request of
//! somebody's. Nothing follows a redirect.

use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};

use crate::backend::causes;
use crate::backend::https::{HttpsClient, TrustError, client, roots};

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of one.
const LONGEST: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Authorities(TrustError),
    #[error("{0}: name those of the provider in report.oidc.ca")]
    NoAuthorities(TrustError),
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
    pub fn new(ca: Option<&Path>) -> Result<Self, ClientError> {
        let roots = roots(ca).map_err(|error| match error {
            TrustError::OfFile { .. } => ClientError::Authorities(error),
            TrustError::OfSystem(_) => ClientError::NoAuthorities(error),
        });
        Ok(Self(client(roots?)))
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
