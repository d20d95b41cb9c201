//! `/rules`: which rules can be enforced, where.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Html;

use super::html;
use crate::policy::readiness::Asked;
use crate::policy::readiness::state::{Counts, ago};
use crate::policy::readiness::tally::{Gates, Tally, Totals};
use crate::review::clock::Timestamp;
use crate::review::comparison::Stance;
use crate::store::read::{Comparisons, Scope};
use crate::web::address::Address;
use crate::web::error::PageError;
use crate::web::filters::{self, count, group};
use crate::web::frame::{Frame, Notice, Visit};
use crate::web::paging::Pages;
use crate::web::readiness::{Question, WHY_WORKLOADS, path};
use crate::web::sentence::Sentence;
use crate::web::zone::Zone;
use crate::web::{Live, WebState};

#[derive(Template)]
#[template(path = "pages/rules.html")]
struct RulesPage {
    frame: Frame,
    here: Address,
    clusters: Vec<String>,
    namespaces: Vec<String>,
    sentence: Sentence,
    span: String,
    why: &'static str,
    /// Nothing was reviewed within the window.
    is_empty: bool,
    heading: String,
    rows: Vec<Row>,
    pages: Pages,
    candidates: Vec<Candidate>,
    api: Address,
}

/// At once: each has seven figures that lead somewhere.
const ROWS: usize = 80;

/// A rule.
struct Row {
    policy: String,
    rule: String,
    href: Address,
    note: &'static str,
    cells: Vec<Cell>,
    last_violation: String,
}

/// A figure, and the rows that it counts.
#[derive(Debug, Clone)]
pub struct Cell {
    pub label: &'static str,
    pub class: &'static str,
    pub number: u64,
    /// `None`: they cannot be chosen by an address.
    pub href: Option<Address>,
}

/// One that is only compared.
struct Candidate {
    name: String,
    href: Address,
    reviews: u64,
    of_reviews: Address,
    denied: u64,
    of_denied: Address,
}

pub async fn show(State(state): State<Arc<WebState>>, visit: Visit) -> Result<Html<String>, PageError> {
    let after = visit.parameters.number("after", "a place in this list: begin again at its start")?;
    let after = usize::try_from(after.unwrap_or(0)).unwrap_or(0);
    let live = state.live(&visit.reach).await?;
    let question = Question::of(&state, &live, &visit.parameters, visit.now, &visit.reach);
    let store = &state.store;
    let scope = Scope {
        since: Some(question.since()),
        until: Some(visit.now),
        cluster: question.cluster.clone(),
        namespace: question.namespace.clone(),
        ..Scope::of(visit.reach.clone())
    };
    let (overall, clusters, namespaces) = tokio::try_join!(
        question.overall(store),
        store.clusters(&visit.reach),
        store.namespaces(question.cluster.as_deref(), &visit.reach)
    )?;
    let compared = if live.candidates.is_empty() { None } else { Some(store.comparisons(&scope).await?) };
    let here = visit.to("/rules").without("since").without("until");
    let mut frame = Frame::of("Rules", &visit, &live, here.clone());
    frame.notices.extend(of_evidence(question.since(), overall.evidence.since, &visit.zone));
    let rules = &overall.rules;
    // A reload may have left fewer than there were.
    let after = if after < rules.len() { after } else { 0 };
    let rows: Vec<Row> = rules
        .iter()
        .skip(after)
        .take(ROWS)
        .map(|(asked, tally)| Row::of(asked, &tally.totals, &here, &visit))
        .collect();
    let all = rules.len() as u64;
    let page = RulesPage {
        sentence: sentence(&overall.rules),
        span: span(&question, &visit.zone),
        why: WHY_WORKLOADS,
        is_empty: overall.evidence.known.is_empty(),
        heading: filters::part(count(all, "rule"), all, after as u64, rows.len()),
        pages: Pages::of(&here, "after", (after, ROWS), rules.len()),
        rows,
        candidates: compared.map(|compared| candidates(&live, &compared, &visit)).unwrap_or_default(),
        clusters: filters::proposed(clusters),
        namespaces: filters::proposed(namespaces),
        api: here.at("/api/v1/rules").without("tz"),
        frame,
        here,
    };
    html(&page)
}

/// Where the history holds reviews of a time that is asked for, and does not know what judged them.
pub fn of_evidence(asked: Timestamp, since: Option<Timestamp>, zone: &Zone) -> Option<Notice> {
    let since = since.filter(|since| *since > asked)?;
    Some(Notice {
        class: "warning",
        heading: format!("Known from {} on", zone.minute(since)),
        text:
            "Before that this history did not note which version of a policy judged which workload. What was reviewed \
               earlier, and not since, counts as unseen."
                .to_owned(),
        href: None,
    })
}

/// What a workload has to be to count, and since when.
pub fn span(question: &Question, zone: &Zone) -> String {
    let days = |duration: std::time::Duration| {
        let hours = duration.as_secs() / 3_600;
        if hours >= 48 && hours.is_multiple_of(24) { count(hours / 24, "day") } else { count(hours.max(1), "hour") }
    };
    format!(
        "Workloads reviewed since {}, {} (the last {}), and those of each cluster's newest inventory. Ready is where all of them \
         were judged by the rule as it is now, none would be rejected when a pod is next made, and nothing violated it for {}.",
        zone.minute(question.since()),
        zone.abbreviation(question.now),
        days(question.settings.window),
        days(question.settings.quiet),
    )
}

/// "3 of 5 rules are ready in every namespace that is known."
fn sentence(rules: &[(Asked, Tally)]) -> Sentence {
    let gates = || rules.iter().map(|(_, tally)| tally.totals.gates);
    let ready = gates().filter(|gates| gates.all() > 0 && gates.ready == gates.all()).count();
    let rejecting = gates().filter(|gates| gates.not > 0).count();
    let sentence = Sentence::default();
    if rules.is_empty() {
        return sentence.plain("No policy is loaded.");
    }
    let all = count(rules.len() as u64, "rule");
    let sentence = match ready {
        0 if rules.len() == 1 => sentence.plain("The one rule that is loaded is not ready in every namespace"),
        0 => sentence.plain(format!("None of {all} is ready in every namespace")),
        1 if rules.len() == 1 => sentence.plain("The one rule that is loaded is ready in every namespace"),
        ready => {
            let verb = if ready == 1 { "is" } else { "are" };
            sentence.phrase("allowed", group(ready as u64)).plain(format!(" of {all} {verb} ready in every namespace"))
        }
    };
    match rejecting {
        0 => sentence.plain("; nothing that runs would be rejected."),
        1 if rules.len() == 1 => sentence.plain("; it ").phrase("would", "would reject").plain(" what runs."),
        some => sentence.plain("; ").phrase("would", group(some as u64)).plain(" would reject what runs."),
    }
}

fn candidates(live: &Live, compared: &Comparisons, visit: &Visit) -> Vec<Candidate> {
    let list = visit
        .to("/decisions")
        .with("since", compared.since.to_string())
        .with("until", compared.until.to_string())
        .with("dry_run", "false");
    let candidate = |name: &String| {
        let of_it = compared.compared.iter().filter(|one| one.candidate == *name);
        let (mut reviews, mut denied) = (0, 0);
        for one in of_it {
            reviews += one.reviews;
            denied += if one.silent == Stance::Deny { one.reviews } else { 0 };
        }
        let of_reviews = list.clone().with("candidate", name);
        Candidate {
            href: visit.to("/candidates").with("since", compared.since.to_string()),
            of_denied: of_reviews.clone().with("candidate_verdict", Stance::Deny.as_str()),
            of_reviews,
            name: name.clone(),
            reviews,
            denied,
        }
    };
    live.candidates.iter().map(|loaded| candidate(&loaded.name)).collect()
}

// === impl RulesPage ===

impl RulesPage {
    fn asked(&self, name: &str) -> &str {
        self.here.value(name).unwrap_or_default()
    }
}

// === impl Cell ===

impl Cell {
    /// To its rows, where there are any.
    pub fn link(&self) -> Option<&Address> {
        self.href.as_ref().filter(|_| self.number > 0)
    }
}

// === impl Row ===

impl Row {
    fn of(asked: &Asked, Totals { gates, counts, violated }: &Totals, here: &Address, visit: &Visit) -> Self {
        let href = here.at(path(&asked.policy, &asked.rule));
        Self {
            policy: asked.policy.clone(),
            rule: asked.rule.clone(),
            note: note(asked),
            cells: [of_gates(*gates, &href), of_workloads(*counts, &href)].concat(),
            last_violation: violated.map_or_else(|| "never".to_owned(), |at| ago(at, visit.now)),
            href,
        }
    }
}

pub fn note(asked: &Asked) -> &'static str {
    if asked.is_of_webhook() {
        "a webhook: when its text changed is not known here"
    } else if asked.rule == crate::policy::readiness::ANY {
        "none of its rules was violated yet, so that nobody knows what they are called"
    } else {
        ""
    }
}

/// Namespaces, each figure with the list of them.
pub fn of_gates(gates: Gates, page: &Address) -> Vec<Cell> {
    let every = page.clone().without("workloads").without("after");
    let cell = |label, class, number, value: &'static str| Cell {
        label,
        class,
        number,
        href: Some(every.clone().with("gate", value)),
    };
    vec![
        cell("Ready", "allowed", gates.ready, "ready"),
        cell("Not ready", "denied", gates.not, "not"),
        cell("Not known", "would", gates.unknown, "unknown"),
    ]
}

/// Workloads, each figure with the list of them.
pub fn of_workloads(counts: Counts, page: &Address) -> Vec<Cell> {
    let every = page.clone().without("gate").without("after");
    let cell = |label, class, number, value: &'static str| Cell {
        label,
        class,
        number,
        href: Some(every.clone().with("workloads", value)),
    };
    vec![
        cell("Would be rejected", "would", counts.rejected, "rejected"),
        cell("Unseen", "failed", counts.unseen(), "unseen"),
        cell("Known", "", counts.known, "known"),
    ]
}
