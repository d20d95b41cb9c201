//! `/rules/{policy}/{rule}`: how ready one rule is, namespace by namespace, and what to do about it.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Html;

use super::html;
use super::rules::{Cell, of_evidence, of_gates, of_workloads, span};
use crate::policy::readiness::advice::{self, Proposed};
use crate::policy::readiness::census::{Fate, InNamespace, Word};
use crate::policy::readiness::evidence::Place;
use crate::policy::readiness::state::{Gate, ago};
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::Mode;
use crate::web::WebState;
use crate::web::address::Address;
use crate::web::error::{PageError, WebError};
use crate::web::filters::{self, count};
use crate::web::frame::{Frame, Visit};
use crate::web::paging::Pages;
use crate::web::place;
use crate::web::readiness::{GATES, OfRule, Question, Shown, WHY_WORKLOADS, path};
use crate::web::sentence::workload;

/// Namespaces, or workloads, of one page.
const ROWS: usize = 50;
/// Violations that a row names.
const NAMED: usize = 3;
/// Workloads that an exemption is told to be for.
const COVERED: usize = 12;

#[derive(Template)]
#[template(path = "pages/rule.html")]
struct RulePage {
    frame: Frame,
    here: Address,
    clusters: Vec<String>,
    namespace_names: Vec<String>,
    all: Address,
    sentence: String,
    span: String,
    why: &'static str,
    cells: Vec<Cell>,
    /// What a list shows, where one is asked for.
    workloads: Option<Workloads>,
    heading: String,
    namespaces: Vec<NamespaceRow>,
    pages: Pages,
    advice: Advice,
    api: Address,
}

struct Workloads {
    heading: String,
    rows: Vec<WorkloadRow>,
    pages: Pages,
    close: Address,
}

struct WorkloadRow {
    workload: String,
    place: String,
    class: &'static str,
    fate: &'static str,
    against: Vec<(String, Option<String>)>,
    more_against: usize,
    word: &'static str,
    when: String,
    href: Option<Address>,
    seen: &'static str,
}

struct NamespaceRow {
    namespace: String,
    cluster: String,
    class: &'static str,
    words: String,
    mode: Mode,
    cells: Vec<Cell>,
    /// When, and the decisions of that moment.
    violated: Option<(String, Address)>,
    quiet_since: String,
    recorded: String,
}

/// What to write into the configuration.
struct Advice {
    /// What the rollout is of.
    rollout_of: String,
    rollout: Option<String>,
    bound: Option<String>,
    /// Nothing is ready that is not enforced, or can be.
    idle: &'static str,
    exemptions: Option<String>,
    relief: Vec<ReliefRow>,
    /// Exemptions beside those rows.
    more: usize,
    left: Option<String>,
}

struct ReliefRow {
    clusters: Vec<String>,
    what: Vec<String>,
    namespaces: Vec<String>,
    covers: Vec<String>,
    more: usize,
}

pub async fn show(
    State(state): State<Arc<WebState>>,
    visit: Visit,
    Path((policy, rule)): Path<(String, String)>,
) -> Result<Html<String>, PageError> {
    let shown = visit.parameters.choice("workloads", &Shown::ALL)?;
    let gate = visit.parameters.choice("gate", &GATES)?;
    let after = visit.parameters.number("after", "a place in this list: begin again at its start")?;
    let after = usize::try_from(after.unwrap_or(0)).unwrap_or(0);
    let live = state.live(&visit.reach).await?;
    let question = Question::of(&state, &live, &visit.parameters, visit.now, &visit.reach);
    let store = &state.store;
    let (found, clusters, namespaces) = tokio::try_join!(
        question.rule(store, &policy, &rule),
        store.clusters(&visit.reach),
        store.namespaces(question.cluster.as_deref(), &visit.reach)
    )?;
    let found = found.ok_or_else(|| WebError::NoSuchRule(format!("{policy}/{rule}")))?;
    let here = Address::of(path(&policy, &rule))
        .with_some("cluster", question.cluster.clone())
        .with_some("namespace", question.namespace.clone())
        .with_some("gate", visit.parameters.text("gate"))
        .with_some("workloads", visit.parameters.text("workloads"))
        .with_some("tz", visit.parameters.text("tz"));
    let mut frame = Frame::of(found.asked.name(), &visit, &live, here.clone());
    frame.notices.extend(of_evidence(question.since(), found.evidence.since, &visit.zone));
    let workloads = match shown {
        None => None,
        Some(shown) => {
            let all = found.shown(shown, None);
            let rows: Vec<usize> = all.iter().copied().skip(after).take(ROWS).collect();
            let ids = store.ids(&found.reviews(&rows)).await?;
            Some(Workloads {
                heading: format!("{} {}", count(all.len() as u64, "workload"), said(shown)),
                rows: rows.iter().map(|&at| WorkloadRow::of(&found, at, &ids, &visit)).collect(),
                pages: Pages::of(&here, "after", (after, ROWS), all.len()),
                close: here.clone().without("workloads"),
            })
        }
    };
    let listed: Vec<&InNamespace> =
        found.census.namespaces.iter().filter(|one| gate.is_none_or(|gate| one.state.gate() == gate)).collect();
    let start = if shown.is_some() { 0 } else { after };
    let page = RulePage {
        sentence: found.sentence(),
        span: span(&question, &visit.zone),
        why: WHY_WORKLOADS,
        cells: [of_gates(found.census.totals.gates, &here), of_workloads(found.census.totals.counts, &here)].concat(),
        heading: format!("{}{}", count(listed.len() as u64, "namespace"), gate.map_or("", of_gate)),
        namespaces: listed
            .iter()
            .skip(start)
            .take(ROWS)
            .map(|one| NamespaceRow::of(&found, one, &here, &visit))
            .collect(),
        pages: Pages::of(&here.clone().without("workloads"), "after", (start, ROWS), listed.len()),
        advice: Advice::of(&found, visit.now),
        clusters: filters::proposed(clusters),
        namespace_names: filters::proposed(namespaces),
        all: visit.to("/rules").without("since").without("until"),
        api: here.at(format!("/api/v1{}", here.path())).without("tz").without("gate"),
        workloads,
        frame,
        here,
    };
    html(&page)
}

fn said(shown: Shown) -> &'static str {
    match shown {
        Shown::Known => "known",
        Shown::Seen => "judged by the rule as it is now",
        Shown::Unseen => "not judged by the rule as it is now",
        Shown::Rejected => "that would be rejected",
        Shown::Exempted => "let through by an exemption",
    }
}

fn of_gate(gate: Gate) -> &'static str {
    match gate {
        Gate::Ready => " in which it is ready",
        Gate::Not => " in which it is not ready",
        Gate::Unknown => " in which it is not known",
    }
}

// === impl RulePage ===

impl RulePage {
    fn asked(&self, name: &str) -> &str {
        self.here.value(name).unwrap_or_default()
    }
}

// === impl WorkloadRow ===

impl WorkloadRow {
    fn of(found: &OfRule, at: usize, ids: &HashMap<i64, DecisionId>, visit: &Visit) -> Self {
        let (known, standing) = (&found.evidence.known[at], &found.census.standings[at]);
        let Place { cluster, namespace, .. } = &found.evidence.places[known.place];
        let faults = if standing.fate == Fate::Clear { Vec::new() } else { found.faults(at) };
        let (word, when, href) = match standing.word {
            None if known.running.is_some() => {
                ("none", "it runs, and the rule judged no review of it".to_owned(), None)
            }
            None => ("none", "the rule judged no review of it".to_owned(), None),
            Some(Word::Review(moment)) => {
                let id = ids.get(&moment.key);
                let href =
                    id.map(|id| Address::of(format!("/decisions/{id}")).with_some("tz", visit.parameters.text("tz")));
                ("a review", visit.zone.minute(moment.at), href)
            }
            Some(Word::Inventory(at)) => {
                let href = visit.to("/inventory").without("since").without("until").with("cluster", cluster);
                ("an inventory", visit.zone.minute(at), Some(href.with("namespace", namespace)))
            }
        };
        Self {
            workload: workload(&known.workload),
            place: place::Place::of(cluster, namespace).named(),
            class: match standing.fate {
                Fate::Rejected => "would",
                Fate::Exempted => "",
                Fate::Clear if standing.word.is_none() => "failed",
                Fate::Clear => "allowed",
            },
            fate: match standing.fate {
                Fate::Rejected => "would be rejected",
                Fate::Exempted => "exempted",
                Fate::Clear if standing.word.is_none() => "not known",
                Fate::Clear => "let in",
            },
            more_against: faults.len().saturating_sub(NAMED),
            against: faults.iter().take(NAMED).map(|fault| (fault.message.clone(), fault.help.clone())).collect(),
            word,
            when,
            href,
            seen: if standing.seen { "" } else { "not judged by the rule as it is now" },
        }
    }
}

// === impl NamespaceRow ===

impl NamespaceRow {
    fn of(found: &OfRule, one: &InNamespace, here: &Address, visit: &Visit) -> Self {
        let Place { cluster, namespace, recorded } = found.place(one);
        let page = here.clone().with("cluster", cluster).with("namespace", namespace);
        let mut cells = of_workloads(one.counts, &page);
        if namespace.is_empty() {
            // No address chooses those that are in none.
            cells.iter_mut().for_each(|cell| cell.href = None);
        }
        let violated = one.violated.map(|at| {
            let list =
                Address::of("/decisions").with("since", at.to_string()).with("until", Timestamp(at.0 + 1).to_string());
            let list = place::Place::of(cluster, namespace)
                .list(&list)
                .with("policy", &found.asked.policy)
                .with("rule", &found.asked.rule)
                .with("dry_run", "false")
                .with_some("tz", visit.parameters.text("tz"));
            (ago(at, visit.now), list)
        });
        Self {
            namespace: place::name(namespace).to_owned(),
            class: match one.state.gate() {
                Gate::Ready => "allowed",
                Gate::Not => "would",
                Gate::Unknown => "",
            },
            words: one.state.words(visit.now),
            mode: one.mode,
            cells,
            violated,
            quiet_since: one.quiet_since.map_or_else(|| "nothing judged".to_owned(), |at| visit.zone.minute(at)),
            recorded: recorded
                .map_or_else(|| "no inventory".to_owned(), |at| format!("inventory of {}", visit.zone.minute(at))),
            cluster: cluster.clone(),
        }
    }
}

// === impl Advice ===

impl Advice {
    fn of(found: &OfRule, now: Timestamp) -> Self {
        let relief = found.relief();
        let is_ready = found.census.totals.gates.ready > 0;
        let rejected = found.census.totals.counts.rejected;
        let left = match relief.left {
            _ if rejected > 0 && !found.asked.may_be_loosened => {
                Some("No exemption holds for a webhook that enforces, unless it says `overridable: true`.".to_owned())
            }
            0 => None,
            left => Some(format!(
                "For {} none is proposed: no glob can name what they are of.",
                count(left as u64, "workload")
            )),
        };
        Self {
            rollout_of: found.asked.rollout_of(),
            rollout: found.rollout(),
            bound: found.bound().map(|bound| bound.sentence()),
            idle: if is_ready {
                "Where it is ready it is enforced already, or may not be: system namespaces are held back, and a rollout names \
                 no objects without a namespace."
            } else {
                "It is ready nowhere yet."
            },
            exemptions: relief.yaml(&found.asked, &advice::until(now)),
            relief: relief.exemptions.iter().take(ROWS).map(ReliefRow::of).collect(),
            more: relief.exemptions.len().saturating_sub(ROWS),
            left,
        }
    }
}

// === impl ReliefRow ===

impl ReliefRow {
    fn of(one: &Proposed) -> Self {
        Self {
            clusters: one.clusters.clone(),
            what: if one.images.is_empty() { one.workloads.clone() } else { one.images.clone() },
            namespaces: one.namespaces.clone(),
            covers: one.covered(COVERED),
            more: one.covers.len().saturating_sub(COVERED),
        }
    }
}
