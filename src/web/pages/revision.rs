//! `/revisions/{id}`: all that judged under a revision.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Html;

use super::html;
use crate::store::StoredRevision;
use crate::web::WebState;
use crate::web::address::Address;
use crate::web::changes::{self, Whole};
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
    /// The one that it is compared with, and what is another. `None`: none is known, or a text is not there.
    compared: Option<Compared>,
}

struct Compared {
    with: String,
    href: Address,
    in_one_line: String,
    changes: Vec<Whole>,
}

pub async fn show(
    State(state): State<Arc<WebState>>,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Html<String>, PageError> {
    let live = state.live(&visit.reach).await?;
    let stored = state.revision(id, &visit.visitor).await?;
    let here = visit.revision(&stored.id);
    let compared = state.compared(&stored, visit.parameters.text("from"), &visit.visitor).await?;
    html(&RevisionPage {
        frame: Frame::of(format!("Revision {}", stored.id), &visit, &live, here.clone()),
        loaded_at: stored.loaded_at.map(|at| visit.zone.second(at)),
        is_in_force: stored.id == live.revision,
        api: Address::of(format!("/api/v1{}", here.path())),
        back: visit.to("/policies"),
        compared: compared.map(|(with, changes)| Compared {
            href: visit.revision(&with),
            in_one_line: changes::in_one_line(&changes),
            with,
            changes: changes.into_iter().map(Whole::of).collect(),
        }),
        stored,
    })
}
