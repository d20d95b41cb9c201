//! A client, and what it is asked.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::scripted::{Backend, Script};
use bytes::Bytes;
use prometheus_client::registry::Registry;
use rehearsal::backend::answer::{BackendAnswer, BackendError};
use rehearsal::backend::metrics::Metrics;
use rehearsal::backend::{Backend as Client, BackendSetupError, Question};
use rehearsal::policy::rego::results::Resource;
use rehearsal::policy::settings::{Speaks, WebhookSettings};
use rehearsal::review::decision::Protocol;
use serde_json::json;
use tempfile::TempDir;

pub const UID: &str = "8d64b1f2-0000-4000-8000-000000000001";
/// Long enough for every answer that comes.
pub const LONG: Duration = Duration::from_secs(10);
/// For answers that never come.
pub const SHORT: Duration = Duration::from_millis(300);

/// A client, and what it was made from.
pub struct Setup {
    pub settings: WebhookSettings,
    registry: Registry,
    metrics: Metrics,
    pub dir: TempDir,
}

// === impl Setup ===

impl Setup {
    pub fn of(backend: &Backend) -> Self {
        Self::at(&format!("{}/judge", backend.url))
    }

    pub fn at(url: &str) -> Self {
        let settings = WebhookSettings {
            url: url.parse().expect("a URL"),
            speaks: Speaks::AdmissionReview,
            bridge: false,
            timeout: LONG,
            ca: None,
            client_identity: None,
            token_file: None,
            max_in_flight: 64,
            overridable: false,
        };
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        Self { settings, registry, metrics, dir: tempfile::tempdir().expect("a directory") }
    }

    /// Trusts the backend's CA.
    pub fn trusting(backend: &Backend) -> Self {
        let mut setup = Self::of(backend);
        setup.settings.ca = Some(setup.file("ca.crt", &backend.ca_pem));
        setup
    }

    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).expect("written");
        path
    }

    pub fn client(&self) -> Arc<Client> {
        Arc::new(self.try_client().expect("a client"))
    }

    pub fn try_client(&self) -> Result<Client, BackendSetupError> {
        Client::new("gate", &self.settings, &self.metrics)
    }

    pub fn assert_metric(&self, line: &str) {
        let mut metrics = String::new();
        prometheus_client::encoding::text::encode(&mut metrics, &self.registry).expect("text");
        assert!(metrics.lines().any(|own| own == line), "{line} is not in\n{metrics}");
    }
}

pub fn review() -> Bytes {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": UID, "operation": "CREATE", "object": {"kind": "Pod"}}
    });
    review.to_string().into()
}

pub fn question() -> Question {
    Question {
        body: review(),
        protocol: Protocol::AdmissionReview,
        api_version: "admission.k8s.io/v1",
        uid: Some(UID.to_owned()),
        came_in: Protocol::AdmissionReview,
        resource: Resource::default(),
        images: Vec::new(),
        traceparent: None,
        budget: LONG,
    }
}

pub fn within(budget: Duration) -> Question {
    Question { budget, ..question() }
}

pub async fn invalid(script: Script, why: &str) {
    let backend = Backend::start(script);
    let error = Setup::of(&backend).client().ask(question()).await.expect_err(why);
    let BackendError::Invalid(problem) = &error else { panic!("{why}: {error:?}") };
    assert!(problem.contains(why), "{problem} says nothing of {why}");
    assert_eq!(backend.received().len(), 1, "{why}: asked once");
}

pub fn unreachable(result: Result<BackendAnswer, BackendError>) -> String {
    match result {
        Err(BackendError::Unreachable(why)) => why,
        other => panic!("{other:?}"),
    }
}
