//! `/report`: the printable report of a period.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Html;

use super::html;
use crate::web::WebState;
use crate::web::address::Address;
use crate::web::bar::Bar;
use crate::web::error::PageError;
use crate::web::filters;
use crate::web::frame::{Frame, Visit};
use crate::web::printed::{self, Asking, Ground, Printed};

#[derive(Template)]
#[template(path = "pages/report.html")]
struct ReportPage {
    frame: Frame,
    bar: Bar,
    report: Printed,
    /// Where the same is to be had as a file.
    html: Address,
    markdown: Address,
}

pub async fn show(State(state): State<Arc<WebState>>, visit: Visit) -> Result<Html<String>, PageError> {
    let parameters = printed::over(&visit.parameters, visit.now())?;
    let visit = Visit { parameters, ..visit };
    let live = state.live(&visit.reach).await?;
    let ground = Ground::of(&state, &live, &visit.reach, &visit.visitor);
    let asking = Asking::of(&visit.parameters, ground, visit.now())?;
    let here = visit.to("/report");
    let (report, bar) =
        tokio::try_join!(Printed::read(&state.store, &asking, Some(&live)), Bar::of(&state.store, &visit, &here))?;
    let file = here.at("/api/v1/report/file");
    html(&ReportPage {
        frame: Frame::of(report.title.clone(), &visit, &live, here),
        bar,
        report,
        html: file.clone().with("format", "html"),
        markdown: file.with("format", "md"),
    })
}
