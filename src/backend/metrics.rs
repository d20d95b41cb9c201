//! What calls to webhooks leave behind in `/metrics`.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::answer::BackendError;
use super::breaker::State;

/// Of all webhooks.
#[derive(Debug, Clone)]
pub struct Metrics {
    duration: Family<OfPolicy, Histogram, fn() -> Histogram>,
    errors: Family<Failed, Counter>,
    breaker: Family<OfPolicy, Gauge>,
    in_flight: Family<OfPolicy, Gauge>,
}

/// Of one webhook.
#[derive(Debug)]
pub(super) struct OwnMetrics {
    policy: String,
    duration: Histogram,
    errors: Family<Failed, Counter>,
    breaker: Gauge,
    in_flight: Gauge,
}

/// Counts as a call in flight while it lives.
#[derive(Debug)]
pub(super) struct InFlight<'a>(&'a Gauge);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPolicy {
    policy: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    policy: String,
    kind: &'static str,
}

/// Seconds: from a neighbour on the same node to the longest that an API server waits.
fn durations() -> Histogram {
    Histogram::new([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0])
}

// === impl Metrics ===

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            duration: Family::new_with_constructor(durations),
            errors: Family::default(),
            breaker: Family::default(),
            in_flight: Family::default(),
        };
        registry.register(
            "rehearsal_backend_duration_seconds",
            "From a webhook being called to its answer or error",
            metrics.duration.clone(),
        );
        registry.register(
            "rehearsal_backend_errors",
            "Calls to a webhook without an answer to pass on, by kind",
            metrics.errors.clone(),
        );
        registry.register(
            "rehearsal_backend_breaker",
            "Whether a webhook is asked: 0 yes (closed), 1 one call finds out (half-open), 2 no (open)",
            metrics.breaker.clone(),
        );
        registry.register(
            "rehearsal_backend_in_flight",
            "Calls to a webhook that are waiting for its answer",
            metrics.in_flight.clone(),
        );
        metrics
    }

    /// Of a policy that is gone. What a call of it that is still under way adds later is kept.
    pub fn forget(&self, policy: &str) {
        let label = OfPolicy { policy: policy.to_owned() };
        self.duration.remove(&label);
        self.breaker.remove(&label);
        self.in_flight.remove(&label);
        for kind in BackendError::KINDS {
            self.errors.remove(&Failed { policy: policy.to_owned(), kind });
        }
    }

    pub(super) fn of(&self, policy: &str) -> OwnMetrics {
        let label = OfPolicy { policy: policy.to_owned() };
        OwnMetrics {
            duration: self.duration.get_or_create_owned(&label),
            errors: self.errors.clone(),
            breaker: self.breaker.get_or_create_owned(&label),
            in_flight: self.in_flight.get_or_create_owned(&label),
            policy: label.policy,
        }
    }
}

// === impl OwnMetrics ===

impl OwnMetrics {
    pub(super) fn called(&self) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight(&self.in_flight)
    }

    pub(super) fn took(&self, duration: Duration) {
        self.duration.observe(duration.as_secs_f64());
    }

    pub(super) fn failed(&self, error: &BackendError) {
        let label = Failed { policy: self.policy.clone(), kind: error.kind() };
        self.errors.get_or_create(&label).inc();
    }

    pub(super) fn breaker(&self, state: State) {
        self.breaker.set(match state {
            State::Closed => 0,
            State::HalfOpen => 1,
            State::Open { .. } => 2,
        });
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
