//! `/decisions`: newest first, by filters that stand in the address.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Html;

use super::html;
use crate::review::clock::Timestamp;
use crate::store::read::{Cursor, Filter, Followed, Names, Scope};
use crate::store::{Store, StoreError};
use crate::web::WebState;
use crate::web::address::Address;
use crate::web::bar::Proposals;
use crate::web::error::PageError;
use crate::web::filters::{self, count};
use crate::web::found::FoundNames;
use crate::web::frame::{Frame, Notice, Visit};
use crate::web::gaps;
use crate::web::query::{FILTERS, cursor, followed};
use crate::web::row::Row;
use crate::web::span::{RangeChoice, ranges_of_list};

const ROWS: u16 = 50;
/// Filters that a page hides until they are asked for.
const MORE: [&str; 14] = [
    "policy",
    "rule",
    "repository",
    "to_blame",
    "dry_run",
    "uid",
    "candidate",
    "candidate_live",
    "candidate_verdict",
    "webhook",
    "local",
    "local_verdict",
    "webhook_verdict",
    "agreement",
];

#[derive(Template)]
#[template(path = "pages/decisions.html")]
struct Decisions {
    frame: Frame,
    here: Address,
    ranges: Vec<RangeChoice>,
    chips: Vec<Chip>,
    /// One of the less common filters is in force.
    more: bool,
    places: Proposals,
    policies: Vec<String>,
    rules: Vec<String>,
    zone: String,
    rows: Vec<Row>,
    heading: String,
    newest: Option<Address>,
    older: Option<Address>,
    /// The search stopped there, before the page was full: what is older has not been looked at.
    searched_until: Option<String>,
    /// What was looked for, and the names that hold it.
    wanted: String,
    found: Option<FoundNames>,
    /// `None`: the list has an end, or this is not its beginning.
    tail: Option<Tail>,
    /// Exactly this list, in each format.
    exports: [(&'static str, Address); 2],
    api: Address,
}

/// Whether the page shows what comes new to its list.
struct Tail {
    /// The events to follow; `None`: it does not follow.
    source: Option<Address>,
    /// The page that does the other thing.
    other: Address,
}

/// A filter in force, and this page without it.
struct Chip {
    name: &'static str,
    value: String,
    without: Address,
}

pub async fn list(State(state): State<Arc<WebState>>, visit: Visit) -> Result<Html<String>, PageError> {
    let filter = visit.parameters.filter(visit.now(), &visit.reach)?;
    let after = visit.parameters.cursor("it is not a place in this list: begin again at the newest")?;
    let live = state.live(&visit.reach).await?;
    let store = &state.store;
    let span = Scope { since: filter.since, until: filter.until, ..Scope::of(visit.reach.clone()) };
    let wanted = visit.parameters.text("q");
    // Before the list, so that nothing falls between it and what follows.
    let end = store.end().await?;
    let (page, undeclared, places, judges, horizons, names) = tokio::try_join!(
        store.decisions(&filter, ROWS, after),
        store.undeclared(&span),
        Proposals::of(store, &visit),
        store.policies_and_rules(),
        store.horizons(),
        names(store, &filter, wanted),
    )?;
    let gaps = gaps::of_page(store, &live, &filter, after, &page).await?;
    let here = visit.parameters.address("/decisions", &FILTERS).with_some("tz", visit.parameters.text("tz"));
    let mut rules: Vec<String> = judges.iter().flat_map(|judge| judge.rules.iter().cloned()).collect();
    rules.sort();
    rules.dedup();
    let mut frame = Frame::of("Decisions", &visit, &live, here.clone());
    frame.notices.extend(Notice::of_gaps(&gaps, &visit.zone));
    let since = gaps::span_of_page(&filter, after, &page).since;
    frame.notices.extend(Notice::of_deleted_rows(&horizons, &filter, since, &visit.zone));
    frame.notices.extend(Notice::of_undeclared(undeclared));
    let rows: Vec<Row> = page.decisions.iter().map(|stored| Row::of(stored, &visit)).collect();
    let tail = Tail::of(&visit, &here, &filter, after, &end);
    frame.refresh = tail.as_ref().is_some_and(|tail| tail.source.is_some());
    html(&Decisions {
        frame,
        ranges: ranges_of_list(&visit, &here),
        chips: chips(&here),
        more: MORE.iter().any(|name| here.value(name).is_some()),
        heading: heading(rows.len(), page.next.is_some(), after.is_some()),
        newest: after.is_some().then(|| here.clone()),
        searched_until: page.searched_until.map(|at| visit.zone.second(at)),
        older: page.next.map(|next| here.clone().with("after", cursor::encode(next))),
        api: here.at("/api/v1/decisions").without("tz"),
        zone: visit.zone.abbreviation(visit.now),
        found: names.map(|names| FoundNames::of(names, &here)),
        wanted: wanted.unwrap_or_default().to_owned(),
        exports: exports(&here, &filter, visit.now),
        tail,
        places,
        policies: filters::proposed(judges.into_iter().map(|judge| judge.policy).collect()),
        rules: filters::proposed(rules),
        rows,
        here,
    })
}

async fn names(store: &Store, filter: &Filter, wanted: Option<&str>) -> Result<Option<Names>, StoreError> {
    let Some(text) = wanted else { return Ok(None) };
    let scope = Scope {
        cluster: filter.cluster.clone(),
        namespace: filter.namespace.clone(),
        ..Scope::of(filter.reach.clone())
    };
    store.names(&scope, text).await.map(Some)
}

/// Of a span that has both its ends, so that what is exported is what is shown.
fn exports(here: &Address, filter: &Filter, now: Timestamp) -> [(&'static str, Address); 2] {
    let until = filter.until.unwrap_or(Timestamp(now.0 + 1));
    let export = here.at("/api/v1/export").without("tz").with("until", until.to_string());
    let export = export.with_some("since", filter.since.map(|since| since.to_string()));
    [("CSV", "csv"), ("NDJSON", "ndjson")].map(|(label, format)| (label, export.clone().with("format", format)))
}

/// What stands above the list: how many of how many is not known without counting them all.
fn heading(rows: usize, more: bool, paged: bool) -> String {
    match (rows, more, paged) {
        (0, ..) => "No decisions".to_owned(),
        (_, true, false) => format!("The newest {}", count(rows as u64, "decision")),
        (_, false, false) => count(rows as u64, "decision"),
        (_, true, true) => format!("{} further back", count(rows as u64, "decision")),
        (_, false, true) => format!("The oldest {}", count(rows as u64, "decision")),
    }
}

fn chips(here: &Address) -> Vec<Chip> {
    let chip = |(name, value): (&'static str, &str)| Chip {
        name: match name {
            "since" => "from",
            "until" => "to",
            "would_reject" => "would be rejected",
            "to_blame" => "is to blame",
            "dry_run" => "dry run",
            "candidate_live" => "in force",
            "candidate_verdict" => "candidate says",
            "local" => "beside the policy",
            "local_verdict" => "local policies say",
            "webhook_verdict" => "webhook says",
            "cluster_wide" => "of the whole cluster",
            name => name,
        },
        value: match value {
            "true" => "yes".to_owned(),
            "false" => "no".to_owned(),
            "only_local" => "local policies alone deny".to_owned(),
            "only_webhook" => "the webhook alone denies".to_owned(),
            "error" if name == "agreement" => "no verdict of one of them".to_owned(),
            "nothing" if name == "agreement" => "nothing to judge for one of them".to_owned(),
            value => value.to_owned(),
        },
        without: here.clone().without(name),
    };
    here.query().filter(|(name, _)| *name != "tz").map(chip).collect()
}

// === impl Tail ===

impl Tail {
    fn of(visit: &Visit, here: &Address, filter: &Filter, after: Option<Cursor>, end: &Followed) -> Option<Self> {
        if filter.until.is_some() || after.is_some() {
            return None;
        }
        let following = here.clone().with("follow", "true");
        let source = here.at("/decisions/tail").with("from", followed::encode(end));
        Some(match visit.parameters.text("follow") {
            Some("true") => Self { source: Some(source), other: here.clone() },
            _ => Self { source: None, other: following },
        })
    }
}

// === impl Decisions ===

impl Decisions {
    /// The events that are followed.
    fn source(&self) -> Option<&Address> {
        self.tail.as_ref()?.source.as_ref()
    }

    fn follows(&self) -> bool {
        self.source().is_some()
    }

    fn asked(&self, name: &str) -> &str {
        self.here.value(name).unwrap_or_default()
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.asked(name) == value
    }
}
