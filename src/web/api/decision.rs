//! `GET /api/v1/decisions/{id}`: everything that is kept of one decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;

use super::shape::{CompletenessShape, DecisionShape, Depth};
use super::{Call, json};
use crate::web::WebState;
use crate::web::error::{ApiError, WebError};
use crate::web::pages::decision::id_of;

#[derive(Debug, Serialize)]
struct Details<'a> {
    #[serde(flatten)]
    decision: DecisionShape<'a>,
    /// The HTTP status for `failed`, the Status code for `denied`, 200 for `allowed`.
    code: u16,
    message: Option<&'a str>,
    notes: &'a [String],
    api_version: &'a str,
    subresource: Option<&'a str>,
    group: Option<&'a str>,
    annotations: &'a BTreeMap<String, String>,
    /// The hash under which the review is kept.
    review: String,
    /// The object of this decision, or of the same review on that day, redacted.
    object: Option<Box<RawValue>>,
    #[serde(flatten)]
    completeness: CompletenessShape<'a>,
}

pub async fn show(
    State(state): State<Arc<WebState>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    Call::of(&state, query.as_deref(), &[])?;
    let live = state.live().await?;
    let known = id_of(&id);
    let stored = match known {
        Some(known) => state.store.decision(known).await?,
        None => None,
    };
    let stored = stored.ok_or(WebError::NoSuchDecision(id))?;
    let object = state.store.object(stored.decision.id).await?;
    Ok(json(&Details {
        decision: DecisionShape::of(&stored, Depth::Whole),
        code: stored.decision.code,
        message: stored.decision.message.as_deref(),
        notes: &stored.decision.notes,
        api_version: &stored.review.api_version,
        subresource: stored.review.subresource.as_deref(),
        group: stored.review.group.as_deref(),
        annotations: &stored.review.annotations,
        review: stored.review.hash.to_string(),
        object: object.and_then(|object| RawValue::from_string(object).ok()),
        completeness: CompletenessShape::from(&live.completeness),
    }))
}
