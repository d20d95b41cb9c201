//! What the way of a review counts.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::review::clock::Timestamp;
use crate::review::comparison::{Comparison, Stance};
use crate::review::decision::{Answer, Exempted, Protocol, Violation};

use super::evaluation::Seat;
use super::failure::Failure;

/// A sender chooses the cluster in its path: past this many, the rest count as `other`.
const MAX_CLUSTERS: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reviewed {
    protocol: &'static str,
    answer: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Violated {
    policy: String,
    rule: String,
    mode: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InCluster {
    cluster: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    revision: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPolicy {
    policy: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Said {
    policy: String,
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Differed {
    policy: String,
    live: &'static str,
    candidate: &'static str,
}

#[derive(Debug)]
pub struct Metrics {
    reviews: Family<Reviewed, Counter>,
    violations: Family<Violated, Counter>,
    refused: Family<Reason, Counter>,
    unjudged: Family<InCluster, Counter>,
    last_review: Family<InCluster, Gauge>,
    revision: Family<Named, Gauge>,
    overruns: Family<OfPolicy, Counter>,
    suspensions: Family<OfPolicy, Counter>,
    break_glass: Family<OfPolicy, Counter>,
    candidate_verdicts: Family<Said, Counter>,
    candidate_differences: Family<Differed, Counter>,
    candidate_overruns: Family<OfPolicy, Counter>,
    candidate_suspensions: Family<OfPolicy, Counter>,
    duration: Family<Spoken, Histogram, fn() -> Histogram>,
    own: Histogram,
    clusters: RwLock<HashSet<Arc<str>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Spoken {
    protocol: &'static str,
}

/// Seconds: a local verdict takes some 100 microseconds, a webhook up to its 30 seconds.
fn durations() -> Histogram {
    Histogram::new([0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0])
}

/// Seconds: what is neither a webhook nor a disk that hangs takes milliseconds at most.
fn own_durations() -> Histogram {
    Histogram::new([0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0])
}

// === impl Metrics ===

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            reviews: Family::default(),
            violations: Family::default(),
            refused: Family::default(),
            unjudged: Family::default(),
            last_review: Family::default(),
            revision: Family::default(),
            overruns: Family::default(),
            suspensions: Family::default(),
            break_glass: Family::default(),
            candidate_verdicts: Family::default(),
            candidate_differences: Family::default(),
            candidate_overruns: Family::default(),
            candidate_suspensions: Family::default(),
            duration: Family::new_with_constructor(durations),
            own: own_durations(),
            clusters: RwLock::default(),
        };
        registry.register("rehearsal_reviews", "Reviews answered, by what the API server got", metrics.reviews.clone());
        registry.register(
            "rehearsal_violations",
            "Violations of images that a request brought, by the mode they were in",
            metrics.violations.clone(),
        );
        registry.register(
            "rehearsal_refused",
            "Requests that got no answer of a policy, by reason",
            metrics.refused.clone(),
        );
        registry.register(
            "rehearsal_unjudged",
            "Reviews answered allowed without being judged, under overload",
            metrics.unjudged.clone(),
        );
        registry.register(
            "rehearsal_last_review_timestamp_seconds",
            "When the last review of a cluster came, since the Unix epoch",
            metrics.last_review.clone(),
        );
        registry.register(
            "rehearsal_revision_loaded_timestamp_seconds",
            "When the revision in force was loaded, since the Unix epoch",
            metrics.revision.clone(),
        );
        registry.register(
            "rehearsal_policy_overruns",
            "Evaluations of a policy that were stopped, or left, at their limit",
            metrics.overruns.clone(),
        );
        registry.register(
            "rehearsal_policy_suspensions",
            "Times that a policy was suspended for overrunning again and again",
            metrics.suspensions.clone(),
        );
        metrics.register_candidates(registry);
        registry.register(
            "rehearsal_break_glass_uses",
            "First uses of a break-glass ticket by a workload, by whose violation it let through",
            metrics.break_glass.clone(),
        );
        registry.register(
            "rehearsal_review_duration_seconds",
            "From a complete body to the finished answer, without the journal",
            metrics.duration.clone(),
        );
        registry.register(
            "rehearsal_review_own_seconds",
            "What Rehearsal itself adds to an answer: the journal too, without the wait for webhooks",
            metrics.own.clone(),
        );
        metrics
    }

    fn register_candidates(&self, registry: &mut Registry) {
        registry.register(
            "rehearsal_candidate_verdicts",
            "Verdicts of candidates, which nothing acts on",
            self.candidate_verdicts.clone(),
        );
        registry.register(
            "rehearsal_candidate_differences",
            "Reviews of which a candidate says another thing than the policies in force, as far as both were known in time",
            self.candidate_differences.clone(),
        );
        registry.register(
            "rehearsal_candidate_overruns",
            "Evaluations of a candidate that were stopped, or left, at their limit",
            self.candidate_overruns.clone(),
        );
        registry.register(
            "rehearsal_candidate_suspensions",
            "Times that a candidate was suspended for overrunning again and again",
            self.candidate_suspensions.clone(),
        );
    }

    pub fn refused(&self, failure: &Failure) {
        self.refused.get_or_create(&Reason { reason: failure.label() }).inc();
    }

    pub fn unjudged(&self, cluster: &str) {
        self.unjudged.get_or_create(&self.cluster(cluster)).inc();
    }

    pub fn reviewed(&self, protocol: Protocol, answer: Answer, cluster: &str, at: Timestamp, seconds: f64) {
        self.reviews.get_or_create(&Reviewed { protocol: protocol.as_str(), answer: answer.as_str() }).inc();
        self.last_review.get_or_create(&self.cluster(cluster)).set(at.0 / 1_000);
        self.duration.get_or_create(&Spoken { protocol: protocol.as_str() }).observe(seconds);
    }

    pub fn took_of_its_own(&self, took: Duration) {
        self.own.observe(took.as_secs_f64());
    }

    /// One that is exempted acts in no mode: an alert on those that reject or warn must not see it.
    pub fn violated(&self, policy: &str, violation: &Violation) {
        let mode = violation.exempted.as_ref().map_or(violation.mode.as_str(), Exempted::word);
        let label = Violated { policy: policy.to_owned(), rule: violation.rule.clone(), mode };
        self.violations.get_or_create(&label).inc();
    }

    pub fn overran(&self, seat: Seat, policy: &str) {
        let family = match seat {
            Seat::Live(_) => &self.overruns,
            Seat::Candidate(_) => &self.candidate_overruns,
        };
        family.get_or_create(&OfPolicy { policy: policy.to_owned() }).inc();
    }

    pub fn suspended(&self, seat: Seat, policy: &str) {
        let family = match seat {
            Seat::Live(_) => &self.suspensions,
            Seat::Candidate(_) => &self.candidate_suspensions,
        };
        family.get_or_create(&OfPolicy { policy: policy.to_owned() }).inc();
    }

    /// A verdict that is pending is none yet.
    pub fn compared(&self, comparison: &Comparison<'_>) {
        if comparison.silent == Stance::Pending {
            return;
        }
        let (policy, candidate) = (comparison.candidate, comparison.silent.as_str());
        self.candidate_verdicts.get_or_create(&Said { policy: policy.to_owned(), verdict: candidate }).inc();
        if comparison.differs() {
            let live = comparison.live.as_str();
            self.candidate_differences.get_or_create(&Differed { policy: policy.to_owned(), live, candidate }).inc();
        }
    }

    pub fn broke_glass(&self, policy: &str) {
        self.break_glass.get_or_create(&OfPolicy { policy: policy.to_owned() }).inc();
    }

    pub fn loaded(&self, revision: &str, at: Timestamp) {
        self.revision.clear();
        self.revision.get_or_create(&Named { revision: revision.to_owned() }).set(at.0 / 1_000);
    }

    fn cluster(&self, name: &str) -> InCluster {
        let known = self.clusters.read().unwrap_or_else(PoisonError::into_inner).get(name).map(Arc::clone);
        InCluster { cluster: known.unwrap_or_else(|| self.new_cluster(name)) }
    }

    fn new_cluster(&self, name: &str) -> Arc<str> {
        let mut known = self.clusters.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_CLUSTERS && !known.contains(name) {
            return Arc::from("other");
        }
        let name: Arc<str> = Arc::from(name);
        known.insert(Arc::clone(&name));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_two_hundred_clusters_count_as_other() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        for n in 0..MAX_CLUSTERS + 50 {
            metrics.unjudged(&format!("c{n}"));
            metrics.unjudged("c0");
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("a String takes everything");
        let series = |start: &str| text.lines().filter(|line| line.starts_with(start)).collect::<Vec<_>>();
        assert_eq!(series("rehearsal_unjudged_total{").len(), MAX_CLUSTERS + 1);
        assert_eq!(
            series("rehearsal_unjudged_total{cluster=\"other\"}"),
            ["rehearsal_unjudged_total{cluster=\"other\"} 50"]
        );
        assert_eq!(
            series("rehearsal_unjudged_total{cluster=\"c0\"}"),
            ["rehearsal_unjudged_total{cluster=\"c0\"} 251"]
        );
    }
}
