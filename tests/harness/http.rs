//! A plain HTTP client that says what it got.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use serde_json::Value;

use super::certs::{self, Identity};

#[derive(Debug, Clone)]
pub struct HttpClient {
    inner: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    H1,
    H2,
    /// HTTP/2 where the server offers it.
    Any,
}

#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub version: http::Version,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// The whole chain of causes in one line.
#[derive(Debug)]
pub struct CallError(pub String);

/// A time in an answer. As texts they do not compare: a fraction may be shorter.
pub fn time(value: &Value) -> jiff::Timestamp {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("not a time: {value}"))
}

/// The sum of the samples of `name` whose labels contain all of `labels`.
pub fn metric(exposition: &str, name: &str, labels: &[&str]) -> f64 {
    exposition
        .lines()
        .filter(|line| {
            let rest = line.strip_prefix(name).unwrap_or_default();
            rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label))
        })
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}

// === impl HttpClient ===

impl HttpClient {
    /// A client that trusts `ca_pem` (nothing, when absent).
    pub fn new(ca_pem: Option<&str>, identity: Option<&Identity>, alpn: Alpn) -> Self {
        let config = certs::client_config(ca_pem, identity);
        Self::over(config, alpn)
    }

    /// A client over a TLS configuration of the caller's, such as one with a session store that outlives it.
    pub fn over(config: ClientConfig, alpn: Alpn) -> Self {
        let https = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
        let connector = match alpn {
            Alpn::H1 => https.enable_http1().build(),
            Alpn::H2 => https.enable_http2().build(),
            Alpn::Any => https.enable_all_versions().build(),
        };
        Self { inner: Client::builder(TokioExecutor::new()).http2_only(alpn == Alpn::H2).build(connector) }
    }

    pub async fn get(&self, url: &str) -> Response {
        self.call(Request::get(url).body(Full::default()).expect("a request")).await
    }

    pub async fn post(&self, url: &str, body: impl Into<Bytes>) -> Response {
        self.try_post(url, body).await.unwrap_or_else(|error| panic!("POST {url}: {}", error.0))
    }

    pub async fn try_post(&self, url: &str, body: impl Into<Bytes>) -> Result<Response, CallError> {
        self.send(Method::POST, url, &[("content-type", "application/json")], body).await
    }

    /// Any request.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Response, CallError> {
        let uri: Uri = url.parse().expect("a URL");
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.try_call(request.body(Full::new(body.into())).expect("a request")).await
    }

    async fn call(&self, request: Request<Full<Bytes>>) -> Response {
        let what = format!("{} {}", request.method(), request.uri());
        self.try_call(request).await.unwrap_or_else(|error| panic!("{what}: {}", error.0))
    }

    async fn try_call(&self, request: Request<Full<Bytes>>) -> Result<Response, CallError> {
        let response = self.inner.request(request).await.map_err(|error| CallError::of(&error))?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| CallError::of(&error))?.to_bytes();
        Ok(Response { status: parts.status.as_u16(), version: parts.version, headers: parts.headers, body })
    }
}

// === impl CallError ===

impl CallError {
    fn of(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(" <- ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        Self(text)
    }
}

// === impl Response ===

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: not JSON: {error}: {}", self.status, self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `status` of an ImageReview answer, `response` of an AdmissionReview's: where the verdict is.
    pub fn verdict(&self) -> Value {
        let json = self.json();
        match json["kind"].as_str() {
            Some("ImageReview") => json["status"].clone(),
            Some("AdmissionReview") => json["response"].clone(),
            other => panic!("an answer of kind {other:?}: {json}"),
        }
    }

    pub fn allowed(&self) -> bool {
        assert_eq!(self.status, 200, "{}", self.text());
        self.verdict()["allowed"].as_bool().unwrap_or_else(|| panic!("no `allowed`: {}", self.text()))
    }
}
