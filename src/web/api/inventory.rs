//! `GET /api/v1/inventory`: what ran in a cluster when it was last looked at, in pages.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::shape::{ExemptedShape, time};
use super::{Call, json};
use crate::review::decision::{Mode, Verdict};
use crate::store::inventory::read::{Listed, Stored};
use crate::store::inventory::{Coverage, Figures, Found, Judged, Outlook, RunningImage};
use crate::web::WebState;
use crate::web::error::{ApiError, WebError};
use crate::web::inventory::{PARAMETERS, Selected};
use crate::web::query::BadParameter;
use crate::web::sentence;

const DEFAULT_LIMIT: u16 = 100;
const MAX_LIMIT: u16 = 1_000;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "InventoryPage")]
struct Listing<'a> {
    inventory: InventoryShape<'a>,
    coverage: &'a Coverage,
    workloads: Vec<WorkloadShape<'a>>,
    /// `after` of the next page.
    next: Option<String>,
    /// All that are kept of the cluster, newest first.
    kept: Vec<InventoryShape<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Inventory")]
struct InventoryShape<'a> {
    id: i64,
    at: String,
    cluster: &'a str,
    /// It is of all that ran there, as far as can be told.
    whole: bool,
    revision: &'a str,
    policies: Vec<PolicyShape<'a>>,
    webhooks: &'a [String],
    figures: Figures,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Policy")]
struct PolicyShape<'a> {
    policy: &'a str,
    version: &'a str,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "InventoryWorkload")]
struct WorkloadShape<'a> {
    namespace: &'a str,
    namespace_labels: Option<&'a BTreeMap<String, String>>,
    workload: String,
    pods: u64,
    outlook: Outlook,
    images: &'a [RunningImage],
    more_images: bool,
    verdicts: Vec<VerdictShape<'a>>,
    last_review: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "InventoryVerdict")]
struct VerdictShape<'a> {
    policy: &'a str,
    verdict: Verdict,
    violations: Vec<ViolationShape<'a>>,
    omitted: u64,
    error: Option<&'a str>,
    reviewed: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "InventoryViolation")]
struct ViolationShape<'a> {
    rule: &'a str,
    mode: Mode,
    image: Option<&'a str>,
    container: Option<&'a str>,
    message: &'a str,
    exempted: Option<ExemptedShape<'a>>,
    pods: u64,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<Listing<'static>>(
        "/api/v1/inventory",
        "What ran in a cluster when it was last looked at.",
        &parameters(),
        get(show),
    )
}

fn parameters() -> Vec<&'static str> {
    [&PARAMETERS[..], &["limit", "after"]].concat()
}

async fn show(State(state): State<Arc<WebState>>, call: Call) -> Result<Response, ApiError> {
    let parameters = &call.parameters;
    let (shown, limit) = (parameters.shown()?, parameters.limit(DEFAULT_LIMIT, MAX_LIMIT)?);
    let after = parameters.number("after", "a `next` that this API gave")?;
    let asked = parameters.text("cluster");
    let Selected { clusters, cluster, kept, selected } = Selected::of(&state.store, parameters, &call.reach).await?;
    if asked.is_none() && clusters.len() > 1 {
        let names = clusters.join(", ");
        return Err(BadParameter::new("cluster", format!("there are inventories of several: {names}")).into());
    }
    let stored = selected.ok_or_else(|| WebError::NoSuchInventory(format!("of {}", cluster.unwrap_or_default())))?;
    let page = state.store.inventory(&stored, &shown, &call.reach, limit, after).await?;
    Ok(json(&Listing {
        inventory: InventoryShape::of(&stored),
        coverage: &stored.account.coverage,
        workloads: page.workloads.iter().map(WorkloadShape::of).collect(),
        next: page.next.map(|place| place.to_string()),
        kept: kept.iter().map(InventoryShape::of).collect(),
    }))
}

// === impl InventoryShape ===

impl<'a> InventoryShape<'a> {
    fn of(stored: &'a Stored) -> Self {
        let Stored { id, cluster, at, account } = stored;
        let policy = |(policy, version): &'a (String, String)| PolicyShape { policy, version };
        Self {
            id: *id,
            at: time(*at),
            cluster,
            whole: account.coverage.is_whole(),
            revision: &account.revision,
            policies: account.policies.iter().map(policy).collect(),
            webhooks: &account.webhooks,
            figures: account.figures,
        }
    }
}

// === impl WorkloadShape ===

impl<'a> WorkloadShape<'a> {
    fn of(listed: &'a Listed) -> Self {
        let contents = &listed.contents;
        Self {
            namespace: &listed.namespace,
            namespace_labels: listed.labels.as_ref(),
            workload: sentence::workload(&contents.workload),
            pods: contents.pods,
            outlook: contents.outlook(),
            images: &contents.images,
            more_images: contents.more_images,
            verdicts: contents.verdicts.iter().map(VerdictShape::of).collect(),
            last_review: contents.last_review.as_ref().map(|review| time(review.at)),
        }
    }
}

// === impl VerdictShape ===

impl<'a> VerdictShape<'a> {
    fn of(judged: &'a Judged) -> Self {
        let violation = |found: &'a Found| {
            let Found { violation, pods } = found;
            ViolationShape {
                rule: &violation.rule,
                mode: violation.mode,
                image: violation.image.as_deref(),
                container: violation.container.as_deref(),
                message: &violation.message,
                exempted: violation.exempted.as_ref().map(ExemptedShape::of),
                pods: *pods,
            }
        };
        Self {
            policy: &judged.policy,
            verdict: judged.verdict,
            violations: judged.violations.iter().map(violation).collect(),
            omitted: judged.omitted,
            error: judged.error.as_deref(),
            reviewed: judged.reviewed,
        }
    }
}
