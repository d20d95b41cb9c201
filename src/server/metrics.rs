//! What the listeners count.

use std::collections::BTreeMap;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::throttle::Throttle;
use crate::review::said::CertificateEnd;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    listener: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Listening {
    listener: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Certificate {
    /// `None`: it is of no listener, but of a webhook that is called.
    listener: Option<&'static str>,
    role: String,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Undeclared {
    reason: &'static str,
}

#[derive(Debug, Default)]
pub struct Metrics {
    refused: Family<Refusal, Counter>,
    connections: Family<Listening, Gauge>,
    ends: Family<Certificate, Gauge>,
    undeclared: Family<Undeclared, Counter>,
    /// Of what is said about connections.
    pub said: Throttle,
    /// Of what is said about undeclared senders.
    pub undeclared_said: Throttle,
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
            "Connections that were closed before a request, by listener and reason",
            metrics.refused.clone(),
        );
        registry.register("rehearsal_connections", "Open connections, by listener", metrics.connections.clone());
        registry.register(
            "rehearsal_certificate_end_timestamp_seconds",
            "When a certificate in use ends, since the Unix epoch, by listener and role",
            metrics.ends.clone(),
        );
        registry.register(
            "rehearsal_undeclared_reviews",
            "Reviews from senders that are not declared under clusters, by what their proof lacks",
            metrics.undeclared.clone(),
        );
        metrics
    }

    pub fn undeclared(&self, reason: &'static str) {
        self.undeclared.get_or_create(&Undeclared { reason }).inc();
    }

    pub fn refused(&self, listener: &'static str, reason: &'static str) {
        self.refused.get_or_create(&Refusal { listener, reason }).inc();
    }

    pub fn opened(&self, listener: &'static str) -> Open {
        let connections = self.connections.get_or_create_owned(&Listening { listener });
        connections.inc();
        Open(connections)
    }

    /// Replaces what is said of all certificates, each with the listener that it is of. Of several with the same role and
    /// name, as in a bundle while a CA is exchanged, the first end counts.
    pub fn certificates(&self, ends: impl IntoIterator<Item = (Option<&'static str>, CertificateEnd)>) {
        let mut first = BTreeMap::new();
        for (listener, CertificateEnd { end, role, name }) in ends {
            let first = first.entry((listener, role, name)).or_insert(end);
            *first = end.min(*first);
        }
        self.ends.clear();
        for ((listener, role, name), end) in first {
            self.ends.get_or_create(&Certificate { listener, role, name }).set(end.0 / 1_000);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
