//! Which rules can be enforced where: a census of workloads, told in words.
//!
//! Counted are workloads, not requests: a controller tries a pod that was rejected again and again, and the API server's
//! cache hides repeats. Nothing here asks anybody: what is known comes as [`Evidence`](evidence::Evidence).

pub mod advice;
pub mod bound;
pub mod census;
pub mod cover;
pub mod evidence;
pub mod lapse;
pub mod state;
pub mod tally;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::policy::revision::{Policy, Source};

/// What has to be so before a rule is called ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadinessSettings {
    /// Each workload was reviewed within it.
    pub window: Duration,
    /// The rule was violated by none for so long.
    pub quiet: Duration,
}

/// A rule of a policy that is loaded, and by what the evidence of it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub policy: String,
    /// [`ANY`] of a policy of which nobody knows yet what its rules are called.
    pub rule: String,
    /// Of the policy's text; empty of a webhook, which has none.
    pub version: String,
    /// The hash of the rule's own text, where it has one: versions of the policy under which it was the same are evidence.
    pub text: Option<String>,
    /// Exemptions hold for it in `enforce` too.
    pub may_be_loosened: bool,
    /// It has a mode or a rollout of its own, and its policy's rollout says nothing of it.
    pub is_staged: bool,
}

/// In place of a rule's name: any of its policy's.
pub const ANY: &str = "*";

// === impl ReadinessSettings ===

impl ReadinessSettings {
    const DAY: Duration = Duration::from_secs(86_400);
    pub const DEFAULT: Self = Self { window: Self::DAY.saturating_mul(30), quiet: Self::DAY.saturating_mul(7) };
}

// === impl Asked ===

impl Asked {
    /// All rules of a policy. What Rego calls its own is known only of `violated`, policy and rule.
    pub fn all(policy: &Policy, violated: &[(String, String)]) -> Vec<Self> {
        let of = |rule: &str| Self::of(policy, rule);
        match &policy.source {
            Source::Rules(rules) => rules.rules().iter().map(|rule| of(rule.id())).collect(),
            Source::Gatekeeper(gatekeeper) => gatekeeper.rules().map(|rule| of(&rule.rule)).collect(),
            Source::Webhook(_) => vec![of(&policy.name)],
            Source::Rego(_) => {
                let own = violated.iter().filter(|(name, _)| *name == policy.name);
                let known: Vec<Self> = own.map(|(_, rule)| of(rule)).collect();
                if known.is_empty() { vec![of(ANY)] } else { known }
            }
        }
    }

    fn of(policy: &Policy, rule: &str) -> Self {
        let text = match &policy.source {
            Source::Rules(rules) => rules.text_of(rule).map(str::to_owned),
            Source::Rego(_) | Source::Gatekeeper(_) | Source::Webhook(_) => None,
        };
        let version = policy.version().unwrap_or_default().to_owned();
        let (may_be_loosened, is_staged) = (policy.may_be_loosened(), policy.staged(rule).is_some());
        Self { policy: policy.name.clone(), rule: rule.to_owned(), version, text, may_be_loosened, is_staged }
    }

    /// Whether a violation of its policy is one of it.
    pub fn is_of(&self, rule: &str) -> bool {
        self.rule == ANY || self.rule == rule
    }

    /// `policy/rule`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.policy, self.rule)
    }

    /// What the rollout that says its mode is a field of: `rule images/pinned`, or else `policy images`.
    pub fn rollout_of(&self) -> String {
        if self.is_staged { format!("rule {}", self.name()) } else { format!("policy {}", self.policy) }
    }

    /// Nobody here sees its text: all that it said is evidence.
    pub fn is_of_webhook(&self) -> bool {
        self.version.is_empty()
    }
}
