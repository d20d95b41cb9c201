//! `/namespaces`: every namespace that something came of in a span, those that would be hit most first.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::{html, start_of};
use crate::review::clock::Timestamp;
use crate::store::read::{Hit, Hits, Ranking, Scope, Slice, Which};
use crate::web::address::Address;
use crate::web::bar::Bar;
use crate::web::error::PageError;
use crate::web::filters::{self, count};
use crate::web::frame::{Frame, Notice, Visit};
use crate::web::place::{self, Place};
use crate::web::sentence::Sentence;
use crate::web::span::{Span, lead, scope_of};
use crate::web::trend::Trend;
use crate::web::{Live, WebState};

const ROWS: u16 = 50;

#[derive(Template)]
#[template(path = "pages/namespaces.html")]
struct NamespacesPage {
    frame: Frame,
    /// Of what is counted.
    since: Timestamp,
    bar: Bar,
    sentence: Sentence,
    span: Span,
    rows: Vec<Row>,
    heading: String,
    first: Option<Address>,
    next: Option<Address>,
    api: Address,
}

struct Row {
    cluster: String,
    /// Empty: none.
    namespace: String,
    href: Address,
    reviews: (u64, Address),
    would_reject: (u64, Address),
    denied: (u64, Address),
    trend: Trend,
}

pub async fn list(State(state): State<Arc<WebState>>, visit: Visit) -> Result<Response, PageError> {
    let scope = scope_of(&visit)?;
    let slice = Slice { skip: visit.parameters.place("after")?, limit: ROWS };
    let live = state.live(&visit.reach).await?;
    let (store, here) = (&state.store, visit.to("/namespaces"));
    let hits = store.hits(Hits::Places, &scope, Which::Seen, slice);
    let (found, bar, horizons) = tokio::try_join!(hits, Bar::of(store, &visit, &here), store.horizons())?;
    if found.hits.is_empty() && slice.skip > 0 {
        return Ok(start_of(&here));
    }
    let mut page = NamespacesPage::of(&visit, &scope, &live, (found, slice), bar);
    page.frame.notices.extend(Notice::of_counted(page.since, &horizons, &scope, &visit.zone));
    Ok(html(&page)?.into_response())
}

// === impl NamespacesPage ===

impl NamespacesPage {
    fn of(visit: &Visit, scope: &Scope, live: &Live, (found, slice): (Ranking, Slice), bar: Bar) -> Self {
        let here = &bar.here;
        let list = visit
            .to("/decisions")
            .with("since", found.since.to_string())
            .with("until", found.until.to_string())
            .with("dry_run", "false");
        Self {
            frame: Frame::of("Namespaces", visit, live, here.clone()),
            since: found.since,
            sentence: sentence(&lead(visit, scope), &found),
            span: Span::of(visit, scope, (found.since, found.until)),
            heading: heading(&found, slice),
            first: (slice.skip > 0).then(|| here.clone()),
            next: found.next(slice).map(|next| here.clone().with("after", next.to_string())),
            api: here.at("/api/v1/namespaces").without("tz"),
            rows: found.hits.iter().map(|hit| Row::of(hit, &list, visit)).collect(),
            bar,
        }
    }
}

fn sentence(span: &str, found: &Ranking) -> Sentence {
    let sentence = Sentence::default();
    match (found.all, found.rejecting) {
        (0, _) => sentence.plain(format!("{span} no reviews.")),
        (all, 0) => sentence.plain(format!("{span} reviews of {}; nothing would have been rejected.", namespaces(all))),
        (all, rejecting) => sentence
            .plain(format!("{span} reviews of {}; in ", namespaces(all)))
            .phrase("would", filters::group(rejecting))
            .plain(" of them something would have been rejected."),
    }
}

fn namespaces(number: u64) -> String {
    count(number, "namespace")
}

fn heading(found: &Ranking, slice: Slice) -> String {
    match found.all {
        0 => "No namespaces".to_owned(),
        all => filters::part(namespaces(all), all, slice.skip, found.hits.len()),
    }
}

// === impl Row ===

impl Row {
    fn of(hit: &Hit, list: &Address, visit: &Visit) -> Self {
        let place = Place::of(hit.cluster.as_deref().unwrap_or_default(), &hit.name);
        let list = place.list(list);
        Self {
            href: place.page(visit),
            would_reject: (hit.would_reject, list.clone().with("would_reject", "true")),
            denied: (hit.denied, list.clone().with("answer", "denied")),
            reviews: (hit.reviews, list),
            trend: Trend::of_hit(hit),
            namespace: place::name(&place.namespace).to_owned(),
            cluster: place.cluster,
        }
    }
}
