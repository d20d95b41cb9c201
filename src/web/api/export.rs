//! `GET /api/v1/export`: all decisions that filters select, as lines of JSON or as a table. Noted before it begins.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use super::Call;
use crate::review::clock::Timestamp;
use crate::store::access::Event;
use crate::store::read::{Cursor, Filter};
use crate::store::{Store, StoreError};
use crate::web::WebState;
use crate::web::access::log::AccessLog;
use crate::web::access::visitor::{PeerAddress, Visitor};
use crate::web::error::{ApiError, WebError};
use crate::web::export::Format;
use crate::web::query::FILTERS;

pub const PATH: &str = "/api/v1/export";

/// Decisions read at once.
const PAGE: u16 = 500;

pub async fn show(
    State(state): State<Arc<WebState>>,
    visitor: Visitor,
    peer: PeerAddress,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let known = [&FILTERS[..], &["format"]].concat();
    let call = Call::of(&state, visitor, query.as_deref(), &known).await?;
    let format = call.parameters.format()?;
    let filter = call.parameters.filter(call.now(), &call.reach)?;
    // What comes while it runs is not waited for.
    let until = filter.until.or(Some(Timestamp(call.now.0 + 1)));
    let who = call.visitor.who.as_ref().map(|who| (who.name.as_str(), who.means));
    let what = format!("decisions: {}", query.as_deref().unwrap_or("all"));
    // Nothing leaves that is not noted.
    state.store.note_access(&AccessLog::entry(Event::Export, who, peer, &what)).await.map_err(WebError::from)?;
    let (media_type, name) = match format {
        Format::Ndjson => ("application/x-ndjson", "attachment; filename=\"decisions.ndjson\""),
        Format::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"decisions.csv\""),
    };
    let body = Body::from_stream(stream::try_unfold(
        Some(Export { store: state.store.clone(), filter: Filter { until, ..filter }, format, next: Place::Beginning }),
        |export| async move {
            match export {
                Some(export) => export.step().await.map(Some),
                None => Ok(None),
            }
        },
    ));
    Ok(([(CONTENT_TYPE, media_type), (CONTENT_DISPOSITION, name)], body).into_response())
}

/// One on its way.
struct Export {
    store: Store,
    filter: Filter,
    format: Format,
    next: Place,
}

#[derive(Clone, Copy)]
enum Place {
    Beginning,
    After(Cursor),
}

// === impl Export ===

impl Export {
    /// The next page. An error cuts the answer off, so that nobody takes it for the whole.
    async fn step(self) -> Result<(Bytes, Option<Self>), StoreError> {
        let mut out = Vec::new();
        let after = match self.next {
            Place::Beginning => {
                self.format.begin(&mut out).expect("a Vec takes everything");
                None
            }
            Place::After(cursor) => Some(cursor),
        };
        let page = self.store.decisions(&self.filter, PAGE, after).await.inspect_err(|error| {
            tracing::error!(%error, "an export is cut off");
        })?;
        for stored in &page.decisions {
            self.format.write(&mut out, stored).expect("a Vec takes everything");
        }
        let next = page.next.map(|cursor| Self { next: Place::After(cursor), ..self });
        Ok((out.into(), next))
    }
}
