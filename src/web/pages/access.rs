//! `/access`: who did what with the report, newest first.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Html;

use super::html;
use crate::store::access::{Access, Event, Means};
use crate::web::WebState;
use crate::web::address::Address;
use crate::web::error::PageError;
use crate::web::filters::{self, group};
use crate::web::frame::{Frame, Visit};
use crate::web::query::cursor;

const ROWS: u16 = 100;

/// What selects rows.
pub const FILTERS: [&str; 4] = ["since", "until", "event", "user"];

#[derive(Template)]
#[template(path = "pages/access.html")]
struct AccessPage {
    frame: Frame,
    here: Address,
    events: [&'static str; 4],
    heading: String,
    rows: Vec<Row>,
    zone: String,
    newest: Option<Address>,
    older: Option<Address>,
    api: Address,
    /// Nobody is asked who they are: nobody signs in.
    is_open: bool,
}

struct Row {
    at: String,
    event: &'static str,
    who: Option<String>,
    means: Option<&'static str>,
    peer: String,
    what: String,
    /// How many like it before it have no row.
    more: u64,
    /// All of theirs.
    href: Option<Address>,
}

pub async fn list(State(state): State<Arc<WebState>>, visit: Visit) -> Result<Html<String>, PageError> {
    visit.visitor.admit_to_access()?;
    let asked = visit.parameters.accesses(visit.now())?;
    let after = visit.parameters.cursor("it is not a place in this list: begin again")?;
    let live = state.live(&visit.reach).await?;
    let page = state.store.accesses(&asked, ROWS, after).await?;
    let here = visit.parameters.address("/access", &FILTERS).with_some("tz", visit.parameters.text("tz"));
    html(&AccessPage {
        frame: Frame::of("Access", &visit, &live, here.clone()),
        events: Event::ALL.map(Event::as_str),
        heading: heading(page.accesses.len(), page.next.is_some() || after.is_some()),
        rows: page.accesses.iter().map(|access| Row::of(access, &visit, &here)).collect(),
        zone: visit.zone.abbreviation(visit.now),
        newest: after.map(|_| here.clone()),
        older: page.next.map(|next| here.clone().with("after", cursor::encode(next))),
        api: here.at("/api/v1/access").without("tz"),
        is_open: visit.visitor.who.is_none(),
        here,
    })
}

fn heading(rows: usize, is_part: bool) -> String {
    match rows {
        0 => "Nothing is noted".to_owned(),
        1 => "1 entry".to_owned(),
        rows if is_part => format!("{} entries on this page", group(rows as u64)),
        rows => format!("{} entries", group(rows as u64)),
    }
}

// === impl AccessPage ===

impl AccessPage {
    fn asked(&self, name: &str) -> &str {
        self.here.value(name).unwrap_or_default()
    }
}

// === impl Row ===

impl Row {
    fn of(access: &Access, visit: &Visit, here: &Address) -> Self {
        let Access { at, event, who, means, peer, what, more, .. } = access;
        Self {
            at: visit.zone.second(*at),
            event: event.as_str(),
            who: who.clone(),
            means: means.map(Means::as_str),
            peer: peer.clone(),
            what: what.clone(),
            more: *more,
            href: who.as_ref().map(|who| here.clone().with("user", who.as_str())),
        }
    }
}
