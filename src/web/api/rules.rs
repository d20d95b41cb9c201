//! `GET /api/v1/rules`: how ready each rule that is loaded is.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::shape::{CompletenessShape, time};
use super::{Call, json};
use crate::policy::readiness::Asked;
use crate::policy::readiness::tally::{Gates, Totals};
use crate::web::WebState;
use crate::web::error::ApiError;
use crate::web::readiness::Question;

/// What it takes.
const PARAMETERS: [&str; 2] = ["cluster", "namespace"];

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Rules")]
struct RulesShape<'a> {
    #[serde(flatten)]
    counted: CountedShape,
    rules: Vec<RuleShape<'a>>,
    #[serde(flatten)]
    completeness: CompletenessShape<'a>,
}

/// By what censuses are taken.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Counted")]
pub struct CountedShape {
    pub now: String,
    /// A workload that was reviewed since is known.
    pub since: String,
    pub quiet_ms: u64,
    /// What was reviewed before is not known; `null`: all is.
    pub evidence_since: Option<String>,
    pub revision: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RuleLine")]
struct RuleShape<'a> {
    policy: &'a str,
    rule: &'a str,
    /// `null`: a webhook has none.
    version: Option<&'a str>,
    namespaces: NamespacesShape,
    workloads: WorkloadsShape,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NamespaceCounts")]
pub struct NamespacesShape {
    ready: u64,
    not: u64,
    unknown: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WorkloadCounts")]
pub struct WorkloadsShape {
    pub known: u64,
    pub seen: u64,
    pub rejected: u64,
    pub exempted: u64,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<RulesShape<'static>>(
        "/api/v1/rules",
        "How ready each rule that is loaded is.",
        &PARAMETERS,
        get(list),
    )
}

async fn list(State(state): State<Arc<WebState>>, call: Call) -> Result<Response, ApiError> {
    let live = state.live(&call.reach).await?;
    let question = Question::of(&state, &live, &call.parameters, call.now, &call.reach);
    let overall = question.overall(&state.store).await?;
    Ok(json(&RulesShape {
        counted: CountedShape::of(&question, overall.evidence.since.map(time)),
        rules: overall.rules.iter().map(|(asked, tally)| RuleShape::of(asked, &tally.totals)).collect(),
        completeness: CompletenessShape::from(&live.completeness),
    }))
}

// === impl CountedShape ===

impl CountedShape {
    pub fn of(question: &Question, evidence_since: Option<String>) -> Self {
        Self {
            now: time(question.now),
            since: time(question.since()),
            quiet_ms: u64::try_from(question.settings.quiet.as_millis()).unwrap_or(u64::MAX),
            evidence_since,
            revision: question.revision.id.clone(),
        }
    }
}

// === impl RuleShape ===

impl<'a> RuleShape<'a> {
    fn of(asked: &'a Asked, totals: &Totals) -> Self {
        Self {
            policy: &asked.policy,
            rule: &asked.rule,
            version: (!asked.is_of_webhook()).then_some(asked.version.as_str()),
            namespaces: NamespacesShape::from(totals.gates),
            workloads: WorkloadsShape::from(totals.counts),
        }
    }
}

// === impl NamespacesShape ===

impl From<Gates> for NamespacesShape {
    fn from(Gates { ready, not, unknown }: Gates) -> Self {
        Self { ready, not, unknown }
    }
}
