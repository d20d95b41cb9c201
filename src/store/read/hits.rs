//! What is hit, beside as long a span before.

use serde::Serialize;

use super::Scope;
use crate::review::clock::Timestamp;

/// What a table of hits is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hits {
    Rules,
    /// Those of one name in several clusters are one; what is in none is left out.
    Namespaces,
    /// Each of its cluster; what is in none has no name.
    Places,
    Repositories,
}

/// Which rows of a table of hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// With a would-be rejection or a denial.
    Hit,
    /// Those that had none in the span before.
    New,
    /// With any review.
    Seen,
}

/// So many rows after so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    pub skip: u64,
    pub limit: u16,
}

/// Part of a table of hits: the most would-be rejections first, then the most denials, then by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// The span that was counted: whole buckets.
    pub since: Timestamp,
    pub until: Timestamp,
    /// The start of the one before, which ends where this one begins.
    pub since_before: Timestamp,
    pub hits: Vec<Hit>,
    /// How many rows the whole table has; 0 also where a slice is past its end.
    pub all: u64,
    /// How many of these have a would-be rejection.
    pub rejecting: u64,
}

// === impl Ranking ===

impl Ranking {
    /// The scope with the span that was counted.
    pub fn within(&self, scope: &Scope) -> Scope {
        Scope { since: Some(self.since), until: Some(self.until), ..scope.clone() }
    }

    /// Where the part after that slice begins; `None` at the end.
    pub fn next(&self, slice: Slice) -> Option<u64> {
        let next = slice.skip + self.hits.len() as u64;
        (!self.hits.is_empty() && next < self.all).then_some(next)
    }
}

/// One row of a table of hits: a rule (`policy/rule`), a namespace, or a repository (`registry/repository`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hit {
    pub name: String,
    /// Of [`Hits::Places`].
    pub cluster: Option<String>,
    /// Of a namespace: all. Of a rule: those in which an image that the request brought violated it. Of a repository:
    /// those that name it.
    pub reviews: u64,
    /// Would-be rejections: of a rule or a repository those for which it is to blame.
    pub would_reject: u64,
    /// Likewise.
    pub denied: u64,
    /// Of a rule: decisions in which an image that was there before violated it.
    pub standing: u64,
    /// The same two in the span before.
    pub before: Rejections,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Rejections {
    pub would_reject: u64,
    pub denied: u64,
}
