//! Workloads that lose what lets them through when an exemption ends, and those that have lost it.
//!
//! Of a workload its last word is asked, a review or an inventory, as in a census. Each violation of it that is let through
//! now is so until the last exemption ends that takes it in; one that is not may be of an exemption that is over.

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::exemptions::Exemptions;
use crate::policy::rollout::Place as In;
use crate::policy::settings::ExemptionSettings;
use crate::review::clock::Timestamp;
use crate::review::decision::Mode;

use super::Asked;
use super::census::{Faults, Ground, Judge};
use super::evidence::{Evidence, Fault, Known};

/// Of one exemption and one workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lapse {
    /// In [`Evidence::known`].
    pub known: usize,
    /// `None`: it is over.
    pub at: Option<Timestamp>,
    /// `policy/rule` of what was let through.
    pub rules: BTreeSet<String>,
    /// One of these is in `enforce` there: the next pod is rejected. Else it would be.
    pub breaks: bool,
}

/// Exemptions that are over: ended, or gone from the configuration. They take in what they took in, without an end.
#[derive(Debug, Default)]
pub struct Past(Exemptions);

/// By the exemption's id and the workload's place.
#[derive(Debug, Default)]
pub struct Lapses(BTreeMap<(String, usize), Lapse>);

// === impl Past ===

impl Past {
    /// The first that took in a violation is the one that is told.
    pub fn of(over: impl IntoIterator<Item = ExemptionSettings>) -> Self {
        let endless: Vec<ExemptionSettings> =
            over.into_iter().map(|one| ExemptionSettings { until: None, ..one }).collect();
        Self(Exemptions::of(&endless))
    }

    pub fn names(&self, policy: &str, rule: Option<&str>) -> bool {
        self.0.iter().any(|one| one.names(policy, rule))
    }
}

// === impl Lapses ===

impl Lapses {
    /// The keys of the decisions whose violations have to be read before those of a rule can be added.
    pub fn wanted(ground: Ground<'_>, past: &Past, asked: &Asked, evidence: &Evidence, rule: usize) -> Vec<i64> {
        let judge = Judge::of(ground, asked, evidence, rule);
        let wanted = |known: &Known| {
            let (last, is_open) = judge.review_against(known)?;
            let may = || {
                let offence = judge.offence(known, None);
                past.0.may_take_in(offence, ground.now) || ground.exemptions.may_take_in(offence, ground.now)
            };
            (!is_open || may()).then_some(last.key)
        };
        evidence.known.iter().filter_map(wanted).collect()
    }

    /// `rule` is the place of what is asked in the evidence; `faults` are of the decisions that are wanted.
    pub fn add(
        &mut self,
        (ground, past): (Ground<'_>, &Past),
        asked: &Asked,
        evidence: &Evidence,
        rule: usize,
        faults: &Faults,
    ) {
        let judge = Judge::of(ground, asked, evidence, rule);
        for (at, known) in evidence.known.iter().enumerate() {
            for fault in judge.said(known, faults) {
                let mode = mode(&judge, known, fault);
                // Nothing lets through what such a webhook rejects, and so nothing ends.
                if mode == Mode::Enforce && !asked.may_be_loosened {
                    continue;
                }
                let offence = judge.offence(known, Some(fault));
                let lost = if ground.exemptions.find(offence, ground.now).is_some() {
                    ground.exemptions.last(offence, ground.now).map(|last| (&last.exemption.id, Some(last.until)))
                } else {
                    past.0.find(offence, ground.now).map(|over| (&over.id, None))
                };
                if let Some((id, until)) = lost {
                    self.note(
                        id,
                        Lapse {
                            known: at,
                            at: until,
                            rules: BTreeSet::from([format!("{}/{}", asked.policy, fault.rule)]),
                            breaks: mode == Mode::Enforce,
                        },
                    );
                }
            }
        }
    }

    fn note(&mut self, id: &str, lapse: Lapse) {
        match self.0.entry((id.to_owned(), lapse.known)) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(lapse);
            }
            std::collections::btree_map::Entry::Occupied(known) => {
                let known = known.into_mut();
                known.rules.extend(lapse.rules);
                known.breaks |= lapse.breaks;
            }
        }
    }

    /// Those of one exemption.
    pub fn of(&self, id: &str) -> impl Iterator<Item = &Lapse> {
        let from = (id.to_owned(), 0);
        self.0.range(from..).take_while(move |((own, _), _)| own == id).map(|(_, lapse)| lapse)
    }

    /// The ids of exemptions that some workload loses or has lost.
    pub fn ids(&self) -> BTreeSet<&str> {
        self.0.keys().map(|(id, _)| id.as_str()).collect()
    }
}

fn mode(judge: &Judge<'_>, known: &Known, fault: &Fault) -> Mode {
    let place = &judge.places[known.place];
    judge.ground.modes(&fault.rule, In { cluster: &place.cluster, namespace: &place.namespace }).0
}
