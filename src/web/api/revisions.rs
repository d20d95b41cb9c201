//! `GET /api/v1/revisions`: what has judged, without the texts.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::shape::time;
use super::{Call, json};
use crate::store::StoredRevision;
use crate::web::WebState;
use crate::web::error::ApiError;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Revisions")]
struct Listing<'a> {
    /// What judges now, in the process that answers.
    in_force: &'a str,
    revisions: Vec<Listed<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RevisionLine")]
struct Listed<'a> {
    id: &'a str,
    /// `null`: its text has not come, or it is from before texts were kept.
    loaded_at: Option<String>,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<Listing<'static>>("/api/v1/revisions", "What has judged, without the texts.", &[], get(list))
}

async fn list(State(state): State<Arc<WebState>>, _: Call) -> Result<Response, ApiError> {
    let (live, stored) = ((state.live)(), state.store.revisions().await?);
    Ok(json(&Listing { in_force: &live.revision, revisions: stored.iter().map(Listed::of).collect() }))
}

// === impl Listed ===

impl<'a> Listed<'a> {
    fn of(stored: &'a StoredRevision) -> Self {
        Self { id: &stored.id, loaded_at: stored.loaded_at.map(time) }
    }
}
