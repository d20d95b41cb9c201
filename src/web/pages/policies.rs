//! `/policies`: what was in force when, what is in force where, what holds it back, and what of the installation was
//! reviewed.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::{html, start_of};
use crate::review::clock::DAY;
use crate::store::read::Scope;
use crate::web::address::Address;
use crate::web::bar::Bar;
use crate::web::error::PageError;
use crate::web::filters::{self, count, group};
use crate::web::frame::{Frame, Notice, Visit};
use crate::web::in_force::{Chosen, InForce, InPlace};
use crate::web::loads::{Run, Runs};
use crate::web::modes::{MODES, OfRule};
use crate::web::place::{self, Place};
use crate::web::readiness::path;
use crate::web::reviewed::{OfCluster, Seen};
use crate::web::sentence::Sentence;
use crate::web::span::{Span, scope_of};
use crate::web::{Live, WebState};

const RUNS: usize = 10;
const ROWS: usize = 50;
/// Namespaces of a cluster that were not reviewed and are named.
const SILENT: usize = 12;
/// Gaps that are listed.
const GAPS: usize = 20;

#[derive(Template)]
#[template(path = "pages/policies.html")]
struct PoliciesPage {
    frame: Frame,
    bar: Bar,
    sentence: Sentence,
    span: Span,
    mistaken: Option<MistakenRows>,
    /// `None`: they are not theirs to see.
    history: Option<History>,
    modes: ModesTable,
    clusters: Vec<ClusterRow>,
    kinds: Vec<(String, Seen)>,
    gaps: Vec<Notice>,
    more_gaps: usize,
    api: Address,
}

/// Why what is configured is not in force.
struct MistakenRows {
    since: String,
    at_start: bool,
    lines: Vec<String>,
}

struct History {
    runs: Vec<RunRow>,
    first: Option<Address>,
    next: Option<Address>,
}

struct RunRow {
    revision: String,
    href: Address,
    from: String,
    again: Option<String>,
    replicas: Vec<String>,
    changes: String,
    is_in_force: bool,
}

/// By rule, or of one rule by namespace.
struct ModesTable {
    heading: String,
    rules: Vec<RuleRow>,
    places: Vec<PlaceRow>,
    /// The rule that is chosen.
    chosen: Option<String>,
    all: Address,
    first: Option<Address>,
    next: Option<Address>,
}

struct RuleRow {
    policy: String,
    rule: String,
    href: Address,
    /// In audit, warn, enforce.
    counts: Vec<(&'static str, u64, Address)>,
    held_back: (u64, Address),
}

struct PlaceRow {
    name: String,
    href: Address,
    mode: &'static str,
    by: &'static str,
    caps: Vec<String>,
}

struct ClusterRow {
    cluster: String,
    namespaces: Seen,
    workloads: Seen,
    recorded: Option<String>,
    silent: Vec<(String, u64, Address)>,
    more_silent: u64,
    missing: String,
}

pub async fn show(State(state): State<Arc<WebState>>, visit: Visit) -> Result<Response, PageError> {
    let scope = scope_of(&visit)?;
    let chosen = Chosen::of(&visit.parameters)?;
    let skip = usize::try_from(visit.parameters.place("skip")?).unwrap_or(usize::MAX);
    let before = visit.parameters.before()?;
    let live = state.live(&visit.reach).await?;
    let here = visit
        .parameters
        .address("/policies", &["since", "until", "cluster", "namespace", "rule", "mode", "held_back", "tz"]);
    let store = &state.store;
    let runs = async {
        match visit.reach.is_everything() {
            true => Runs::of(store, before, RUNS).await.map(Some),
            false => Ok(None),
        }
    };
    let (found, runs, bar) =
        tokio::try_join!(InForce::of(&state, &live, &scope, visit.now), runs, Bar::of(store, &visit, &here))?;
    let Some(modes) = ModesTable::of(&found, &live, chosen.as_ref(), skip, (&visit, &here))? else {
        return Ok(start_of(&here));
    };
    let history = runs.map(|runs| History::of(runs, before.is_some(), &live, &visit, &here));
    Ok(html(&PoliciesPage::of(&visit, &scope, &live, found, (modes, history), bar))?.into_response())
}

// === impl PoliciesPage ===

impl PoliciesPage {
    fn of(
        visit: &Visit,
        scope: &Scope,
        live: &Live,
        found: InForce,
        (modes, history): (ModesTable, Option<History>),
        bar: Bar,
    ) -> Self {
        let length = found.until.0.saturating_sub(found.since.0).max(1);
        Self {
            frame: Frame::of("Policies", visit, live, bar.here.clone()),
            sentence: sentence(live, &found),
            span: Span::of(visit, scope, (found.since, found.until)),
            mistaken: live.mistaken.as_ref().map(|mistaken| MistakenRows {
                since: visit.zone.second(mistaken.since),
                at_start: mistaken.at_start,
                lines: mistaken.mistakes.clone(),
            }),
            history,
            modes,
            clusters: found.clusters.iter().map(|one| ClusterRow::of(one, length, visit)).collect(),
            more_gaps: found.gaps.len().saturating_sub(GAPS),
            gaps: Notice::of_each_gap(&found.gaps[found.gaps.len().saturating_sub(GAPS)..], &visit.zone),
            kinds: found.kinds,
            api: bar.here.at("/api/v1/policies").without("tz"),
            bar,
        }
    }
}

/// "2 policies are in force; 3 of 5 namespaces that are known were reviewed."
fn sentence(live: &Live, found: &InForce) -> Sentence {
    let sentence = match live.policies.len() as u64 {
        0 => Sentence::default().plain("No policy is loaded"),
        1 => Sentence::default().plain("1 policy is in force"),
        some => Sentence::default().plain(format!("{} policies are in force", group(some))),
    };
    let sentence = match &live.mistaken {
        None => sentence,
        Some(_) => sentence.plain(", and ").phrase("denied", "not what is configured"),
    };
    let mut seen = Seen::default();
    for one in &found.clusters {
        seen.known += one.namespaces.known;
        seen.reviewed += one.namespaces.reviewed;
    }
    match (seen.reviewed, seen.known) {
        (_, 0) => sentence.plain("; no namespace is known yet."),
        (1, 1) => sentence.plain("; the one namespace that is known was reviewed in that time."),
        (reviewed, known) if reviewed == known => {
            sentence.plain(format!("; all {} that are known were reviewed in that time.", count(known, "namespace")))
        }
        (reviewed, known) => sentence
            .plain(format!(
                "; {} of {} that are known were reviewed in that time, ",
                group(reviewed),
                count(known, "namespace")
            ))
            .phrase("would", group(known - reviewed))
            .plain(if known - reviewed == 1 { " was not." } else { " were not." }),
    }
}

// === impl History ===

impl History {
    fn of(runs: Runs, paged: bool, live: &Live, visit: &Visit, here: &Address) -> Self {
        let here = here.clone();
        Self {
            runs: runs
                .runs
                .iter()
                .enumerate()
                .map(|(at, run)| RunRow::of(run, (at == 0 && !paged).then_some(live), visit))
                .collect(),
            first: paged.then(|| here.clone()),
            next: runs.next.map(|next| here.with("before", next.0.to_string())),
        }
    }
}

impl RunRow {
    /// `live` of the newest: what is in force may have been before, too.
    fn of(run: &Run, live: Option<&Live>, visit: &Visit) -> Self {
        let replica = |(name, times): (&String, &u64)| match times {
            1 => name.clone(),
            times => format!("{name} ({} times)", group(*times)),
        };
        let href = visit.revision(&run.revision);
        Self {
            href: href.with_some("from", run.before.as_ref()),
            from: visit.zone.minute(run.from),
            again: (run.to > run.from).then(|| visit.zone.minute(run.to)),
            replicas: run.replicas.iter().map(replica).collect(),
            changes: match (&run.changes, &run.before) {
                (Some(changes), _) => changes.clone(),
                (None, Some(_)) => "what was another is not known: a text is not there".to_owned(),
                (None, None) => "the first that is known".to_owned(),
            },
            is_in_force: live.is_some_and(|live| run.revision == live.revision),
            revision: run.revision.clone(),
        }
    }
}

// === impl ModesTable ===

impl ModesTable {
    /// `None`: there is nothing so far down.
    fn of(
        found: &InForce,
        live: &Live,
        chosen: Option<&Chosen>,
        skip: usize,
        (visit, here): (&Visit, &Address),
    ) -> Result<Option<Self>, PageError> {
        let modes = found.modes(live, visit.now);
        let every = here.clone().without("rule").without("mode").without("held_back");
        let page = |all: usize, shown: usize| {
            let next = skip + shown;
            ((skip > 0).then(|| here.clone()), (next < all).then(|| here.clone().with("skip", next.to_string())))
        };
        let Some(chosen) = chosen else {
            let rules = modes.counted(skip, ROWS, &found.places());
            if rules.is_empty() && skip > 0 {
                return Ok(None);
            }
            let all = modes.len();
            let (first, next) = page(all, rules.len());
            let heading = filters::part(count(all as u64, "rule"), all as u64, skip as u64, rules.len());
            let rules = rules.into_iter().map(|rule| RuleRow::of(rule, visit, &every)).collect();
            let heading = format!("Modes of {heading}");
            return Ok(Some(Self { heading, rules, places: Vec::new(), chosen: None, all: every, first, next }));
        };
        let places = found.of_rule(&modes, chosen)?;
        let shown: Vec<PlaceRow> = places.iter().skip(skip).take(ROWS).map(|one| PlaceRow::of(one, visit)).collect();
        if shown.is_empty() && skip > 0 {
            return Ok(None);
        }
        let all = places.len();
        let (first, next) = page(all, shown.len());
        let part = match all {
            0 => "no namespace".to_owned(),
            all => filters::part(count(all as u64, "namespace"), all as u64, skip as u64, shown.len()),
        };
        let mode = chosen.mode.map(|mode| format!(" in {}", mode.as_str())).unwrap_or_default();
        let held = if chosen.held_back == Some(true) { " held back" } else { "" };
        Ok(Some(Self {
            heading: format!("{}{mode}{held}, in {part}", chosen.name()),
            rules: Vec::new(),
            places: shown,
            chosen: Some(chosen.name()),
            all: every,
            first,
            next,
        }))
    }
}

impl RuleRow {
    fn of(rule: OfRule, visit: &Visit, every: &Address) -> Self {
        let list = every.clone().with("rule", format!("{}/{}", rule.policy, rule.rule));
        let counts = MODES.iter().zip(rule.counts);
        Self {
            href: visit.to(&path(&rule.policy, &rule.rule)),
            counts: counts
                .map(|(mode, number)| (mode.as_str(), number, list.clone().with("mode", mode.as_str())))
                .collect(),
            held_back: (rule.capped, list.with("held_back", "true")),
            policy: rule.policy,
            rule: rule.rule,
        }
    }
}

impl PlaceRow {
    fn of((place, effective): &InPlace<'_>, visit: &Visit) -> Self {
        let place = Place::of(&place.cluster, &place.namespace);
        Self {
            href: place.page(visit),
            name: place.named(),
            mode: effective.mode.as_str(),
            by: effective.origin.as_str(),
            caps: effective.caps.iter().map(|cap| cap.told(|at| visit.zone.minute(at))).collect(),
        }
    }
}

// === impl ClusterRow ===

impl ClusterRow {
    /// `length` of the span, ms.
    fn of(one: &OfCluster, length: i64, visit: &Visit) -> Self {
        let silent = one.silent.iter().take(SILENT).map(|silent| {
            let page = Place::of(&one.cluster, &silent.namespace).page(visit);
            (place::name(&silent.namespace).to_owned(), silent.running, page)
        });
        Self {
            cluster: one.cluster.clone(),
            namespaces: one.namespaces,
            workloads: one.workloads,
            recorded: one.recorded.map(|at| visit.zone.minute(at)),
            silent: silent.collect(),
            more_silent: one.silent.len().saturating_sub(SILENT) as u64,
            missing: missing(one.missing, length),
        }
    }
}

/// How much of the span is missing.
fn missing(missing: i64, length: i64) -> String {
    const MINUTE: i64 = 60_000;
    if missing == 0 {
        return "none of it is missing".to_owned();
    }
    let number = |number: i64| u64::try_from(number).unwrap_or(0);
    let told = match missing {
        some if some >= 2 * DAY => count(number(some / DAY), "day"),
        some if some >= 120 * MINUTE => count(number(some / (60 * MINUTE)), "hour"),
        some => count(number((some / MINUTE).max(1)), "minute"),
    };
    format!("{told} missing, {:.1}\u{a0}% of it", missing as f64 / length as f64 * 100.0)
}
