//! Censuses of many rules over the same workloads.
//!
//! Rules whose evidence is of the same versions of a policy, and which have the same modes everywhere, share what becomes of
//! a workload that nothing stands against: that is found once for all of them, and of each rule only the workloads are
//! looked at that something stands against.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::policy::rollout::Place as In;
use crate::review::clock::Timestamp;
use crate::review::decision::Mode;

use super::Asked;
use super::census::{Fate, Faults, Ground, InNamespace, Judge};
use super::evidence::{Evidence, Place};
use super::state::{Counts, Gate};

/// What the census of one rule comes to.
#[derive(Debug, Clone)]
pub struct Tally {
    /// As though nothing stood against any workload, by place.
    common: Arc<Common>,
    /// Those in which something does, by place.
    own: Vec<InNamespace>,
    /// The workloads that would be rejected, by their places in [`Evidence::known`].
    pub rejected: Vec<usize>,
    pub totals: Totals,
}

/// Over all namespaces of a census.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    pub gates: Gates,
    pub counts: Counts,
    /// The last violation that no exemption let through.
    pub violated: Option<Timestamp>,
}

/// Namespaces of which a workload is known, by what a gate makes of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gates {
    pub ready: u64,
    pub not: u64,
    pub unknown: u64,
}

/// Takes tallies.
#[derive(Debug)]
pub struct Tallies<'a> {
    evidence: &'a Evidence,
    /// Known workloads by their numbers in the history.
    by_id: HashMap<i64, usize>,
    grounds: Vec<(Shared<'a>, Arc<Common>)>,
}

/// What rules have in common that share a [`Common`].
#[derive(Debug, PartialEq, Eq)]
struct Shared<'a> {
    policy: &'a str,
    versions: &'a BTreeSet<String>,
    may_be_loosened: bool,
    most: Mode,
    /// Of each place. `None`: those of every rule that no mode, stage or rollout is for.
    modes: Option<Vec<(Mode, Mode)>>,
}

#[derive(Debug)]
struct Common {
    namespaces: Vec<InNamespace>,
    /// Of each known workload.
    seen: Vec<bool>,
    /// Those of which an inventory has the last word, by the rules that it finds violated.
    by_inventory: HashMap<String, Vec<usize>>,
}

// === impl Tallies ===

impl<'a> Tallies<'a> {
    pub fn of(evidence: &'a Evidence) -> Self {
        let known = evidence.known.iter().enumerate();
        Self { evidence, by_id: known.filter_map(|(at, one)| Some((one.id?, at))).collect(), grounds: Vec::new() }
    }

    /// The keys of the decisions whose violations have to be read first, as
    /// [`Census::wanted`](super::census::Census::wanted) has them, in no order.
    pub fn wanted(&self, ground: Ground<'a>, asked: &'a Asked, rule: usize) -> Vec<i64> {
        let judge = Judge::of(ground, asked, self.evidence, rule);
        let against = judge.of_rule.against.keys().filter_map(|id| self.by_id.get(id));
        against.filter_map(|&at| judge.doubtful(&self.evidence.known[at])).map(|moment| moment.key).collect()
    }

    /// As [`Census::take`](super::census::Census::take).
    pub fn take(&mut self, ground: Ground<'a>, asked: &'a Asked, rule: usize, faults: &Faults) -> Tally {
        let judge = Judge::of(ground, asked, self.evidence, rule);
        let common = self.common(&judge);
        let against = judge.of_rule.against.keys().filter_map(|id| self.by_id.get(id));
        let recorded = common.by_inventory.iter().filter(|(rule, _)| asked.is_of(rule)).flat_map(|(_, known)| known);
        let doubtful: BTreeSet<usize> = against.chain(recorded).copied().collect();
        let (mut changed, mut rejected) = (BTreeMap::<usize, Counts>::new(), Vec::new());
        for at in doubtful {
            let known = &self.evidence.known[at];
            let counts = changed.entry(known.place).or_default();
            match judge.standing(known, faults).fate {
                Fate::Clear => {}
                Fate::Exempted => counts.exempted += 1,
                Fate::Rejected => {
                    counts.rejected += 1;
                    rejected.push(at);
                }
            }
        }
        for place in judge.of_rule.last_violation.keys() {
            changed.entry(*place).or_default();
        }
        let own = changed.into_iter().filter_map(|(place, counts)| {
            let at = common.namespaces.binary_search_by_key(&place, |one| one.place).ok()?;
            let Counts { known, seen, .. } = common.namespaces[at].counts;
            Some(judge.namespace(place, Counts { known, seen, ..counts }))
        });
        let mut tally = Tally { own: own.collect(), common: Arc::clone(&common), rejected, totals: Totals::default() };
        tally.totals = Totals::of(tally.namespaces());
        tally
    }

    fn common(&mut self, judge: &Judge<'a>) -> Arc<Common> {
        let Ground { policy, .. } = judge.ground;
        let rule = &judge.asked.rule;
        let mode = |Place { cluster, namespace, .. }: &Place| judge.ground.modes(rule, In { cluster, namespace });
        let shared = Shared {
            policy: &policy.name,
            versions: &judge.of_rule.versions,
            may_be_loosened: judge.asked.may_be_loosened,
            most: policy.most_of(rule),
            modes: policy.stages_rules(rule).then(|| judge.places.iter().map(mode).collect()),
        };
        if let Some((_, common)) = self.grounds.iter().find(|(own, _)| *own == shared) {
            return Arc::clone(common);
        }
        let common = Arc::new(Common::of(judge, self.evidence));
        self.grounds.push((shared, Arc::clone(&common)));
        common
    }
}

// === impl Common ===

impl Common {
    fn of(judge: &Judge<'_>, evidence: &Evidence) -> Self {
        let mut counted: BTreeMap<usize, Counts> = BTreeMap::new();
        let mut seen = Vec::with_capacity(evidence.known.len());
        let mut by_inventory: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, known) in evidence.known.iter().enumerate() {
            let is_seen = judge.has_seen(known);
            counted.entry(known.place).or_default().add(Counts {
                known: 1,
                seen: u64::from(is_seen),
                ..Counts::default()
            });
            seen.push(is_seen);
            for rule in judge.violated_as_recorded(known) {
                by_inventory.entry(rule.to_owned()).or_default().push(at);
            }
        }
        let namespaces = counted.into_iter().map(|(place, counts)| judge.violated(place, counts, None)).collect();
        Self { namespaces, seen, by_inventory }
    }
}

// === impl Tally ===

impl Tally {
    #[cfg(test)]
    pub fn among(namespaces: Vec<InNamespace>) -> Self {
        let totals = Totals::of(namespaces.iter());
        let common = Common { namespaces, seen: Vec::new(), by_inventory: HashMap::new() };
        Self { common: Arc::new(common), own: Vec::new(), rejected: Vec::new(), totals }
    }

    /// By place.
    pub fn namespaces(&self) -> impl Iterator<Item = &InNamespace> {
        let mut own = self.own.iter().peekable();
        self.common.namespaces.iter().map(move |one| own.next_if(|own| own.place == one.place).unwrap_or(one))
    }

    /// Whether a known workload was reviewed by the rule as it is now, within the window.
    pub fn has_seen(&self, known: usize) -> bool {
        self.common.seen[known]
    }
}

// === impl Totals ===

impl Totals {
    pub fn of<'a>(namespaces: impl Iterator<Item = &'a InNamespace>) -> Self {
        let mut totals = Self::default();
        for one in namespaces {
            totals.gates.add(one.state.gate());
            totals.counts.add(one.counts);
            totals.violated = totals.violated.max(one.violated);
        }
        totals
    }
}

// === impl Gates ===

impl Gates {
    pub fn add(&mut self, gate: Gate) {
        match gate {
            Gate::Ready => self.ready += 1,
            Gate::Not => self.not += 1,
            Gate::Unknown => self.unknown += 1,
        }
    }

    pub fn join(&mut self, other: Self) {
        self.ready += other.ready;
        self.not += other.not;
        self.unknown += other.unknown;
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
