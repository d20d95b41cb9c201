//! `/candidates`: what candidates say beside what is in force, counted over a span.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Html;

use super::html;
use crate::review::comparison::Stance;
use crate::store::read::{Compared, Comparisons, Scope};
use crate::web::address::Address;
use crate::web::bar::Bar;
use crate::web::error::PageError;
use crate::web::filters::{self, count};
use crate::web::frame::{Frame, Notice, Visit};
use crate::web::matrix::{Cell, Matrix};
use crate::web::span::{Span, scope_of};
use crate::web::{Live, LoadedCandidate, WebState, comparison};

#[derive(Template)]
#[template(path = "pages/candidates.html")]
struct CandidatesPage {
    frame: Frame,
    bar: Bar,
    span: Span,
    cards: Vec<Card>,
    agreement: Address,
    api: Address,
}

/// One candidate.
struct Card {
    name: String,
    beside: String,
    /// It judges now, in this process.
    is_loaded: bool,
    clusters: Vec<OfCluster>,
}

/// Its reviews of one cluster.
struct OfCluster {
    sentence: String,
    /// Of its table, for who does not see it.
    label: String,
    beside: String,
    said: Matrix,
}

pub async fn show(State(state): State<Arc<WebState>>, visit: Visit) -> Result<Html<String>, PageError> {
    let scope = scope_of(&visit)?;
    let live = state.live(&visit.reach).await?;
    let store = &state.store;
    let here = visit.to("/candidates");
    let (found, bar) = tokio::try_join!(store.comparisons(&scope), Bar::of(store, &visit, &here))?;
    html(&CandidatesPage::of(&visit, &scope, &live, found, bar))
}

// === impl CandidatesPage ===

impl CandidatesPage {
    fn of(visit: &Visit, scope: &Scope, live: &Live, found: Comparisons, bar: Bar) -> Self {
        let mut frame = Frame::of("Candidates", visit, live, bar.here.clone());
        if !found.compared.is_empty() {
            frame.notices.extend(Notice::of_counted(found.since, &found.horizons, scope, &visit.zone));
        }
        // The lists behind the figures: of the span that was really counted, dry runs left out as there.
        let list = visit
            .to("/decisions")
            .with("since", found.since.to_string())
            .with("until", found.until.to_string())
            .with("dry_run", "false");
        Self {
            frame,
            span: Span::of(visit, scope, (found.since, found.until)),
            agreement: visit.to("/agreement"),
            cards: cards(&live.candidates, found.compared, &list),
            api: bar.here.at("/api/v1/candidates").without("tz"),
            bar,
        }
    }
}

/// Those that are loaded first, in their order.
fn cards(loaded: &[LoadedCandidate], compared: Vec<Compared>, list: &Address) -> Vec<Card> {
    let mut found: BTreeMap<String, BTreeMap<String, Vec<Compared>>> = BTreeMap::new();
    for one in compared {
        found.entry(one.candidate.clone()).or_default().entry(one.cluster.clone()).or_default().push(one);
    }
    let card = |name: String, beside: String, is_loaded, by_cluster: BTreeMap<String, Vec<Compared>>| {
        let clusters =
            by_cluster.into_iter().map(|(cluster, cells)| OfCluster::of(&name, &cluster, &beside, &cells, list));
        Card { clusters: clusters.collect(), name, beside, is_loaded }
    };
    let mut cards: Vec<Card> = Vec::new();
    for LoadedCandidate { name, beside } in loaded {
        let of_it = found.remove(name).unwrap_or_default();
        cards.push(card(name.clone(), comparison::beside(beside.as_deref()), true, of_it));
    }
    let gone = "the policy of its name, or else the policies that were in force";
    cards.extend(found.into_iter().map(|(name, of_it)| card(name, gone.to_owned(), false, of_it)));
    cards
}

fn none_or(number: u64) -> String {
    if number == 0 { "none".to_owned() } else { filters::group(number) }
}

// === impl OfCluster ===

impl OfCluster {
    fn of(candidate: &str, cluster: &str, beside: &str, cells: &[Compared], list: &Address) -> Self {
        let reviews = |live: Stance, silent: Stance| {
            cells.iter().filter(|cell| (cell.live, cell.silent) == (live, silent)).map(|cell| cell.reviews).sum()
        };
        let list = list.clone().with("cluster", cluster).with("candidate", candidate);
        let cell = |live: Stance, silent: Stance| {
            let differs = live != silent && live != Stance::Pending && silent != Stance::Pending;
            let list = list.clone().with("candidate_live", live.as_str());
            let figure = (reviews(live, silent), list.with("candidate_verdict", silent.as_str()));
            Cell { class: if differs { "is-would" } else { "" }, figure }
        };
        let all: u64 = cells.iter().map(|cell| cell.reviews).sum();
        let (denied, allowed): (u64, u64) =
            (reviews(Stance::Allow, Stance::Deny), reviews(Stance::Deny, Stance::Allow));
        let sentence = format!(
            "Of {} in {cluster}, the candidate would deny {} that {beside} allowed, and would allow {} that {beside} stood \
             against.",
            count(all, "review"),
            none_or(denied),
            none_or(allowed),
        );
        let always = [Stance::Allow, Stance::Deny, Stance::Error, Stance::None];
        let said = Matrix::of(&always, reviews, cell);
        Self { sentence, label: format!("{candidate} in {cluster}"), beside: format!("In force, {cluster}"), said }
    }
}
