//! One question to the API of a report, over HTTP or HTTPS.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::header::{ACCEPT, HOST};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

/// Over any network between a pipeline and a cluster.
const PATIENCE: Duration = Duration::from_secs(30);

/// A rule of five thousand namespaces is some megabytes.
const LONGEST: usize = 64 << 20;

/// What the report says, or `None`: there is nothing at that address.
///
/// # Errors
/// It does not answer, or not with what is asked for.
pub async fn json(url: &Uri) -> anyhow::Result<Option<Value>> {
    let Some(authority) = url.authority().filter(|_| matches!(url.scheme_str(), Some("http" | "https"))) else {
        bail!("{url} is not the URL of a report: write http://HOST:PORT or https://HOST");
    };
    let request = Request::get(url).header(HOST, authority.as_str()).header(ACCEPT, "application/json");
    let request = request.body(Empty::<Bytes>::new()).context("the question cannot be written")?;
    let answered = tokio::time::timeout(PATIENCE, async {
        let response = client(url)?.request(request).await.with_context(|| format!("{authority} does not answer"))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the answer of {authority} broke off: {error}"))?;
        Ok::<_, anyhow::Error>((status, body.to_bytes()))
    });
    let seconds = PATIENCE.as_secs();
    let (status, body) = answered.await.with_context(|| format!("{authority} did not answer within {seconds} s"))??;
    let read = serde_json::from_slice::<Value>(&body);
    match (status, read) {
        (StatusCode::OK, Ok(value)) => Ok(Some(value)),
        (StatusCode::NOT_FOUND, Ok(_)) => Ok(None),
        (status, Ok(value)) => {
            let message = value["error"]["message"].as_str().unwrap_or("it does not say why");
            bail!("{authority} answers {status}: {message}")
        }
        (status, Err(_)) => bail!("{authority} answers {status}, and not as the API of a report does"),
    }
}

fn client(url: &Uri) -> anyhow::Result<Client<hyper_rustls::HttpsConnector<HttpConnector>, Empty<Bytes>>> {
    let mut roots = RootCertStore::empty();
    if url.scheme_str() == Some("https") {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            bail!("this system has no CA certificates by which {url} could be trusted");
        }
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS cannot be set up")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}
