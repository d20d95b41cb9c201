//! `GET /api/v1/chart`: figures over time.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::shape::FiguresShape;
use super::{Call, json};
use crate::web::WebState;
use crate::web::error::ApiError;

const DEFAULT_LIMIT: u16 = 64;
const MAX_LIMIT: u16 = 1_000;

/// What it takes.
const PARAMETERS: [&str; 6] = ["since", "until", "cluster", "namespace", "dry_run", "limit"];

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Chart")]
struct ChartShape {
    /// Oldest first, without a hole.
    buckets: Vec<FiguresShape>,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<ChartShape>("/api/v1/chart", "Figures over time.", &PARAMETERS, get(show))
}

async fn show(State(state): State<Arc<WebState>>, call: Call) -> Result<Response, ApiError> {
    let scope = call.parameters.scope(call.now(), &call.reach)?;
    let limit = call.parameters.limit(DEFAULT_LIMIT, MAX_LIMIT)?;
    let buckets = state.store.chart(&scope, limit.into()).await?;
    Ok(json(&ChartShape {
        buckets: buckets.iter().map(|bucket| FiguresShape::of(bucket.from, bucket.to, &bucket.figures)).collect(),
    }))
}
