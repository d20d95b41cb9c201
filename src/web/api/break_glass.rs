//! `GET /api/v1/break-glass`: who broke a glass, newest first, in pages.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::shape::time;
use super::{Call, NEXT, json};
use crate::review::decision::Answer;
use crate::review::ticket::{FirstUse, Ticket};
use crate::store::UsePage;
use crate::web::WebState;
use crate::web::error::ApiError;
use crate::web::query::cursor;
use crate::web::sentence;

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 1_000;

/// What it takes.
const PARAMETERS: [&str; 6] = ["since", "until", "cluster", "namespace", "limit", "after"];

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Uses")]
struct Listing<'a> {
    uses: Vec<Use<'a>>,
    /// `after` of the next page.
    next: Option<String>,
}

/// The first use of a ticket by a workload.
#[derive(Debug, Serialize, JsonSchema)]
struct Use<'a> {
    at: String,
    until: String,
    cluster: &'a str,
    namespace: &'a str,
    workload: String,
    ticket: &'a str,
    person: &'a str,
    /// `policy/rule`.
    rules: &'a [String],
    without: Answer,
    decision: String,
    /// Of that decision, as written; `null`: it is kept no more.
    images: Option<&'a [String]>,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<Listing<'static>>(
        "/api/v1/break-glass",
        "Uses of break-glass, newest first: the first one of each ticket by a workload.",
        &PARAMETERS,
        get(list),
    )
}

async fn list(State(state): State<Arc<WebState>>, call: Call) -> Result<Response, ApiError> {
    let asked = call.parameters.uses(call.now(), &call.reach)?;
    let limit = call.parameters.limit(DEFAULT_LIMIT, MAX_LIMIT)?;
    let after = call.parameters.cursor(NEXT)?;
    let page = state.store.uses(&asked, limit, after).await?;
    let uses = page.tickets.iter().filter_map(|ticket| Use::of(ticket, &page)).collect();
    Ok(json(&Listing { uses, next: page.next.map(cursor::encode) }))
}

// === impl Use ===

impl<'a> Use<'a> {
    fn of(ticket: &'a Ticket, page: &'a UsePage) -> Option<Self> {
        let Ticket { key, first_use, .. } = ticket;
        let FirstUse { at, until, person, rules, decision, without } = first_use.as_ref()?;
        Some(Self {
            at: time(*at),
            until: time(*until),
            cluster: &key.cluster,
            namespace: &key.namespace,
            workload: sentence::workload(&key.workload),
            ticket: &key.ticket,
            person,
            rules,
            without: *without,
            decision: decision.to_string(),
            images: page.images.get(decision).map(Vec::as_slice),
        })
    }
}
