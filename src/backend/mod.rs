//! Floor 3: the remote webhook that judges.
//!
//! A [`Backend`] is one webhook of one policy: its connections, its limit of calls in flight, its breaker. What it is
//! sent is what the API server sent, byte for byte, unless its policy has a bridge; what it answers is read once and kept as
//! it came.

pub mod answer;
mod breaker;
pub mod budget;
mod connector;
mod credentials;
mod decode;
pub mod https;
pub mod metrics;
mod opa;
mod reading;
mod target;
mod tls;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use time::OffsetDateTime;
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::info;

use crate::policy::opa::OpaDocument;
use crate::policy::rego::results::{NamedImage, Resource};
use crate::policy::settings::{Speaks, WebhookSettings};
use crate::review::decision::Protocol;

use answer::{BackendAnswer, BackendError};
use breaker::{Breaker, Pass, Sign};
use connector::Connections;
pub use credentials::BackendSetupError;
use credentials::{Content, Files};
use metrics::{Metrics, OwnMetrics};
pub use reading::causes;
use target::Target;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("rehearsal/", env!("CARGO_PKG_VERSION")));
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// How long a call waits for another one to end when `max_in_flight` are out. A burst passes in this time; longer
/// waits would only pile up bodies in front of a backend that is too slow for them.
const LONGEST_QUEUE: Duration = Duration::from_millis(250);

/// A call that was given less than this (its review had waited elsewhere) and got no answer says nothing of the
/// webhook's health.
const FAIR_TIME: Duration = Duration::from_millis(200);

/// The webhook of one policy.
pub struct Backend {
    name: String,
    target: Target,
    /// Of an OPA.
    document: Option<OpaDocument>,
    files: Files,
    timeout: Duration,
    max_in_flight: usize,
    permits: Semaphore,
    breaker: Mutex<Breaker>,
    link: ArcSwap<Link>,
    metrics: OwnMetrics,
}

/// One review, to be judged.
#[derive(Debug)]
pub struct Question {
    /// As the API server sent it, or as a bridge presents it.
    pub body: Bytes,
    /// Of `body`.
    pub protocol: Protocol,
    /// With its group: `admission.k8s.io/v1`.
    pub api_version: &'static str,
    /// Of an AdmissionReview.
    pub uid: Option<String>,
    /// The protocol of the review that came in; another where a bridge presents it.
    pub came_in: Protocol,
    /// What rows of an OPA may name, and whom they may blame.
    pub resource: Resource,
    pub images: Vec<NamedImage>,
    pub traceparent: Option<HeaderValue>,
    /// What is left for the whole call; the policy's own time-out bounds it too.
    pub budget: Duration,
}

/// What follows from the files, replaced as a whole.
struct Link {
    content: Content,
    connections: Connections,
    authorization: Option<HeaderValue>,
    ends: Vec<(&'static str, OffsetDateTime)>,
}

/// A call that the breaker let pass; one that is dropped without a sign was never made.
struct Attempt<'a> {
    backend: &'a Backend,
    pass: Pass,
    sign: Sign,
}

// === impl Backend ===

impl Backend {
    /// `name` is the policy's.
    ///
    /// # Errors
    /// The first field of `settings` that cannot work, a file that cannot be read or used among them.
    pub fn new(name: &str, settings: &WebhookSettings, metrics: &Metrics) -> Result<Self, BackendSetupError> {
        let target = Target::of(&settings.url).map_err(|problem| BackendSetupError::new("url", problem))?;
        let files = Files::of(settings);
        if let Some(field) = files.for_https().filter(|_| !target.is_https()) {
            return Err(BackendSetupError::new(field, "the url is http, where nobody is verified; make it https"));
        }
        if settings.max_in_flight == 0 {
            return Err(BackendSetupError::new("max_in_flight", "0 would never ask the webhook; make it at least 1"));
        }
        let document = OpaDocument::of(settings);
        if document.is_none() && settings.speaks == Speaks::Opa {
            return Err(BackendSetupError::new("url", "it names no document of an OPA, such as /v1/data/PACKAGE/RULE"));
        }
        let link = Link::build(files.read()?, &target, None)?;
        Ok(Self {
            name: name.to_owned(),
            target,
            document,
            files,
            timeout: settings.timeout,
            max_in_flight: settings.max_in_flight,
            permits: Semaphore::new(settings.max_in_flight.min(Semaphore::MAX_PERMITS)),
            breaker: Mutex::default(),
            link: ArcSwap::from_pointee(link),
            metrics: metrics.of(name),
        })
    }

    /// The webhook's verdict, as valid as the API server would have found it.
    ///
    /// # Errors
    /// Every other end of the call, at the latest when the smaller of budget and time-out is over.
    pub async fn ask(&self, mut question: Question) -> Result<BackendAnswer, BackendError> {
        if let Some(document) = &self.document {
            question.body = opa::asked(document, question.body);
        }
        let limit = question.budget.min(self.timeout);
        let result = self.ask_within(&question, limit).await;
        if let Err(error) = &result {
            self.metrics.failed(error);
        }
        result
    }

    /// Reads the files again. When their content changed, calls from now on use it; calls in flight and, when only the
    /// token changed, connections go on. Blocks on the files.
    ///
    /// # Errors
    /// What is wrong with the new content; the old stays in use.
    pub fn reload(&self) -> Result<(), BackendSetupError> {
        let held = self.link.load_full();
        let content = self.files.read()?;
        if content == held.content {
            return Ok(());
        }
        self.link.store(Arc::new(Link::build(content, &self.target, Some(&held))?));
        info!(policy = self.name, "reloaded the files of webhook {}", self.target);
        Ok(())
    }

    /// Of its policy.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When the certificates in use end, by role: `webhook_ca`, `webhook_client`. Not those of the system.
    pub fn ends(&self) -> Vec<(&'static str, OffsetDateTime)> {
        self.link.load().ends.clone()
    }

    /// The files that [`Backend::reload`] reads.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.paths()
    }

    async fn ask_within(&self, question: &Question, limit: Duration) -> Result<BackendAnswer, BackendError> {
        let deadline = Instant::now() + limit;
        let mut attempt = self.attempt()?;
        let _permit = self.permit(limit).await?;
        let _in_flight = self.metrics.called();
        let begun = Instant::now();
        let result = match tokio::time::timeout_at(deadline.into(), self.send(question, deadline)).await {
            Ok(Ok(response)) => self.read(response, question, deadline, limit).await,
            Ok(Err(error)) => Err(error),
            Err(_) => Err(BackendError::Late(limit)),
        };
        attempt.sign = self.sign(&result);
        self.metrics.took(begun.elapsed());
        result
    }

    /// Waits for one of `max_in_flight`, for a quarter of what there is at most.
    async fn permit(&self, limit: Duration) -> Result<SemaphorePermit<'_>, BackendError> {
        let full = || BackendError::Full(self.max_in_flight);
        let wait = LONGEST_QUEUE.min(limit / 4);
        let permit = tokio::time::timeout(wait, self.permits.acquire()).await.map_err(|_| full())?;
        Ok(permit.expect("the semaphore is never closed"))
    }

    /// The head of the answer. A connection that the webhook had closed costs a second attempt, never a third.
    async fn send(&self, question: &Question, deadline: Instant) -> Result<Response<Incoming>, BackendError> {
        let link = self.link.load_full();
        let first = match link.connections.send(self.request(question, &link, deadline)).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        if !connector::was_stale(&first) {
            return Err(self.unreachable(&first, &link));
        }
        let second = link.connections.send(self.request(question, &link, deadline)).await;
        second.map_err(|error| self.unreachable(&error, &link))
    }

    fn request(&self, question: &Question, link: &Link, deadline: Instant) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(question.body.clone()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.target.with_timeout(deadline.saturating_duration_since(Instant::now()));
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(ACCEPT, JSON);
        headers.insert(USER_AGENT, AGENT);
        let traceparent = question.traceparent.clone().map(|value| (TRACEPARENT, value));
        let authorization = link.authorization.clone().map(|value| (AUTHORIZATION, value));
        headers.extend(traceparent.into_iter().chain(authorization));
        request
    }

    fn unreachable(&self, error: &hyper_util::client::legacy::Error, link: &Link) -> BackendError {
        let what =
            if error.is_connect() { "it could not be reached" } else { "the connection ended without an answer" };
        let why = reading::causes(error);
        let hint = if why.contains("UnknownIssuer") || why.contains("BadSignature") {
            " (is ca the certificate of the CA that signed it?)"
        } else if self.target.is_https() && !error.is_connect() && !link.content.tls.has_identity() {
            // With TLS 1.3 a client without its certificate learns of it after the handshake.
            " (does it want a client certificate? set client_certificate and client_key)"
        } else {
            ""
        };
        BackendError::Unreachable(format!("{what}: {why}{hint}"))
    }

    async fn read(
        &self,
        response: Response<Incoming>,
        question: &Question,
        deadline: Instant,
        limit: Duration,
    ) -> Result<BackendAnswer, BackendError> {
        let (head, body) = response.into_parts();
        match (head.status.as_u16(), &self.document) {
            (200..=206, _) => {
                let body = tokio::time::timeout_at(deadline.into(), reading::whole(body)).await;
                self.understand(body.map_err(|_| BackendError::Late(limit))??, question)
            }
            (429 | 500..=599, _) => Err(reading::status(head, body, deadline).await),
            (404, Some(document)) => Err(BackendError::Invalid(document.entry.undefined())),
            (300..=399, _) => {
                Err(BackendError::Invalid(format!("it redirects ({}), which is never followed", head.status)))
            }
            _ => Err(BackendError::Invalid(format!("its status is {}", head.status))),
        }
    }

    fn understand(&self, body: Bytes, question: &Question) -> Result<BackendAnswer, BackendError> {
        let Question { protocol, came_in, api_version, ref uid, .. } = *question;
        let answer = match &self.document {
            Some(document) => opa::decode(body, document, question).map_err(BackendError::Invalid),
            None => BackendAnswer::parse(body, protocol, api_version, uid.as_deref()),
        };
        if protocol == came_in { answer } else { answer?.bridged() }
    }

    /// What a result says of the webhook's health: any answer that is not a fault of the server is one of the living.
    fn sign(&self, result: &Result<BackendAnswer, BackendError>) -> Sign {
        match result {
            Err(BackendError::Late(limit)) if *limit < FAIR_TIME.min(self.timeout) => Sign::Nothing,
            Err(BackendError::Unreachable(_) | BackendError::Late(_)) => Sign::Dead,
            Err(BackendError::Status { status, .. }) if *status != StatusCode::TOO_MANY_REQUESTS => Sign::Dead,
            _ => Sign::Alive,
        }
    }

    fn attempt(&self) -> Result<Attempt<'_>, BackendError> {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = breaker.admit(Instant::now());
        self.metrics.breaker(breaker.state());
        match admitted {
            Ok(pass) => Ok(Attempt { backend: self, pass, sign: Sign::Nothing }),
            Err(open) => Err(BackendError::BreakerOpen { failures: open.failures, retry_in: open.retry_in }),
        }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("name", &self.name).field("target", &self.target).finish_non_exhaustive()
    }
}

// === impl Link ===

impl Link {
    fn build(content: Content, target: &Target, held: Option<&Self>) -> Result<Self, BackendSetupError> {
        let authorization = content.authorization()?;
        let kept = held.filter(|held| held.content.tls == content.tls);
        let (connections, ends) = match kept {
            Some(held) => (held.connections.clone(), held.ends.clone()),
            None => {
                let config = tls::client_config(&content.tls, target)?;
                (Connections::new(config), content.tls.ends()?)
            }
        };
        Ok(Self { content, connections, authorization, ends })
    }
}

// === impl Attempt ===

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut breaker = self.backend.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        breaker.report(self.pass, self.sign, Instant::now(), fastrand::f64());
        self.backend.metrics.breaker(breaker.state());
    }
}
