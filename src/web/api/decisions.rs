//! `GET /api/v1/decisions`: newest first, in pages.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::shape::{CompletenessShape, DecisionShape, Depth, GapShape, time};
use super::{Call, NEXT, json};
use crate::web::WebState;
use crate::web::error::ApiError;
use crate::web::gaps;
use crate::web::query::{FILTERS, cursor};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 1_000;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Decisions")]
struct Listing<'a> {
    decisions: Vec<DecisionShape<'a>>,
    /// `after` of the next page.
    next: Option<String>,
    /// Between these decisions.
    gaps: Vec<GapShape<'a>>,
    #[serde(flatten)]
    completeness: CompletenessShape<'a>,
    /// What is older and would be listed may be deleted.
    listed_since: Option<String>,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<Listing<'static>>(
        "/api/v1/decisions",
        "Decisions, newest first, dry runs included unless filtered.",
        &parameters(),
        get(list),
    )
}

fn parameters() -> Vec<&'static str> {
    [&FILTERS[..], &["limit", "after"]].concat()
}

async fn list(State(state): State<Arc<WebState>>, call: Call) -> Result<Response, ApiError> {
    let filter = call.parameters.filter(call.now(), &call.reach)?;
    let limit = call.parameters.limit(DEFAULT_LIMIT, MAX_LIMIT)?;
    let after = call.parameters.cursor(NEXT)?;
    let live = state.live(&call.reach).await?;
    let (page, horizons) = tokio::try_join!(state.store.decisions(&filter, limit, after), state.store.horizons())?;
    let gaps = gaps::of_page(&state.store, &live, &filter, after, &page).await?;
    let decisions = page.decisions.iter().map(|stored| DecisionShape::of(stored, Depth::Listed)).collect();
    Ok(json(&Listing {
        decisions,
        next: page.next.map(cursor::encode),
        gaps: gaps.iter().map(GapShape::from).collect(),
        completeness: CompletenessShape::from(&live.completeness),
        listed_since: horizons.listed_since(&filter).map(time),
    }))
}
