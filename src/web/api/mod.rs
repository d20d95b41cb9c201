//! `/api/v1`: what pages show, for programs. `docs/api.md` describes it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use serde::Serialize;

use self::endpoint::{Endpoint, Taken};
use super::WebState;
use super::access::visitor::Visitor;
use super::error::{ApiError, WebError};
use super::query::{Now, Parameters};
use super::zone::Zone;
use crate::review::clock::Timestamp;
use crate::store::reach::Reach;

mod access;
mod agreement;
mod break_glass;
mod candidates;
mod ceilings;
mod chart;
mod clusters;
pub mod decision;
mod decisions;
mod document;
pub mod endpoint;
mod exemptions;
mod export;
pub mod health;
mod hits;
mod image;
mod images;
mod inventory;
mod names;
mod namespace;
mod namespaces;
mod policies;
mod report;
mod revision;
mod revisions;
pub mod rule;
mod rules;
pub mod shape;
mod summary;

/// What there is, in the order of the document.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        summary::endpoint(),
        chart::endpoint(),
        hits::endpoint(),
        names::endpoint(),
        decisions::endpoint(),
        decision::endpoint(),
        export::endpoint(),
        rules::endpoint(),
        rule::endpoint(),
        namespaces::endpoint(),
        namespace::endpoint(),
        namespace::endpoint_of_cluster(),
        images::endpoint(),
        image::endpoint(),
        inventory::endpoint(),
        clusters::endpoint(),
        health::endpoint(),
        agreement::endpoint(),
        candidates::endpoint(),
        exemptions::endpoint(),
        exemptions::endpoint_of_one(),
        break_glass::endpoint(),
        ceilings::endpoint(),
        policies::endpoint(),
        report::endpoint(),
        report::endpoint_of_file(),
        revisions::endpoint(),
        revision::endpoint(),
        access::endpoint(),
        document::endpoint(),
    ]
}

/// What `after` is that an answer gave.
const NEXT: &str = "it is not a `next` that this API gave";

/// One request to the API: its parameters are those of its [`Endpoint`], each given once.
struct Call {
    parameters: Parameters,
    /// As it was written; empty: nothing was asked for.
    query: String,
    zone: Zone,
    now: Timestamp,
    visitor: Visitor,
    /// What of the history they may see.
    reach: Reach,
}

// === impl Call ===

impl Call {
    /// # Errors
    /// The address cannot be read, or names what is not the visitor's.
    async fn of(state: &WebState, visitor: Visitor, query: Option<&str>, taken: &Taken) -> Result<Self, WebError> {
        let parameters = Parameters::parse(query)?;
        parameters.only(&taken.0)?;
        visitor.admit(parameters.text("cluster"), parameters.text("namespace"))?;
        let reach = state.store.reach(&visitor.rights).await?;
        let zone = Zone::new(state.settings.time_zone.clone());
        let query = query.unwrap_or_default().to_owned();
        Ok(Self { parameters, query, zone, now: Timestamp::now(), visitor, reach })
    }

    fn now(&self) -> Now<'_> {
        Now { at: self.now, zone: &self.zone }
    }
}

/// No answer is made without one: what somebody may see is known before anything is read.
impl FromRequestParts<Arc<WebState>> for Call {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<WebState>) -> Result<Self, Response> {
        let visitor = Visitor::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let taken = parts.extensions.get::<Taken>().expect("an endpoint says what it takes");
        let call = Self::of(state, visitor, parts.uri.query(), taken).await;
        call.map_err(|error| ApiError::from(error).into_response())
    }
}

fn json(body: &impl Serialize) -> Response {
    let text = serde_json::to_string(body).expect("keys are strings and values are plain data");
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}
