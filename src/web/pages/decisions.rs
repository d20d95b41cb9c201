//! `/decisions`: newest first, by filters that stand in the address.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Html;

use super::html;
use crate::review::decision::{Decision, ReviewRecord};
use crate::store::read::{Scope, StoredDecision};
use crate::web::WebState;
use crate::web::access::visitor::Visitor;
use crate::web::address::Address;
use crate::web::api::export;
use crate::web::error::PageError;
use crate::web::filters::{self, count};
use crate::web::frame::{Frame, Notice, Visit};
use crate::web::gaps;
use crate::web::let_through::Passage;
use crate::web::query::{BadParameter, FILTERS, cursor};
use crate::web::sentence::{Fate, rule_name, workload};
use crate::web::zone::Zone;

const ROWS: u16 = 50;
/// Images of one decision that its row names.
const IMAGES: usize = 3;

/// Filters that a page hides until they are asked for.
const MORE: [&str; 11] = [
    "since",
    "until",
    "policy",
    "rule",
    "repository",
    "to_blame",
    "dry_run",
    "uid",
    "candidate",
    "candidate_live",
    "candidate_verdict",
];

/// What `since` says, and its name.
const RANGES: [(&str, &str); 5] =
    [("", "All"), ("1h", "1 hour"), ("24h", "24 hours"), ("7d", "7 days"), ("30d", "30 days")];

#[derive(Template)]
#[template(path = "pages/decisions.html")]
struct Decisions {
    frame: Frame,
    here: Address,
    ranges: Vec<(&'static str, Address, bool)>,
    chips: Vec<Chip>,
    /// One of the less common filters is in force.
    more: bool,
    clusters: Vec<String>,
    namespaces: Vec<String>,
    policies: Vec<String>,
    rules: Vec<String>,
    zone: String,
    rows: Vec<Row>,
    heading: String,
    newest: Option<Address>,
    older: Option<Address>,
    /// The search stopped there, before the page was full: what is older has not been looked at.
    searched_until: Option<String>,
    api: Address,
    /// All that the filters select, by format.
    exports: [(&'static str, Address); 2],
}

/// A filter in force, and this page without it.
struct Chip {
    name: &'static str,
    value: String,
    without: Address,
}

struct Row {
    href: Address,
    time: String,
    date: String,
    datetime: String,
    fate: Fate,
    dry_run: bool,
    cluster: String,
    namespace: Option<String>,
    workload: String,
    operation: &'static str,
    images: Vec<String>,
    more_images: usize,
    against: Vec<Against>,
}

/// A rule that has a violation.
#[derive(PartialEq)]
struct Against {
    /// `policy/rule`.
    rule: String,
    /// The mode, or what lets it through.
    word: &'static str,
    /// Nothing lets it through.
    acts: bool,
}

pub async fn list(
    State(state): State<Arc<WebState>>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, PageError> {
    let visit = Visit::of(&state, visitor, query.as_deref()).await?;
    let filter = visit.parameters.filter(visit.now(), &visit.reach)?;
    let after = visit.parameters.text("after").map(|text| {
        let hint = "it is not a place in this list: begin again at the newest";
        cursor::decode(text).ok_or_else(|| BadParameter::new("after", hint))
    });
    let after = after.transpose()?;
    let live = state.live(&visit.reach).await?;
    let store = &state.store;
    let span = Scope { since: filter.since, until: filter.until, ..Scope::of(visit.reach.clone()) };
    let (page, undeclared, clusters, namespaces, judges, horizons) = tokio::try_join!(
        store.decisions(&filter, ROWS, after),
        store.undeclared(&span),
        store.clusters(&visit.reach),
        store.namespaces(filter.cluster.as_deref(), &visit.reach),
        store.policies_and_rules(),
        store.horizons(),
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
    let rows: Vec<Row> = page.decisions.iter().map(|stored| Row::of(stored, &visit.zone, &visit)).collect();
    html(&Decisions {
        frame,
        ranges: ranges(&here),
        chips: chips(&here),
        more: MORE.iter().any(|name| here.value(name).is_some()),
        heading: heading(rows.len(), page.next.is_some(), after.is_some()),
        newest: after.is_some().then(|| here.clone()),
        searched_until: page.searched_until.map(|at| visit.zone.second(at)),
        older: page.next.map(|next| here.clone().with("after", cursor::encode(next))),
        api: here.at("/api/v1/decisions").without("tz"),
        exports: [("CSV", "csv"), ("NDJSON", "ndjson")]
            .map(|(label, format)| (label, here.at(export::PATH).without("tz").with("format", format))),
        zone: visit.zone.abbreviation(visit.now),
        clusters: filters::proposed(clusters),
        namespaces: filters::proposed(namespaces),
        policies: filters::proposed(judges.into_iter().map(|judge| judge.policy).collect()),
        rules: filters::proposed(rules),
        rows,
        here,
    })
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

fn ranges(here: &Address) -> Vec<(&'static str, Address, bool)> {
    let own = here.value("until").is_some();
    let since = here.value("since").unwrap_or_default();
    let range = |(value, label)| (label, here.clone().with("since", value).without("until"), !own && since == value);
    RANGES.into_iter().map(range).collect()
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
            name => name,
        },
        value: match value {
            "true" => "yes".to_owned(),
            "false" => "no".to_owned(),
            value => value.to_owned(),
        },
        without: here.clone().without(name),
    };
    here.query().filter(|(name, _)| *name != "tz").map(chip).collect()
}

// === impl Decisions ===

impl Decisions {
    fn asked(&self, name: &str) -> &str {
        self.here.value(name).unwrap_or_default()
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.asked(name) == value
    }
}

// === impl Row ===

impl Row {
    fn of(stored: &StoredDecision, zone: &Zone, visit: &Visit) -> Self {
        let StoredDecision { decision, review } = stored;
        let images = names(review);
        Self {
            href: Address::of(format!("/decisions/{}", decision.id)).with_some("tz", visit.parameters.text("tz")),
            time: zone.time(decision.at),
            date: zone.date(decision.at),
            datetime: decision.at.to_string(),
            fate: Fate::of(decision),
            dry_run: decision.dry_run,
            cluster: decision.cluster.clone(),
            namespace: review.namespace.clone(),
            workload: workload(&review.workload),
            operation: review.operation.as_str(),
            more_images: images.len().saturating_sub(IMAGES),
            images: images.into_iter().take(IMAGES).collect(),
            against: against(decision),
        }
    }
}

/// A digest is told from others by its first twelve digits.
fn short(image: &str) -> String {
    match image.split_once("@sha256:") {
        Some((name, hex)) if hex.len() == 64 && hex.is_ascii() => format!("{name}@sha256:{}…", &hex[..12]),
        _ => image.to_owned(),
    }
}

/// Each image once.
fn names(review: &ReviewRecord) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for image in &review.images {
        let name = short(&image.text);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Each rule that stood against it once, standing violations left out; what is let through after what is not.
fn against(decision: &Decision) -> Vec<Against> {
    let passage = Passage::of(decision);
    let (mut acting, mut let_through) = (Vec::new(), Vec::new());
    for verdict in &decision.verdicts {
        for violation in &verdict.violations {
            let rule = rule_name(verdict, violation);
            let (rows, row) = match &violation.exempted {
                None => (&mut acting, Against { rule, word: violation.mode.as_str(), acts: true }),
                Some(by) => (&mut let_through, Against { rule, word: passage.word(by), acts: false }),
            };
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
    }
    acting.append(&mut let_through);
    acting
}
