//! `GET /api/v1/policies`: what is in force where and since when, why what is configured is not, and what was reviewed.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::shape::{CompletenessShape, GapShape, time};
use super::{Call, json};
use crate::policy::readiness::evidence::Place;
use crate::review::decision::Mode;
use crate::web::Mistaken;
use crate::web::WebState;
use crate::web::error::ApiError;
use crate::web::in_force::{Chosen, InForce};
use crate::web::loads::{Run, Runs};
use crate::web::modes::{Effective, OfRule};
use crate::web::reviewed::{Kinds, OfCluster, Seen};

/// Revisions of one answer.
const RUNS: usize = 50;

/// What it takes.
const PARAMETERS: [&str; 8] = ["since", "until", "cluster", "namespace", "rule", "mode", "held_back", "before"];

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Policies")]
struct PoliciesShape<'a> {
    /// What judges now, in the process that answers.
    in_force: &'a str,
    /// `null`: what is configured is in force, or it is not theirs to see.
    mistaken: Option<MistakenShape<'a>>,
    /// The last first; of whoever may see everything.
    revisions: Vec<RunShape<'a>>,
    /// `before` of the next part.
    next: Option<i64>,
    rules: Vec<RuleShape<'a>>,
    /// Of the rule that is asked for.
    modes: Vec<ModeShape<'a>>,
    coverage: CoverageShape<'a>,
    #[serde(flatten)]
    completeness: CompletenessShape<'a>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Mistaken")]
struct MistakenShape<'a> {
    since: String,
    at_start: bool,
    mistakes: &'a [String],
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RevisionRun")]
struct RunShape<'a> {
    revision: &'a str,
    first_loaded_at: String,
    last_loaded_at: String,
    /// How often by whom.
    replicas: &'a BTreeMap<String, u64>,
    before: Option<&'a str>,
    changes: Option<&'a str>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RuleModes")]
struct RuleShape<'a> {
    policy: &'a str,
    rule: &'a str,
    /// Namespaces in which it has each mode.
    audit: u64,
    warn: u64,
    enforce: u64,
    held_back: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RuleMode")]
struct ModeShape<'a> {
    cluster: &'a str,
    namespace: &'a str,
    mode: Mode,
    /// As it would be if nothing held it back, and by what: `rule`, `rollout` or `policy`.
    asked: Mode,
    by: &'static str,
    held_back: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PoliciesCoverage")]
struct CoverageShape<'a> {
    since: String,
    until: String,
    clusters: Vec<ClusterShape<'a>>,
    kinds: Vec<KindShape<'a>>,
    gaps: Vec<GapShape<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClusterCoverage")]
struct ClusterShape<'a> {
    cluster: &'a str,
    recorded_at: Option<String>,
    namespaces: Seen,
    workloads: Seen,
    /// Namespaces of which nothing was reviewed.
    unreviewed: Vec<SilentShape<'a>>,
    missing_ms: i64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Silent")]
struct SilentShape<'a> {
    namespace: &'a str,
    running: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Kind")]
struct KindShape<'a> {
    kind: &'a str,
    #[serde(flatten)]
    seen: Seen,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<PoliciesShape<'static>>(
        "/api/v1/policies",
        "What was in force when, what is in force where, and what was reviewed.",
        &PARAMETERS,
        get(show),
    )
}

async fn show(State(state): State<Arc<WebState>>, call: Call) -> Result<Response, ApiError> {
    let scope = call.parameters.scope(call.now(), &call.reach)?;
    let chosen = Chosen::of(&call.parameters)?;
    let before = call.parameters.before()?;
    let live = state.live(&call.reach).await?;
    let runs = match call.reach.is_everything() {
        true => Some(Runs::of(&state.store, before, RUNS).await?),
        false => None,
    };
    let found = InForce::of(&state, &live, &scope, call.now).await?;
    let modes = found.modes(&live, call.now);
    let rules = modes.counted(0, modes.len(), &found.places());
    let of_rule = chosen.as_ref().map(|chosen| found.of_rule(&modes, chosen)).transpose()?.unwrap_or_default();
    Ok(json(&PoliciesShape {
        in_force: &live.revision,
        mistaken: live.mistaken.as_ref().map(MistakenShape::of),
        revisions: runs.iter().flat_map(|runs| &runs.runs).map(RunShape::of).collect(),
        next: runs.as_ref().and_then(|runs| runs.next).map(|next| next.0),
        rules: rules.iter().map(RuleShape::of).collect(),
        modes: of_rule.iter().map(|(place, mode)| ModeShape::of(place, mode)).collect(),
        coverage: CoverageShape::of(&found),
        completeness: CompletenessShape::from(&live.completeness),
    }))
}

// === impl shapes ===

impl<'a> MistakenShape<'a> {
    fn of(mistaken: &'a Mistaken) -> Self {
        Self { since: time(mistaken.since), at_start: mistaken.at_start, mistakes: &mistaken.mistakes }
    }
}

impl<'a> RunShape<'a> {
    fn of(run: &'a Run) -> Self {
        Self {
            revision: &run.revision,
            first_loaded_at: time(run.from),
            last_loaded_at: time(run.to),
            replicas: &run.replicas,
            before: run.before.as_deref(),
            changes: run.changes.as_deref(),
        }
    }
}

impl<'a> RuleShape<'a> {
    fn of(rule: &'a OfRule) -> Self {
        let [audit, warn, enforce] = rule.counts;
        Self { policy: &rule.policy, rule: &rule.rule, audit, warn, enforce, held_back: rule.capped }
    }
}

impl<'a> ModeShape<'a> {
    fn of(place: &'a Place, effective: &Effective) -> Self {
        Self {
            cluster: &place.cluster,
            namespace: &place.namespace,
            mode: effective.mode,
            asked: effective.asked,
            by: effective.origin.as_str(),
            held_back: effective.caps.iter().map(|cap| cap.told(time)).collect(),
        }
    }
}

impl<'a> CoverageShape<'a> {
    fn of(found: &'a InForce) -> Self {
        let kinds: &Kinds = &found.kinds;
        Self {
            since: time(found.since),
            until: time(found.until),
            clusters: found.clusters.iter().map(ClusterShape::of).collect(),
            kinds: kinds.iter().map(|(kind, seen)| KindShape { kind, seen: *seen }).collect(),
            gaps: found.gaps.iter().map(GapShape::from).collect(),
        }
    }
}

impl<'a> ClusterShape<'a> {
    fn of(one: &'a OfCluster) -> Self {
        let silent = one.silent.iter().map(|one| SilentShape { namespace: &one.namespace, running: one.running });
        Self {
            cluster: &one.cluster,
            recorded_at: one.recorded.map(time),
            namespaces: one.namespaces,
            workloads: one.workloads,
            unreviewed: silent.collect(),
            missing_ms: one.missing,
        }
    }
}
