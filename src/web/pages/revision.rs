//! `/revisions/{id}`: all that judged under a revision.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Html;

use super::html;
use crate::store::StoredRevision;
use crate::web::WebState;
use crate::web::address::Address;
use crate::web::error::PageError;
use crate::web::filters;
use crate::web::frame::{Frame, Visit};

#[derive(Template)]
#[template(path = "pages/revision.html")]
struct RevisionPage {
    frame: Frame,
    stored: StoredRevision,
    loaded_at: Option<String>,
    is_in_force: bool,
    api: Address,
    back: Address,
}

pub async fn show(
    State(state): State<Arc<WebState>>,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Html<String>, PageError> {
    let live = state.live(&visit.reach).await?;
    let stored = state.revision(id, &visit.visitor).await?;
    let here = visit.revision(&stored.id);
    html(&RevisionPage {
        frame: Frame::of(format!("Revision {}", stored.id), &visit, &live, here.clone()),
        loaded_at: stored.loaded_at.map(|at| visit.zone.second(at)),
        is_in_force: stored.id == live.revision,
        api: Address::of(format!("/api/v1{}", here.path())),
        back: visit.to("/decisions"),
        stored,
    })
}
