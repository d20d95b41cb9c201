//! What is known of workloads, as whoever has a history gives it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::review::clock::Timestamp;
use crate::review::workload::Workload;

/// Of the workloads of some namespaces, and of some rules.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    pub places: Vec<Place>,
    /// Reviewed within the window, or in the newest inventory of their cluster; each once, by place and workload.
    pub known: Vec<Known>,
    /// In the order of the rules that were asked for.
    pub rules: Vec<OfRule>,
    /// Decisions of before are not known: the history had no place for what they say. `None`: all are.
    pub since: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub cluster: String,
    /// Empty of objects that are in none.
    pub namespace: String,
    /// When all that runs there was recorded last. `None`: it never was, or too long ago.
    pub recorded: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// In [`Evidence::places`].
    pub place: usize,
    pub workload: Workload,
    /// Its number in the history; `None`: nothing came of it within the window.
    pub id: Option<i64>,
    pub reviewed_at: Option<Timestamp>,
    pub running: Option<Arc<Running>>,
}

/// What an inventory says of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub at: Timestamp,
    pub images: Vec<String>,
    pub said: Vec<SaidOfRunning>,
}

/// By one policy that judged an image of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaidOfRunning {
    pub policy: String,
    pub version: String,
    pub violations: Vec<Fault>,
}

/// A violation, as far as it matters for the next pod. Whether it was exempted is not in it: what counts is whether it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault {
    pub rule: String,
    /// As written.
    pub image: Option<String>,
    pub container: Option<String>,
    pub message: String,
    pub help: Option<String>,
}

/// When a decision was made, and its key: of two decisions of one millisecond, the later one has the larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    pub at: Timestamp,
    pub key: i64,
}

/// Of one rule, as it is now.
#[derive(Debug, Clone, Default)]
pub struct OfRule {
    /// Of its policy, under which its text was the same.
    pub versions: BTreeSet<String>,
    /// By workload, the last time that one of them judged an image of it.
    pub judged: Arc<HashMap<i64, Moment>>,
    /// By place, the first time that one of them judged anything there.
    pub judging_since: Arc<HashMap<usize, Timestamp>>,
    /// By workload.
    pub against: HashMap<i64, Against>,
    /// By place.
    pub last_violation: HashMap<usize, Timestamp>,
}

/// The last violation that no exemption let through, and the last that one did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Against {
    pub open: Option<Moment>,
    pub exempted: Option<Moment>,
}

// === impl Running ===

impl Running {
    /// How many violations there are of all rules.
    pub fn faults(&self) -> usize {
        self.said.iter().map(|said| said.violations.len()).sum()
    }
}
