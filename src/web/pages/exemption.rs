//! `/exemptions/{id}`: all that used one, and all that lose it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};

use super::exemptions::{UserRow, decisions, notices, unused};
use super::{html, start_of};
use crate::store::exemption::Used;
use crate::store::read::Slice;
use crate::web::WebState;
use crate::web::address::Address;
use crate::web::bar::Bar;
use crate::web::error::{PageError, WebError};
use crate::web::exemptions::{Lists, Told};
use crate::web::filters::{self, count};
use crate::web::frame::{Frame, Visit};
use crate::web::lapses::{self, Losing};
use crate::web::readiness::Question;
use crate::web::span::{Span, scope_of};

const ROWS: u16 = 50;

#[derive(Template)]
#[template(path = "pages/exemption.html")]
struct ExemptionPage {
    frame: Frame,
    bar: Bar,
    span: Span,
    about: String,
    id: String,
    losing: Losing,
    lists: Lists,
    loaded: Option<(String, String)>,
    last_used: String,
    unused: String,
    uses: (u64, Address),
    heading: String,
    users: Vec<UserRow>,
    first: Option<Address>,
    next: Option<Address>,
    all: Address,
    api: Address,
}

pub async fn show(
    State(state): State<Arc<WebState>>,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let scope = scope_of(&visit)?;
    let slice = Slice { skip: visit.parameters.place("after")?, limit: ROWS };
    let live = state.live(&visit.reach).await?;
    let (store, here) = (&state.store, lapses::page(&visit, &id));
    let question = Question::of(&state, &live, &visit.parameters, visit.now, &visit.reach);
    let (told, used, bar, horizons) = tokio::try_join!(
        Told::of(store, &question, &scope, 1),
        store.users(&id, &scope, slice),
        Bar::of(store, &visit, &here),
        store.horizons()
    )?;
    let Some(row) = told.row(&id) else { return Err(WebError::no_such_exemption(&visit.visitor, id).into()) };
    let used = used.unwrap_or_default();
    if used.users.is_empty() && slice.skip > 0 {
        return Ok(start_of(&here));
    }
    let mut frame = Frame::of(row.title(), &visit, &live, here.clone());
    frame.notices.extend(notices(&told, &horizons, &scope, &visit));
    let list = decisions(&visit, &told, &id);
    let (last_used, unused) = unused(row, &told, &visit);
    let page = ExemptionPage {
        frame,
        span: Span::of(&visit, &scope, (told.since, told.until)),
        about: row.about(),
        losing: Losing::of(row, &told, &visit, usize::MAX),
        lists: row.lists(),
        loaded: row.known.loaded.map(|(first, last)| (visit.zone.minute(first), visit.zone.minute(last))),
        last_used,
        unused,
        heading: heading(&used, slice),
        users: used.users.iter().map(|user| UserRow::of(user, &list, &visit)).collect(),
        uses: (used.reviews, list),
        first: (slice.skip > 0).then(|| here.clone()),
        next: used.next(slice).map(|next| here.clone().with("after", next.to_string())),
        all: visit.to("/exemptions"),
        api: here.at(format!("/api/v1{}", here.path())).without("tz"),
        bar,
        id,
    };
    Ok(html(&page)?.into_response())
}

fn heading(used: &Used, slice: Slice) -> String {
    match used.workloads {
        0 => "Nobody used it".to_owned(),
        all => format!("Used by {}", filters::part(count(all, "workload"), all, slice.skip, used.users.len())),
    }
}
