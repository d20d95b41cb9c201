//! `/clusters`: what is known of each cluster, and how ready each rule is in it.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Html;

use super::html;
use super::rules::{Cell, of_evidence, span};
use crate::policy::readiness::Asked;
use crate::policy::readiness::census::InNamespace;
use crate::policy::readiness::state::{Gate, ago};
use crate::policy::readiness::tally::{Gates, Tally};
use crate::review::clock::Timestamp;
use crate::review::decision::{Gap, Protocol, UNDECLARED};
use crate::store::fleet::Replica;
use crate::store::read::Scope;
use crate::web::WebState;
use crate::web::address::Address;
use crate::web::error::PageError;
use crate::web::filters::{self, count, group};
use crate::web::fleet::{Cluster, Ending, Fleet, NextEnd, Served, Standing};
use crate::web::frame::{Frame, Notice, Visit};
use crate::web::paging::Pages;
use crate::web::place::{self, Place};
use crate::web::query::{BadParameter, Parameters};
use crate::web::readiness::{GATES, Question, path};
use crate::web::sentence::Sentence;

/// Clusters of one page: the matrix has a column for each.
const CLUSTERS: usize = 10;
/// Rules of one page of the matrix, and namespaces of one of their list.
const ROWS: usize = 25;
/// Gaps that are told one by one.
const GAPS: usize = 50;
/// Rules that a namespace's row names.
const NAMED: usize = 4;

#[derive(Template)]
#[template(path = "pages/clusters.html")]
struct ClustersPage {
    frame: Frame,
    here: Address,
    names: Vec<String>,
    sentence: Sentence,
    span: String,
    heading: String,
    rows: Vec<Row>,
    pages: Pages,
    list: Option<List>,
    matrix: Matrix,
    replicas: Option<Vec<ReplicaRow>>,
    gaps: Vec<GapRow>,
    more_gaps: u64,
    api: Address,
}

struct Row {
    name: String,
    /// Its rules.
    href: Address,
    /// When, and how long ago.
    last_review: Option<(String, String)>,
    list: Address,
    cells: Vec<Cell>,
    gaps: (u64, Address),
    served: Option<ServedRow>,
}

/// What is for whoever sees everything.
struct ServedRow {
    replicas: u64,
    silent: u64,
    versions: String,
    protocols: String,
    unproven: u64,
    lag: String,
    is_behind: bool,
    next_end: Option<(String, String)>,
}

/// Namespaces that are so.
struct List {
    heading: String,
    rows: Vec<NamespaceRow>,
    pages: Pages,
    close: Address,
}

struct NamespaceRow {
    namespace: String,
    href: Address,
    rules: Vec<(String, Address, String)>,
    more: usize,
}

struct Matrix {
    heading: String,
    clusters: Vec<String>,
    rows: Vec<MatrixRow>,
    pages: Pages,
}

struct MatrixRow {
    policy: String,
    rule: String,
    href: Address,
    cells: Vec<MatrixCell>,
}

struct MatrixCell {
    cluster: String,
    class: &'static str,
    word: &'static str,
    cells: Vec<Cell>,
}

struct ReplicaRow {
    id: String,
    is_own: bool,
    clusters: String,
    version: String,
    revision: (String, Address),
    heard: String,
    stored: String,
    is_behind: bool,
    protocols: String,
    next_end: Option<(String, String)>,
}

struct GapRow {
    cluster: String,
    from: String,
    to: String,
    count: String,
    reason: String,
}

pub async fn show(State(state): State<Arc<WebState>>, visit: Visit) -> Result<Html<String>, PageError> {
    let gate = gate(&visit.parameters)?;
    let after = |name| visit.parameters.number(name, "a place in this list: begin again at its start");
    let place = |number: Option<i64>| usize::try_from(number.unwrap_or(0)).unwrap_or(0);
    let (after, rules_after, namespaces_after) =
        (place(after("after")?), place(after("rules_after")?), place(after("namespaces_after")?));
    let live = state.live(&visit.reach).await?;
    let parameters = visit.parameters.without(&["namespace"]);
    let question = Question::of(&state, &live, &parameters, visit.now, &visit.reach);
    let undeclared = Scope { since: Some(question.since()), until: Some(visit.now), ..Scope::of(visit.reach.clone()) };
    let (fleet, names, undeclared) = tokio::try_join!(
        Fleet::of(&state.store, &question, &live),
        state.store.clusters(&visit.reach),
        state.store.undeclared(&undeclared)
    )?;
    let here = Address::of("/clusters")
        .with_some("cluster", question.cluster.clone())
        .with_some("gate", visit.parameters.text("gate"))
        .with_some("tz", visit.parameters.text("tz"));
    let mut frame = Frame::of("Clusters", &visit, &live, here.clone());
    frame.notices.extend(of_evidence(question.since(), fleet.overall.evidence.since, &visit.zone));
    frame.notices.extend(Notice::of_undeclared(if visit.reach.is_everything() { undeclared } else { 0 }));
    let shown: Vec<&Cluster> = fleet.clusters.iter().skip(after).take(CLUSTERS).collect();
    let page = ClustersPage {
        sentence: sentence(&fleet),
        span: span(&question, &visit.zone),
        heading: filters::part(
            count(fleet.clusters.len() as u64, "cluster"),
            fleet.clusters.len() as u64,
            after as u64,
            shown.len(),
        ),
        rows: shown.iter().map(|cluster| Row::of(cluster, &fleet, &question, &visit)).collect(),
        pages: Pages::of(&here, "after", (after, CLUSTERS), fleet.clusters.len()),
        list: gate.map(|gate| List::of(&fleet, gate, namespaces_after, &here, &visit)),
        matrix: Matrix::of(&fleet, &shown, rules_after, &here.clone().with("after", place_of(after)), &visit),
        replicas: fleet
            .replicas
            .as_ref()
            .map(|replicas| replicas.iter().map(|replica| ReplicaRow::of(replica, live.own.replica, &visit)).collect()),
        more_gaps: fleet.gaps.len().saturating_sub(GAPS) as u64,
        gaps: fleet.gaps.iter().rev().take(GAPS).map(|gap| GapRow::of(gap, &visit)).collect(),
        names: filters::proposed(names.into_iter().filter(|name| name != UNDECLARED).collect()),
        api: Address::of("/api/v1/clusters").with_some("cluster", question.cluster.clone()),
        frame,
        here,
    };
    html(&page)
}

/// Of which cluster's namespaces there is a list, and which.
fn gate(parameters: &Parameters) -> Result<Option<(&str, Gate)>, BadParameter> {
    match (parameters.choice("gate", &GATES)?, parameters.text("cluster")) {
        (None, _) => Ok(None),
        (Some(gate), Some(cluster)) => Ok(Some((cluster, gate))),
        (Some(_), None) => {
            Err(BadParameter::new("cluster", "gate is of the namespaces of one cluster, which this names"))
        }
    }
}

/// Of an address: the beginning needs no word.
fn place_of(after: usize) -> String {
    if after == 0 { String::new() } else { after.to_string() }
}

/// "3 clusters: in 2 of them every namespace that is known is ready."
fn sentence(fleet: &Fleet) -> Sentence {
    let sentence = Sentence::default();
    let all = fleet.clusters.len() as u64;
    let gates: Vec<Option<Gate>> = fleet.clusters.iter().map(|cluster| cluster.namespaces.gate()).collect();
    let number = |gate| gates.iter().filter(|own| **own == gate).count() as u64;
    let silent =
        fleet.clusters.iter().filter_map(|cluster| cluster.served.as_ref()).filter(|served| served.is_silent());
    let silent = silent.count() as u64;
    if all == 0 {
        return sentence.plain("No cluster is known: nothing was reviewed.");
    }
    let sentence = match number(Some(Gate::Ready)) {
        ready if ready == all && all == 1 => {
            sentence.plain("The one cluster is ").phrase("allowed", "ready").plain(" for every rule")
        }
        ready if ready == all => sentence
            .plain(format!("All {} clusters are ", group(all)))
            .phrase("allowed", "ready")
            .plain(" for every rule"),
        ready => sentence
            .plain("Ready for every rule: ")
            .phrase("allowed", group(ready))
            .plain(format!(" of {}; not ready: ", count(all, "cluster")))
            .phrase("would", group(number(Some(Gate::Not))))
            .plain(format!("; not known: {}", group(number(Some(Gate::Unknown)) + number(None)))),
    };
    match silent {
        0 => sentence.plain("."),
        some => sentence.plain(". Served by no replica that is heard of: ").phrase("denied", group(some)).plain("."),
    }
}

fn listed(protocols: &[Protocol]) -> String {
    match protocols {
        [] => "none seen".to_owned(),
        some => some.iter().map(|protocol| protocol.as_str()).collect::<Vec<_>>().join(", "),
    }
}

/// What, and when.
fn ending(NextEnd { at, what }: &NextEnd, visit: &Visit) -> (String, String) {
    let what = match what {
        Ending::Certificate(role, name) => format!("certificate {role} {name}"),
        Ending::Exemption(Some(ticket)) => format!("exemption {ticket}"),
        Ending::Exemption(None) => "an exemption".to_owned(),
    };
    (visit.zone.minute(*at), what)
}

fn lasting(milliseconds: i64) -> String {
    match milliseconds / 1_000 {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

// === impl ClustersPage ===

impl ClustersPage {
    fn asked(&self, name: &str) -> &str {
        self.here.value(name).unwrap_or_default()
    }
}

/// Each figure with the list of the namespaces.
fn of_gates(counted: Gates, every: &Address) -> Vec<Cell> {
    let cell = |label, class, number, value: &'static str| Cell {
        label,
        class,
        number,
        href: Some(every.clone().with("gate", value)),
    };
    vec![
        cell("Ready", "allowed", counted.ready, "ready"),
        cell("Not ready", "denied", counted.not, "not"),
        cell("Not known", "would", counted.unknown, "unknown"),
    ]
}

// === impl Row ===

impl Row {
    fn of(cluster: &Cluster, fleet: &Fleet, question: &Question, visit: &Visit) -> Self {
        let Cluster { name, last_review, namespaces, gaps, served } = cluster;
        let at_it = |path: &str| visit.to(path).without("namespace").with("cluster", name);
        let here = at_it("/clusters").without("since").without("until");
        let list =
            at_it("/decisions").with("since", question.since().to_string()).without("until").with("dry_run", "false");
        let last = |at: Timestamp| (visit.zone.minute(at), ago(at, visit.now));
        Self {
            href: at_it("/rules").without("since").without("until"),
            last_review: last_review.map(last),
            list,
            cells: of_gates(*namespaces, &here),
            gaps: (*gaps, here.clone()),
            served: served.as_ref().map(|served| ServedRow::of(served, fleet, visit)),
            name: name.clone(),
        }
    }
}

// === impl ServedRow ===

impl ServedRow {
    fn of(served: &Served, fleet: &Fleet, visit: &Visit) -> Self {
        let own = |replica: &&Replica| served.replicas.contains(&replica.standing.replica);
        let mut versions: Vec<String> = fleet.replicas.iter().flatten().filter(own).map(of_version).collect();
        versions.sort();
        versions.dedup();
        let lag = match served.lag(visit.now) {
            Some(0) => "none".to_owned(),
            Some(lag) => lasting(lag),
            None => "not known".to_owned(),
        };
        Self {
            replicas: served.replicas.len() as u64,
            silent: served.silent as u64,
            versions: versions.join("; "),
            protocols: listed(&served.protocols),
            unproven: served.unproven,
            is_behind: served.behind.is_some(),
            lag,
            next_end: served.next_end.as_ref().map(|end| ending(end, visit)),
        }
    }
}

fn of_version(replica: &Replica) -> String {
    format!("{}, revision {}", replica.version, replica.revision)
}

// === impl List ===

impl List {
    fn of(fleet: &Fleet, (cluster, gate): (&str, Gate), after: usize, here: &Address, visit: &Visit) -> Self {
        let (all, shown) = fleet.standings(cluster, gate, (after, ROWS));
        let is = match gate {
            Gate::Ready => "in which every rule is ready",
            Gate::Not => "in which a rule is not ready",
            Gate::Unknown => "in which a rule is not known to be ready, and none is not ready",
        };
        Self {
            heading: format!("{} of {cluster} {is}", count(all as u64, "namespace")),
            rows: shown.iter().map(|one| NamespaceRow::of(one, visit)).collect(),
            pages: Pages::of(here, "namespaces_after", (after, ROWS), all),
            close: here.clone().without("gate"),
        }
    }
}

// === impl NamespaceRow ===

impl NamespaceRow {
    fn of(standing: &Standing<'_>, visit: &Visit) -> Self {
        let place = Place::of(&standing.place.cluster, &standing.place.namespace);
        let rule = |(asked, one): &(&Asked, &InNamespace)| {
            let href = Address::of(path(&asked.policy, &asked.rule))
                .with("cluster", &place.cluster)
                .with("namespace", &place.namespace)
                .with_some("tz", visit.parameters.text("tz"));
            (asked.name(), href, one.state.words(visit.now))
        };
        Self {
            namespace: place::name(&place.namespace).to_owned(),
            href: place.page(visit),
            rules: standing.rules.iter().take(NAMED).map(rule).collect(),
            more: standing.rules.len().saturating_sub(NAMED),
        }
    }
}

// === impl Matrix ===

impl Matrix {
    fn of(fleet: &Fleet, shown: &[&Cluster], after: usize, here: &Address, visit: &Visit) -> Self {
        let rules = &fleet.overall.rules;
        let rows: Vec<MatrixRow> =
            rules.iter().skip(after).take(ROWS).map(|rule| MatrixRow::of(fleet, rule, shown, visit)).collect();
        Self {
            heading: filters::part(count(rules.len() as u64, "rule"), rules.len() as u64, after as u64, rows.len()),
            clusters: shown.iter().map(|cluster| cluster.name.clone()).collect(),
            pages: Pages::of(&here.clone().without("gate"), "rules_after", (after, ROWS), rules.len()),
            rows,
        }
    }
}

// === impl MatrixRow ===

impl MatrixRow {
    fn of(fleet: &Fleet, (asked, tally): &(Asked, Tally), shown: &[&Cluster], visit: &Visit) -> Self {
        let page = Address::of(path(&asked.policy, &asked.rule)).with_some("tz", visit.parameters.text("tz"));
        let of_rule = fleet.of_rule(tally);
        let cell = |cluster: &&Cluster| {
            let counted = of_rule.get(cluster.name.as_str()).copied().unwrap_or_default();
            let (class, word) = match counted.gate() {
                None => ("", "nothing known"),
                Some(Gate::Ready) => ("allowed", "ready"),
                Some(Gate::Not) => ("denied", "not ready"),
                Some(Gate::Unknown) => ("would", "not known"),
            };
            let mut cells = of_gates(counted, &page.clone().with("cluster", &cluster.name));
            cells.retain(|cell| cell.number > 0);
            MatrixCell { cluster: cluster.name.clone(), class, word, cells }
        };
        Self {
            policy: asked.policy.clone(),
            rule: asked.rule.clone(),
            cells: shown.iter().map(cell).collect(),
            href: page,
        }
    }
}

// === impl ReplicaRow ===

impl ReplicaRow {
    fn of(replica: &Replica, own: uuid::Uuid, visit: &Visit) -> Self {
        let Replica { standing, has_stopped, version, revision, .. } = replica;
        let behind = crate::web::completeness::Behind::of(standing.clone(), visit.now).filter(|_| !has_stopped);
        let end = replica
            .next_end()
            .map(|end| (visit.zone.minute(end.end), format!("certificate {} {}", end.role, end.name)));
        Self {
            id: standing.replica.to_string(),
            is_own: standing.replica == own,
            clusters: standing.clusters.join(", "),
            version: version.clone(),
            revision: (revision.clone(), visit.revision(revision).without("cluster").without("since").without("until")),
            heard: visit.zone.second(standing.heard_at),
            stored: match (has_stopped, standing.stored_until) {
                (true, _) => "all: it has stopped".to_owned(),
                (false, Some(until)) => visit.zone.second(until),
                (false, None) => "not known: it cannot read its journal".to_owned(),
            },
            is_behind: behind.is_some(),
            protocols: listed(&replica.protocols()),
            next_end: end,
        }
    }
}

// === impl GapRow ===

impl GapRow {
    fn of(gap: &Gap, visit: &Visit) -> Self {
        Self {
            cluster: gap.cluster.clone().unwrap_or_else(|| "every cluster".to_owned()),
            from: visit.zone.second(gap.from),
            to: gap.to.map_or_else(|| "still lasting".to_owned(), |to| visit.zone.second(to)),
            count: gap.count.map_or_else(|| "not known".to_owned(), group),
            reason: gap.reason.clone(),
        }
    }
}
