//! `GET /api/v1/export`: all decisions of a list as lines, for files and other programs.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use tokio::sync::mpsc;

use super::Call;
use super::endpoint::Endpoint;
use crate::review::clock::Timestamp;
use crate::store::Store;
use crate::store::access::Event;
use crate::store::read::{Cursor, Filter};
use crate::web::WebState;
use crate::web::access::log::AccessLog;
use crate::web::access::visitor::PeerAddress;
use crate::web::error::{ApiError, WebError};
use crate::web::export::Format;
use crate::web::query::FILTERS;
use crate::web::streams::Permit;

/// Decisions that are held at a time.
const PAGE: u16 = 500;

/// How long a page waits for its reader.
const STALLED: Duration = Duration::from_secs(60);

/// Lines, or that all are written.
type Written = Option<Bytes>;

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

pub fn endpoint() -> Endpoint {
    Endpoint::files(
        "/api/v1/export",
        "All decisions of a list, as lines for files and other programs.",
        &parameters(),
        &["application/x-ndjson", "text/csv"],
        get(show),
    )
}

fn parameters() -> Vec<&'static str> {
    [&FILTERS[..], &["format"]].concat()
}

async fn show(State(state): State<Arc<WebState>>, peer: PeerAddress, call: Call) -> Result<Response, ApiError> {
    let filter = call.parameters.filter(call.now(), &call.reach)?;
    let format = call.parameters.format()?;
    // What comes while it runs is not waited for.
    let filter = Filter { until: filter.until.or(Some(Timestamp(call.now.0 + 1))), ..filter };
    let permit = state.streams.export()?;
    let who = call.visitor.who.as_ref().map(|who| (who.name.as_str(), who.means));
    let what = format!("decisions: {}", if call.query.is_empty() { "all" } else { &call.query });
    // Nothing leaves that is not noted.
    state.store.note_access(&AccessLog::entry(Event::Export, who, peer, &what)).await.map_err(WebError::from)?;
    let export = Export { store: state.store.clone(), filter, format, rest: Rest::All, permit };
    let (pages, written) = mpsc::channel(1);
    tokio::spawn(export.write(pages));
    let body = Body::from_stream(stream::try_unfold(written, read));
    let disposition = format!("attachment; filename=\"decisions.{}\"", format.extension());
    Ok(([(CONTENT_TYPE, format.media_type().to_owned()), (CONTENT_DISPOSITION, disposition)], body).into_response())
}

// === impl Export ===

impl Export {
    /// Writes pages until all is written. Where it ends before, it does so without a word: the answer is broken off then, so
    /// that nobody takes a part for the whole.
    async fn write(mut self, pages: mpsc::Sender<Written>) {
        loop {
            let page = match self.next().await {
                Ok(page) => page,
                Err(error) => {
                    tracing::error!(%error, "an export could not read the history and is broken off");
                    return;
                }
            };
            let is_last = page.is_none();
            // A reader that is gone, or does not read on, leaves its place to others.
            let sent = pages.send_timeout(page, STALLED).await;
            if is_last || sent.is_err() || self.permit.is_stopping() {
                return;
            }
        }
    }

    /// The lines of the next page; `null`: all is written.
    async fn next(&mut self) -> io::Result<Written> {
        let mut lines = Vec::new();
        let after = match self.rest {
            Rest::Nothing => return Ok(None),
            Rest::All => {
                self.format.begin(&mut lines)?;
                None
            }
            Rest::After(cursor) => Some(cursor),
        };
        let page = self.store.decisions(&self.filter, PAGE, after).await.map_err(io::Error::other)?;
        for stored in &page.decisions {
            self.format.write(&mut lines, stored)?;
        }
        self.rest = page.next.map_or(Rest::Nothing, Rest::After);
        Ok(Some(lines.into()))
    }
}

/// What is written, as it is read.
async fn read(mut pages: mpsc::Receiver<Written>) -> io::Result<Option<(Bytes, mpsc::Receiver<Written>)>> {
    match pages.recv().await {
        Some(Some(lines)) => Ok(Some((lines, pages))),
        Some(None) => Ok(None),
        None => Err(io::Error::other("the export was broken off")),
    }
}
