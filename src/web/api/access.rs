//! `GET /api/v1/access`: who did what with the report, newest first, in pages.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::shape::time;
use super::{Call, NEXT, json};
use crate::store::access::{Access, Means};
use crate::web::WebState;
use crate::web::error::ApiError;
use crate::web::pages::access::FILTERS;
use crate::web::query::cursor;

const DEFAULT_LIMIT: u16 = 100;
const MAX_LIMIT: u16 = 1_000;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Accesses")]
struct Listing<'a> {
    accesses: Vec<Listed<'a>>,
    /// `after` of the next page.
    next: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Access")]
struct Listed<'a> {
    id: String,
    at: String,
    event: &'static str,
    /// `null`: nobody that is known.
    user: Option<&'a str>,
    means: Option<&'static str>,
    peer: &'a str,
    what: &'a str,
    /// Of the same before it that have no entry of their own.
    more: u64,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<Listing<'static>>(
        "/api/v1/access",
        "Who signed in to the report, was refused or took an export, newest first.",
        &parameters(),
        get(list),
    )
}

fn parameters() -> Vec<&'static str> {
    [&FILTERS[..], &["limit", "after"]].concat()
}

async fn list(State(state): State<Arc<WebState>>, call: Call) -> Result<Response, ApiError> {
    call.visitor.admit_to_access()?;
    let asked = call.parameters.accesses(call.now())?;
    let limit = call.parameters.limit(DEFAULT_LIMIT, MAX_LIMIT)?;
    let after = call.parameters.cursor(NEXT)?;
    let page = state.store.accesses(&asked, limit, after).await?;
    let accesses = page.accesses.iter().map(Listed::of).collect();
    Ok(json(&Listing { accesses, next: page.next.map(cursor::encode) }))
}

// === impl Listed ===

impl<'a> Listed<'a> {
    fn of(access: &'a Access) -> Self {
        let Access { id, at, event, who, means, peer, what, more } = access;
        Self {
            id: id.to_string(),
            at: time(*at),
            event: event.as_str(),
            user: who.as_deref(),
            means: means.map(Means::as_str),
            peer,
            what,
            more: *more,
        }
    }
}
