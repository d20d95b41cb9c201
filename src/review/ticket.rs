//! What is remembered of a break-glass ticket that a workload shows: its first use, and who answers for the workload.
//!
//! A ticket is an annotation's key. Each workload has its own use of it. Several processes may remember the same one, each
//! in its part: [`Ticket::merge`] gives the same whole in whatever order they hear of each other.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::clock::{DAY, DecisionId, Timestamp};
use super::decision::{Answer, Protocol};
use super::workload::Workload;

/// Since it was last shown. Who shows one that was used up for this long, and nobody saw it meanwhile, begins anew.
pub const KEPT: i64 = 400 * DAY;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TicketKey {
    /// That reviews are recorded for.
    pub cluster: String,
    pub namespace: String,
    pub workload: Workload,
    /// The key of the annotation.
    pub ticket: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    #[serde(flatten)]
    pub key: TicketKey,
    /// `None`: it has let nothing through yet.
    pub first_use: Option<FirstUse>,
    /// Of the workload's own last review that showed it. `None`: there was none.
    pub owner: Option<Owner>,
    /// To the day.
    pub seen: Timestamp,
}

/// The first time that it let a workload through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstUse {
    pub at: Timestamp,
    /// As the configuration was then.
    pub until: Timestamp,
    pub person: String,
    /// `policy/rule` of what stood against it.
    pub rules: Vec<String>,
    pub decision: DecisionId,
    /// What the API server would have got.
    pub without: Answer,
}

/// Whose review a workload's own last one was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub at: Timestamp,
    pub user: Option<String>,
    /// Those that a break-glass entry names.
    pub groups: Vec<String>,
}

/// The person of a review, or why nobody knows.
pub fn person(user: Option<&str>, protocol: Protocol) -> String {
    match (user, protocol) {
        (Some(user), _) => user.to_owned(),
        (None, Protocol::ImageReview) => "unknown: ImageReview names no user".to_owned(),
        (None, Protocol::AdmissionReview) => "unknown: the review names no user".to_owned(),
    }
}

// === impl TicketKey ===

impl TicketKey {
    /// One for each key, whatever its length.
    pub fn hash(&self) -> [u8; 32] {
        let Self { cluster, namespace, workload: Workload { kind, name }, ticket } = self;
        let mut hasher = Sha256::new();
        for part in [cluster, namespace, kind, name, ticket] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hasher.finalize().into()
    }
}

// === impl Ticket ===

impl Ticket {
    pub fn new(key: TicketKey, seen: Timestamp) -> Self {
        Self { key, first_use: None, owner: None, seen }
    }

    /// With what `other` knows of the same one: the earliest use, the latest owner.
    pub fn merge(&mut self, other: &Self) {
        if let Some(theirs) = &other.first_use
            && self.first_use.as_ref().is_none_or(|own| (theirs.at, theirs.decision) < (own.at, own.decision))
        {
            self.first_use = Some(theirs.clone());
        }
        if let Some(theirs) = &other.owner
            && self.owner.as_ref().is_none_or(|own| theirs.is_after(own))
        {
            self.owner = Some(theirs.clone());
        }
        self.seen = self.seen.max(other.seen);
    }

    /// Whether nobody showed it for so long that it is forgotten.
    pub fn is_past(&self, now: Timestamp) -> bool {
        now.0.saturating_sub(self.seen.0) > KEPT
    }
}

// === impl Owner ===

impl Owner {
    /// At the same instant the one that comes later in the alphabet, so that all choose the same.
    fn is_after(&self, other: &Self) -> bool {
        (self.at, &self.user, &self.groups) > (other.at, &other.user, &other.groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(used: Option<i64>, owned: Option<(i64, &str)>, seen: i64) -> Ticket {
        let workload = Workload { kind: "Deployment".to_owned(), name: "web".to_owned() };
        let key = TicketKey { cluster: "c".into(), namespace: "n".into(), workload, ticket: "t".into() };
        let first_use = used.map(|at| FirstUse {
            at: Timestamp(at),
            until: Timestamp(at + 10),
            person: "alice".to_owned(),
            rules: Vec::new(),
            decision: DecisionId(uuid::Uuid::from_u128(u128::from(at.unsigned_abs()))),
            without: Answer::Denied,
        });
        let owner =
            owned.map(|(at, user)| Owner { at: Timestamp(at), user: Some(user.to_owned()), groups: Vec::new() });
        Ticket { key, first_use, owner, seen: Timestamp(seen) }
    }

    #[test]
    fn the_earliest_use_and_the_latest_owner_win_in_whatever_order() {
        let all = [
            ticket(Some(20), Some((5, "alice")), 1),
            ticket(Some(10), Some((7, "bob")), 9),
            ticket(None, Some((7, "carol")), 3),
            ticket(Some(30), None, 2),
        ];
        let whole = ticket(Some(10), Some((7, "carol")), 9);
        for first in 0..all.len() {
            let mut merged = all[first].clone();
            for other in all.iter().rev().chain(&all) {
                merged.merge(other);
            }
            assert_eq!(merged, whole);
        }
    }

    #[test]
    fn keys_of_other_parts_have_other_hashes() {
        let one = ticket(None, None, 0).key;
        let moved = TicketKey { cluster: "cn".into(), namespace: String::new(), ..one.clone() };
        assert_ne!(one.hash(), moved.hash());
        assert_eq!(one.hash(), one.clone().hash());
    }

    #[test]
    fn one_that_nobody_shows_any_more_is_past() {
        let one = ticket(Some(0), None, 0);
        assert!(!one.is_past(Timestamp(KEPT)) && one.is_past(Timestamp(KEPT + 1)));
    }
}
