//! What pages say of a candidate beside what is in force.

use crate::review::comparison::{Comparison, Stance};

/// What a candidate is compared with, as a sentence has it.
#[derive(Debug, Clone, Copy)]
enum Beside<'a> {
    Policy(&'a str),
    All,
}

/// `Candidate images-next would deny what the policies in force allow.`
pub fn sentence(comparison: &Comparison<'_>) -> String {
    let Comparison { candidate, live, silent, .. } = comparison;
    let beside = Beside::of(comparison.beside);
    let of_candidate = match silent {
        Stance::Allow => "would allow it",
        Stance::Deny => "would deny it",
        Stance::Error => "could not judge it",
        Stance::None => "has nothing to judge in it",
        Stance::Pending => return format!("Candidate {candidate} has not judged it yet."),
    };
    match (live, silent) {
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

    fn said(beside: Option<&str>, live: Stance, silent: Stance) -> String {
        sentence(&Comparison { candidate: "next", beside, live, silent })
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
