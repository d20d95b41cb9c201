//! `/api/v1`: what pages show, for programs. `docs/api.md` describes it.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde::Serialize;

use super::WebState;
use super::query::{BadParameter, Now, Parameters};
use super::zone::Zone;
use crate::review::clock::Timestamp;

pub mod break_glass;
pub mod candidates;
pub mod ceilings;
pub mod chart;
pub mod decision;
pub mod decisions;
pub mod export;
pub mod hits;
pub mod image;
pub mod images;
pub mod inventory;
pub mod names;
pub mod namespace;
pub mod namespaces;
pub mod revision;
pub mod revisions;
pub mod shape;
pub mod summary;

/// One request to the API: parameters all known, each given once.
struct Call {
    parameters: Parameters,
    zone: Zone,
    now: Timestamp,
}

// === impl Call ===

impl Call {
    fn of(state: &WebState, query: Option<&str>, known: &[&str]) -> Result<Self, BadParameter> {
        let parameters = Parameters::parse(query)?;
        parameters.only(known)?;
        Ok(Self { parameters, zone: Zone::new(state.settings.time_zone.clone()), now: Timestamp::now() })
    }

    fn now(&self) -> Now<'_> {
        Now { at: self.now, zone: &self.zone }
    }
}

fn json(body: &impl Serialize) -> Response {
    let text = serde_json::to_string(body).expect("keys are strings and values are plain data");
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}
