//! One webhook, asked over pooled connections.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout_at;

use crate::policy::settings::WebhookSettings;
use crate::review::decision::Protocol;

use super::answer::{BackendAnswer, BackendError, Excerpt, Expected};
use super::breaker::Breaker;
use super::identity::{BackendSetupError, Identity};
use super::metrics::{Metrics, OfPolicy};

/// A review is at most some MiB; an answer with a patch for all of it stays below this.
const MAX_ANSWER: usize = 3 << 20;
/// A connection that is not made by then will not be made in time for the answer either.
const CONNECT: Duration = Duration::from_secs(5);
/// Shorter than the idle time-outs of common servers, so that we seldom write to a connection that they just closed.
const IDLE: Duration = Duration::from_secs(50);
const AGENT: &str = concat!("rehearsal/", env!("CARGO_PKG_VERSION"));

/// One review for a webhook.
#[derive(Debug)]
pub struct Question {
    /// As the API server sent it.
    pub body: Bytes,
    pub protocol: Protocol,
    /// With its group.
    pub api_version: &'static str,
    pub uid: Option<String>,
    pub traceparent: Option<HeaderValue>,
    /// What is left of the API server's time; the policy's own `timeout` also holds.
    pub budget: Duration,
}

#[derive(Debug)]
pub struct Backend {
    policy: String,
    settings: WebhookSettings,
    connection: ArcSwap<Connection>,
    places: Semaphore,
    breaker: Breaker,
    metrics: OfPolicy,
}

/// What changes when files change. A call keeps the one it began with.
#[derive(Debug)]
struct Connection {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    authorization: Option<HeaderValue>,
    ends: Vec<(&'static str, i64)>,
    fingerprint: [u8; 32],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    Changed,
    Same,
}

// === impl Backend ===

impl Backend {
    pub fn new(policy: &str, settings: &WebhookSettings, metrics: &Metrics) -> Result<Self, BackendSetupError> {
        Ok(Self {
            policy: policy.to_owned(),
            connection: ArcSwap::from_pointee(Connection::new(Identity::read(policy, settings)?)),
            places: Semaphore::new(settings.max_in_flight),
            breaker: Breaker::default(),
            metrics: metrics.of(policy),
            settings: settings.clone(),
        })
    }

    /// Reads CA, client certificate and token again; swaps the whole, or keeps the old and says why.
    pub fn reload(&self) -> Result<Reloaded, BackendSetupError> {
        let identity = Identity::read(&self.policy, &self.settings)?;
        if identity.fingerprint == self.connection.load().fingerprint {
            return Ok(Reloaded::Same);
        }
        self.connection.store(Arc::new(Connection::new(identity)));
        Ok(Reloaded::Changed)
    }

    /// The policy that it is.
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// When its certificates end, in seconds since the epoch, by role.
    pub fn ends(&self) -> Vec<(&'static str, i64)> {
        self.connection.load().ends.clone()
    }

    /// Its answer, or why there is none, within `question.budget` and the policy's own `timeout`.
    pub async fn ask(&self, question: Question) -> Result<BackendAnswer, BackendError> {
        let result = self.bounded(question).await;
        if let Err(error) = &result {
            self.metrics.failed(error);
        }
        self.metrics.breaker_open.set(self.breaker.is_open().into());
        result
    }

    async fn bounded(&self, question: Question) -> Result<BackendAnswer, BackendError> {
        let begun = Instant::now();
        let budget = question.budget.min(self.settings.timeout);
        let _place = self.place()?;
        let leave = self.breaker.enter(begun).map_err(|open| BackendError::BreakerOpen {
            failures: open.failures,
            retry_in: open.retry_in,
        })?;
        self.metrics.in_flight.inc();
        let result = timeout_at((begun + budget).into(), self.call(question, budget)).await;
        self.metrics.in_flight.dec();
        let result = result.unwrap_or(Err(BackendError::Late(budget)));
        match &result {
            Err(error) if error.is_outage() => leave.failed(Instant::now()),
            _ => leave.succeeded(),
        }
        if result.is_ok() {
            self.metrics.answered(begun.elapsed());
        }
        result
    }

    /// Nobody queues: with all places taken a review would only learn later that it is too late.
    fn place(&self) -> Result<SemaphorePermit<'_>, BackendError> {
        self.places.try_acquire().map_err(|_| BackendError::Full(self.settings.max_in_flight))
    }

    async fn call(&self, question: Question, budget: Duration) -> Result<BackendAnswer, BackendError> {
        let connection = self.connection.load_full();
        let request = self.request(&connection, &question, budget);
        let response = connection.client.request(request).await.map_err(|error| unreachable(&error))?;
        let (status, headers, body) = received(response).await?;
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let retry_after = headers.get(RETRY_AFTER).cloned();
            return Err(BackendError::Status { status, retry_after, excerpt: Excerpt::of(&body) });
        }
        if !status.is_success() {
            return Err(BackendError::Invalid(format!("it came with the status {status}{}", Excerpt::of(&body))));
        }
        let expected = Expected {
            protocol: question.protocol,
            api_version: question.api_version,
            uid: question.uid.as_deref(),
        };
        BackendAnswer::parse(&body, expected)
    }

    fn request(&self, connection: &Connection, question: &Question, budget: Duration) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(question.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = with_timeout(&self.settings.url, budget);
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let ours = [(AUTHORIZATION, &connection.authorization), ("traceparent".parse().expect("a header name"), &question.traceparent)];
        for (name, value) in ours {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        request
    }
}

/// `url` with `timeout=` set to what is left; the rest of its query stays.
fn with_timeout(url: &Uri, budget: Duration) -> Uri {
    let kept = url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut query: Vec<&str> = kept.filter(|pair| !pair.starts_with("timeout=")).collect();
    let timeout = format!("timeout={}ms", budget.as_millis());
    query.push(&timeout);
    let mut parts = url.clone().into_parts();
    let path_and_query = format!("{}?{}", url.path(), query.join("&"));
    parts.path_and_query = Some(path_and_query.parse().expect("a URL's path and query with a number more"));
    Uri::from_parts(parts).expect("the URL was whole before its query changed")
}

async fn received(response: Response<Incoming>) -> Result<(StatusCode, HeaderMap, Bytes), BackendError> {
    let (parts, body) = response.into_parts();
    match Limited::new(body, MAX_ANSWER).collect().await {
        Ok(body) => Ok((parts.status, parts.headers, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(BackendError::Invalid("it is over 3 MiB".into())),
        Err(error) => Err(unreachable(&*error)),
    }
}

/// The whole chain: hyper's own words are seldom the cause.
fn unreachable(error: &(dyn Error + 'static)) -> BackendError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    BackendError::Unreachable(text)
}

// === impl BackendError ===

impl BackendError {
    /// For the metric `rehearsal_backend_errors_total`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Unreachable(_) => "unreachable",
            Self::Late(_) => "late",
            Self::Invalid(_) => "invalid",
            Self::Full(_) => "full",
            Self::BreakerOpen { .. } => "breaker_open",
        }
    }

    /// Whether it says that the webhook is down, rather than that it is wrong.
    fn is_outage(&self) -> bool {
        match self {
            Self::Status { status, .. } => status.is_server_error(),
            Self::Unreachable(_) | Self::Late(_) => true,
            Self::Invalid(_) | Self::Full(_) | Self::BreakerOpen { .. } => false,
        }
    }
}

// === impl Connection ===

impl Connection {
    fn new(identity: Identity) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(identity.tls)
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Self {
            client,
            authorization: identity.authorization,
            ends: identity.ends,
            fingerprint: identity.fingerprint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_is_left_replaces_the_urls_own() {
        let of = |url: &str| with_timeout(&url.parse().expect("a URL"), Duration::from_millis(1_850)).to_string();
        assert_eq!(of("https://b.internal:1323/image_policy"), "https://b.internal:1323/image_policy?timeout=1850ms");
        assert_eq!(of("http://b/?a=1&timeout=9s&b=2"), "http://b/?a=1&b=2&timeout=1850ms");
    }
}
