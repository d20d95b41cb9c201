//! `GET /api/v1/export`: all decisions of a list as lines, for files and other programs.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use super::Call;
use crate::review::clock::Timestamp;
use crate::store::Store;
use crate::store::access::Event;
use crate::store::read::{Cursor, Filter};
use crate::web::WebState;
use crate::web::access::log::AccessLog;
use crate::web::access::visitor::{PeerAddress, Visitor};
use crate::web::error::{ApiError, WebError};
use crate::web::export::Format;
use crate::web::query::FILTERS;
use crate::web::streams::Permit;

/// Decisions that are held at a time.
const PAGE: u16 = 500;

/// What is left to be written.
struct Export {
    store: Store,
    filter: Filter,
    format: Format,
    rest: Rest,
    permit: Permit,
}

enum Rest {
    /// Not even what comes before the first decision is written.
    All,
    After(Cursor),
    Nothing,
}

pub async fn show(
    State(state): State<Arc<WebState>>,
    visitor: Visitor,
    peer: PeerAddress,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let call = Call::of(&state, visitor, query.as_deref(), &[&FILTERS[..], &["format"]].concat()).await?;
    let filter = call.parameters.filter(call.now(), &call.reach)?;
    let format = call.parameters.format()?;
    // What comes while it runs is not waited for.
    let filter = Filter { until: filter.until.or(Some(Timestamp(call.now.0 + 1))), ..filter };
    let permit = state.streams.export()?;
    let who = call.visitor.who.as_ref().map(|who| (who.name.as_str(), who.means));
    let what = format!("decisions: {}", query.as_deref().unwrap_or("all"));
    // Nothing leaves that is not noted.
    state.store.note_access(&AccessLog::entry(Event::Export, who, peer, &what)).await.map_err(WebError::from)?;
    let export = Export { store: state.store.clone(), filter, format, rest: Rest::All, permit };
    let body = Body::from_stream(stream::try_unfold(export, Export::next));
    let disposition = format!("attachment; filename=\"decisions.{}\"", format.extension());
    Ok(([(CONTENT_TYPE, format.media_type().to_owned()), (CONTENT_DISPOSITION, disposition)], body).into_response())
}

// === impl Export ===

impl Export {
    /// The lines of the next page. An error breaks the answer off, so that nobody takes a part for the whole.
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let mut lines = Vec::new();
        let after = match self.rest {
            Rest::Nothing => return Ok(None),
            Rest::All => {
                self.format.begin(&mut lines)?;
                None
            }
            Rest::After(cursor) => Some(cursor),
        };
        if self.permit.is_stopping() {
            return Err(io::Error::other("the process stops"));
        }
        let page = self.store.decisions(&self.filter, PAGE, after).await;
        let page = page.map_err(|error| {
            tracing::error!(%error, "an export could not read the history and is broken off");
            io::Error::other(error)
        })?;
        for stored in &page.decisions {
            self.format.write(&mut lines, stored)?;
        }
        self.rest = page.next.map_or(Rest::Nothing, Rest::After);
        Ok(Some((lines.into(), self)))
    }
}
