//! `GET /api/v1/images`: repositories that were asked for in a span; with `repository` or `unreadable`, references.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::hits::{SpanShape, slice};
use super::shape::{CompletenessShape, time};
use super::{Call, json};
use crate::review::decision::Mode;
use crate::store::read::{Broken, Hit, Hits, Reference, Rejections, RepositorySeen, Which};
use crate::web::WebState;
use crate::web::error::ApiError;
use crate::web::reference::{PARAMETERS, Written};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Repositories")]
struct RepositoriesShape<'a> {
    #[serde(flatten)]
    span: SpanShape,
    repositories: Vec<RepositoryShape<'a>>,
    /// There are references past `history.max_names`, of which nothing is counted.
    uncounted: bool,
    #[serde(flatten)]
    completeness: CompletenessShape<'a>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Repository")]
struct RepositoryShape<'a> {
    repository: &'a str,
    reviews: u64,
    would_reject: u64,
    denied: u64,
    before: Rejections,
    /// That were asked for in the span.
    references: u64,
    first_at: Option<String>,
    last_at: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "References")]
struct ReferencesShape<'a> {
    all: Option<u64>,
    next: Option<u64>,
    references: Vec<ReferenceShape<'a>>,
    uncounted: bool,
    #[serde(flatten)]
    completeness: CompletenessShape<'a>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Reference")]
struct ReferenceShape<'a> {
    text: &'a str,
    tag: Option<String>,
    digest: Option<String>,
    error: Option<String>,
    /// It names no digest: the tag can move.
    mutable: bool,
    /// Digests that it was seen to stand for.
    digests: u64,
    first_at: String,
    last_at: String,
    reviews: u64,
    workloads: u64,
    breaks: Option<Vec<BrokenShape<'a>>>,
}

/// By whether `repository` or `unreadable` is asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Images")]
enum ImagesShape<'a> {
    Repositories(RepositoriesShape<'a>),
    References(ReferencesShape<'a>),
}

/// A rule that an image breaks, by the last decision on it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Broken")]
pub struct BrokenShape<'a> {
    policy: &'a str,
    rule: &'a str,
    mode: Mode,
    message: &'a str,
    help: Option<&'a str>,
    exempted: bool,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<ImagesShape<'static>>(
        "/api/v1/images",
        "Repositories that were asked for in a span; with `repository` or `unreadable`, references.",
        &parameters(),
        get(list),
    )
}

fn parameters() -> Vec<&'static str> {
    [&PARAMETERS[..], &["limit", "after"]].concat()
}

async fn list(State(state): State<Arc<WebState>>, call: Call) -> Result<Response, ApiError> {
    let scope = call.parameters.scope(call.now(), &call.reach)?;
    let slice = slice(&call.parameters)?;
    let live = state.live(&call.reach).await?;
    let completeness = CompletenessShape::from(&live.completeness);
    let uncounted = state.store.any_uncounted_images().await?;
    let Some(of) = call.parameters.referred()? else {
        let found = state.store.hits(Hits::Repositories, &scope, Which::Seen, slice).await?;
        let names: Vec<String> = found.hits.iter().map(|hit| hit.name.clone()).collect();
        let seen = state.store.repositories(&found.within(&scope), &names).await?;
        let seen: HashMap<&str, &RepositorySeen> = seen.iter().map(|one| (one.name.as_str(), one)).collect();
        let shape = |hit| RepositoryShape::of(hit, &seen);
        let repositories = found.hits.iter().map(shape).collect();
        let span = SpanShape::of(&found, slice);
        return Ok(json(&ImagesShape::Repositories(RepositoriesShape { span, repositories, uncounted, completeness })));
    };
    let found = state.store.references(&of, &scope, slice).await?;
    let next = slice.skip + found.rows.len() as u64;
    Ok(json(&ImagesShape::References(ReferencesShape {
        all: (!found.rows.is_empty() || slice.skip == 0).then_some(found.all),
        next: (next < found.all).then_some(next),
        references: found.rows.iter().map(ReferenceShape::of).collect(),
        uncounted,
        completeness,
    })))
}

// === impl RepositoryShape ===

impl<'a> RepositoryShape<'a> {
    fn of(hit: &'a Hit, seen: &HashMap<&str, &RepositorySeen>) -> Self {
        let seen = seen.get(hit.name.as_str());
        Self {
            repository: &hit.name,
            reviews: hit.reviews,
            would_reject: hit.would_reject,
            denied: hit.denied,
            before: hit.before,
            references: seen.map_or(0, |seen| seen.references),
            first_at: seen.map(|seen| time(seen.first_at)),
            last_at: seen.map(|seen| time(seen.last_at)),
        }
    }
}

// === impl ReferenceShape ===

impl<'a> ReferenceShape<'a> {
    fn of(reference: &'a Reference) -> Self {
        let written = Written::of(&reference.text);
        Self {
            text: &reference.text,
            tag: written.tag().map(str::to_owned),
            digest: written.digest().map(str::to_owned),
            error: written.why_unreadable().map(str::to_owned),
            mutable: written.is_mutable(),
            digests: reference.digests,
            first_at: time(reference.first_at),
            last_at: time(reference.last_at),
            reviews: reference.reviews,
            workloads: reference.workloads,
            breaks: reference.broken.as_deref().map(BrokenShape::all),
        }
    }
}

// === impl BrokenShape ===

impl<'a> BrokenShape<'a> {
    pub fn all(broken: &'a [Broken]) -> Vec<Self> {
        let shape = |one: &'a Broken| Self {
            policy: &one.policy,
            rule: &one.rule,
            mode: one.mode,
            message: &one.message,
            help: one.help.as_deref(),
            exempted: one.is_exempted,
        };
        broken.iter().map(shape).collect()
    }
}
