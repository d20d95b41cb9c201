//! `GET /api/v1/summary`: figures over a span.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::shape::{CompletenessShape, FiguresShape, GapShape, time};
use super::{Call, json};
use crate::web::WebState;
use crate::web::error::ApiError;
use crate::web::gaps;

/// What it takes.
const PARAMETERS: [&str; 5] = ["since", "until", "cluster", "namespace", "dry_run"];

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Summary")]
struct SummaryShape<'a> {
    since: String,
    until: String,
    reviews: u64,
    allowed: u64,
    denied: u64,
    failed: u64,
    would_reject: u64,
    /// Of whole clusters: not told of a part of the history.
    unjudged: Option<u64>,
    dry_runs: u64,
    /// As long a span that ends where this one begins.
    before: FiguresShape,
    /// From senders that are not declared, dry runs included: in no other figure, unless their cluster is asked for.
    undeclared: Option<u64>,
    gaps: Vec<GapShape<'a>>,
    #[serde(flatten)]
    completeness: CompletenessShape<'a>,
    /// What was counted before may be counted no more: rows are gone.
    recountable_since: Option<String>,
    /// Plain decisions before this went early, for the size.
    dropped_for_size_before: Option<String>,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<SummaryShape<'static>>("/api/v1/summary", "Figures over a span.", &PARAMETERS, get(show))
}

async fn show(State(state): State<Arc<WebState>>, call: Call) -> Result<Response, ApiError> {
    let scope = call.parameters.scope(call.now(), &call.reach)?;
    let live = state.live(&call.reach).await?;
    let (summary, undeclared) = tokio::try_join!(state.store.summary(&scope), state.store.undeclared(&scope))?;
    let gaps = gaps::in_span(&summary, &live, scope.cluster.as_deref());
    let (figures, is_whole) = (&summary.figures, call.reach.is_everything());
    Ok(json(&SummaryShape {
        since: time(summary.since),
        until: time(summary.until),
        reviews: figures.reviews,
        allowed: figures.allowed,
        denied: figures.denied,
        failed: figures.failed,
        would_reject: figures.would_reject,
        unjudged: is_whole.then_some(figures.unjudged),
        dry_runs: figures.dry_runs,
        before: FiguresShape::of(summary.before.since, summary.before.until, &summary.before.figures),
        undeclared: is_whole.then_some(undeclared),
        gaps: gaps.iter().map(GapShape::from).collect(),
        completeness: CompletenessShape::from(&live.completeness),
        recountable_since: summary.horizons.recountable_since(scope.dry_run).map(time),
        dropped_for_size_before: summary.horizons.for_size.map(time),
    }))
}
