//! A switch for the night: what a person orders that no mode goes over, for a time.
//!
//! It changes what comes of verdicts, never the verdicts. Nothing in it depends on the policies that are loaded, so that
//! it holds over a reload as it holds over a restart.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::Mode;
use crate::review::held_back::HeldBack;

use super::glob::{Glob, Subject};
use super::revision::{Policy, Revision};
use super::rollout::Place;

/// One that was ordered. Nothing of it changes but that it is lifted, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ceiling {
    pub id: DecisionId,
    /// No mode is heavier.
    pub most: Mode,
    /// `None`: every one.
    pub policy: Option<String>,
    /// A glob; `None`: every one, and objects that are in none.
    pub namespace: Option<String>,
    /// Webhooks that are not overridable, too.
    pub include_webhooks: bool,
    pub ticket: String,
    pub reason: Option<String>,
    /// Who ordered it.
    pub by: String,
    pub from: Timestamp,
    /// From then on it no longer holds.
    pub until: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted: Option<Lift>,
}

/// The early end of a ceiling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lift {
    pub at: Timestamp,
    pub by: String,
}

/// Those that hold, to be asked for each review. One that has ended meanwhile holds nothing back.
#[derive(Debug, Default)]
pub struct Ceilings {
    /// The lowest first; of these, the one that ends last.
    ordered: Vec<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    ceiling: Ceiling,
    namespace: Option<Glob>,
}

/// Globs that leave out no namespace.
const EVERYWHERE: [&str; 2] = ["*", "**"];

// === impl Ceiling ===

impl Ceiling {
    /// The clocks of replicas differ: one that was ordered a moment ahead of this clock holds already.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.lifted.is_none() && now < self.until
    }

    /// When it ended, or is to.
    pub fn end(&self) -> Timestamp {
        self.lifted.as_ref().map_or(self.until, |lift| lift.at.min(self.until))
    }

    /// What a verdict that it holds back keeps of it.
    pub fn record(&self) -> HeldBack {
        let (ticket, by) = (self.ticket.clone(), self.by.clone());
        HeldBack { most: self.most, ticket, by, until: self.until }
    }

    /// Whether it is over a policy where its namespaces are.
    pub fn names(&self, policy: &Policy) -> bool {
        self.policy.as_ref().is_none_or(|name| *name == policy.name)
            && (self.include_webhooks || policy.may_be_loosened())
    }

    /// Whether a policy can reject nowhere while it is in force.
    pub fn holds_everywhere(&self, policy: &Policy) -> bool {
        let is_everywhere = self.namespace.as_deref().is_none_or(|glob| EVERYWHERE.contains(&glob));
        self.most < Mode::Enforce && is_everywhere && self.names(policy)
    }

    /// Why it holds nothing back where `policies` are all that there are, for a person. `None`: it may.
    pub fn idle<'a>(&self, mut policies: impl Iterator<Item = &'a str>) -> Option<String> {
        let name = self.policy.as_deref()?;
        (!policies.any(|policy| policy == name)).then(|| format!("no policy is called {name} now: it caps nothing"))
    }

    /// Its line, and why it holds nothing back where that is so.
    pub fn told_among<'a>(&self, policies: impl Iterator<Item = &'a str>) -> String {
        self.idle(policies).map_or_else(|| self.to_string(), |idle| format!("{self}; {idle}"))
    }

    /// For a person: `at most audit for policy images in team-*`.
    pub fn scope(&self) -> String {
        let policy = match (&self.policy, self.include_webhooks) {
            (Some(name), _) => format!("policy {name}"),
            (None, false) => "every local policy".to_owned(),
            (None, true) => "every policy, webhooks too".to_owned(),
        };
        let place = self.namespace.as_ref().map(|glob| format!(", in {glob}")).unwrap_or_default();
        format!("at most {} for {policy}{place}", self.most)
    }
}

impl fmt::Display for Ceiling {
    /// One line: what, until when, who and why.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ceiling {}: {}, until {}, by {}", self.ticket, self.scope(), self.until, self.by)?;
        self.reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

// === impl Ceilings ===

impl Ceilings {
    pub fn of(ceilings: impl IntoIterator<Item = Ceiling>) -> Self {
        let compile = |ceiling: Ceiling| {
            let namespace = ceiling.namespace.as_ref().map(|pattern| Glob::new(pattern, Subject::Name));
            Compiled { ceiling, namespace }
        };
        let mut ordered: Vec<Compiled> = ceilings.into_iter().map(compile).collect();
        ordered.sort_by_key(|one| (one.ceiling.most, std::cmp::Reverse(one.ceiling.until), one.ceiling.id));
        Self { ordered }
    }

    /// Those that hold at `now`.
    pub fn in_force(&self, now: Timestamp) -> impl Iterator<Item = &Ceiling> {
        self.ordered.iter().map(|one| &one.ceiling).filter(move |ceiling| ceiling.is_in_force(now))
    }

    /// The lowest that is over a policy there.
    pub fn over(&self, policy: &Policy, place: Place<'_>, now: Timestamp) -> Option<&Ceiling> {
        let is_over = |one: &&Compiled| {
            one.ceiling.is_in_force(now)
                && one.namespace.as_ref().is_none_or(|glob| glob.matches(place.namespace))
                && one.ceiling.names(policy)
        };
        self.ordered.iter().find(is_over).map(|one| &one.ceiling)
    }

    /// Whether anything of the revision can reject anywhere at `now`.
    pub fn can_enforce(&self, revision: &Revision, now: Timestamp) -> bool {
        let is_held = |policy: &Policy| self.in_force(now).any(|ceiling| ceiling.holds_everywhere(policy));
        revision.policies.iter().any(|policy| policy.can_enforce() && !is_held(policy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::settings::{PolicySettings, SourceSettings, Speaks, StagingSettings, WebhookSettings, built_in};

    fn ceiling(most: Mode, until: i64) -> Ceiling {
        Ceiling {
            id: DecisionId::at(Timestamp(1)),
            most,
            policy: None,
            namespace: None,
            include_webhooks: false,
            ticket: format!("INC-{until}"),
            reason: None,
            by: "ana@desk".into(),
            from: Timestamp(1),
            until: Timestamp(until),
            lifted: None,
        }
    }

    /// `images` of rules, `gate` and `soft` of webhooks, all in enforce; `soft` is overridable.
    fn revision() -> Revision {
        let webhook = |name: &str, overridable| {
            let webhook = WebhookSettings {
                url: "http://127.0.0.1/".parse().expect("a URL"),
                speaks: Speaks::AdmissionReview,
                bridge: false,
                timeout: std::time::Duration::from_secs(5),
                ca: None,
                client_identity: None,
                token_file: None,
                max_in_flight: 64,
                overridable,
            };
            let source = SourceSettings::Webhook(webhook);
            PolicySettings { name: name.into(), mode: Mode::Enforce, source, ..built_in().remove(0) }
        };
        let rules = PolicySettings { mode: Mode::Enforce, ..built_in().remove(0) };
        let settings = [rules, webhook("gate", false), webhook("soft", true)];
        Revision::load(&settings, &StagingSettings::default()).expect("it loads")
    }

    fn over<'a>(ceilings: &'a Ceilings, policy: &Policy, namespace: &str, now: i64) -> Option<&'a str> {
        let place = Place { cluster: "prod", namespace };
        ceilings.over(policy, place, Timestamp(now)).map(|ceiling| ceiling.ticket.as_str())
    }

    #[test]
    fn the_lowest_of_those_that_hold_there_counts() {
        let revision = revision();
        let images = &revision.policies[0];
        let in_shop = Ceiling { namespace: Some("sh*".into()), ..ceiling(Mode::Audit, 20) };
        let of_another = Ceiling { policy: Some("other".into()), ..ceiling(Mode::Audit, 90) };
        let ceilings = Ceilings::of([ceiling(Mode::Warn, 30), in_shop, ceiling(Mode::Warn, 50), of_another]);
        assert_eq!(over(&ceilings, images, "shop", 19), Some("INC-20"));
        assert_eq!(over(&ceilings, images, "shop", 20), Some("INC-50"), "at its end it is over");
        assert_eq!(over(&ceilings, images, "blog", 19), Some("INC-50"), "the one that ends last");
        assert_eq!(over(&ceilings, images, "blog", 50), None);
        let lifted = Lift { at: Timestamp(5), by: "bo@desk".into() };
        let lifted = Ceiling { lifted: Some(lifted), ..ceiling(Mode::Audit, 90) };
        assert_eq!((lifted.end(), over(&Ceilings::of([lifted]), images, "shop", 4)), (Timestamp(5), None));
    }

    #[test]
    fn webhooks_are_left_alone_unless_they_or_the_ceiling_say_so() {
        let revision = revision();
        let [_, gate, soft] = &revision.policies[..] else { panic!("three") };
        let local = Ceilings::of([ceiling(Mode::Audit, 9)]);
        assert_eq!((over(&local, gate, "a", 1), over(&local, soft, "a", 1)), (None, Some("INC-9")));
        let all = Ceilings::of([Ceiling { include_webhooks: true, ..ceiling(Mode::Audit, 9) }]);
        assert_eq!(over(&all, gate, "a", 1), Some("INC-9"));
        assert!(local.can_enforce(&revision, Timestamp(1)), "the webhook can");
        assert!(!all.can_enforce(&revision, Timestamp(1)));
        assert!(all.can_enforce(&revision, Timestamp(9)), "it has ended");
        for (namespace, expected) in [("shop", true), ("*", false), ("**", false)] {
            let some = Ceiling { include_webhooks: true, namespace: Some(namespace.into()), ..ceiling(Mode::Warn, 9) };
            assert_eq!(Ceilings::of([some]).can_enforce(&revision, Timestamp(1)), expected, "{namespace}");
        }
    }

    #[test]
    fn it_is_told_in_one_line() {
        let all = Ceiling { reason: Some("the mirror is down".into()), ..ceiling(Mode::Audit, 0) };
        let told = "ceiling INC-0: at most audit for every local policy, until 1970-01-01T00:00:00.000Z, by ana@desk: \
                    the mirror is down";
        assert_eq!(all.to_string(), told);
        let one =
            Ceiling { policy: Some("gate".into()), namespace: Some("team-*".into()), include_webhooks: true, ..all };
        assert_eq!(one.scope(), "at most audit for policy gate, in team-*");
        let told = one.told_among(["gates", "images"].into_iter());
        assert_eq!(told, format!("{one}; no policy is called gate now: it caps nothing"));
        assert_eq!(one.told_among(["images", "gate"].into_iter()), one.to_string());
        assert_eq!(ceiling(Mode::Audit, 0).idle(std::iter::empty()), None, "it is of every policy");
    }
}
