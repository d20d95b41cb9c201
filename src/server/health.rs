//! `/livez`, `/readyz` and `/metrics`.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde::Serialize;

/// Whether reviews can be answered, and what is not as it should be.
#[derive(Debug, Clone, Serialize)]
pub struct Readiness {
    /// False only when no answer can be given.
    pub ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Answers go out, but with these faults.
    pub degraded: Vec<String>,
    /// Everything decided before, by whatever replica, is in the history: RFC 3339. `None`: a journal cannot be read.
    pub complete_until: Option<String>,
    /// Why that is longer ago than it should be: one sentence for each replica.
    pub behind: Vec<String>,
    /// What a person ordered that no mode goes over for a time: no fault, but what is configured does not act as it would.
    pub ceilings: Vec<String>,
}

// === impl Readiness ===

impl Readiness {
    /// For whoever asks: that something is wrong, and not what.
    fn brief(self) -> Self {
        let degraded =
            if self.degraded.is_empty() { Vec::new() } else { vec!["sign in to the report to see what".to_owned()] };
        Self { degraded, behind: Vec::new(), ceilings: Vec::new(), ..self }
    }
}

#[derive(Clone)]
pub struct Health {
    /// Whether `/readyz` says more than whether it is ready: names of clusters, tickets, files.
    pub tells_all: bool,
    pub readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
    pub registry: Arc<Mutex<Registry>>,
}

/// All of it, for whoever reaches it.
pub fn router(health: Health) -> Router {
    probes(health.clone()).merge(metrics(health))
}

/// `/livez` and `/readyz`.
pub fn probes(health: Health) -> Router {
    Router::new().route("/livez", get(|| async { "ok\n" })).route("/readyz", get(readyz)).with_state(health)
}

/// `/metrics`.
pub fn metrics(health: Health) -> Router {
    Router::new().route("/metrics", get(exposition)).with_state(health)
}

async fn readyz(State(health): State<Health>) -> Response {
    let readiness = (health.readiness)();
    let readiness = if health.tells_all { readiness } else { readiness.brief() };
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

async fn exposition(State(health): State<Health>) -> Response {
    let mut text = String::new();
    let registry = health.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match encode(&mut text, &registry) {
        Ok(()) => {
            let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, media_type)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health").finish_non_exhaustive()
    }
}
