//! Which mode each rule has in each namespace now, what gives it that, and what holds it back.

use super::Live;
use crate::policy::Revision;
use crate::policy::ceiling::{Ceiling, Ceilings};
use crate::policy::readiness::evidence::Place;
use crate::policy::readiness::{ANY, Asked};
use crate::policy::revision::{Origin, Policy};
use crate::policy::rollout::Place as In;
use crate::review::clock::Timestamp;
use crate::review::decision::Mode;
use crate::store::places::KnownRule;

/// A rule in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    pub mode: Mode,
    /// As it would be if nothing held it back.
    pub asked: Mode,
    pub origin: Origin,
    pub caps: Vec<Cap>,
}

/// What holds a mode back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cap {
    /// `system_max_mode`, in the system namespaces.
    System(Mode),
    /// A constraint says itself how far it goes.
    Constraint(Mode),
    /// A ceiling that was ordered.
    Ceiling { most: Mode, ticket: String, until: Timestamp },
}

/// A rule, and how many namespaces have it in which mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfRule {
    pub policy: String,
    pub rule: String,
    /// In audit, warn, enforce.
    pub counts: [u64; 3],
    /// Of them, those where it is held back.
    pub capped: u64,
}

/// All rules that are loaded.
#[derive(Debug)]
pub struct Modes<'a> {
    rules: Vec<(&'a Policy, String)>,
    ceilings: Ceilings,
    now: Timestamp,
}

pub const MODES: [Mode; 3] = [Mode::Audit, Mode::Warn, Mode::Enforce];

// === impl Modes ===

impl<'a> Modes<'a> {
    /// `violated`: what rules are called whose policy does not say it.
    pub fn of(live: &'a Live, violated: &[KnownRule], now: Timestamp) -> Self {
        let asked: Vec<Asked> = live.loaded.policies.iter().flat_map(|policy| Asked::all(policy, violated)).collect();
        Self::of_asked(&live.loaded, &asked, live.ceilings.iter().cloned(), now)
    }

    /// Of rules of a revision. `ceilings`: all that hold now.
    pub fn of_asked(
        revision: &'a Revision,
        asked: &[Asked],
        ceilings: impl IntoIterator<Item = Ceiling>,
        now: Timestamp,
    ) -> Self {
        let of = |asked: &Asked| {
            let policy = revision.policies.iter().find(|policy| policy.name == asked.policy)?;
            Some((policy, asked.rule.clone()))
        };
        Self { rules: asked.iter().filter_map(of).collect(), ceilings: Ceilings::of(ceilings), now }
    }

    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Of some rules, each over the places.
    pub fn counted(&self, from: usize, number: usize, places: &[&Place]) -> Vec<OfRule> {
        let of = |(policy, rule): &(&Policy, String)| {
            let (mut counts, mut capped) = ([0; 3], 0);
            for place in places {
                let found = self.in_place(policy, rule, place);
                counts[MODES.iter().position(|mode| *mode == found.mode).unwrap_or_default()] += 1;
                capped += u64::from(!found.caps.is_empty());
            }
            OfRule { policy: policy.name.clone(), rule: rule.clone(), counts, capped }
        };
        self.rules.iter().skip(from).take(number).map(of).collect()
    }

    /// Of one rule, in each of the places; `None`: no such rule is loaded.
    pub fn rule<'b>(&self, policy: &str, rule: &str, places: &[&'b Place]) -> Option<Vec<(&'b Place, Effective)>> {
        let (policy, rule) = self.rules.iter().find(|(own, name)| own.name == policy && name == rule)?;
        Some(places.iter().map(|place| (*place, self.in_place(policy, rule, place))).collect())
    }

    fn in_place(&self, policy: &Policy, rule: &str, place: &Place) -> Effective {
        let place = In { cluster: &place.cluster, namespace: &place.namespace };
        let (asked, origin) = match rule {
            ANY => {
                policy.rollout.common_mode(place).map_or((policy.mode, Origin::Policy), |mode| (mode, Origin::Rollout))
            }
            rule => policy.origin_of(rule, place),
        };
        let mut found = Effective { mode: asked, asked, origin, caps: Vec::new() };
        found.cap(policy.most_of(rule), Cap::Constraint);
        found.cap(policy.ceiling.over(place), Cap::System);
        if let Some(Ceiling { most, ticket, until, .. }) = self.ceilings.over(policy, place, self.now) {
            found.cap(*most, |most| Cap::Ceiling { most, ticket: ticket.clone(), until: *until });
        }
        found
    }
}

// === impl Effective ===

impl Effective {
    fn cap(&mut self, most: Mode, by: impl FnOnce(Mode) -> Cap) {
        if most < self.mode {
            self.mode = most;
            self.caps.push(by(most));
        }
    }
}

// === impl Cap ===

impl Cap {
    /// For a person; `at` tells a time.
    pub fn told(&self, at: impl Fn(Timestamp) -> String) -> String {
        match self {
            Self::System(most) => format!("at most {most} in the system namespaces"),
            Self::Constraint(most) => format!("at most {most} by its own enforcementAction"),
            Self::Ceiling { most, ticket, until } => {
                format!("at most {most} by the ceiling {ticket}, until {}", at(*until))
            }
        }
    }
}

impl Origin {
    /// What gives the mode, for a person and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Rollout => "rollout",
            Self::Policy => "policy",
        }
    }
}
