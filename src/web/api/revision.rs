//! `GET /api/v1/revisions/{id}`: all that judged under a revision.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::endpoint::Endpoint;
use super::shape::time;
use super::{Call, json};
use crate::web::WebState;
use crate::web::changes::Whole as WholeChange;
use crate::web::error::ApiError;

/// What it takes.
const PARAMETERS: [&str; 1] = ["from"];

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Revision")]
struct Whole {
    id: String,
    loaded_at: Option<String>,
    /// `null`: it has not come, or the revision is from before texts were kept.
    text: Option<Box<RawValue>>,
    /// Which one it is compared with: what was in force before, or `from`. `null`: nothing is known of that.
    compared_with: Option<String>,
    changes: Vec<WholeChange>,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<Whole>("/api/v1/revisions/{id}", "All that judged under a revision.", &PARAMETERS, get(show))
}

async fn show(State(state): State<Arc<WebState>>, Path(id): Path<String>, call: Call) -> Result<Response, ApiError> {
    let stored = state.revision(id, &call.visitor).await?;
    let compared = state.compared(&stored, call.parameters.text("from"), &call.visitor).await?;
    let (compared_with, changes) = compared.map_or((None, Vec::new()), |(with, changes)| (Some(with), changes));
    let changes = changes.into_iter().map(WholeChange::of).collect();
    let text = stored.text.and_then(|text| RawValue::from_string(text).ok());
    Ok(json(&Whole { id: stored.id, loaded_at: stored.loaded_at.map(time), text, compared_with, changes }))
}
