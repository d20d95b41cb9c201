//! How pages name what lets a violation through.

use crate::review::decision::{Answer, Decision, Exempted};

/// What became of a review, as far as a break-glass ticket goes that it showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// What the ticket let through went through.
    Through,
    /// Something else stood against the review.
    Denied,
    Failed,
    DryRun,
    /// Nothing acts on what a candidate says.
    Candidate,
}

// === impl Passage ===

impl Passage {
    pub fn of(decision: &Decision) -> Self {
        match decision.answer {
            Answer::Denied => Self::Denied,
            Answer::Failed => Self::Failed,
            Answer::Allowed if decision.dry_run => Self::DryRun,
            Answer::Allowed => Self::Through,
        }
    }

    /// In a word or two, in the place of a mode.
    pub fn word(self, by: &Exempted) -> &'static str {
        match (self, by) {
            (Self::Through, _) | (_, Exempted::Exemption { .. }) => by.word(),
            (_, Exempted::BreakGlass { .. }) => "break-glass, not used",
        }
    }

    /// For a person, after the violation. Of a ticket that was not used it gives no times: there may have been no use.
    pub fn told(self, by: &Exempted) -> String {
        let Exempted::BreakGlass { ticket, person, .. } = by else { return by.to_string() };
        let why = match self {
            Self::Through => return by.to_string(),
            Self::Denied => "the review was denied all the same",
            Self::Failed => "the review failed all the same",
            Self::DryRun => "a dry run uses none",
            Self::Candidate => "a candidate uses none",
        };
        format!("break-glass {ticket}, person {person}, would let it through, and was not used: {why}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::clock::Timestamp;

    #[test]
    fn a_ticket_that_was_not_used_has_no_times() {
        let ticket = Exempted::BreakGlass {
            ticket: "T".to_owned(),
            person: "alice".to_owned(),
            since: Timestamp(0),
            until: Timestamp(1),
            without: Answer::Denied,
        };
        let told = Passage::Through.told(&ticket);
        assert!(told.contains("from 1970-01-01T00:00:00.000Z until 1970"), "{told}");
        assert_eq!(
            Passage::Denied.told(&ticket),
            "break-glass T, person alice, would let it through, and was not used: the review was denied all the same"
        );
        for passage in [Passage::Denied, Passage::Failed, Passage::DryRun, Passage::Candidate] {
            assert!(!passage.told(&ticket).contains("1970"), "{passage:?}");
            assert_eq!(passage.word(&ticket), "break-glass, not used");
        }
        let exemption = Exempted::Exemption { id: None, ticket: None, owner: None, reason: None, until: None };
        assert_eq!(Passage::Denied.told(&exemption), Passage::Through.told(&exemption));
        assert_eq!(Passage::Denied.word(&exemption), "exempted");
    }
}
