//! `GET /api/v1/namespaces`: every namespace that something came of in a span, those that are hit most first.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::hits::{PARAMETERS, SpanShape, slice};
use super::shape::CompletenessShape;
use super::{Call, json};
use crate::store::read::{Hit, Hits, Rejections, Which};
use crate::web::WebState;
use crate::web::error::ApiError;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Namespaces")]
struct NamespacesShape<'a> {
    #[serde(flatten)]
    span: SpanShape,
    namespaces: Vec<NamespaceShape<'a>>,
    #[serde(flatten)]
    completeness: CompletenessShape<'a>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NamespaceLine")]
struct NamespaceShape<'a> {
    cluster: &'a str,
    /// `null`: what is of the whole cluster.
    namespace: Option<&'a str>,
    reviews: u64,
    would_reject: u64,
    denied: u64,
    before: Rejections,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<NamespacesShape<'static>>(
        "/api/v1/namespaces",
        "Every namespace that something came of in a span, those that are hit most first.",
        &PARAMETERS,
        get(list),
    )
}

async fn list(State(state): State<Arc<WebState>>, call: Call) -> Result<Response, ApiError> {
    let scope = call.parameters.scope(call.now(), &call.reach)?;
    let slice = slice(&call.parameters)?;
    let live = state.live(&call.reach).await?;
    let found = state.store.hits(Hits::Places, &scope, Which::Seen, slice).await?;
    Ok(json(&NamespacesShape {
        span: SpanShape::of(&found, slice),
        namespaces: found.hits.iter().map(NamespaceShape::of).collect(),
        completeness: CompletenessShape::from(&live.completeness),
    }))
}

// === impl NamespaceShape ===

impl<'a> NamespaceShape<'a> {
    fn of(hit: &'a Hit) -> Self {
        Self {
            cluster: hit.cluster.as_deref().unwrap_or_default(),
            namespace: Some(hit.name.as_str()).filter(|name| !name.is_empty()),
            reviews: hit.reviews,
            would_reject: hit.would_reject,
            denied: hit.denied,
            before: hit.before,
        }
    }
}
