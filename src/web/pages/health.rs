//! `/health`: is it us, the backend, or another webhook, and how does one get out of the way.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{Html, IntoResponse, Response};
use http::header::CONTENT_TYPE;

use super::html;
use crate::store::read::{ByCluster, Figures};
use crate::web::access::visitor::Visitor;
use crate::web::address::Address;
use crate::web::error::PageError;
use crate::web::filters;
use crate::web::frame::{Frame, Visit};
use crate::web::health::known::HealthState;
use crate::web::health::latency::{self, Latency};
use crate::web::health::remedy::{self, Remedy};
use crate::web::health::{Ground, Health, State as Now, Way};
use crate::web::sentence::Sentence;

pub const PATH: &str = "/health";
/// `docs/runbook.md` as it is: nobody has to find it elsewhere at that time.
pub const RUNBOOK: &str = "/runbook";

const TEXT: &str = include_str!("../../../docs/runbook.md");

#[derive(Template)]
#[template(path = "pages/health.html")]
struct HealthPage {
    frame: Frame,
    sentence: Sentence,
    span: String,
    ways: Vec<Way>,
    latencies: Vec<Latency>,
    out: Vec<Remedy>,
    others: Vec<Remedy>,
    clusters: Result<Clusters, String>,
    api: Address,
}

/// What the API servers got.
struct Clusters {
    span: String,
    rows: Vec<Row>,
}

struct Row {
    cluster: String,
    reviews: (u64, Address),
    denied: (u64, Address),
    failed: (u64, Address),
    would_reject: (u64, Address),
    unjudged: u64,
}

pub async fn show(
    State(state): State<Arc<HealthState>>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, PageError> {
    let visit = Visit::of_everything(&state.settings, visitor, query.as_deref(), "the health of Rehearsal")?;
    let (live, vitals) = ((state.live)(), (state.vitals)());
    let answers = state.answers(visit.now).await;
    let history = answers.as_ref().map(|_| ()).map_err(String::as_str);
    let ground = Ground { vitals: &vitals, live: &live, history, now: visit.now, zone: &visit.zone };
    let health = Health::of(ground);
    let here = Address::of(PATH).with_some("tz", visit.parameters.text("tz"));
    let page = HealthPage {
        sentence: sentence(&health),
        span: span(&health, &live.own.replica.to_string(), &visit),
        latencies: latency::of(ground),
        out: remedy::out(&vitals.bounds),
        others: Remedy::others(),
        api: Address::of("/api/v1/health"),
        frame: Frame::of("Health", &visit, &live, here),
        clusters: answers.map(|answers| Clusters::of(&answers, &visit)),
        ways: health.ways,
    };
    html(&page)
}

pub async fn runbook() -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], TEXT).into_response()
}

fn sentence(health: &Health) -> Sentence {
    let sentence = Sentence::default();
    match health.state() {
        Now::Fine => sentence.phrase("allowed", "Rehearsal is in nobody's way").plain(
            ". What a cluster is denied or slowed by now is something else: another webhook, or the API server itself.",
        ),
        Now::Degraded => {
            let named = lower(&health.named(Now::Degraded));
            let sentence = sentence
                .plain("Rehearsal rejects and fails nothing now, but is ")
                .phrase("would", "not as it should be");
            sentence.plain(format!(": {named}."))
        }
        Now::Blocking => {
            let named = lower(&health.named(Now::Blocking));
            let sentence = sentence.plain("Rehearsal ").phrase("denied", "rejects or fails");
            sentence.plain(format!(" what clusters ask of it now: {named}."))
        }
    }
}

/// As they stand in a sentence.
fn lower(names: &[&str]) -> String {
    let lower = |name: &&str| {
        let mut characters = name.chars();
        characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect::<String>())
    };
    names.iter().map(lower).collect::<Vec<_>>().join(", ")
}

fn span(health: &Health, replica: &str, visit: &Visit) -> String {
    let since = match health.is_young {
        true => {
            format!("since its start at {} {}", visit.zone.second(health.since), visit.zone.abbreviation(visit.now))
        }
        false => "in the last hour".to_owned(),
    };
    format!(
        "Of this replica, {replica}, by its own measure; \"now\" is the last 5 minutes, \"the last hour\" is {since}. Each replica has \
         this page of its own."
    )
}

// === impl Clusters ===

impl Clusters {
    fn of(answers: &ByCluster, visit: &Visit) -> Self {
        let (since, until) = (answers.since, answers.until);
        let list = Address::of("/decisions")
            .with_some("tz", visit.parameters.text("tz"))
            .with("since", since.to_string())
            .with("until", until.to_string())
            .with("dry_run", "false");
        let zone = &visit.zone;
        Self {
            span: format!(
                "Of all replicas, as far as their decisions are in the history, from {} to {} {}: whole quarter hours.",
                zone.minute(since),
                zone.minute(until),
                zone.abbreviation(until)
            ),
            rows: answers.clusters.iter().map(|(cluster, figures)| Row::of(cluster, figures, &list)).collect(),
        }
    }
}

// === impl Row ===

impl Row {
    fn of(cluster: &str, figures: &Figures, list: &Address) -> Self {
        let list = list.clone().with("cluster", cluster);
        Self {
            cluster: cluster.to_owned(),
            denied: (figures.denied, list.clone().with("answer", "denied")),
            failed: (figures.failed, list.clone().with("answer", "failed")),
            would_reject: (figures.would_reject, list.clone().with("would_reject", "true")),
            reviews: (figures.reviews, list),
            unjudged: figures.unjudged,
        }
    }
}
