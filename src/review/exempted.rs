//! What lets a violation through.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::decision::Answer;

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exempted {
    Exemption {
        /// Of what it takes in; `None` in what was recorded before exemptions had names of their own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        ticket: Option<String>,
        owner: Option<String>,
        reason: Option<String>,
        /// `None`: permanent.
        until: Option<Timestamp>,
    },
    /// A ticket of [`super::ticket`], in force.
    BreakGlass {
        /// The key of the annotation.
        ticket: String,
        /// Who let it through: of a pod, whoever was the last to change its workload.
        person: String,
        /// Its first use by this workload.
        since: Timestamp,
        /// From then on the violation acts again.
        until: Timestamp,
        /// What the API server would have got.
        without: Answer,
    },
}

// === impl Exempted ===

impl Exempted {
    /// The ticket that broke the glass.
    pub fn broken_by(&self) -> Option<&str> {
        match self {
            Self::BreakGlass { ticket, .. } => Some(ticket),
            Self::Exemption { .. } => None,
        }
    }

    /// In one word, as figures and tables name it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Exemption { .. } => "exempted",
            Self::BreakGlass { .. } => "break-glass",
        }
    }
}

impl fmt::Display for Exempted {
    /// For a person, after the violation: `exempted by SEC-12 of payments until .., because ..`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exemption { ticket, owner, reason, until, .. } => {
                f.write_str("exempted")?;
                if let Some(ticket) = ticket {
                    write!(f, " by {ticket}")?;
                }
                if let Some(owner) = owner {
                    write!(f, " of {owner}")?;
                }
                match until {
                    Some(until) => write!(f, " until {until}")?,
                    None => f.write_str(" for good")?,
                }
                reason.as_ref().map_or(Ok(()), |reason| write!(f, ", because: {reason}"))
            }
            Self::BreakGlass { ticket, person, since, until, without } => {
                let without = without.as_str();
                write!(f, "let through by break-glass {ticket} from {since} until {until}, person {person}, ")?;
                write!(f, "without it {without}")
            }
        }
    }
}
