//! What is known of each cluster: its last review, who serves it, what is missing of it, what is ready in it.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::Live;
use super::completeness::{Behind, Lag};
use super::gaps;
use super::readiness::{Overall, Question};
use crate::policy::exemptions::Exemptions;
use crate::policy::readiness::Asked;
use crate::policy::readiness::census::{Census, InNamespace};
use crate::policy::readiness::evidence::{Evidence, Place};
use crate::policy::readiness::state::Gate;
use crate::review::clock::Timestamp;
use crate::review::decision::{Gap, Protocol, UNDECLARED};
use crate::store::fleet::{CertificateEnd, Replica};
use crate::store::read::Range;
use crate::store::{Store, StoreError};

#[derive(Debug)]
pub struct Fleet {
    pub overall: Overall,
    /// In alphabetical order.
    pub clusters: Vec<Cluster>,
    /// Those that run, or may: the one that was heard of last first. `None`: not for whoever asks.
    pub replicas: Option<Vec<Replica>>,
    pub gaps: Vec<Gap>,
}

#[derive(Debug)]
pub struct Cluster {
    pub name: String,
    /// Within the window of readiness; dry runs are none.
    pub last_review: Option<Timestamp>,
    pub namespaces: Counted,
    /// In [`Fleet::gaps`]; those of every cluster, too.
    pub gaps: Vec<usize>,
    /// `None`: not for whoever asks.
    pub served: Option<Served>,
}

/// Namespaces of which a workload is known, by what a gate makes of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    pub ready: u64,
    pub not: u64,
    pub unknown: u64,
}

/// What replicas say of a cluster.
#[derive(Debug, Default)]
pub struct Served {
    /// Ids of those that serve it, the one that was heard of last first.
    pub replicas: Vec<Uuid>,
    /// That it was seen to ask by, by a replica since its start.
    pub protocols: Vec<Protocol>,
    pub unproven: u64,
    /// The one of them whose decisions may be missing that is furthest behind.
    pub behind: Option<Behind>,
    pub next_end: Option<NextEnd>,
}

/// What ends next that somebody has to see to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextEnd {
    pub at: Timestamp,
    pub what: Ending,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Role and name.
    Certificate(String, String),
    /// Its ticket.
    Exemption(Option<String>),
}

/// The namespaces of one cluster that are so, by every rule.
#[derive(Debug)]
pub struct Standing<'a> {
    pub place: &'a Place,
    /// Of the rules, those that make it so.
    pub rules: Vec<(&'a Asked, &'a InNamespace)>,
}

/// In the order in which they are told.
const PROTOCOLS: [Protocol; 2] = [Protocol::AdmissionReview, Protocol::ImageReview];

// === impl Fleet ===

impl Fleet {
    pub async fn of(store: &Store, question: &Question, live: &Live) -> Result<Self, StoreError> {
        let range = Range { since: Some(question.since()), until: None };
        let cluster = question.cluster.as_deref();
        let (overall, names, gaps, replicas) = tokio::try_join!(
            question.overall(store),
            store.clusters(&question.reach),
            store.gaps(range, cluster, &question.reach),
            replicas(store, question)
        )?;
        let gaps = gaps::joined(&gaps, live, range, cluster);
        let mut fleet = Self { overall, clusters: Vec::new(), replicas, gaps };
        fleet.clusters =
            fleet.names(names, cluster).into_iter().map(|name| fleet.cluster(name, question, live)).collect();
        Ok(fleet)
    }

    /// Those that reviews named, and those that are served.
    fn names(&self, stored: Vec<String>, asked: Option<&str>) -> Vec<String> {
        let served = self.replicas.iter().flatten().filter(|replica| !replica.has_stopped);
        let mut names: Vec<String> =
            stored.into_iter().chain(served.flat_map(|replica| replica.standing.clusters.clone())).collect();
        names.retain(|name| name != UNDECLARED && asked.is_none_or(|asked| name == asked));
        names.sort();
        names.dedup();
        names
    }

    fn cluster(&self, name: String, question: &Question, live: &Live) -> Cluster {
        let Evidence { places, known, .. } = &self.overall.evidence;
        let own = known.iter().filter(|known| places[known.place].cluster == name);
        let is_of_it = |gap: &Gap| gap.cluster.as_deref().is_none_or(|of| of == name);
        let gaps = self.gaps.iter().enumerate().filter(|(_, gap)| is_of_it(gap)).map(|(at, _)| at);
        let exemptions = &question.revision.exemptions;
        Cluster {
            last_review: own.filter_map(|known| known.reviewed_at).max(),
            namespaces: self.counted(&name),
            gaps: gaps.collect(),
            served: self.replicas.as_ref().map(|replicas| Served::of(&name, replicas, live, exemptions, question.now)),
            name,
        }
    }

    /// By place, the heaviest word of any rule.
    fn gates(&self, cluster: &str) -> BTreeMap<usize, Gate> {
        let mut gates: BTreeMap<usize, Gate> = BTreeMap::new();
        for (_, census) in &self.overall.rules {
            for one in self.of_cluster(census, cluster) {
                let gate = gates.entry(one.place).or_insert(Gate::Ready);
                *gate = one.state.gate().max(*gate);
            }
        }
        gates
    }

    fn counted(&self, cluster: &str) -> Counted {
        Counted::of(self.gates(cluster).into_values())
    }

    fn of_cluster<'a>(&'a self, census: &'a Census, cluster: &str) -> impl Iterator<Item = &'a InNamespace> {
        let places = &self.overall.evidence.places;
        census.namespaces.iter().filter(move |one| places[one.place].cluster == cluster)
    }

    /// Of one rule.
    pub fn of_rule(&self, census: &Census, cluster: &str) -> Counted {
        Counted::of(self.of_cluster(census, cluster).map(|one| one.state.gate()))
    }

    /// The namespaces of a cluster that a gate takes so, in the order of their names.
    pub fn standings(&self, cluster: &str, gate: Gate) -> Vec<Standing<'_>> {
        let gates = self.gates(cluster);
        let so = gates.iter().filter(|(_, own)| **own == gate).map(|(place, _)| *place);
        let standing = |place: usize| {
            let is_so = |one: &&InNamespace| one.place == place && one.state.gate() == gate;
            let rules = self.overall.rules.iter();
            let rules = rules.filter_map(|(asked, census)| Some((asked, census.namespaces.iter().find(is_so)?)));
            Standing { place: &self.overall.evidence.places[place], rules: rules.collect() }
        };
        let mut standings: Vec<Standing<'_>> = so.map(standing).collect();
        standings.sort_by(|one, other| one.place.namespace.cmp(&other.place.namespace));
        standings
    }
}

/// Facts of all namespaces, for whoever sees them all.
async fn replicas(store: &Store, question: &Question) -> Result<Option<Vec<Replica>>, StoreError> {
    if !question.reach.is_everything() {
        return Ok(None);
    }
    store.replicas(question.now).await.map(Some)
}

// === impl Served ===

impl Served {
    fn of(cluster: &str, replicas: &[Replica], live: &Live, exemptions: &Exemptions, now: Timestamp) -> Self {
        let serves = |replica: &&Replica| replica.standing.clusters.iter().any(|own| own == cluster);
        let own: Vec<&Replica> = replicas.iter().filter(serves).collect();
        let said: Vec<_> = own.iter().filter_map(|replica| replica.said.as_ref()?.clusters.get(cluster)).collect();
        // Whoever names a cluster that is not theirs is told of it, whichever replica they came to.
        let unproven =
            replicas.iter().filter_map(|replica| Some(replica.said.as_ref()?.clusters.get(cluster)?.unproven));
        let running: Vec<&Replica> = own.iter().copied().filter(|replica| !replica.has_stopped).collect();
        let behind =
            live.completeness.behind.iter().find(|behind| behind.standing.clusters.iter().any(|own| own == cluster));
        let of_certificate = running.iter().filter_map(|replica| replica.next_end()).min().map(NextEnd::of_certificate);
        let of_exemption = exemptions
            .next_end(cluster, now)
            .map(|(at, ticket)| NextEnd { at, what: Ending::Exemption(ticket.map(str::to_owned)) });
        Self {
            replicas: running.iter().map(|replica| replica.standing.replica).collect(),
            protocols: PROTOCOLS
                .into_iter()
                .filter(|one| said.iter().any(|said| said.protocols.contains(one)))
                .collect(),
            unproven: unproven.sum(),
            behind: behind.cloned(),
            next_end: of_certificate.into_iter().chain(of_exemption).min_by_key(|end| end.at),
        }
    }

    /// For how long (ms) what is decided may have been missing. `None`: nobody knows.
    pub fn lag(&self, now: Timestamp) -> Option<i64> {
        match &self.behind {
            None => Some(0),
            Some(behind) => behind.standing.stored_until.map(|until| now.0.saturating_sub(until.0).max(0)),
        }
    }

    /// Nobody serves it, or was heard of lately.
    pub fn is_silent(&self) -> bool {
        self.replicas.is_empty() || self.behind.as_ref().is_some_and(|behind| behind.lag == Lag::Silent)
    }
}

// === impl Replica ===

impl Replica {
    /// Of its certificates, the first to end.
    pub fn next_end(&self) -> Option<&CertificateEnd> {
        self.said.as_ref()?.certificates.iter().min()
    }

    /// That it was seen to be asked by, by any cluster.
    pub fn protocols(&self) -> Vec<Protocol> {
        let said = |one: &Protocol| {
            self.said.iter().flat_map(|said| said.clusters.values()).any(|seen| seen.protocols.contains(one))
        };
        PROTOCOLS.into_iter().filter(said).collect()
    }
}

// === impl NextEnd ===

impl NextEnd {
    fn of_certificate(CertificateEnd { end, role, name }: &CertificateEnd) -> Self {
        Self { at: *end, what: Ending::Certificate(role.clone(), name.clone()) }
    }
}

// === impl Counted ===

impl Counted {
    fn of(gates: impl Iterator<Item = Gate>) -> Self {
        gates.fold(Self::default(), |mut counted, gate| {
            match gate {
                Gate::Ready => counted.ready += 1,
                Gate::Not => counted.not += 1,
                Gate::Unknown => counted.unknown += 1,
            }
            counted
        })
    }

    pub fn all(self) -> u64 {
        self.ready + self.not + self.unknown
    }

    /// What a gate makes of all of them. `None`: there are none.
    pub fn gate(self) -> Option<Gate> {
        match self {
            Self { not: 1.., .. } => Some(Gate::Not),
            Self { unknown: 1.., .. } => Some(Gate::Unknown),
            Self { ready: 1.., .. } => Some(Gate::Ready),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_word_is_that_of_all() {
        let of = |ready, unknown, not| Counted { ready, unknown, not }.gate();
        assert_eq!([of(0, 0, 0), of(2, 0, 0)], [None, Some(Gate::Ready)]);
        assert_eq!([of(2, 1, 0), of(2, 1, 1)], [Some(Gate::Unknown), Some(Gate::Not)]);
    }
}
