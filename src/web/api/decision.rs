//! `GET /api/v1/decisions/{id}`: everything that is kept of one decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::endpoint::Endpoint;
use super::shape::{CandidateShape, CompletenessShape, DecisionShape, Depth};
use super::{Call, json};
use crate::store::read::StoredDecision;
use crate::web::WebState;
use crate::web::error::ApiError;
use crate::web::pages::decision::{id_of, missing};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DecisionDetails")]
struct Details<'a> {
    #[serde(flatten)]
    whole: Whole<'a>,
    /// The object of this decision, or of the same review on that day, redacted.
    object: Option<Box<RawValue>>,
    #[serde(flatten)]
    completeness: CompletenessShape<'a>,
}

/// All that is kept in the row of a decision and of its review.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WholeDecision")]
pub struct Whole<'a> {
    #[serde(flatten)]
    decision: DecisionShape<'a>,
    /// The HTTP status for `failed`, the Status code for `denied`, 200 for `allowed`.
    code: u16,
    message: Option<&'a str>,
    notes: &'a [String],
    candidates: Vec<CandidateShape<'a>>,
    /// The subject of the sender's certificate, or the name of its token; `null`: unproven.
    caller: Option<&'a str>,
    api_version: &'a str,
    subresource: Option<&'a str>,
    group: Option<&'a str>,
    annotations: &'a BTreeMap<String, String>,
    /// The hash under which the review is kept.
    review: String,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<Details<'static>>(
        "/api/v1/decisions/{id}",
        "Everything that is kept of one decision.",
        &[],
        get(show),
    )
}

async fn show(State(state): State<Arc<WebState>>, Path(id): Path<String>, call: Call) -> Result<Response, ApiError> {
    let live = state.live(&call.reach).await?;
    let known = id_of(&id);
    let stored = match known {
        Some(known) => state.store.decision(known, &call.reach).await?,
        None => None,
    };
    let stored = stored.ok_or_else(|| missing(&call.visitor, id))?;
    let object = state.store.object(stored.decision.id, &call.reach).await?;
    let object = object.and_then(|object| RawValue::from_string(object).ok());
    let completeness = CompletenessShape::from(&live.completeness);
    Ok(json(&Details { whole: Whole::of(&stored), object, completeness }))
}

// === impl Whole ===

impl<'a> Whole<'a> {
    pub fn of(stored: &'a StoredDecision) -> Self {
        let StoredDecision { decision, review } = stored;
        Self {
            decision: DecisionShape::of(stored, Depth::Whole),
            code: decision.code,
            message: decision.message.as_deref(),
            notes: &decision.notes,
            candidates: CandidateShape::all(decision),
            caller: decision.caller.as_deref(),
            api_version: &review.api_version,
            subresource: review.subresource.as_deref(),
            group: review.group.as_deref(),
            annotations: &review.annotations,
            review: review.hash.to_string(),
        }
    }
}
