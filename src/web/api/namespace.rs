//! `GET /api/v1/namespaces/{cluster}/{namespace}`: what of a namespace would be rejected; without a namespace: of what is
//! of the whole cluster.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::hits::slice;
use super::shape::{CompletenessShape, time};
use super::{Call, json};
use crate::review::decision::Mode;
use crate::store::inventory::Outlook;
use crate::store::read::{Against, Example, Figures};
use crate::web::WebState;
use crate::web::error::ApiError;
use crate::web::place::{Place, PlaceFound, Running};
use crate::web::sentence;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Namespace")]
struct NamespaceShape<'a> {
    cluster: &'a str,
    namespace: Option<&'a str>,
    since: String,
    until: String,
    figures: &'a Figures,
    /// Whole days, which `against` is over.
    days: Days,
    against: Vec<AgainstShape<'a>>,
    next: Option<u64>,
    running: Option<RunningShape>,
    #[serde(flatten)]
    completeness: CompletenessShape<'a>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Days {
    since: String,
    until: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Against")]
struct AgainstShape<'a> {
    workload: String,
    policy: &'a str,
    rule: &'a str,
    first_at: String,
    last_at: String,
    would_reject: u64,
    denied: u64,
    standing: u64,
    /// What the last decision says of it; `null`: it is kept no more.
    last: Option<LastShape<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Last")]
struct LastShape<'a> {
    decision: String,
    mode: Mode,
    images: &'a [String],
    message: &'a str,
    help: Option<&'a str>,
    exempted: bool,
}

/// By the newest inventory of the cluster.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Running")]
struct RunningShape {
    inventory: i64,
    at: String,
    workloads: u64,
    refused: u64,
    unjudged: u64,
    warned: u64,
    audited: u64,
    exempted: u64,
}

const PARAMETERS: [&str; 4] = ["since", "until", "limit", "after"];

pub fn endpoint() -> Endpoint {
    Endpoint::json::<NamespaceShape<'static>>(
        "/api/v1/namespaces/{cluster}/{namespace}",
        "What of a namespace would be rejected, which workload, by which rule.",
        &PARAMETERS,
        get(show),
    )
}

pub fn endpoint_of_cluster() -> Endpoint {
    Endpoint::json::<NamespaceShape<'static>>(
        "/api/v1/namespaces/{cluster}",
        "What would be rejected of what is in no namespace, as objects of the whole cluster are.",
        &PARAMETERS,
        get(of_cluster),
    )
}

async fn of_cluster(
    state: State<Arc<WebState>>,
    Path(cluster): Path<String>,
    call: Call,
) -> Result<Response, ApiError> {
    answer(&state, &Place::of(&cluster, ""), call).await
}

async fn show(
    state: State<Arc<WebState>>,
    Path((cluster, namespace)): Path<(String, String)>,
    call: Call,
) -> Result<Response, ApiError> {
    answer(&state, &Place::of(&cluster, &namespace), call).await
}

async fn answer(state: &WebState, place: &Place, call: Call) -> Result<Response, ApiError> {
    place.admit(&call.visitor)?;
    let scope = place.scope(call.parameters.scope(call.now(), &call.reach)?);
    let slice = slice(&call.parameters)?;
    let live = state.live(&call.reach).await?;
    let found = PlaceFound::of(&state.store, place, &scope, slice, &call.visitor).await?;
    Ok(json(&NamespaceShape {
        cluster: &place.cluster,
        namespace: Some(place.namespace.as_str()).filter(|name| !name.is_empty()),
        since: time(found.summary.since),
        until: time(found.summary.until),
        figures: &found.summary.figures,
        days: Days { since: time(found.against.since), until: time(found.against.until) },
        against: found.against.rows.iter().map(AgainstShape::of).collect(),
        next: found.against.next(slice),
        running: found.running.as_ref().map(RunningShape::of),
        completeness: CompletenessShape::from(&live.completeness),
    }))
}

// === impl AgainstShape ===

impl<'a> AgainstShape<'a> {
    fn of(against: &'a Against) -> Self {
        Self {
            workload: sentence::workload(&against.workload),
            policy: &against.policy,
            rule: &against.rule,
            first_at: time(against.first_at),
            last_at: time(against.last_at),
            would_reject: against.would_reject,
            denied: against.denied,
            standing: against.standing,
            last: against.example.as_ref().map(LastShape::of),
        }
    }
}

// === impl LastShape ===

impl<'a> LastShape<'a> {
    fn of(example: &'a Example) -> Self {
        Self {
            decision: example.decision.to_string(),
            mode: example.mode,
            images: &example.images,
            message: &example.message,
            help: example.help.as_deref(),
            exempted: example.is_exempted,
        }
    }
}

// === impl RunningShape ===

impl RunningShape {
    fn of(running: &Running) -> Self {
        Self {
            inventory: running.stored.id,
            at: time(running.stored.at),
            workloads: running.workloads(),
            refused: running.number(Outlook::Refused),
            unjudged: running.number(Outlook::Unjudged),
            warned: running.number(Outlook::Warned),
            audited: running.number(Outlook::Audited),
            exempted: running.number(Outlook::Exempted),
        }
    }
}
