//! What the listeners count.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::throttle::Throttle;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Certificate {
    role: String,
    name: String,
}

#[derive(Debug, Default)]
pub struct Metrics {
    refused: Family<Reason, Counter>,
    connections: Gauge,
    ends: Family<Certificate, Gauge>,
    pub said: Throttle,
}

/// Counts as an open connection while it lives.
#[derive(Debug)]
pub struct Open(Gauge);

// === impl Metrics ===

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "rehearsal_connections_refused",
            "Connections to the webhook that were closed before a request, by reason",
            metrics.refused.clone(),
        );
        registry.register("rehearsal_connections", "Open connections to the webhook", metrics.connections.clone());
        registry.register(
            "rehearsal_certificate_end_timestamp_seconds",
            "When a certificate in use ends, since the Unix epoch, by role",
            metrics.ends.clone(),
        );
        metrics
    }

    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    pub fn opened(&self) -> Open {
        self.connections.inc();
        Open(self.connections.clone())
    }

    /// Replaces what is said of all certificates: role, name, end in seconds since the epoch.
    pub fn certificates(&self, ends: impl IntoIterator<Item = (String, String, i64)>) {
        self.ends.clear();
        for (role, name, end) in ends {
            self.ends.get_or_create(&Certificate { role, name }).set(end);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
