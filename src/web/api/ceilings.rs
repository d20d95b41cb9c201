//! `GET /api/v1/ceilings`: what was ordered that no mode goes over for a time.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::shape::time;
use super::{Call, json};
use crate::policy::ceiling::Ceiling;
use crate::review::decision::Mode;
use crate::web::WebState;
use crate::web::error::ApiError;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Ceilings")]
struct Listing<'a> {
    ceilings: Vec<Listed<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Ceiling")]
struct Listed<'a> {
    id: String,
    /// No mode is heavier.
    most: Mode,
    /// `null`: every one.
    policy: Option<&'a str>,
    /// A glob; `null`: everywhere.
    namespace: Option<&'a str>,
    include_webhooks: bool,
    ticket: &'a str,
    reason: Option<&'a str>,
    by: &'a str,
    from: String,
    until: String,
    /// `null`: it was not.
    lifted: Option<LiftShape<'a>>,
    /// In the process that answers.
    in_force: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Lift")]
struct LiftShape<'a> {
    at: String,
    by: &'a str,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<Listing<'static>>(
        "/api/v1/ceilings",
        "What was ordered that no mode goes over for a time.",
        &[],
        get(list),
    )
}

async fn list(State(state): State<Arc<WebState>>, call: Call) -> Result<Response, ApiError> {
    let (live, stored) = (state.live(&call.reach).await?, state.store.ceilings(&call.reach).await?);
    // The history may not have heard of one that is in force here.
    let mut ceilings: Vec<&Ceiling> = live.ceilings.iter().collect();
    ceilings.extend(stored.iter().filter(|stored| live.ceilings.iter().all(|ceiling| ceiling.id != stored.id)));
    ceilings.sort_by_key(|ceiling| std::cmp::Reverse((ceiling.from, ceiling.id)));
    let listed = |ceiling| Listed::of(ceiling, live.ceilings.contains(ceiling));
    Ok(json(&Listing { ceilings: ceilings.into_iter().map(listed).collect() }))
}

// === impl Listed ===

impl<'a> Listed<'a> {
    fn of(ceiling: &'a Ceiling, in_force: bool) -> Self {
        Self {
            id: ceiling.id.to_string(),
            most: ceiling.most,
            policy: ceiling.policy.as_deref(),
            namespace: ceiling.namespace.as_deref(),
            include_webhooks: ceiling.include_webhooks,
            ticket: &ceiling.ticket,
            reason: ceiling.reason.as_deref(),
            by: &ceiling.by,
            from: time(ceiling.from),
            until: time(ceiling.until),
            lifted: ceiling.lifted.as_ref().map(|lift| LiftShape { at: time(lift.at), by: &lift.by }),
            in_force,
        }
    }
}
