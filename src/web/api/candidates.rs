//! `GET /api/v1/candidates`: what candidates say beside what is in force, counted over a span.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::shape::{CompletenessShape, time};
use super::{Call, json};
use crate::review::comparison::Stance;
use crate::store::read::Compared;
use crate::web::error::ApiError;
use crate::web::{LoadedCandidate, WebState};

/// What it takes.
const PARAMETERS: [&str; 5] = ["since", "until", "cluster", "namespace", "dry_run"];

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Candidates")]
struct CandidatesShape<'a> {
    since: String,
    until: String,
    /// Those that judge now, in the process that answers.
    loaded: Vec<LoadedShape<'a>>,
    counts: Vec<CountShape<'a>>,
    #[serde(flatten)]
    completeness: CompletenessShape<'a>,
    /// What was counted before may be counted no more: rows are gone.
    recountable_since: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Loaded")]
struct LoadedShape<'a> {
    name: &'a str,
    /// The policy that it is compared with; `null`: all of them together.
    beside: Option<&'a str>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Count")]
struct CountShape<'a> {
    candidate: &'a str,
    cluster: &'a str,
    live: Stance,
    verdict: Stance,
    reviews: u64,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<CandidatesShape<'static>>(
        "/api/v1/candidates",
        "What candidates say beside what is in force, counted over a span.",
        &PARAMETERS,
        get(show),
    )
}

async fn show(State(state): State<Arc<WebState>>, call: Call) -> Result<Response, ApiError> {
    let scope = call.parameters.scope(call.now(), &call.reach)?;
    let live = state.live(&call.reach).await?;
    let found = state.store.comparisons(&scope).await?;
    Ok(json(&CandidatesShape {
        since: time(found.since),
        until: time(found.until),
        loaded: live.candidates.iter().map(LoadedShape::of).collect(),
        counts: found.compared.iter().map(CountShape::of).collect(),
        completeness: CompletenessShape::from(&live.completeness),
        recountable_since: found.horizons.recountable_since(scope.dry_run).map(time),
    }))
}

// === impl LoadedShape ===

impl<'a> LoadedShape<'a> {
    fn of(loaded: &'a LoadedCandidate) -> Self {
        Self { name: &loaded.name, beside: loaded.beside.as_deref() }
    }
}

// === impl CountShape ===

impl<'a> CountShape<'a> {
    fn of(compared: &'a Compared) -> Self {
        let Compared { candidate, cluster, live, silent, reviews } = compared;
        Self { candidate, cluster, live: *live, verdict: *silent, reviews: *reviews }
    }
}
