//! What a candidate says beside what the policies said that are in force.

use serde::{Deserialize, Serialize};

use super::decision::{Decision, PolicyVerdict, Verdict};

/// What comes of a verdict, whatever the modes: whether something stands against the review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stance {
    Allow,
    /// With a violation that nothing exempts.
    Deny,
    Error,
    /// There was nothing to judge, or nobody who would.
    None,
    /// It is not known yet.
    Pending,
}

/// One candidate of one decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison<'a> {
    pub candidate: &'a str,
    /// The policy of the candidate's name; where none has it, all of them together.
    pub beside: Option<&'a str>,
    pub live: Stance,
    pub silent: Stance,
}

// === impl Stance ===

impl Stance {
    pub const ALL: [Self; 5] = [Self::Allow, Self::Deny, Self::Error, Self::None, Self::Pending];

    pub fn of(verdict: &PolicyVerdict) -> Self {
        match verdict.verdict {
            Verdict::Deny if verdict.is_exempted() => Self::Allow,
            Verdict::Deny => Self::Deny,
            Verdict::Allow => Self::Allow,
            Verdict::Error => Self::Error,
            Verdict::None => Self::None,
            Verdict::Pending => Self::Pending,
        }
    }

    /// Of several: one that denies is enough, and one that is not known may deny yet.
    pub fn of_all<'a>(verdicts: impl Iterator<Item = &'a PolicyVerdict> + Clone) -> Self {
        let heaviest = [Self::Deny, Self::Pending, Self::Error, Self::Allow];
        let is_among = |stance: &Self| verdicts.clone().any(|verdict| Self::of(verdict) == *stance);
        heaviest.into_iter().find(is_among).unwrap_or(Self::None)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Error => "error",
            Self::None => "none",
            Self::Pending => "pending",
        }
    }
}

// === impl Comparison ===

impl<'a> Comparison<'a> {
    /// One for each candidate, in their order.
    pub fn of(decision: &'a Decision) -> impl Iterator<Item = Self> {
        Self::between(&decision.verdicts, &decision.candidates)
    }

    pub fn between(live: &'a [PolicyVerdict], candidates: &'a [PolicyVerdict]) -> impl Iterator<Item = Self> {
        candidates.iter().map(|candidate| Self::with(live, candidate))
    }

    fn with(live: &'a [PolicyVerdict], candidate: &'a PolicyVerdict) -> Self {
        let namesake = live.iter().find(|verdict| verdict.policy == candidate.policy);
        Self {
            candidate: &candidate.policy,
            beside: namesake.map(|verdict| verdict.policy.as_str()),
            live: namesake.map_or_else(|| Stance::of_all(live.iter()), Stance::of),
            silent: Stance::of(candidate),
        }
    }

    /// Whether the candidate says another thing, as far as both are known.
    pub fn differs(&self) -> bool {
        self.live != self.silent && self.live != Stance::Pending && self.silent != Stance::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::decision::{Exempted, Mode, Violation};

    fn verdict(policy: &str, verdict: Verdict, exempted: &[bool]) -> PolicyVerdict {
        let exemption = Exempted::Exemption { ticket: None, owner: None, reason: None, until: None };
        let violation = |exempted: &bool| Violation {
            rule: "r".to_owned(),
            mode: Mode::Audit,
            image: None,
            container: None,
            message: "m".to_owned(),
            help: None,
            exempted: exempted.then(|| exemption.clone()),
        };
        PolicyVerdict {
            policy: policy.to_owned(),
            version: None,
            mode: Mode::Audit,
            verdict,
            violations: exempted.iter().map(violation).collect(),
            standing: Vec::new(),
            omitted: 0,
            held_back: None,
            presented: None,
            error: None,
            duration_us: None,
        }
    }

    fn compared(live: &[PolicyVerdict], candidate: &PolicyVerdict) -> (bool, Stance, Stance) {
        let candidates = [candidate.clone()];
        let one = Comparison::between(live, &candidates).next().expect("one candidate");
        (one.beside.is_some(), one.live, one.silent)
    }

    #[test]
    fn a_candidate_is_compared_with_the_policy_of_its_name_and_else_with_all_of_them() {
        let live = [verdict("a", Verdict::Allow, &[]), verdict("b", Verdict::Deny, &[false])];
        let as_a = verdict("a", Verdict::Deny, &[false]);
        assert_eq!(compared(&live, &as_a), (true, Stance::Allow, Stance::Deny));
        let other = verdict("c", Verdict::Allow, &[]);
        assert_eq!(compared(&live, &other), (false, Stance::Deny, Stance::Allow));
        assert_eq!(compared(&[], &other), (false, Stance::None, Stance::Allow));
        let late = [verdict("a", Verdict::Pending, &[]), verdict("b", Verdict::Error, &[])];
        assert_eq!(compared(&late, &other), (false, Stance::Pending, Stance::Allow));
    }

    #[test]
    fn what_is_exempted_stands_against_nothing() {
        assert_eq!(Stance::of(&verdict("a", Verdict::Deny, &[true, true])), Stance::Allow);
        assert_eq!(Stance::of(&verdict("a", Verdict::Deny, &[true, false])), Stance::Deny);
    }

    #[test]
    fn what_is_not_known_differs_from_nothing() {
        let differs = |live, silent| {
            let (live, silent) = ([verdict("a", live, &[])], [verdict("a", silent, &[])]);
            Comparison::between(&live, &silent).all(|one| one.differs())
        };
        assert!(differs(Verdict::Allow, Verdict::None) && differs(Verdict::Error, Verdict::Allow));
        assert!(!differs(Verdict::Pending, Verdict::Deny) && !differs(Verdict::Deny, Verdict::Pending));
        assert!(!differs(Verdict::Deny, Verdict::Deny));
    }
}
