//! `GET /api/v1/agreement`: local policies beside webhooks, counted over a span.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::shape::{CompletenessShape, time};
use super::{Call, json};
use crate::review::agreement::Accord;
use crate::review::comparison::Stance;
use crate::store::read::{AccordBucket, Accords, Cause, Pair, Paired, Side};
use crate::web::WebState;
use crate::web::agreement::{Chosen, Found, Loaded};
use crate::web::error::ApiError;

const DEFAULT_LIMIT: u16 = 64;
const MAX_LIMIT: u16 = 1_000;

/// What it takes.
const PARAMETERS: [&str; 8] = ["since", "until", "cluster", "namespace", "dry_run", "webhook", "local", "limit"];

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Agreement")]
struct AgreementShape<'a> {
    since: String,
    until: String,
    /// Nothing older was counted.
    counted_since: Option<String>,
    /// What was counted before may be counted no more: rows are gone.
    recountable_since: Option<String>,
    /// Those that are asked now, and those that judge now, in the process that answers.
    webhooks: &'a [String],
    locals: &'a [String],
    pairs: Vec<PairShape<'a>>,
    chosen: Option<ChosenShape<'a>>,
    #[serde(flatten)]
    completeness: CompletenessShape<'a>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AgreementPair")]
struct PairShape<'a> {
    #[serde(flatten)]
    pair: NamesShape<'a>,
    #[serde(flatten)]
    accords: AccordsShape,
    cells: Vec<CellShape>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AgreementNames")]
struct NamesShape<'a> {
    webhook: &'a str,
    /// `null`: all local policies together.
    local: Option<&'a str>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Accords")]
struct AccordsShape {
    reviews: u64,
    agreed: u64,
    only_local: u64,
    only_webhook: u64,
    error: u64,
    nothing: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AgreementCell")]
struct CellShape {
    local_verdict: Stance,
    webhook_verdict: Stance,
    reviews: u64,
}

/// The pair that is looked at.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AgreementChosen")]
struct ChosenShape<'a> {
    #[serde(flatten)]
    pair: NamesShape<'a>,
    /// Oldest first, without a hole.
    buckets: Vec<BucketShape>,
    only_local: SideShape<'a>,
    only_webhook: SideShape<'a>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AgreementBucket")]
struct BucketShape {
    since: String,
    until: String,
    #[serde(flatten)]
    accords: AccordsShape,
}

/// The most reviews first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AgreementSide")]
struct SideShape<'a> {
    rules: Vec<RuleShape<'a>>,
    namespaces: Vec<NamespaceShape<'a>>,
    images: Vec<ImageShape<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AgreementRule")]
struct RuleShape<'a> {
    policy: &'a str,
    rule: &'a str,
    reviews: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AgreementNamespace")]
struct NamespaceShape<'a> {
    cluster: &'a str,
    /// `null`: what is of the whole cluster.
    namespace: Option<&'a str>,
    reviews: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AgreementImage")]
struct ImageShape<'a> {
    repository: &'a str,
    reviews: u64,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<AgreementShape<'static>>(
        "/api/v1/agreement",
        "What local policies and webhooks said of the same reviews, counted over a span.",
        &PARAMETERS,
        get(show),
    )
}

async fn show(State(state): State<Arc<WebState>>, call: Call) -> Result<Response, ApiError> {
    let scope = call.parameters.scope(call.now(), &call.reach)?;
    let limit = call.parameters.limit(DEFAULT_LIMIT, MAX_LIMIT)?;
    let live = state.live(&call.reach).await?;
    let loaded = Loaded::of(&live);
    let found = Found::of(&state.store, &loaded, &call.parameters, &scope, (limit.into(), limit)).await?;
    let agreements = &found.agreements;
    Ok(json(&AgreementShape {
        since: time(agreements.since),
        until: time(agreements.until),
        counted_since: agreements.counted_since.map(time),
        recountable_since: agreements.horizons.recountable_since(scope.dry_run).map(time),
        webhooks: &loaded.webhooks,
        locals: &loaded.locals,
        pairs: found.pairs().into_iter().map(|pair| PairShape::of(pair, &found)).collect(),
        chosen: found.chosen.as_ref().map(ChosenShape::of),
        completeness: CompletenessShape::from(&live.completeness),
    }))
}

// === impl PairShape ===

impl<'a> PairShape<'a> {
    fn of(pair: &'a Pair, found: &Found) -> Self {
        let cell = |one: &Paired| CellShape {
            local_verdict: one.local_said,
            webhook_verdict: one.webhook_said,
            reviews: one.reviews,
        };
        Self {
            accords: AccordsShape::of(&found.agreements.accords(pair)),
            cells: found.agreements.paired.iter().filter(|one| one.pair == *pair).map(cell).collect(),
            pair: NamesShape::of(pair),
        }
    }
}

// === impl NamesShape ===

impl<'a> NamesShape<'a> {
    fn of(pair: &'a Pair) -> Self {
        Self { webhook: &pair.webhook, local: pair.local.as_deref() }
    }
}

// === impl AccordsShape ===

impl AccordsShape {
    fn of(accords: &Accords) -> Self {
        Self {
            reviews: accords.reviews(),
            agreed: accords.of(Accord::Agreed),
            only_local: accords.of(Accord::OnlyLocal),
            only_webhook: accords.of(Accord::OnlyWebhook),
            error: accords.of(Accord::Error),
            nothing: accords.of(Accord::Nothing),
        }
    }
}

// === impl ChosenShape ===

impl<'a> ChosenShape<'a> {
    fn of(chosen: &'a Chosen) -> Self {
        let Chosen { pair, rules, namespaces, repositories, over_time, .. } = chosen;
        let bucket = |bucket: &AccordBucket| BucketShape {
            since: time(bucket.from),
            until: time(bucket.to),
            accords: AccordsShape::of(&bucket.accords),
        };
        Self {
            pair: NamesShape::of(pair),
            buckets: over_time.iter().map(bucket).collect(),
            only_local: SideShape::of(&rules.only_local, &namespaces.only_local, &repositories.only_local),
            only_webhook: SideShape::of(&rules.only_webhook, &namespaces.only_webhook, &repositories.only_webhook),
        }
    }
}

// === impl SideShape ===

impl<'a> SideShape<'a> {
    fn of(rules: &'a Side, namespaces: &'a Side, repositories: &'a Side) -> Self {
        let rule = |cause: &'a Cause| {
            let (policy, rule) = cause.name.split_once('/').unwrap_or((&cause.name, ""));
            RuleShape { policy, rule, reviews: cause.reviews }
        };
        let namespace = |cause: &'a Cause| NamespaceShape {
            cluster: &cause.cluster,
            namespace: Some(cause.name.as_str()).filter(|name| !name.is_empty()),
            reviews: cause.reviews,
        };
        let image = |cause: &'a Cause| ImageShape { repository: &cause.name, reviews: cause.reviews };
        Self {
            rules: rules.causes.iter().map(rule).collect(),
            namespaces: namespaces.causes.iter().map(namespace).collect(),
            images: repositories.causes.iter().map(image).collect(),
        }
    }
}
