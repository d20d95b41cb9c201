//! What pages say of a candidate beside what is in force.

use crate::review::comparison::{Comparison, Stance};
use crate::review::decision::PolicyVerdict;

/// What a candidate is compared with, as a sentence has it.
#[derive(Debug, Clone, Copy)]
enum Beside<'a> {
    Policy(&'a str),
    All,
}

/// `Candidate images-next would deny what the policies in force allow.` Of the verdicts in force and the candidate's.
pub fn sentence(comparison: &Comparison<'_>, live_verdicts: &[PolicyVerdict], of_it: &PolicyVerdict) -> String {
    let Comparison { candidate, live, silent, .. } = comparison;
    let beside = Beside::of(comparison.beside);
    let of_candidate = match silent {
        Stance::Allow => "would allow it",
        Stance::Deny => "would deny it",
        Stance::Error => "could not judge it",
        Stance::None => "has nothing to judge in it",
        Stance::Pending => return format!("Candidate {candidate} has not judged it yet."),
    };
    let compared = |verdict: &&PolicyVerdict| comparison.beside.is_none_or(|policy| verdict.policy == policy);
    let live_exempted = || live_verdicts.iter().filter(compared).any(PolicyVerdict::is_exempted);
    let of_live_exempted = match *live == Stance::Allow && live_exempted() {
        true => beside.verb(EXEMPTED, " (their violations are exempted)"),
        false => "",
    };
    let of_it_exempted = if of_it.is_exempted() { EXEMPTED } else { "" };
    match (live, silent) {
        _ if !of_live_exempted.is_empty() || !of_it_exempted.is_empty() => {
            let of_live = beside.said(*live);
            let (it, name) = (format!("{of_candidate}{of_it_exempted}"), beside.name());
            format!("Candidate {candidate} {it}; {name} {of_live}{of_live_exempted}.")
        }
        (Stance::Allow, Stance::Deny) => {
            format!("Candidate {candidate} would deny what {} {}.", beside.name(), beside.verb("allows", "allow"))
        }
        (Stance::Deny, Stance::Allow) => {
            let verb = beside.verb("stands against", "stand against");
            format!("Candidate {candidate} would allow what {} {verb}.", beside.name())
        }
        _ => format!("Candidate {candidate} {of_candidate}; {} {}.", beside.name(), beside.said(*live)),
    }
}

/// Why what denies is said to allow.
const EXEMPTED: &str = " (its violations are exempted)";

/// What it is compared with, for a person.
pub fn beside(policy: Option<&str>) -> String {
    Beside::of(policy).name()
}

// === impl Beside ===

impl<'a> Beside<'a> {
    fn of(policy: Option<&'a str>) -> Self {
        policy.map_or(Self::All, Self::Policy)
    }

    fn name(self) -> String {
        match self {
            Self::Policy(name) => format!("policy {name}"),
            Self::All => "the policies in force".to_owned(),
        }
    }

    fn verb(self, one: &'static str, several: &'static str) -> &'static str {
        match self {
            Self::Policy(_) => one,
            Self::All => several,
        }
    }

    fn said(self, stance: Stance) -> &'static str {
        match stance {
            Stance::Allow => self.verb("allows it", "allow it"),
            Stance::Deny => self.verb("stands against it", "stand against it"),
            Stance::Error => "could not judge it",
            Stance::None => self.verb("has nothing to judge in it", "have nothing to judge in it"),
            Stance::Pending => self.verb("has not answered yet", "have not answered yet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::decision::{Exempted, Mode, Verdict, Violation};

    fn said(beside: Option<&str>, live: Stance, silent: Stance) -> String {
        sentence(&Comparison { candidate: "next", beside, live, silent }, &[], &exempted("next", false))
    }

    /// A verdict that denies.
    fn exempted(policy: &str, is_exempted: bool) -> PolicyVerdict {
        let exemption = Exempted::Exemption { id: None, ticket: None, owner: None, reason: None, until: None };
        let violation = Violation {
            rule: "r".to_owned(),
            mode: Mode::Enforce,
            image: None,
            container: None,
            message: "m".to_owned(),
            help: None,
            exempted: is_exempted.then_some(exemption),
        };
        PolicyVerdict {
            policy: policy.to_owned(),
            version: None,
            mode: Mode::Enforce,
            verdict: Verdict::Deny,
            violations: vec![violation],
            standing: Vec::new(),
            omitted: 0,
            held_back: None,
            presented: None,
            error: None,
            duration_us: None,
        }
    }

    #[test]
    fn what_is_exempted_is_said_to_be() {
        let said = |live: PolicyVerdict, candidate: PolicyVerdict| {
            let live = [live];
            let compared = Comparison::between(&live, std::slice::from_ref(&candidate)).next().expect("one");
            sentence(&compared, &live, &candidate)
        };
        let one = |policy, is_exempted| exempted(policy, is_exempted);
        assert_eq!(
            said(one("images", true), one("images", true)),
            "Candidate images would allow it (its violations are exempted); policy images allows it (its violations are \
             exempted)."
        );
        assert_eq!(
            said(one("images", false), one("next", true)),
            "Candidate next would allow it (its violations are exempted); the policies in force stand against it."
        );
        assert_eq!(
            said(one("images", true), one("next", false)),
            "Candidate next would deny it; the policies in force allow it (their violations are exempted)."
        );
    }

    #[test]
    fn a_difference_is_said_both_ways() {
        let policy = Some("images");
        assert_eq!(said(policy, Stance::Allow, Stance::Deny), "Candidate next would deny what policy images allows.");
        assert_eq!(
            said(None, Stance::Deny, Stance::Allow),
            "Candidate next would allow what the policies in force stand against."
        );
        assert_eq!(
            said(None, Stance::Deny, Stance::Deny),
            "Candidate next would deny it; the policies in force stand against it."
        );
        assert_eq!(
            said(policy, Stance::None, Stance::Error),
            "Candidate next could not judge it; policy images has nothing to judge in it."
        );
        assert_eq!(said(policy, Stance::Allow, Stance::Pending), "Candidate next has not judged it yet.");
    }
}
