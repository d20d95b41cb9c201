//! `GET /api/v1/images/reference?image=`: who asked for an image as it was written, who runs it, what it breaks.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::hits::slice;
use super::images::BrokenShape;
use super::shape::{CompletenessShape, time};
use super::{Call, json};
use crate::store::read::{Asker, Runner, Scope};
use crate::web::WebState;
use crate::web::error::ApiError;
use crate::web::image::ImageFound;
use crate::web::reference::{self, Written};
use crate::web::sentence;

/// What it takes.
const PARAMETERS: [&str; 5] = ["image", "cluster", "namespace", "limit", "after"];

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ImageReference")]
struct ImageShape<'a> {
    text: &'a str,
    /// `registry/repository`.
    repository: Option<String>,
    tag: Option<String>,
    digest: Option<String>,
    error: Option<String>,
    mutable: bool,
    /// Of which the tag was seen to stand for.
    digests: &'a [String],
    asked: Vec<AskerShape<'a>>,
    /// Workloads that asked for it; `null` past their end.
    all: Option<u64>,
    next: Option<u64>,
    /// Of an image that nothing else names.
    only_dry_runs: Option<u64>,
    runs: Vec<RunnerShape<'a>>,
    more_run: bool,
    #[serde(flatten)]
    completeness: CompletenessShape<'a>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Asker")]
struct AskerShape<'a> {
    cluster: &'a str,
    namespace: Option<&'a str>,
    workload: String,
    first_at: String,
    last_at: String,
    reviews: u64,
    breaks: Option<Vec<BrokenShape<'a>>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Runner")]
struct RunnerShape<'a> {
    cluster: &'a str,
    inventory: i64,
    namespace: &'a str,
    workload: String,
    pods: u64,
    digest: Option<&'a str>,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<ImageShape<'static>>(
        "/api/v1/images/reference",
        "Who asked for an image as it was written, who runs it, what it breaks.",
        &PARAMETERS,
        get(show),
    )
}

async fn show(State(state): State<Arc<WebState>>, call: Call) -> Result<Response, ApiError> {
    let text = call.parameters.image()?;
    let place = |name| call.parameters.text(name).map(str::to_owned);
    let scope = Scope { cluster: place("cluster"), namespace: place("namespace"), ..Scope::of(call.reach.clone()) };
    let slice = slice(&call.parameters)?;
    let live = state.live(&call.reach).await?;
    let found = ImageFound::of(&state.store, &text, &scope, slice).await?;
    let written = Written::of(&text);
    let next = slice.skip + found.askers.rows.len() as u64;
    Ok(json(&ImageShape {
        text: &text,
        repository: reference::repository(&text),
        tag: written.tag().map(str::to_owned),
        digest: written.digest().map(str::to_owned),
        error: written.why_unreadable().map(str::to_owned),
        mutable: written.is_mutable(),
        digests: &found.digests,
        asked: found.askers.rows.iter().map(AskerShape::of).collect(),
        all: (!found.askers.rows.is_empty() || slice.skip == 0).then_some(found.askers.all),
        next: (next < found.askers.all).then_some(next),
        only_dry_runs: found.only_dry_runs,
        runs: found.runners.rows.iter().map(RunnerShape::of).collect(),
        more_run: found.runners.is_more,
        completeness: CompletenessShape::from(&live.completeness),
    }))
}

// === impl AskerShape ===

impl<'a> AskerShape<'a> {
    fn of(asker: &'a Asker) -> Self {
        Self {
            cluster: &asker.cluster,
            namespace: Some(asker.namespace.as_str()).filter(|name| !name.is_empty()),
            workload: sentence::workload(&asker.workload),
            first_at: time(asker.first_at),
            last_at: time(asker.last_at),
            reviews: asker.reviews,
            breaks: asker.broken.as_deref().map(BrokenShape::all),
        }
    }
}

// === impl RunnerShape ===

impl<'a> RunnerShape<'a> {
    fn of(runner: &'a Runner) -> Self {
        Self {
            cluster: &runner.cluster,
            inventory: runner.inventory,
            namespace: &runner.namespace,
            workload: sentence::workload(&runner.workload),
            pods: runner.pods,
            digest: runner.digest.as_deref(),
        }
    }
}
