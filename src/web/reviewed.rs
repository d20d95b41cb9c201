//! What of the namespaces and kinds that are known was reviewed in some span, and what was not.
//!
//! As in a printable report, a workload was reviewed in it where its first review came before its end and its last one after
//! its beginning: evidence of a scope with an end knows no review of one whose first came later.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::policy::readiness::evidence::{Evidence, Place};
use crate::review::clock::Timestamp;
use crate::review::decision::Gap;

/// Workloads: reviewed in the span, and known at all (reviewed within the window, or running by the newest inventory).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Seen {
    pub reviewed: u64,
    pub known: u64,
}

/// Of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfCluster {
    pub cluster: String,
    /// When all that runs there was recorded; `None`: not within the window.
    pub recorded: Option<Timestamp>,
    /// Namespaces of which a workload is known: something of them was reviewed in the span.
    pub namespaces: Seen,
    pub workloads: Seen,
    /// Namespaces of which nothing was, in alphabetical order.
    pub silent: Vec<Silent>,
    /// Of its span, ms in which decisions are missing or nothing ran.
    pub missing: i64,
}

/// A namespace of which nothing was reviewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silent {
    pub namespace: String,
    /// Workloads that run there.
    pub running: u64,
}

/// By kind of workload, those with the most unseen first.
pub type Kinds = Vec<(String, Seen)>;

/// `evidence` is of a scope that ends where the span does.
pub fn clusters(evidence: &Evidence, gaps: &[Gap], (since, until): (Timestamp, Timestamp)) -> Vec<OfCluster> {
    let mut of_places = vec![(Seen::default(), 0); evidence.places.len()];
    for known in &evidence.known {
        let (seen, running) = &mut of_places[known.place];
        seen.known += 1;
        seen.reviewed += u64::from(known.reviewed_at.is_some_and(|at| at >= since));
        *running += u64::from(known.running.is_some());
    }
    let mut clusters: BTreeMap<&str, OfCluster> = BTreeMap::new();
    for (Place { cluster, namespace, recorded }, (seen, running)) in evidence.places.iter().zip(&of_places) {
        // The history keeps the names of namespaces that are gone.
        if seen.known == 0 {
            continue;
        }
        let one = clusters.entry(cluster).or_insert_with(|| OfCluster::new(cluster, gaps, (since, until)));
        one.recorded = one.recorded.max(*recorded);
        one.namespaces.known += 1;
        one.workloads.known += seen.known;
        one.workloads.reviewed += seen.reviewed;
        match seen.reviewed {
            0 => one.silent.push(Silent { namespace: namespace.clone(), running: *running }),
            _ => one.namespaces.reviewed += 1,
        }
    }
    let mut clusters: Vec<OfCluster> = clusters.into_values().collect();
    clusters.iter_mut().for_each(|one| one.silent.sort_by(|one, other| one.namespace.cmp(&other.namespace)));
    clusters
}

/// Likewise.
pub fn kinds(evidence: &Evidence, since: Timestamp) -> Kinds {
    let mut kinds: BTreeMap<&str, Seen> = BTreeMap::new();
    for known in &evidence.known {
        let seen = kinds.entry(&known.workload.kind).or_default();
        seen.known += 1;
        seen.reviewed += u64::from(known.reviewed_at.is_some_and(|at| at >= since));
    }
    let mut kinds: Kinds = kinds.into_iter().map(|(kind, seen)| (kind.to_owned(), seen)).collect();
    kinds.sort_by_key(|(_, seen)| std::cmp::Reverse(seen.unseen()));
    kinds
}

/// How long the gaps of the cluster are together within the span, where they overlap once.
fn missing(cluster: &str, gaps: &[Gap], (since, until): (Timestamp, Timestamp)) -> i64 {
    let of_it = gaps.iter().filter(|gap| gap.cluster.as_deref().is_none_or(|own| own == cluster));
    let mut spans: Vec<(i64, i64)> = of_it
        .map(|gap| (gap.from.0.max(since.0), gap.to.map_or(until.0, |to| to.0.min(until.0))))
        .filter(|(from, to)| from < to)
        .collect();
    spans.sort_unstable();
    let (mut missing, mut covered) = (0, i64::MIN);
    for (from, to) in spans {
        missing += (to - from.max(covered)).max(0);
        covered = covered.max(to);
    }
    missing
}

// === impl Seen ===

impl Seen {
    pub fn unseen(&self) -> u64 {
        self.known - self.reviewed
    }
}

// === impl OfCluster ===

impl OfCluster {
    fn new(cluster: &str, gaps: &[Gap], span: (Timestamp, Timestamp)) -> Self {
        Self {
            cluster: cluster.to_owned(),
            recorded: None,
            namespaces: Seen::default(),
            workloads: Seen::default(),
            silent: Vec::new(),
            missing: missing(cluster, gaps, span),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::readiness::evidence::{Known, Running};
    use crate::review::clock::DecisionId;
    use crate::review::workload::Workload;

    fn gap(cluster: Option<&str>, from: i64, to: Option<i64>) -> Gap {
        Gap {
            id: DecisionId::at(Timestamp(from.max(0))),
            cluster: cluster.map(str::to_owned),
            from: Timestamp(from),
            to: to.map(Timestamp),
            count: None,
            reason: "a test".to_owned(),
        }
    }

    #[test]
    fn gaps_that_overlap_are_missing_once() {
        let gaps =
            [gap(None, 0, Some(30)), gap(Some("prod"), 20, Some(50)), gap(Some("lab"), 0, None), gap(None, 90, None)];
        assert_eq!(missing("prod", &gaps, (Timestamp(10), Timestamp(100))), 50);
        assert_eq!(missing("lab", &gaps, (Timestamp(10), Timestamp(100))), 90);
        assert_eq!(missing("prod", &[], (Timestamp(10), Timestamp(100))), 0);
    }

    #[test]
    fn what_runs_and_was_not_reviewed_is_unseen() {
        let place =
            |namespace: &str| Place { cluster: "prod".to_owned(), namespace: namespace.to_owned(), recorded: None };
        let running = || Some(Arc::new(Running { at: Timestamp(5), images: Vec::new(), said: Vec::new() }));
        let known = |place, kind: &str, reviewed: Option<i64>, running| Known {
            place,
            workload: Workload { kind: kind.to_owned(), name: kind.to_owned() },
            id: None,
            reviewed_at: reviewed.map(Timestamp),
            running,
        };
        let evidence = Evidence {
            // Nothing is known of the last one, which may be gone.
            places: vec![place("shop"), place("blog"), place("gone")],
            known: vec![
                known(0, "Deployment", Some(50), running()),
                known(0, "Job", Some(9), None),
                known(1, "Deployment", None, running()),
            ],
            ..Evidence::default()
        };
        let found = clusters(&evidence, &[], (Timestamp(10), Timestamp(100))).remove(0);
        assert_eq!(found.namespaces, Seen { reviewed: 1, known: 2 });
        assert_eq!(found.workloads, Seen { reviewed: 1, known: 3 });
        assert_eq!(found.silent, [Silent { namespace: "blog".to_owned(), running: 1 }]);
        let of = |kind: &str, reviewed, known| (kind.to_owned(), Seen { reviewed, known });
        assert_eq!(kinds(&evidence, Timestamp(10)), [of("Deployment", 1, 2), of("Job", 0, 1)]);
    }
}
