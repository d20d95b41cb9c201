//! `/namespaces/{cluster}/{namespace}`: what of a namespace would be rejected, for its owners; `/namespaces/{cluster}`:
//! the same of what is in none.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};

use super::{html, start_of};
use crate::store::inventory::Outlook;
use crate::store::read::{Against, AgainstPage, Example, Scope, Slice};
use crate::web::address::Address;
use crate::web::bar::Bar;
use crate::web::error::PageError;
use crate::web::filters::{self, count};
use crate::web::frame::{Frame, Notice, Visit};
use crate::web::inventory::against as against_running;
use crate::web::place::{Place, PlaceFound, Running};
use crate::web::sentence::{self, Sentence, state as state_of};
use crate::web::span::{Span, lead, scope_of};
use crate::web::tables::{Cell, cells};
use crate::web::{WebState, gaps};

const ROWS: u16 = 50;
/// Images of one row that it names.
const IMAGES: usize = 4;

#[derive(Template)]
#[template(path = "pages/namespace.html")]
struct NamespacePage {
    frame: Frame,
    bar: Bar,
    place: Place,
    sentence: Sentence,
    span: Span,
    cells: Vec<Cell>,
    /// The whole days that the rows are of.
    days: String,
    heading: String,
    rows: Vec<Row>,
    first: Option<Address>,
    next: Option<Address>,
    drain: Option<Drain>,
    all: Address,
    api: Address,
}

/// A rule that stands against a workload.
struct Row {
    workload: String,
    of_workload: Address,
    rule: String,
    mode: Option<&'static str>,
    is_exempted: bool,
    message: Option<String>,
    help: Option<String>,
    /// `help`, where it is an address on the web.
    link: Option<String>,
    images: Vec<String>,
    more_images: usize,
    would_reject: (u64, Address),
    denied: (u64, Address),
    standing: u64,
    since: String,
    last: String,
    example: Option<Address>,
}

/// What runs there, and what becomes of it when its pods are made anew.
struct Drain {
    sentence: Sentence,
    at: String,
    of_inventory: Address,
    refused: Vec<(String, Vec<(String, String)>)>,
    more: u64,
}

pub async fn of_cluster(
    State(state): State<Arc<WebState>>,
    visit: Visit,
    Path(cluster): Path<String>,
) -> Result<Response, PageError> {
    page(&state, visit, Place::of(&cluster, "")).await
}

pub async fn show(
    State(state): State<Arc<WebState>>,
    visit: Visit,
    Path((cluster, namespace)): Path<(String, String)>,
) -> Result<Response, PageError> {
    page(&state, visit, Place::of(&cluster, &namespace)).await
}

async fn page(state: &WebState, visit: Visit, place: Place) -> Result<Response, PageError> {
    place.admit(&visit.visitor)?;
    let visit = visit.at_place(&place.cluster, &place.namespace);
    let scope = place.scope(scope_of(&visit)?);
    let slice = Slice { skip: visit.parameters.place("after")?, limit: ROWS };
    let live = state.live(&visit.reach).await?;
    let found = PlaceFound::of(&state.store, &place, &scope, slice, &visit.visitor).await?;
    let here = place.page(&visit);
    if found.against.rows.is_empty() && slice.skip > 0 {
        return Ok(start_of(&here));
    }
    let mut frame = Frame::of(title(&place), &visit, &live, here.clone());
    frame.notices.extend(Notice::of_gaps(&gaps::in_span(&found.summary, &live, Some(&place.cluster)), &visit.zone));
    frame.notices.extend(Notice::of_figures_without_rows(&found.summary, &scope, &visit.zone));
    Ok(html(&NamespacePage::of(&visit, &scope, frame, place, (found, slice)))?.into_response())
}

fn title(place: &Place) -> String {
    if place.namespace.is_empty() { format!("Objects of {}", place.cluster) } else { place.namespace.clone() }
}

// === impl NamespacePage ===

impl NamespacePage {
    fn of(visit: &Visit, scope: &Scope, frame: Frame, place: Place, (found, slice): (PlaceFound, Slice)) -> Self {
        let here = place.page(visit);
        let PlaceFound { summary, rules, against, running } = found;
        let list = place.list(&visit.to("/decisions")).with("dry_run", "false");
        let of_span = list.clone().with("since", summary.since.to_string()).with("until", summary.until.to_string());
        let of_days = list.with("since", against.since.to_string()).with("until", against.until.to_string());
        let day = |at| visit.zone.minute(at);
        Self {
            sentence: state_of(&lead_of(&place, visit, scope), &summary.figures, rules.rejecting, None),
            span: Span::of(visit, scope, (summary.since, summary.until)),
            cells: cells(&summary.figures, &of_span, &visit.reach)
                .into_iter()
                .filter(|cell| cell.class != "unjudged")
                .collect(),
            days: format!("{} to {}", day(against.since), day(against.until)),
            heading: heading(&against, slice),
            first: (slice.skip > 0).then(|| here.clone()),
            next: against.next(slice).map(|next| here.clone().with("after", next.to_string())),
            rows: against.rows.iter().map(|row| Row::of(row, &of_days, visit)).collect(),
            drain: running.map(|running| Drain::of(&running, &place, visit)),
            all: visit.to("/namespaces").without("cluster").without("namespace"),
            api: here.at(place.path("/api/v1/namespaces").path()).without("tz"),
            bar: Bar::of_time(visit, &here),
            frame,
            place,
        }
    }
}

fn lead_of(place: &Place, visit: &Visit, scope: &Scope) -> String {
    match place.namespace.as_str() {
        "" => {
            let of_time = Scope { cluster: None, namespace: None, ..scope.clone() };
            format!("{}, of {},", lead(visit, &of_time), place.told())
        }
        _ => lead(visit, scope),
    }
}

fn heading(against: &AgainstPage, slice: Slice) -> String {
    match against.all {
        0 => "Nothing stands against it".to_owned(),
        all => {
            let part = filters::part(count(all, "finding"), all, slice.skip, against.rows.len());
            format!("What stands against it: {part}")
        }
    }
}

// === impl Row ===

impl Row {
    fn of(against: &Against, list: &Address, visit: &Visit) -> Self {
        let workload = sentence::workload(&against.workload);
        let of_workload = list.clone().with("workload", &workload);
        let of_rule = of_workload.clone().with("policy", &against.policy).with("rule", &against.rule);
        let blamed = of_rule.with("to_blame", "true");
        let example = against.example.as_ref();
        let help = example.and_then(|example| example.help.clone());
        let images = example.map(|example| example.images.clone()).unwrap_or_default();
        Self {
            of_workload,
            workload,
            rule: format!("{}/{}", against.policy, against.rule),
            mode: example.map(|example| example.mode.as_str()),
            is_exempted: example.is_some_and(|example| example.is_exempted),
            message: example.map(|example| example.message.clone()),
            link: help.as_deref().and_then(sentence::web).map(str::to_owned),
            help,
            more_images: images.len().saturating_sub(IMAGES),
            images: images.into_iter().take(IMAGES).collect(),
            would_reject: (against.would_reject, blamed.clone().with("would_reject", "true")),
            denied: (against.denied, blamed.with("answer", "denied")),
            standing: against.standing,
            since: visit.zone.minute(against.first_at),
            last: visit.zone.minute(against.last_at),
            example: example.map(|Example { decision, .. }| visit.to(&format!("/decisions/{decision}"))),
        }
    }
}

// === impl Drain ===

impl Drain {
    fn of(running: &Running, place: &Place, visit: &Visit) -> Self {
        let inventory = visit.to("/inventory").with("cluster", &place.cluster).with("namespace", &place.namespace);
        let (all, refused) = (running.workloads(), running.number(Outlook::Refused));
        let of_all = || Sentence::default().plain(format!("Of {} that run here ", count(all, "workload")));
        let sentence = match refused {
            0 if all == 0 => Sentence::default().plain("Nothing runs here."),
            0 => of_all().plain("none would be refused when a pod is next made."),
            number => of_all()
                .phrase("denied", format!("{} would be refused", filters::group(number)))
                .plain(" when a pod is next made: by a drain, an eviction, a scale-up."),
        };
        let named = running.refused.workloads.iter().map(|listed| {
            let contents = &listed.contents;
            (sentence::workload(&contents.workload), against_running(contents, Outlook::Refused))
        });
        let named: Vec<_> = named.collect();
        Self {
            sentence,
            at: visit.zone.second(running.stored.at),
            more: refused.saturating_sub(named.len() as u64),
            of_inventory: match refused {
                0 => inventory,
                _ => inventory.with("outlook", Outlook::Refused.as_str()),
            },
            refused: named,
        }
    }
}
