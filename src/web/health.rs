//! Each way in which Rehearsal can slow or block a cluster: how it is now, how it was in the last hour, and what to do.
//!
//! It is read at three in the morning, and when the database is away: all of it is of this process, from memory.

use std::fmt;

use super::Live;
use super::vitals::{Labels, NOW, SPAN, Vitals};
use super::zone::Zone;
use crate::policy::ceiling::Ceiling;
use crate::policy::revision::Policy;
use crate::review::clock::Timestamp;

mod arrival;
mod keeping;
pub mod known;
pub mod latency;
pub mod remedy;
#[cfg(test)]
mod tests;
mod verdicts;

use self::remedy::Remedy;

/// Of this replica.
#[derive(Debug)]
pub struct Health {
    /// Of what is counted as of the last hour.
    pub since: Timestamp,
    /// It has run for less than an hour.
    pub is_young: bool,
    /// The heaviest state first, and then in the order in which a review meets them.
    pub ways: Vec<Way>,
}

/// A way in which a cluster can be slowed or blocked.
#[derive(Debug)]
pub struct Way {
    /// For programs, and for links.
    pub id: String,
    pub name: String,
    pub state: State,
    /// One sentence with a figure.
    pub now: String,
    pub hour: String,
    pub remedies: Vec<Remedy>,
}

/// How one of them is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Fine,
    /// Not as it should be, and in nobody's way.
    Degraded,
    /// It rejects or fails what a cluster asks.
    Blocking,
}

/// What ways are judged by.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    pub vitals: &'a Vitals,
    pub live: &'a Live,
    /// Why the history could not be read for this page.
    pub history: Result<(), &'a str>,
    pub now: Timestamp,
    pub zone: &'a Zone,
}

// === impl Health ===

impl Health {
    pub fn of(ground: Ground<'_>) -> Self {
        let since = ground.vitals.since();
        let mut ways = arrival::ways(ground);
        ways.extend(verdicts::ways(ground));
        ways.extend(keeping::ways(ground));
        ways.sort_by_key(|way| std::cmp::Reverse(way.state));
        Self { since, is_young: ground.now.0.saturating_sub(since.0) < SPAN, ways }
    }

    pub fn state(&self) -> State {
        self.ways.iter().map(|way| way.state).max().unwrap_or(State::Fine)
    }

    /// The names of those that are so.
    pub fn named(&self, state: State) -> Vec<&str> {
        self.ways.iter().filter(|way| way.state == state).map(|way| way.name.as_str()).collect()
    }
}

// === impl Way ===

impl Way {
    fn of(id: impl Into<String>, name: impl Into<String>, state: State) -> Self {
        let (id, name) = (id.into(), name.into());
        Self { id, name, state, now: String::new(), hour: String::new(), remedies: Vec::new() }
    }

    fn now(self, now: impl Into<String>) -> Self {
        Self { now: now.into(), ..self }
    }

    fn hour(self, hour: impl Into<String>) -> Self {
        Self { hour: hour.into(), ..self }
    }

    fn remedy(mut self, remedy: Remedy) -> Self {
        self.remedies.push(remedy);
        self
    }
}

// === impl State ===

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Degraded => "degraded",
            Self::Blocking => "blocking",
        }
    }

    /// Of its badge.
    pub fn class(self) -> &'static str {
        match self {
            Self::Fine => "allowed",
            Self::Degraded => "would",
            Self::Blocking => "denied",
        }
    }

    fn blocking_if(is_so: bool) -> Self {
        if is_so { Self::Blocking } else { Self::Fine }
    }

    fn degraded_if(is_so: bool) -> Self {
        if is_so { Self::Degraded } else { Self::Fine }
    }
}

// === impl Ground ===

impl<'a> Ground<'a> {
    /// By how much a counter grew in the last minutes, and in the last hour.
    fn grew(self, name: &str, labels: Labels<'_>) -> (u64, u64) {
        (self.vitals.grew(NOW, name, labels), self.vitals.grew(SPAN, name, labels))
    }

    fn policies(self) -> impl Iterator<Item = &'a Policy> {
        self.live.loaded.policies.iter()
    }

    /// Whether a policy can reject anywhere now.
    fn rejects(self, policy: &Policy) -> bool {
        policy.can_enforce() && self.held_by(policy).is_none()
    }

    /// The ceiling under which it can reject nowhere.
    fn held_by(self, policy: &Policy) -> Option<&'a Ceiling> {
        self.live.ceilings.iter().find(|ceiling| ceiling.holds_everywhere(policy))
    }
}

impl fmt::Debug for Ground<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ground").field("now", &self.now).finish_non_exhaustive()
    }
}
