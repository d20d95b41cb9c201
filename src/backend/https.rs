//! The way to what is no webhook, over HTTP or HTTPS: a provider of identities, the report of another process.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};

pub type HttpsClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

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
