//! `GET /api/v1/hits`: rules, namespaces or images, those that are hit most first.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::shape::{CompletenessShape, time};
use super::{Call, json};
use crate::store::read::{Hit, Ranking, Rejections, Slice, Which};
use crate::web::WebState;
use crate::web::error::ApiError;
use crate::web::query::{BadParameter, Parameters};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 1_000;

/// What selects rows of a table of hits.
pub const PARAMETERS: [&str; 7] = ["since", "until", "cluster", "namespace", "dry_run", "limit", "after"];

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Hits")]
struct HitsShape<'a> {
    #[serde(flatten)]
    span: SpanShape,
    hits: Vec<HitShape<'a>>,
    #[serde(flatten)]
    completeness: CompletenessShape<'a>,
}

/// What a table of hits is over, and how much of it this is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Span")]
pub struct SpanShape {
    since: String,
    until: String,
    /// The start of as long a span, which ends at `since`: of what is `before`.
    since_before: String,
    /// Rows of the whole table; `null` past its end.
    all: Option<u64>,
    /// `after` of the next part.
    next: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Hit")]
struct HitShape<'a> {
    name: &'a str,
    reviews: u64,
    would_reject: u64,
    denied: u64,
    /// Of a rule.
    standing: u64,
    before: Rejections,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<HitsShape<'static>>(
        "/api/v1/hits",
        "Rules, namespaces or images, those that are hit most first.",
        &parameters(),
        get(show),
    )
}

fn parameters() -> Vec<&'static str> {
    [&PARAMETERS[..], &["of", "new"]].concat()
}

async fn show(State(state): State<Arc<WebState>>, call: Call) -> Result<Response, ApiError> {
    let scope = call.parameters.scope(call.now(), &call.reach)?;
    let (of, is_new) = call.parameters.hits()?;
    let slice = slice(&call.parameters)?;
    let which = if is_new { Which::New } else { Which::Hit };
    let live = state.live(&call.reach).await?;
    let found = state.store.hits(of, &scope, which, slice).await?;
    Ok(json(&HitsShape {
        span: SpanShape::of(&found, slice),
        hits: found.hits.iter().map(HitShape::of).collect(),
        completeness: CompletenessShape::from(&live.completeness),
    }))
}

/// `limit` and `after`.
pub fn slice(parameters: &Parameters) -> Result<Slice, BadParameter> {
    let after = parameters.number("after", "a `next` that this API gave")?.unwrap_or(0);
    let skip = u64::try_from(after).map_err(|_| BadParameter::new("after", "it is not a `next` that this API gave"))?;
    Ok(Slice { skip, limit: parameters.limit(DEFAULT_LIMIT, MAX_LIMIT)? })
}

// === impl SpanShape ===

impl SpanShape {
    pub fn of(found: &Ranking, slice: Slice) -> Self {
        Self {
            since: time(found.since),
            until: time(found.until),
            since_before: time(found.since_before),
            all: (!found.hits.is_empty() || slice.skip == 0).then_some(found.all),
            next: found.next(slice),
        }
    }
}

// === impl HitShape ===

impl<'a> HitShape<'a> {
    fn of(hit: &'a Hit) -> Self {
        let Hit { name, cluster: _, reviews, would_reject, denied, standing, before } = hit;
        Self {
            name,
            reviews: *reviews,
            would_reject: *would_reject,
            denied: *denied,
            standing: *standing,
            before: *before,
        }
    }
}
