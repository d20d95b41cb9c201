//! `GET /api/v1/exemptions`: what each exemption let through, and who loses it; `GET /api/v1/exemptions/{id}`: the same of
//! one, with all who used it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::hits::slice;
use super::shape::{CompletenessShape, time};
use super::{Call, json};
use crate::policy::readiness::lapse::Lapse;
use crate::policy::settings::ExemptionSettings;
use crate::store::exemption::{Used, User};
use crate::web::WebState;
use crate::web::error::{ApiError, WebError};
use crate::web::exemptions::{Row, SOON, State as Standing, Told};
use crate::web::readiness::Question;
use crate::web::sentence;

/// Users of each that the whole list has.
const USERS: u16 = 20;

/// What it takes.
const PARAMETERS: [&str; 4] = ["since", "until", "cluster", "namespace"];

const OF_ONE: [&str; 6] = ["since", "until", "cluster", "namespace", "limit", "after"];

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Exemptions")]
struct ExemptionsShape<'a> {
    #[serde(flatten)]
    counted: CountedShape,
    exemptions: Vec<ExemptionShape<'a>>,
    #[serde(flatten)]
    completeness: CompletenessShape<'a>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ExemptionWhole")]
struct OneShape<'a> {
    #[serde(flatten)]
    counted: CountedShape,
    exemption: ExemptionShape<'a>,
    /// `after` of the next part of `used_by`.
    next: Option<u64>,
    #[serde(flatten)]
    completeness: CompletenessShape<'a>,
}

/// Over what uses are counted, and by what workloads are known.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ExemptionsCounted")]
struct CountedShape {
    since: String,
    until: String,
    /// `null`: from the beginning.
    known_since: Option<String>,
    soon_ms: i64,
    revision: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Exemption")]
struct ExemptionShape<'a> {
    id: &'a str,
    /// `until`, `permanent`, `ended` or `gone`.
    state: &'static str,
    until: Option<String>,
    ticket: Option<&'a str>,
    owner: Option<&'a str>,
    reason: Option<&'a str>,
    policies: &'a [String],
    rules: &'a [String],
    clusters: &'a [String],
    namespaces: &'a [String],
    workloads: &'a [String],
    images: &'a [String],
    containers: &'a [String],
    first_loaded_at: Option<String>,
    last_loaded_at: Option<String>,
    last_used_at: Option<String>,
    uses: u64,
    used_by_workloads: u64,
    used_by: Vec<UserShape<'a>>,
    /// Of one that holds: who loses it at its end. Of one that is over: who needs it.
    loses: Vec<LapseShape<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ExemptionUser")]
struct UserShape<'a> {
    cluster: &'a str,
    namespace: Option<&'a str>,
    workload: String,
    uses: u64,
    last_used_at: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Lapse")]
struct LapseShape<'a> {
    cluster: &'a str,
    namespace: &'a str,
    workload: String,
    /// `policy/rule`.
    rules: Vec<&'a str>,
    /// Whether it breaks: else it would be rejected.
    breaks: bool,
    at: Option<String>,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<ExemptionsShape<'static>>(
        "/api/v1/exemptions",
        "What each exemption let through, who loses it when it ends, and who still needs one that is over.",
        &PARAMETERS,
        get(list),
    )
}

pub fn endpoint_of_one() -> Endpoint {
    Endpoint::json::<OneShape<'static>>(
        "/api/v1/exemptions/{id}",
        "What an exemption let through, with all who used it.",
        &OF_ONE,
        get(show),
    )
}

async fn list(State(state): State<Arc<WebState>>, call: Call) -> Result<Response, ApiError> {
    let scope = call.parameters.scope(call.now(), &call.reach)?;
    let live = state.live(&call.reach).await?;
    let question = Question::of(&state, &live, &call.parameters, call.now, &call.reach);
    let told = Told::of(&state.store, &question, &scope, USERS).await?.listed();
    Ok(json(&ExemptionsShape {
        counted: CountedShape::of(&told, &question),
        exemptions: told.rows.iter().map(|row| ExemptionShape::of(row, &row.known.used, &told)).collect(),
        completeness: CompletenessShape::from(&live.completeness),
    }))
}

async fn show(State(state): State<Arc<WebState>>, Path(id): Path<String>, call: Call) -> Result<Response, ApiError> {
    let scope = call.parameters.scope(call.now(), &call.reach)?;
    let slice = slice(&call.parameters)?;
    let live = state.live(&call.reach).await?;
    let question = Question::of(&state, &live, &call.parameters, call.now, &call.reach);
    let told = Told::of(&state.store, &question, &scope, 1).await?;
    let Some(row) = told.row(&id) else { return Err(WebError::no_such_exemption(&call.visitor, id).into()) };
    let used = state.store.users(&id, &scope, slice).await?.unwrap_or_default();
    let used = Used { reviews: row.known.used.reviews, workloads: row.known.used.workloads, ..used };
    Ok(json(&OneShape {
        counted: CountedShape::of(&told, &question),
        exemption: ExemptionShape::of(row, &used, &told),
        next: used.next(slice),
        completeness: CompletenessShape::from(&live.completeness),
    }))
}

// === impl CountedShape ===

impl CountedShape {
    fn of(told: &Told, question: &Question) -> Self {
        Self {
            since: time(told.since),
            until: time(told.until),
            known_since: told.known_since.map(time),
            soon_ms: SOON,
            revision: question.revision.id.clone(),
        }
    }
}

// === impl ExemptionShape ===

impl<'a> ExemptionShape<'a> {
    fn of(row: &'a Row, used: &'a Used, told: &'a Told) -> Self {
        let settings = row.known.settings.as_ref();
        let list = |of: fn(&ExemptionSettings) -> &Vec<String>| settings.map_or(&[][..], |one| of(one).as_slice());
        let text = |of: fn(&ExemptionSettings) -> &Option<String>| settings.and_then(|one| of(one).as_deref());
        let until = match row.state {
            Standing::Until(until) | Standing::Ended(until) => Some(until),
            Standing::Permanent => None,
            Standing::Gone => settings.and_then(|one| one.until),
        };
        Self {
            id: &row.known.id,
            state: row.state.name(),
            until: until.map(time),
            ticket: text(|one| &one.ticket),
            owner: text(|one| &one.owner),
            reason: text(|one| &one.reason),
            policies: list(|one| &one.policies),
            rules: list(|one| &one.rules),
            clusters: list(|one| &one.clusters),
            namespaces: list(|one| &one.namespaces),
            workloads: list(|one| &one.workloads),
            images: list(|one| &one.images),
            containers: list(|one| &one.containers),
            first_loaded_at: row.known.loaded.map(|(first, _)| time(first)),
            last_loaded_at: row.known.loaded.map(|(_, last)| time(last)),
            last_used_at: row.known.last_used.map(time),
            uses: used.reviews,
            used_by_workloads: used.workloads,
            used_by: used.users.iter().map(UserShape::of).collect(),
            loses: row.lapses.iter().map(|lapse| LapseShape::of(lapse, told)).collect(),
        }
    }
}

impl<'a> UserShape<'a> {
    fn of(user: &'a User) -> Self {
        Self {
            cluster: &user.cluster,
            namespace: Some(user.namespace.as_str()).filter(|name| !name.is_empty()),
            workload: sentence::workload(&user.workload),
            uses: user.reviews,
            last_used_at: time(user.last_at),
        }
    }
}

impl<'a> LapseShape<'a> {
    fn of(lapse: &'a Lapse, told: &'a Told) -> Self {
        let (place, known) = told.workload(lapse);
        Self {
            cluster: &place.cluster,
            namespace: &place.namespace,
            workload: sentence::workload(&known.workload),
            rules: lapse.rules.iter().map(String::as_str).collect(),
            breaks: lapse.breaks,
            at: lapse.at.map(time),
        }
    }
}
