//! Images as they were written: who asked for them, who runs them, what they break.

use crate::review::clock::Timestamp;
use crate::review::decision::Mode;
use crate::review::workload::Workload;

/// Which references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Referred {
    /// Of this `registry/repository`.
    Of(String),
    /// Those that cannot be read.
    Unreadable,
}

/// What is known of the references of a repository, without dry runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositorySeen {
    pub name: String,
    /// That were asked for in the span.
    pub references: u64,
    /// Of all times.
    pub first_at: Timestamp,
    pub last_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
pub struct References {
    pub rows: Vec<Reference>,
    /// How many there are, whatever the slice; 0 also where it is past the end.
    pub all: u64,
}

/// An image as it was written, and what came of it, without dry runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    pub text: String,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    pub reviews: u64,
    pub workloads: u64,
    /// Digests that it was seen to stand for.
    pub digests: u64,
    /// Rules that it breaks, by the last decision on it; `None`: that is kept no more.
    pub broken: Option<Vec<Broken>>,
}

/// A rule that an image breaks.
#[derive(Debug, Clone, PartialEq)]
pub struct Broken {
    pub policy: String,
    pub rule: String,
    pub mode: Mode,
    pub message: String,
    pub help: Option<String>,
    pub is_exempted: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Askers {
    pub rows: Vec<Asker>,
    /// How many there are, whatever the slice; 0 also where it is past the end.
    pub all: u64,
}

/// A workload that asked for an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Asker {
    pub cluster: String,
    /// Empty: none.
    pub namespace: String,
    pub workload: Workload,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    pub reviews: u64,
    /// Rules that it breaks there, by the last decision; `None`: that is kept no more.
    pub broken: Option<Vec<Broken>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runners {
    pub rows: Vec<Runner>,
    pub is_more: bool,
}

/// A workload that runs an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    pub cluster: String,
    pub inventory: i64,
    pub namespace: String,
    pub workload: Workload,
    pub pods: u64,
    /// `None`: the pods do not say it.
    pub digest: Option<String>,
}
