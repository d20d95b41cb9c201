//! What calls to webhooks count.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::answer::BackendError;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPolicy {
    policy: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByError {
    policy: String,
    error: &'static str,
}

#[derive(Debug, Clone)]
pub struct Metrics {
    duration: Family<ByPolicy, Histogram, fn() -> Histogram>,
    errors: Family<ByError, Counter>,
    in_flight: Family<ByPolicy, Gauge>,
    breaker_open: Family<ByPolicy, Gauge>,
}

/// The metrics of one webhook.
#[derive(Debug)]
pub struct OfPolicy {
    policy: String,
    metrics: Metrics,
    duration: Histogram,
    pub in_flight: Gauge,
    pub breaker_open: Gauge,
}

/// Seconds: a webhook in the same cluster answers within some milliseconds, the API server gives up after 30 seconds.
fn durations() -> Histogram {
    Histogram::new([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0])
}

// === impl Metrics ===

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            duration: Family::new_with_constructor(durations),
            errors: Family::default(),
            in_flight: Family::default(),
            breaker_open: Family::default(),
        };
        registry.register(
            "rehearsal_backend_duration_seconds",
            "From the call of a webhook to its answer, by policy",
            metrics.duration.clone(),
        );
        registry.register(
            "rehearsal_backend_errors",
            "Calls of a webhook without an answer that can be used, by policy and error",
            metrics.errors.clone(),
        );
        registry.register(
            "rehearsal_backend_in_flight",
            "Calls of a webhook under way, by policy",
            metrics.in_flight.clone(),
        );
        registry.register(
            "rehearsal_backend_breaker_open",
            "1 while a webhook is left alone because it failed again and again, by policy",
            metrics.breaker_open.clone(),
        );
        metrics
    }

    pub fn of(&self, policy: &str) -> OfPolicy {
        let label = ByPolicy { policy: policy.to_owned() };
        OfPolicy {
            policy: policy.to_owned(),
            metrics: self.clone(),
            duration: self.duration.get_or_create(&label).clone(),
            in_flight: self.in_flight.get_or_create(&label).clone(),
            breaker_open: self.breaker_open.get_or_create(&label).clone(),
        }
    }
}

// === impl OfPolicy ===

impl OfPolicy {
    pub fn answered(&self, took: Duration) {
        self.duration.observe(took.as_secs_f64());
    }

    pub fn failed(&self, error: &BackendError) {
        let label = ByError { policy: self.policy.clone(), error: error.label() };
        self.metrics.errors.get_or_create(&label).inc();
    }
}
