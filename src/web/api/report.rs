//! `GET /api/v1/report`: of the printable report what no other address has; and `GET /api/v1/report/file`: all of it, to send.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::rules::{CountedShape, NamespacesShape, WorkloadsShape};
use super::shape::{CompletenessShape, time};
use super::{Call, json};
use crate::policy::readiness::Asked;
use crate::policy::readiness::tally::Tally;
use crate::review::decision::Mode;
use crate::store::access::Event;
use crate::store::coverage::Covered;
use crate::web::access::log::AccessLog;
use crate::web::access::visitor::PeerAddress;
use crate::web::error::{ApiError, WebError};
use crate::web::printed::rules::{Judged, counted};
use crate::web::printed::{ASKED, Asking, Ground, Printed};
use crate::web::{Live, WebState};

/// What it takes.
const PARAMETERS: [&str; 4] = ["since", "until", "cluster", "namespace"];

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Report")]
struct ReportShape<'a> {
    /// Of what is covered, as it was asked for.
    since: String,
    until: String,
    /// By what readiness is counted, whatever the period.
    readiness: CountedShape,
    rules: Vec<RuleShape<'a>>,
    #[serde(flatten)]
    completeness: CompletenessShape<'a>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ReportedRule")]
struct RuleShape<'a> {
    policy: &'a str,
    rule: &'a str,
    /// In how many of the namespaces that are known it is in which mode.
    modes: Vec<ModeShape>,
    namespaces: NamespacesShape,
    workloads: WorkloadsShape,
    coverage: CoverageShape<'a>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ModeCount")]
struct ModeShape {
    mode: Mode,
    namespaces: u64,
}

/// Of the workloads of the period.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ReportedCoverage")]
struct CoverageShape<'a> {
    known: u64,
    judged: u64,
    /// The first of the others.
    missed: Vec<MissedShape<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MissedWorkload")]
struct MissedShape<'a> {
    cluster: &'a str,
    namespace: &'a str,
    workload: String,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<ReportShape<'static>>(
        "/api/v1/report",
        "Of the printable report what no other address has: the modes of each rule, and what it covered in a period.",
        &PARAMETERS,
        get(show),
    )
}

pub fn endpoint_of_file() -> Endpoint {
    Endpoint::files(
        "/api/v1/report/file",
        "The printable report of a period, for a mail or a ticket.",
        &of_file(),
        &["text/html", "text/markdown"],
        get(file),
    )
}

fn of_file() -> Vec<&'static str> {
    [&ASKED[..], &["format"]].concat()
}

async fn show(State(state): State<Arc<WebState>>, call: Call) -> Result<Response, ApiError> {
    let (live, asking) = asked(&state, &call).await?;
    let judged = Judged::read(&state.store, &asking).await.map_err(WebError::from)?;
    let rules = judged.overall.rules.iter().zip(&judged.coverage.rules).zip(&judged.modes);
    let moment = |at: Option<_>| at.map(time).unwrap_or_default();
    Ok(json(&ReportShape {
        since: moment(asking.scope.since),
        until: moment(asking.scope.until),
        readiness: CountedShape::of(&asking.question, judged.overall.evidence.since.map(time)),
        rules: rules.map(|((rule, covered), modes)| RuleShape::of(rule, covered, modes, &judged)).collect(),
        completeness: CompletenessShape::from(&live.completeness),
    }))
}

async fn file(State(state): State<Arc<WebState>>, peer: PeerAddress, call: Call) -> Result<Response, ApiError> {
    let form = call.parameters.form()?;
    let zone = call.parameters.zone(&state.settings.time_zone)?;
    let call = Call { zone, ..call };
    let (live, asking) = asked(&state, &call).await?;
    let who = call.visitor.who.as_ref().map(|who| (who.name.as_str(), who.means));
    let what = format!("report: {}", if call.query.is_empty() { "the last 30 days" } else { &call.query });
    // Nothing leaves that is not noted.
    state.store.note_access(&AccessLog::entry(Event::Export, who, peer, &what)).await.map_err(WebError::from)?;
    let report = Printed::read(&state.store, &asking, Some(&live)).await.map_err(WebError::from)?;
    let text = form.write(report).map_err(WebError::from)?;
    let disposition = format!("attachment; filename=\"report.{}\"", form.extension());
    Ok(([(CONTENT_TYPE, form.media_type().to_owned()), (CONTENT_DISPOSITION, disposition)], text).into_response())
}

async fn asked(state: &WebState, call: &Call) -> Result<(Live, Asking), WebError> {
    let live = state.live(&call.reach).await?;
    let ground = Ground::of(state, &live, &call.reach, &call.visitor);
    let asking = Asking::of(&call.parameters, ground, call.now())?;
    Ok((live, asking))
}

// === impl RuleShape ===

impl<'a> RuleShape<'a> {
    fn of((asked, tally): &'a (Asked, Tally), covered: &'a Covered, modes: &[Mode], judged: &'a Judged) -> Self {
        let missed = judged.missed(covered).map(|(place, workload)| MissedShape {
            cluster: &place.cluster,
            namespace: &place.namespace,
            workload,
        });
        Self {
            policy: &asked.policy,
            rule: &asked.rule,
            modes: counted(modes).into_iter().map(|(mode, namespaces)| ModeShape { mode, namespaces }).collect(),
            namespaces: NamespacesShape::from(tally.totals.gates),
            workloads: WorkloadsShape::from(tally.totals.counts),
            coverage: CoverageShape { known: covered.known, judged: covered.judged, missed: missed.collect() },
        }
    }
}
