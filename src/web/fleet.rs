//! What is known of each cluster: its last review, who serves it, what is missing of it, what is ready in it.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::Live;
use super::completeness::{Behind, Lag};
use super::gaps;
use super::readiness::{Overall, Question};
use crate::policy::exemptions::Exemptions;
use crate::policy::readiness::Asked;
use crate::policy::readiness::census::InNamespace;
use crate::policy::readiness::evidence::Place;
use crate::policy::readiness::state::Gate;
use crate::policy::readiness::tally::{Gates, Tally};
use crate::review::clock::Timestamp;
use crate::review::decision::{Gap, Protocol, UNDECLARED};
use crate::review::said::CertificateEnd;
use crate::store::fleet::Replica;
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
    /// By place, the heaviest word of any rule. `None`: no workload of it is known.
    gates: Vec<Option<Gate>>,
}

#[derive(Debug)]
pub struct Cluster {
    pub name: String,
    /// Within the window of readiness; dry runs are none.
    pub last_review: Option<Timestamp>,
    pub namespaces: Gates,
    /// Of [`Fleet::gaps`]; those of every cluster, too.
    pub gaps: u64,
    /// `None`: not for whoever asks.
    pub served: Option<Served>,
}

/// What replicas say of a cluster.
#[derive(Debug, Default)]
pub struct Served {
    /// Ids of those that serve it, the one that was heard of last first.
    pub replicas: Vec<Uuid>,
    /// Of them, those that were not heard of lately.
    pub silent: usize,
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
        let (gaps, gates) = (gaps::joined(&gaps, live, range, cluster), gates(&overall));
        let mut fleet = Self { overall, clusters: Vec::new(), replicas, gaps, gates };
        fleet.clusters = fleet.told(fleet.names(names, cluster), question, live);
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

    fn told(&self, names: Vec<String>, question: &Question, live: &Live) -> Vec<Cluster> {
        let gates = self.gates.iter().enumerate().filter_map(|(place, gate)| Some((place, (*gate)?)));
        let namespaces = self.counted(gates);
        let mut last: HashMap<&str, Timestamp> = HashMap::new();
        let reviewed = self.overall.evidence.known.iter().filter_map(|known| Some((known.place, known.reviewed_at?)));
        for (place, at) in reviewed {
            let last = last.entry(self.cluster_of(place)).or_insert(at);
            *last = at.max(*last);
        }
        let served = |name: &str, replicas: &[Replica]| {
            Served::of(name, replicas, live, &question.revision.exemptions, question.now)
        };
        let cluster = |name: String| Cluster {
            last_review: last.get(name.as_str()).copied(),
            namespaces: namespaces.get(name.as_str()).copied().unwrap_or_default(),
            gaps: self.gaps.iter().filter(|gap| gap.cluster.as_ref().is_none_or(|of| *of == name)).count() as u64,
            served: self.replicas.as_ref().map(|replicas| served(&name, replicas)),
            name,
        };
        names.into_iter().map(cluster).collect()
    }

    fn cluster_of(&self, place: usize) -> &str {
        &self.overall.evidence.places[place].cluster
    }

    /// By cluster; once for all of them, of which there may be many.
    fn counted(&self, gates: impl Iterator<Item = (usize, Gate)>) -> BTreeMap<&str, Gates> {
        let mut counted: BTreeMap<&str, Gates> = BTreeMap::new();
        // Neighbours mostly are of one.
        let mut last = ("", Gates::default());
        for (place, gate) in gates {
            let cluster = self.cluster_of(place);
            if cluster != last.0 {
                let (name, gates) = std::mem::replace(&mut last, (cluster, Gates::default()));
                counted.entry(name).or_default().join(gates);
            }
            last.1.add(gate);
        }
        counted.entry(last.0).or_default().join(last.1);
        counted
    }

    /// Of one rule, by cluster.
    pub fn of_rule(&self, tally: &Tally) -> BTreeMap<&str, Gates> {
        self.counted(tally.namespaces().map(|one| (one.place, one.state.gate())))
    }

    /// The namespaces of a cluster that a gate takes so, in the order of their names: how many, and `most` of them from
    /// `after` on.
    pub fn standings(&self, cluster: &str, gate: Gate, (after, most): (usize, usize)) -> (usize, Vec<Standing<'_>>) {
        let places = &self.overall.evidence.places;
        let is_so = |place: &usize| self.gates[*place] == Some(gate) && self.cluster_of(*place) == cluster;
        let mut so: Vec<usize> = (0..self.gates.len()).filter(is_so).collect();
        so.sort_by_key(|place| &places[*place].namespace);
        let shown = || so.iter().skip(after).take(most);
        let rows: HashMap<usize, usize> = shown().enumerate().map(|(row, place)| (*place, row)).collect();
        let mut standings: Vec<Standing<'_>> =
            shown().map(|place| Standing { place: &places[*place], rules: Vec::new() }).collect();
        for (asked, tally) in &self.overall.rules {
            for one in tally.namespaces().filter(|one| one.state.gate() == gate) {
                if let Some(row) = rows.get(&one.place) {
                    standings[*row].rules.push((asked, one));
                }
            }
        }
        (so.len(), standings)
    }
}

fn gates(overall: &Overall) -> Vec<Option<Gate>> {
    let mut gates = vec![None; overall.evidence.places.len()];
    for one in overall.rules.iter().flat_map(|(_, tally)| tally.namespaces()) {
        gates[one.place] = gates[one.place].max(Some(one.state.gate()));
    }
    gates
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
        let is_silent = |replica: &&&Replica| {
            let behind = &live.completeness.behind;
            let own = behind.iter().find(|behind| behind.standing.replica == replica.standing.replica);
            own.is_some_and(|behind| behind.lag == Lag::Silent)
        };
        let behind =
            live.completeness.behind.iter().find(|behind| behind.standing.clusters.iter().any(|own| own == cluster));
        let of_certificate = running.iter().filter_map(|replica| replica.next_end()).min().map(NextEnd::of_certificate);
        let of_exemption = exemptions
            .next_end(cluster, now)
            .map(|(at, ticket)| NextEnd { at, what: Ending::Exemption(ticket.map(str::to_owned)) });
        Self {
            replicas: running.iter().map(|replica| replica.standing.replica).collect(),
            silent: running.iter().filter(is_silent).count(),
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

    /// Nobody serves it, or nobody of those was heard of lately.
    pub fn is_silent(&self) -> bool {
        self.silent == self.replicas.len()
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

#[cfg(test)]
mod tests;
