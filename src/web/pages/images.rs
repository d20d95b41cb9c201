//! `/images`: every image that was asked for, by registry and repository; with `repository`, or `unreadable`, each
//! reference as it was written.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::{html, start_of};
use crate::review::clock::Timestamp;
use crate::store::read::{
    Broken, Filter, Hit, Hits, Ranking, Reference, References, Referred, RepositorySeen, Scope, Slice, Which,
};
use crate::web::address::Address;
use crate::web::bar::Bar;
use crate::web::error::PageError;
use crate::web::filters;
use crate::web::frame::{Frame, Notice, Visit};
use crate::web::reference::{self, Written};
use crate::web::sentence::Sentence;
use crate::web::span::{Span, lead, scope_of};
use crate::web::trend::Trend;
use crate::web::{Live, WebState};

const ROWS: u16 = 50;

#[derive(Template)]
#[template(path = "pages/images.html")]
struct ImagesPage {
    frame: Frame,
    /// Of what is counted.
    since: Timestamp,
    bar: Bar,
    sentence: Sentence,
    span: Span,
    heading: String,
    shown: Shown,
    /// All repositories, where this is of one of them or of what cannot be read.
    all: Option<Address>,
    unreadable: Address,
    first: Option<Address>,
    next: Option<Address>,
    /// There are references past `history.max_names`.
    uncounted: bool,
    api: Address,
}

enum Shown {
    Repositories(Vec<RepositoryRow>),
    References(Vec<ReferenceRow>),
}

struct RepositoryRow {
    registry: String,
    repository: String,
    /// What is past `history.max_names`, together.
    is_other: bool,
    href: Address,
    references: (u64, Address),
    seen: Option<(String, String)>,
    reviews: (u64, Address),
    would_reject: (u64, Address),
    denied: (u64, Address),
    trend: Trend,
}

struct ReferenceRow {
    text: String,
    href: Address,
    written: Written,
    digests: u64,
    broken: Option<Vec<Broken>>,
    workloads: (u64, Address),
    reviews: (u64, Address),
    first: String,
    last: String,
}

pub async fn list(State(state): State<Arc<WebState>>, visit: Visit) -> Result<Response, PageError> {
    let scope = scope_of(&visit)?;
    let slice = Slice { skip: visit.parameters.place("after")?, limit: ROWS };
    let live = state.live(&visit.reach).await?;
    let store = &state.store;
    let here = visit.parameters.address("/images", &reference::PARAMETERS).with_some("tz", visit.parameters.text("tz"));
    let bar = Bar::of(store, &visit, &here);
    let uncounted = store.any_uncounted_images().await?;
    let mut page = match visit.parameters.referred()? {
        None => {
            let (found, bar) = tokio::try_join!(store.hits(Hits::Repositories, &scope, Which::Seen, slice), bar)?;
            let names: Vec<String> = found.hits.iter().map(|hit| hit.name.clone()).collect();
            let seen = store.repositories(&found.within(&scope), &names).await?;
            ImagesPage::of_repositories(&visit, &scope, &live, (found, slice, uncounted), seen, bar)
        }
        Some(of) => {
            let (found, bar) = tokio::try_join!(store.references(&of, &scope, slice), bar)?;
            ImagesPage::of_references(&visit, &scope, &live, (&of, found, slice, uncounted), bar)
        }
    };
    if page.is_past_its_end() {
        return Ok(start_of(&here));
    }
    let horizons = store.horizons().await?;
    page.frame.notices.extend(match &page.shown {
        Shown::Repositories(_) => Notice::of_counted(page.since, &horizons, &scope, &visit.zone),
        // Their figures are of all times.
        Shown::References(_) => Notice::of_deleted_rows(&horizons, &Filter::of(visit.reach.clone()), None, &visit.zone),
    });
    Ok(html(&page)?.into_response())
}

// === impl ImagesPage ===

impl ImagesPage {
    fn is_past_its_end(&self) -> bool {
        let is_empty = match &self.shown {
            Shown::Repositories(rows) => rows.is_empty(),
            Shown::References(rows) => rows.is_empty(),
        };
        is_empty && self.first.is_some()
    }

    fn of_repositories(
        visit: &Visit,
        scope: &Scope,
        live: &Live,
        (found, slice, uncounted): (Ranking, Slice, bool),
        seen: Vec<RepositorySeen>,
        bar: Bar,
    ) -> Self {
        let list = visit
            .to("/decisions")
            .with("since", found.since.to_string())
            .with("until", found.until.to_string())
            .with("dry_run", "false");
        let seen: HashMap<String, RepositorySeen> = seen.into_iter().map(|one| (one.name.clone(), one)).collect();
        let here = bar.here.clone();
        Self {
            frame: Frame::of("Images", visit, live, here.clone()),
            since: found.since,
            sentence: sentence(&lead(visit, scope), &found),
            span: Span::of(visit, scope, (found.since, found.until)),
            heading: heading(found.all, found.hits.len(), slice, "repository", "repositories"),
            first: (slice.skip > 0).then(|| here.clone()),
            next: found.next(slice).map(|next| here.clone().with("after", next.to_string())),
            shown: Shown::Repositories(
                found.hits.iter().map(|hit| RepositoryRow::of(hit, seen.get(&hit.name), &list, visit)).collect(),
            ),
            all: None,
            unreadable: here.clone().with("unreadable", "true"),
            uncounted,
            api: here.at("/api/v1/images").without("tz"),
            bar,
        }
    }

    fn of_references(
        visit: &Visit,
        scope: &Scope,
        live: &Live,
        (of, found, slice, uncounted): (&Referred, References, Slice, bool),
        bar: Bar,
    ) -> Self {
        let here = bar.here.clone();
        let (title, of_what) = match of {
            Referred::Of(name) => (name.clone(), format!("references to {name}")),
            Referred::Unreadable => ("Unreadable images".to_owned(), "references that cannot be read".to_owned()),
        };
        let text = match found.all {
            0 => format!("{} no {of_what}.", lead(visit, scope)),
            all => format!("{} {} {of_what}.", lead(visit, scope), filters::group(all)),
        };
        let ends = (scope.since.unwrap_or(visit.now), scope.until.unwrap_or(visit.now));
        let next = slice.skip + found.rows.len() as u64;
        Self {
            frame: Frame::of(title, visit, live, here.clone()),
            since: ends.0,
            sentence: Sentence::default().plain(text),
            span: Span::of(visit, scope, ends),
            heading: heading(found.all, found.rows.len(), slice, "reference", "references"),
            first: (slice.skip > 0).then(|| here.clone()),
            next: (next < found.all).then(|| here.clone().with("after", next.to_string())),
            shown: Shown::References(found.rows.into_iter().map(|one| ReferenceRow::of(one, visit)).collect()),
            all: Some(here.clone().without("repository").without("unreadable")),
            unreadable: here.clone().without("repository").with("unreadable", "true"),
            uncounted,
            api: here.at("/api/v1/images").without("tz"),
            bar,
        }
    }
}

fn sentence(span: &str, found: &Ranking) -> Sentence {
    let images = || match found.all {
        1 => "1 repository".to_owned(),
        number => format!("{} repositories", filters::group(number)),
    };
    let sentence = Sentence::default();
    match (found.all, found.rejecting) {
        (0, _) => sentence.plain(format!("{span} no images.")),
        (_, 0) => sentence.plain(format!("{span} images of {}; none would have been rejected.", images())),
        (_, rejecting) => sentence
            .plain(format!("{span} images of {}; those of ", images()))
            .phrase("would", filters::group(rejecting))
            .plain(" would have been rejected."),
    }
}

fn heading(all: u64, shown: usize, slice: Slice, one: &str, many: &str) -> String {
    match all {
        0 => format!("No {many}"),
        1 => format!("1 {one}"),
        all => filters::part(format!("{} {many}", filters::group(all)), all, slice.skip, shown),
    }
}

// === impl RepositoryRow ===

impl RepositoryRow {
    fn of(hit: &Hit, seen: Option<&RepositorySeen>, list: &Address, visit: &Visit) -> Self {
        // Of the span that was really counted.
        let references = ["since", "until"]
            .into_iter()
            .fold(visit.to("/images"), |images, name| images.with_some(name, list.value(name)));
        let list = list.clone().with("repository", &hit.name);
        let blamed = list.clone().with("to_blame", "true");
        let (registry, repository) = hit.name.split_once('/').unwrap_or(("", &hit.name));
        Self {
            is_other: registry.is_empty(),
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            href: visit.to("/images").with("repository", &hit.name),
            references: (seen.map_or(0, |seen| seen.references), references.with("repository", &hit.name)),
            seen: seen.map(|seen| (visit.zone.minute(seen.first_at), visit.zone.minute(seen.last_at))),
            would_reject: (hit.would_reject, blamed.clone().with("would_reject", "true")),
            denied: (hit.denied, blamed.with("answer", "denied")),
            reviews: (hit.reviews, list),
            trend: Trend::of_hit(hit),
        }
    }
}

// === impl ReferenceRow ===

impl ReferenceRow {
    fn of(reference: Reference, visit: &Visit) -> Self {
        let Reference { text, first_at, last_at, reviews, workloads, digests, broken } = reference;
        // Of all times: as what is counted is.
        let list =
            visit.to("/decisions").without("since").without("until").with("image", &text).with("dry_run", "false");
        Self {
            href: reference::page(visit, &text),
            written: Written::of(&text),
            digests,
            broken,
            workloads: (workloads, reference::page(visit, &text)),
            reviews: (reviews, list),
            first: visit.zone.minute(first_at),
            last: visit.zone.minute(last_at),
            text,
        }
    }
}
