//! What becomes of each known workload under a rule, and what that makes of its namespace.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::policy::exemptions::{Exemptions, Offence};
use crate::policy::revision::Policy;
use crate::policy::rollout::Place as In;
use crate::review::clock::Timestamp;
use crate::review::decision::Mode;

use super::evidence::{Evidence, Fault, Known, Moment, OfRule, Place};
use super::state::{Counts, State};
use super::tally::Totals;
use super::{ANY, Asked, ReadinessSettings};

/// What a census is taken by.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    pub policy: &'a Policy,
    pub exemptions: &'a Exemptions,
    pub settings: &'a ReadinessSettings,
    pub now: Timestamp,
}

/// Of one rule.
#[derive(Debug, Clone)]
pub struct Census {
    /// In the order of [`Evidence::known`].
    pub standings: Vec<Standing>,
    /// Those of which a workload is known, the heaviest state first, then by cluster and name.
    pub namespaces: Vec<InNamespace>,
    pub totals: Totals,
}

/// How one workload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Reviewed within the window by the rule as it is now, with an image to judge.
    pub seen: bool,
    pub fate: Fate,
    /// What says so; `None`: nothing does.
    pub word: Option<Word>,
}

/// What becomes of its next pod, as far as this rule goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Clear,
    Exempted,
    Rejected,
}

/// The last word on a workload by the rule as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    Review(Moment),
    Inventory(Timestamp),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InNamespace {
    /// In [`Evidence::places`].
    pub place: usize,
    pub counts: Counts,
    pub state: State,
    /// The last violation that no exemption let through.
    pub violated: Option<Timestamp>,
    /// Since the last violation, or else since it judges there.
    pub quiet_since: Option<Timestamp>,
    pub mode: Mode,
    /// The heaviest that a rollout can make it.
    pub most: Mode,
}

/// What decisions say, by their keys: of the rule's violations, standing ones included.
pub type Faults = HashMap<i64, Vec<Fault>>;

// === impl Ground ===

impl Ground<'_> {
    /// Before which a review is no evidence of what runs now.
    pub fn since(&self) -> Timestamp {
        let window = i64::try_from(self.settings.window.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.now.0.saturating_sub(window))
    }

    /// The one that a rule has there, and the most that it may have.
    pub(super) fn modes(&self, rule: &str, place: In<'_>) -> (Mode, Mode) {
        let mode = if rule == ANY { self.policy.mode_in(place) } else { self.policy.mode_of(rule, place) };
        (mode.min(self.policy.most_of(rule)), self.policy.most_of(rule).min(self.policy.ceiling.over(place)))
    }
}

// === impl Evidence ===

impl Evidence {
    /// The heaviest state first, then by cluster and name.
    pub fn heaviest_first(&self, one: &InNamespace, other: &InNamespace) -> Ordering {
        let key = |one: &InNamespace| {
            let Place { cluster, namespace, .. } = &self.places[one.place];
            (one.state.rank(), cluster, namespace)
        };
        key(one).cmp(&key(other))
    }
}

// === impl Census ===

impl Census {
    /// `rule` is the place of what is asked in the evidence. `faults` are of the decisions that
    /// [`wanted`](Self::wanted) names.
    pub fn take(ground: Ground<'_>, asked: &Asked, evidence: &Evidence, rule: usize, faults: &Faults) -> Self {
        let judge = Judge::of(ground, asked, evidence, rule);
        let standings: Vec<Standing> = evidence.known.iter().map(|known| judge.standing(known, faults)).collect();
        let mut counted: BTreeMap<usize, Counts> = BTreeMap::new();
        for (known, standing) in evidence.known.iter().zip(&standings) {
            counted.entry(known.place).or_default().add(standing.counts());
        }
        let mut namespaces: Vec<InNamespace> =
            counted.into_iter().map(|(place, counts)| judge.namespace(place, counts)).collect();
        namespaces.sort_by(|one, other| evidence.heaviest_first(one, other));
        let totals = Totals::of(namespaces.iter());
        Self { standings, namespaces, totals }
    }

    /// The keys of the decisions whose violations have to be read before a census can be taken: those that an exemption
    /// let through, which may have ended, and those that one may let through by now.
    pub fn wanted(ground: Ground<'_>, asked: &Asked, evidence: &Evidence, rule: usize) -> Vec<i64> {
        let judge = Judge::of(ground, asked, evidence, rule);
        let wanted = evidence.known.iter().filter_map(|known| judge.doubtful(known));
        wanted.map(|moment| moment.key).collect()
    }

    /// Of a namespace that is to be promoted: ready, not yet there, and in reach of a rollout.
    pub fn promoted(&self) -> impl Iterator<Item = &InNamespace> {
        self.namespaces.iter().filter(|one| {
            matches!(one.state, State::Ready { .. }) && one.mode < Mode::Enforce && one.most == Mode::Enforce
        })
    }

    /// The workloads that would be rejected, by their places in [`Evidence::known`].
    pub fn rejected(&self) -> impl Iterator<Item = usize> {
        let all = self.standings.iter().enumerate();
        all.filter(|(_, standing)| standing.fate == Fate::Rejected).map(|(at, _)| at)
    }
}

/// Of one rule.
pub(super) struct Judge<'a> {
    pub ground: Ground<'a>,
    pub asked: &'a Asked,
    pub of_rule: &'a OfRule,
    pub places: &'a [Place],
}

// === impl Judge ===

impl<'a> Judge<'a> {
    pub fn of(ground: Ground<'a>, asked: &'a Asked, evidence: &'a Evidence, rule: usize) -> Self {
        Self { ground, asked, of_rule: &evidence.rules[rule], places: &evidence.places }
    }

    /// What the last word on it finds violated, exempted or not; nothing where its decision is not among the `faults`.
    pub fn said(&self, known: &'a Known, faults: &'a Faults) -> Vec<&'a Fault> {
        let judged = self.judged(known);
        if let Some((_, of_running)) = self.of_inventory(known, judged) {
            return of_running.collect();
        }
        let last = judged.and_then(|judged| self.against(known, judged));
        last.and_then(|(last, _)| faults.get(&last.key)).into_iter().flatten().collect()
    }

    /// The review that has the last word on it, where that stands against it: its moment, and whether something does that
    /// was not exempted then.
    pub fn review_against(&self, known: &Known) -> Option<(Moment, bool)> {
        let judged = self.judged(known)?;
        if self.of_inventory(known, Some(judged)).is_some() {
            return None;
        }
        self.against(known, judged)
    }

    fn judged(&self, known: &Known) -> Option<Moment> {
        self.of_rule.judged.get(&known.id?).copied()
    }

    /// Whether it was reviewed by the rule as it is now, within the window.
    pub fn has_seen(&self, known: &Known) -> bool {
        self.judged(known).is_some_and(|judged| judged.at >= self.ground.since())
    }

    pub fn standing(&self, known: &Known, faults: &Faults) -> Standing {
        let judged = self.judged(known);
        let seen = judged.is_some_and(|judged| judged.at >= self.ground.since());
        if let Some((at, of_running)) = self.of_inventory(known, judged) {
            let fate = self.fate(known, of_running);
            return Standing { seen, fate, word: Some(Word::Inventory(at)) };
        }
        let Some(judged) = judged else { return Standing { seen, fate: Fate::Clear, word: None } };
        let fate = match self.against(known, judged) {
            None => Fate::Clear,
            Some((last, is_open)) => match faults.get(&last.key) {
                Some(faults) => self.fate(known, faults.iter()),
                None if is_open || !self.asked.may_be_loosened => Fate::Rejected,
                None => Fate::Exempted,
            },
        };
        Standing { seen, fate, word: Some(Word::Review(judged)) }
    }

    /// Where the last review stands against it: when, and whether something does that was not exempted then.
    fn against(&self, known: &Known, judged: Moment) -> Option<(Moment, bool)> {
        let against = self.of_rule.against.get(&known.id?)?;
        let is_last = |one: Option<Moment>| one.filter(|one| *one >= judged);
        let (open, exempted) = (is_last(against.open), is_last(against.exempted));
        Some((open.max(exempted)?, open.is_some()))
    }

    pub fn doubtful(&self, known: &Known) -> Option<Moment> {
        if !self.asked.may_be_loosened {
            return None;
        }
        let (last, is_open) = self.review_against(known)?;
        let is_named = || {
            let offence = self.offence(known, None);
            self.ground.exemptions.may_take_in(offence, self.ground.now)
        };
        (!is_open || is_named()).then_some(last)
    }

    /// What an inventory that is newer than the last review says, by the text of the rule as it is now.
    fn of_inventory<'b>(
        &self,
        known: &'b Known,
        judged: Option<Moment>,
    ) -> Option<(Timestamp, impl Iterator<Item = &'b Fault> + use<'a, 'b>)> {
        let (at, faults) = self.recorded(known, judged)?;
        let asked = self.asked;
        Some((at, faults.iter().filter(|fault| asked.is_of(&fault.rule))))
    }

    /// The same of every rule of the policy.
    fn recorded<'b>(&self, known: &'b Known, judged: Option<Moment>) -> Option<(Timestamp, &'b [Fault])> {
        let running = known.running.as_deref()?;
        if judged.is_some_and(|judged| judged.at >= running.at) {
            return None;
        }
        let is_of_it =
            |policy: &str, version: &str| policy == self.asked.policy && self.of_rule.versions.contains(version);
        let said = running.said.iter().find(|said| is_of_it(&said.policy, &said.version))?;
        Some((running.at, &said.violations))
    }

    /// The rules of the policy that an inventory which has the last word on it finds violated.
    pub fn violated_as_recorded<'b>(&self, known: &'b Known) -> BTreeSet<&'b str> {
        let recorded = self.recorded(known, self.judged(known));
        recorded.into_iter().flat_map(|(_, faults)| faults).map(|fault| fault.rule.as_str()).collect()
    }

    fn fate<'b>(&self, known: &Known, faults: impl Iterator<Item = &'b Fault>) -> Fate {
        let mut fate = Fate::Clear;
        for fault in faults {
            let exempted = self.asked.may_be_loosened
                && self.ground.exemptions.find(self.offence(known, Some(fault)), self.ground.now).is_some();
            if !exempted {
                return Fate::Rejected;
            }
            fate = Fate::Exempted;
        }
        fate
    }

    pub fn offence<'b>(&'b self, known: &'b Known, fault: Option<&'b Fault>) -> Offence<'b> {
        let Place { cluster, namespace, .. } = &self.places[known.place];
        Offence {
            policy: &self.asked.policy,
            rule: fault.map_or(self.asked.rule.as_str(), |fault| fault.rule.as_str()),
            place: In { cluster, namespace },
            workload: &known.workload,
            image: fault.and_then(|fault| fault.image.as_deref()),
            container: fault.and_then(|fault| fault.container.as_deref()),
        }
    }

    pub fn namespace(&self, place: usize, counts: Counts) -> InNamespace {
        self.violated(place, counts, self.of_rule.last_violation.get(&place).copied())
    }

    /// The same, `violated` last then.
    pub fn violated(&self, place: usize, counts: Counts, violated: Option<Timestamp>) -> InNamespace {
        let Place { cluster, namespace, recorded } = &self.places[place];
        let Ground { settings, now, .. } = self.ground;
        let since = self.of_rule.judging_since.get(&place).copied();
        let (mode, most) = self.ground.modes(&self.asked.rule, In { cluster, namespace });
        InNamespace {
            place,
            counts,
            state: State::of(counts, recorded.is_some(), (violated, since), settings, now),
            violated,
            quiet_since: violated.or(since),
            mode,
            most,
        }
    }
}

// === impl Standing ===

impl Standing {
    fn counts(&self) -> Counts {
        Counts {
            known: 1,
            seen: u64::from(self.seen),
            rejected: u64::from(self.fate == Fate::Rejected),
            exempted: u64::from(self.fate == Fate::Exempted),
        }
    }
}
