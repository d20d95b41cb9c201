//! What pages and the API ask of the history, and what they get.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use super::reach::Reach;
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::comparison::Stance;
use crate::review::decision::{Answer, Decision, Gap, Mode, ReviewRecord};
use crate::review::workload::Workload;

mod agreements;
mod hits;
mod images;

pub use agreements::{AccordBucket, Accords, AgreedFilter, Agreements, Cause, Causes, Disagreed, Pair, Paired, Side};
pub use hits::{Hit, Hits, Ranking, Rejections, Slice, Which};
pub use images::{Asker, Askers, Broken, Reference, References, Referred, RepositorySeen, Runner, Runners};

/// Half open: `since` is in it, `until` is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Range {
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

/// Which decisions a list shows. Absent means any that is in reach.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(test, derive(Default))]
pub struct Filter {
    pub reach: Reach,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub cluster: Option<String>,
    /// Empty: of what is in none, as cluster-wide objects are.
    pub namespace: Option<String>,
    pub workload: Option<Workload>,
    /// Who made or changed the object.
    pub user: Option<String>,
    /// Decisions with a violation (standing ones included) of this policy.
    pub policy: Option<String>,
    pub rule: Option<String>,
    /// Exact (as written), or a glob when it holds `*`, which then stands for any run of characters.
    pub image: Option<String>,
    /// Decisions that name an image of it: `registry/repository`, as figures name it.
    pub repository: Option<String>,
    /// Of `policy`, `rule` and `repository`: denials and would-be rejections that they are a reason of.
    pub blame: Blame,
    pub uid: Option<String>,
    pub answer: Option<Answer>,
    pub would_reject: Option<bool>,
    pub dry_run: Option<bool>,
    pub compared: Option<ComparedFilter>,
    pub agreed: Option<AgreedFilter>,
    pub let_through: Option<LetThrough>,
}

/// Decisions in which something was let through that a rule stands against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LetThrough {
    /// By the exemption of this id.
    Exemption(String),
    /// By a break-glass ticket: its annotation's key, exact, or a glob when it holds `*`.
    Ticket(String),
}

/// Decisions on which a candidate said something; `None` is anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedFilter {
    pub candidate: String,
    /// By the policies in force.
    pub live: Option<Stance>,
    /// By the candidate.
    pub silent: Option<Stance>,
}

/// What a rule or a repository has to do with a decision that a list shows for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Blame {
    /// It is violated or named there.
    #[default]
    Any,
    /// It is a reason of the denial or the would-be rejection, as figures count it.
    Only,
}

/// Which first uses of break-glass tickets a list shows. Absent means any that is in reach.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(test, derive(Default))]
pub struct Uses {
    pub reach: Reach,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub cluster: Option<String>,
    pub namespace: Option<String>,
}

impl Uses {
    /// Those of a scope.
    pub fn of(scope: &Scope) -> Self {
        let Scope { reach, since, until, cluster, namespace, .. } = scope.clone();
        Self { reach, since, until, cluster, namespace }
    }
}

/// The place after a row in the order (at, id), newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub at: Timestamp,
    pub id: DecisionId,
}

/// A decision with its review, amendments applied.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredDecision {
    pub decision: Decision,
    pub review: ReviewRecord,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Newest first.
    pub decisions: Vec<StoredDecision>,
    /// Where the next page begins; `None` when the range has no more.
    pub next: Option<Cursor>,
    /// The search stopped here because it had read enough rows, not because the page was full or the range at its end.
    pub searched_until: Option<Timestamp>,
}

/// How far somebody has followed the history: the last batch of each replica, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Followed(pub BTreeMap<i64, i64>);

/// What was stored since.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    /// Oldest first.
    pub decisions: Vec<StoredDecision>,
    /// There were more than were asked for, which are left out.
    pub is_more: bool,
    pub followed: Followed,
}

/// Names that hold a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Cluster and namespace.
    pub namespaces: Few<(String, String)>,
    pub workloads: Few<(String, String, Workload)>,
    pub repositories: Few<String>,
    /// As written.
    pub images: Few<String>,
    pub users: Few<String>,
    /// Policy and rule.
    pub rules: Few<(String, String)>,
}

/// The first in alphabetical order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Few<T> {
    pub names: Vec<T>,
    pub is_more: bool,
}

/// What figures are over. Of a part of the history they are the sums over its namespaces.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(test, derive(Default))]
pub struct Scope {
    pub reach: Reach,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub cluster: Option<String>,
    /// Empty: of what is in none.
    pub namespace: Option<String>,
    pub dry_run: DryRuns,
}

/// Whether figures count dry runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DryRuns {
    /// Left out of the figures, their number said beside them.
    #[default]
    Exclude,
    Include,
    Only,
}

/// Counts over a span. Ranges are widened to roll-up bucket edges: `since` and `until` say which span it really is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Figures {
    pub reviews: u64,
    pub allowed: u64,
    pub denied: u64,
    pub failed: u64,
    pub would_reject: u64,
    /// Whether they are in the other figures or not.
    pub dry_runs: u64,
    /// Of the whole cluster also where the figures are of a namespace: what was not read has none. Of a part of the history
    /// it is not told: 0.
    pub unjudged: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    pub since: Timestamp,
    pub until: Timestamp,
    pub figures: Figures,
    pub before: Before,
    pub gaps: Vec<Gap>,
    /// What of its rows is gone: older figures are those of when they were counted.
    pub horizons: Horizons,
}

/// What came of each cluster over a span that is widened to roll-up bucket edges.
#[derive(Debug, Clone, PartialEq)]
pub struct ByCluster {
    pub since: Timestamp,
    pub until: Timestamp,
    pub clusters: Vec<(String, Figures)>,
}

/// As long a span that ends where another begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Before {
    pub since: Timestamp,
    pub until: Timestamp,
    pub figures: Figures,
}

/// Before which moments rows were deleted; `None`: none were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Horizons {
    /// Decisions that are not notable.
    pub decisions: Option<Timestamp>,
    pub notable: Option<Timestamp>,
    pub dry_run: Option<Timestamp>,
    /// Of `decisions`, what went before its time because the history was over `retention.max_size`.
    pub for_size: Option<Timestamp>,
    /// Figures, and what says which rule judged which workload.
    pub figures: Option<Timestamp>,
    /// Gaps, and counts of what was not judged.
    pub events: Option<Timestamp>,
}

// === impl Filter ===

impl Filter {
    /// All that is in reach.
    pub fn of(reach: Reach) -> Self {
        Self {
            reach,
            since: None,
            until: None,
            cluster: None,
            namespace: None,
            policy: None,
            rule: None,
            image: None,
            repository: None,
            blame: Blame::Any,
            user: None,
            workload: None,
            uid: None,
            answer: None,
            would_reject: None,
            dry_run: None,
            compared: None,
            agreed: None,
            let_through: None,
        }
    }
}

// === impl Scope ===

impl Scope {
    /// All that is in reach.
    pub fn of(reach: Reach) -> Self {
        Self { reach, since: None, until: None, cluster: None, namespace: None, dry_run: DryRuns::Exclude }
    }
}

// === impl Horizons ===

impl Horizons {
    /// Since when a figure can be counted again from the decisions. `None`: from the beginning.
    pub fn recountable_since(&self, dry_runs: DryRuns) -> Option<Timestamp> {
        let counted = self.decisions.max(self.notable);
        if dry_runs == DryRuns::Exclude { counted } else { counted.max(self.dry_run) }
    }

    /// Since when the list of a filter holds all that there were. `None`: from the beginning.
    pub fn listed_since(&self, filter: &Filter) -> Option<Timestamp> {
        let is_notable = filter.would_reject == Some(true)
            || filter.let_through.is_some()
            || filter.answer.is_some_and(|one| one != Answer::Allowed);
        let listed = if is_notable { self.notable } else { self.decisions.max(self.notable) };
        if filter.dry_run == Some(false) { listed } else { listed.max(self.dry_run) }
    }
}

/// One bar of the chart over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    pub from: Timestamp,
    pub to: Timestamp,
    pub figures: Figures,
}

/// What stands against workloads of a namespace, over whole days (UTC), without dry runs.
#[derive(Debug, Clone, PartialEq)]
pub struct AgainstPage {
    pub since: Timestamp,
    pub until: Timestamp,
    /// The most would-be rejections and denials first.
    pub rows: Vec<Against>,
    /// How many there are, whatever the slice; 0 also where it is past the end.
    pub all: u64,
}

// === impl AgainstPage ===

impl AgainstPage {
    /// Where the part after that slice begins; `None` at the end.
    pub fn next(&self, slice: Slice) -> Option<u64> {
        let next = slice.skip + self.rows.len() as u64;
        (!self.rows.is_empty() && next < self.all).then_some(next)
    }
}

/// A rule that stands against a workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Against {
    pub workload: Workload,
    pub policy: String,
    pub rule: String,
    /// Of all that is kept.
    pub first_at: Timestamp,
    /// In the span.
    pub last_at: Timestamp,
    /// Decisions that it is a reason of.
    pub denied: u64,
    pub would_reject: u64,
    /// Decisions in which an image that was there before violated it.
    pub standing: u64,
    /// `None`: the last of them is kept no more.
    pub example: Option<Example>,
}

/// What the last decision says of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    pub decision: DecisionId,
    pub images: Vec<String>,
    pub mode: Mode,
    pub message: String,
    pub help: Option<String>,
    pub is_exempted: bool,
}

/// How many reviews of a cluster a candidate and the policies in force said that of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    pub candidate: String,
    pub cluster: String,
    pub live: Stance,
    pub silent: Stance,
    pub reviews: u64,
}

/// Over a span that is widened to roll-up bucket edges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparisons {
    pub since: Timestamp,
    pub until: Timestamp,
    /// By candidate and cluster, in alphabetical order.
    pub compared: Vec<Compared>,
    /// What of its rows is gone.
    pub horizons: Horizons,
}

/// How far a replica has stored its decisions. Times are by its own clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The id in its data directory.
    pub replica: Uuid,
    /// Those that it serves, or last served.
    pub clusters: Vec<String>,
    /// When it last said so.
    pub heard_at: Timestamp,
    /// All that it decided before is stored. `None`: it cannot read its journal, so that nobody knows.
    pub stored_until: Option<Timestamp>,
}

/// A policy that ever judged, and its rules that were ever violated; both in alphabetical order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyRules {
    pub policy: String,
    pub rules: Vec<String>,
}
