//! `GET /api/v1/rules/{policy}/{rule}`: how ready a rule is, namespace by namespace, and what to do about it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::rules::{CountedShape, NamespacesShape, WorkloadsShape};
use super::shape::{CompletenessShape, time};
use super::{Call, json};
use crate::policy::readiness::advice;
use crate::policy::readiness::bound::CONFIDENCE;
use crate::policy::readiness::census::{Fate, InNamespace, Word};
use crate::policy::readiness::evidence::{Fault, Place};
use crate::policy::readiness::state::{Counts, Gate};
use crate::review::clock::Timestamp;
use crate::review::decision::Mode;
use crate::web::WebState;
use crate::web::error::{ApiError, WebError};
use crate::web::readiness::{Bound, OfRule, Question, Shown};
use crate::web::sentence;

const DEFAULT_LIMIT: u16 = 100;
const MAX_LIMIT: u16 = 1_000;

/// Workloads of a namespace that are named without being asked for.
const NAMED: usize = 10;

/// What it takes.
const PARAMETERS: [&str; 5] = ["cluster", "namespace", "workloads", "limit", "after"];

/// One rule.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RuleReadiness")]
pub struct RuleShape<'a> {
    #[serde(flatten)]
    counted: CountedShape,
    policy: &'a str,
    rule: &'a str,
    version: Option<&'a str>,
    sentence: String,
    namespaces: NamespacesShape,
    workloads: WorkloadsShape,
    /// The heaviest state first, then by cluster and name.
    census: Vec<CensusShape<'a>>,
    bound: Option<BoundShape>,
    /// YAML.
    rollout: Option<String>,
    /// YAML.
    exemptions: Option<String>,
    /// Workloads that no exemption is proposed for.
    not_exempted: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Readiness")]
struct Answer<'a> {
    #[serde(flatten)]
    rule: RuleShape<'a>,
    /// Of what `workloads` asks for.
    listed: Vec<ListedShape<'a>>,
    /// `after` of the next page.
    next: Option<String>,
    #[serde(flatten)]
    completeness: CompletenessShape<'a>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Census")]
struct CensusShape<'a> {
    cluster: &'a str,
    namespace: &'a str,
    state: &'static str,
    words: String,
    gate: &'static str,
    mode: Mode,
    #[serde(flatten)]
    workloads: WorkloadsShape,
    /// When all that runs there was recorded; `null`: it was not.
    recorded: Option<String>,
    last_violation: Option<String>,
    quiet_since: Option<String>,
    /// The first of them.
    rejected_names: Vec<String>,
    unseen_names: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Bound")]
struct BoundShape {
    namespaces: u64,
    seen: u64,
    rejected: u64,
    at_most: f64,
    confidence: f64,
    sentence: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ReadinessWorkload")]
struct ListedShape<'a> {
    cluster: &'a str,
    namespace: &'a str,
    workload: String,
    seen: bool,
    /// `clear`, `exempted` or `rejected`.
    fate: &'static str,
    reviewed_at: Option<String>,
    /// `review`, `inventory`, or `null`: nothing says what becomes of it.
    by: Option<&'static str>,
    at: Option<String>,
    /// Of the review.
    decision: Option<String>,
    violations: Vec<ViolationShape<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ReadinessViolation")]
struct ViolationShape<'a> {
    rule: &'a str,
    image: Option<&'a str>,
    container: Option<&'a str>,
    message: &'a str,
    help: Option<&'a str>,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<Answer<'static>>(
        "/api/v1/rules/{policy}/{rule}",
        "How ready a rule is, namespace by namespace, and what to do about it.",
        &PARAMETERS,
        get(show),
    )
}

async fn show(
    State(state): State<Arc<WebState>>,
    Path((policy, rule)): Path<(String, String)>,
    call: Call,
) -> Result<Response, ApiError> {
    let shown = call.parameters.choice("workloads", &Shown::ALL)?;
    let limit = call.parameters.limit(DEFAULT_LIMIT, MAX_LIMIT)?;
    let after = call.parameters.number("after", "a `next` that this API gave")?;
    let live = state.live(&call.reach).await?;
    let question = Question::of(&state, &live, &call.parameters, call.now, &call.reach);
    let found = question.rule(&state.store, &policy, &rule).await?;
    let found = found.ok_or_else(|| WebError::NoSuchRule(format!("{policy}/{rule}")))?;
    let all = shown.map(|shown| found.shown(shown, None)).unwrap_or_default();
    let start = usize::try_from(after.unwrap_or(0)).unwrap_or(0).min(all.len());
    let end = (start + usize::from(limit)).min(all.len());
    let rows = &all[start..end];
    let ids = state.store.ids(&found.reviews(rows)).await?;
    let decision = |key| ids.get(&key).map(ToString::to_string);
    Ok(json(&Answer {
        rule: RuleShape::of(&question, &found),
        listed: rows.iter().map(|&at| ListedShape::of(&found, at, decision)).collect(),
        next: (end < all.len()).then(|| end.to_string()),
        completeness: CompletenessShape::from(&live.completeness),
    }))
}

// === impl RuleShape ===

impl<'a> RuleShape<'a> {
    pub fn of(question: &Question, found: &'a OfRule) -> Self {
        let OfRule { asked, evidence, census, .. } = found;
        let relief = found.relief();
        Self {
            counted: CountedShape::of(question, evidence.since.map(time)),
            policy: &asked.policy,
            rule: &asked.rule,
            version: (!asked.is_of_webhook()).then_some(asked.version.as_str()),
            sentence: found.sentence(),
            namespaces: NamespacesShape::from(census.totals.gates),
            workloads: WorkloadsShape::from(census.totals.counts),
            census: census.namespaces.iter().map(|one| CensusShape::of(found, one, question.now)).collect(),
            bound: found.bound().map(BoundShape::from),
            rollout: found.rollout(),
            exemptions: relief.yaml(asked, &advice::until(question.now)),
            not_exempted: relief.left,
        }
    }
}

// === impl CensusShape ===

impl<'a> CensusShape<'a> {
    fn of(found: &'a OfRule, one: &InNamespace, now: Timestamp) -> Self {
        let Place { cluster, namespace, recorded } = found.place(one);
        let named = |shown| {
            let first = found.shown(shown, Some(one.place)).into_iter().take(NAMED);
            first.map(|at| sentence::workload(&found.evidence.known[at].workload)).collect()
        };
        Self {
            cluster,
            namespace,
            state: one.state.name(),
            words: one.state.words(now),
            gate: gate(one.state.gate()),
            mode: one.mode,
            workloads: WorkloadsShape::from(one.counts),
            recorded: recorded.map(time),
            last_violation: one.violated.map(time),
            quiet_since: one.quiet_since.map(time),
            rejected_names: named(Shown::Rejected),
            unseen_names: named(Shown::Unseen),
        }
    }
}

fn gate(gate: Gate) -> &'static str {
    match gate {
        Gate::Ready => "ready",
        Gate::Not => "not",
        Gate::Unknown => "unknown",
    }
}

// === impl ListedShape ===

impl<'a> ListedShape<'a> {
    fn of(found: &'a OfRule, at: usize, decision: impl Fn(i64) -> Option<String>) -> Self {
        let (known, standing) = (&found.evidence.known[at], &found.census.standings[at]);
        let Place { cluster, namespace, .. } = &found.evidence.places[known.place];
        let (by, when, id) = match standing.word {
            None => (None, None, None),
            Some(Word::Review(moment)) => (Some("review"), Some(moment.at), decision(moment.key)),
            Some(Word::Inventory(at)) => (Some("inventory"), Some(at), None),
        };
        let violations = if standing.fate == Fate::Clear { Vec::new() } else { found.faults(at) };
        Self {
            cluster,
            namespace,
            workload: sentence::workload(&known.workload),
            seen: standing.seen,
            fate: match standing.fate {
                Fate::Clear => "clear",
                Fate::Exempted => "exempted",
                Fate::Rejected => "rejected",
            },
            reviewed_at: known.reviewed_at.map(time),
            by,
            at: when.map(time),
            decision: id,
            violations: violations.into_iter().map(ViolationShape::of).collect(),
        }
    }
}

// === impl ViolationShape ===

impl<'a> ViolationShape<'a> {
    fn of(fault: &'a Fault) -> Self {
        let Fault { rule, image, container, message, help } = fault;
        Self { rule, image: image.as_deref(), container: container.as_deref(), message, help: help.as_deref() }
    }
}

impl From<Counts> for WorkloadsShape {
    fn from(counts: Counts) -> Self {
        let Counts { known, seen, rejected, exempted } = counts;
        Self { known, seen, rejected, exempted }
    }
}

impl From<Bound> for BoundShape {
    fn from(bound: Bound) -> Self {
        let Bound { namespaces, seen, rejected, at_most } = bound;
        Self { namespaces, seen, rejected, at_most, confidence: CONFIDENCE, sentence: bound.sentence() }
    }
}
