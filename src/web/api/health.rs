//! `GET /api/v1/health`: each way in which Rehearsal can slow or block a cluster, and how to get out of the way.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::json;
use super::shape::{CompletenessShape, time};
use crate::review::decision::Mode;
use crate::store::read::{ByCluster, Figures};
use crate::web::access::visitor::Visitor;
use crate::web::error::ApiError;
use crate::web::frame::Visit;
use crate::web::health::known::HealthState;
use crate::web::health::latency::{self, Latency, Of};
use crate::web::health::remedy::{self, Remedy};
use crate::web::health::{Ground, Health, Way};

pub const PATH: &str = "/api/v1/health";

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Health")]
struct HealthShape<'a> {
    now: String,
    replica: String,
    revision: &'a str,
    /// Of what is counted as of the last hour.
    since: String,
    /// The heaviest of the ways.
    state: &'static str,
    ways: Vec<WayShape<'a>>,
    latencies: Vec<LatencyShape<'a>>,
    /// What is not known has a reason.
    clusters: ClustersShape<'a>,
    out_of_the_way: Vec<RemedyShape<'a>>,
    other_webhooks: Vec<RemedyShape<'a>>,
    #[serde(flatten)]
    completeness: CompletenessShape<'a>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Way")]
struct WayShape<'a> {
    id: &'a str,
    name: &'a str,
    state: &'static str,
    now: &'a str,
    hour: &'a str,
    remedies: Vec<RemedyShape<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Remedy")]
struct RemedyShape<'a> {
    what: &'a str,
    /// `null`: there is no command for it.
    command: Option<&'a str>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Latency")]
struct LatencyShape<'a> {
    /// `own`, `journal` or `webhook`.
    of: &'static str,
    /// Of a webhook.
    policy: Option<&'a str>,
    mode: Option<Mode>,
    count: u64,
    p50_us: Option<u64>,
    p99_us: Option<u64>,
    errors: Option<u64>,
    denied: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "HealthClusters")]
struct ClustersShape<'a> {
    since: Option<String>,
    until: Option<String>,
    /// Why they are not known.
    unknown: Option<&'a str>,
    clusters: Vec<ClusterShape<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "HealthCluster")]
struct ClusterShape<'a> {
    cluster: &'a str,
    #[serde(flatten)]
    figures: &'a Figures,
}

pub fn endpoint() -> Endpoint {
    Endpoint::apart::<HealthShape<'static>>(
        PATH,
        "Each way in which Rehearsal can slow or block a cluster, and how to get out of the way.",
        &[],
    )
}

pub async fn show(
    State(state): State<Arc<HealthState>>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let visit = Visit::of_everything(&state.settings, visitor, query.as_deref(), "the health of Rehearsal")?;
    visit.parameters.only(&[])?;
    let (live, vitals) = ((state.live)(), (state.vitals)());
    let answers = state.answers(visit.now).await;
    let history = answers.as_ref().map(|_| ()).map_err(String::as_str);
    let ground = Ground { vitals: &vitals, live: &live, history, now: visit.now, zone: &visit.zone };
    let (health, latencies) = (Health::of(ground), latency::of(ground));
    let (out, others) = (remedy::out(&vitals.bounds), Remedy::others());
    Ok(json(&HealthShape {
        now: time(visit.now),
        replica: live.own.replica.to_string(),
        revision: &live.revision,
        since: time(health.since),
        state: health.state().as_str(),
        ways: health.ways.iter().map(WayShape::of).collect(),
        latencies: latencies.iter().map(LatencyShape::of).collect(),
        clusters: ClustersShape::of(&answers),
        out_of_the_way: out.iter().map(RemedyShape::of).collect(),
        other_webhooks: others.iter().map(RemedyShape::of).collect(),
        completeness: CompletenessShape::from(&live.completeness),
    }))
}

// === impl WayShape ===

impl<'a> WayShape<'a> {
    fn of(way: &'a Way) -> Self {
        let Way { id, name, state, now, hour, remedies } = way;
        let remedies = remedies.iter().map(RemedyShape::of).collect();
        Self { id, name, state: state.as_str(), now, hour, remedies }
    }
}

// === impl RemedyShape ===

impl<'a> RemedyShape<'a> {
    fn of(Remedy { what, command }: &'a Remedy) -> Self {
        Self { what, command: command.as_deref() }
    }
}

// === impl LatencyShape ===

impl<'a> LatencyShape<'a> {
    fn of(latency: &'a Latency) -> Self {
        let (of, policy, mode) = match &latency.of {
            Of::Own => ("own", None, None),
            Of::Journal => ("journal", None, None),
            Of::Webhook(policy, mode) => ("webhook", Some(policy.as_str()), Some(*mode)),
        };
        let Latency { spread, errors, denied, .. } = latency;
        let (p50_us, p99_us) = (latency.micros(0.5), latency.micros(0.99));
        Self { of, policy, mode, count: spread.count, p50_us, p99_us, errors: *errors, denied: *denied }
    }
}

// === impl ClustersShape ===

impl<'a> ClustersShape<'a> {
    fn of(answers: &'a Result<ByCluster, String>) -> Self {
        match answers {
            Ok(ByCluster { since, until, clusters }) => Self {
                since: Some(time(*since)),
                until: Some(time(*until)),
                unknown: None,
                clusters: clusters.iter().map(|(cluster, figures)| ClusterShape { cluster, figures }).collect(),
            },
            Err(why) => Self { since: None, until: None, unknown: Some(why), clusters: Vec::new() },
        }
    }
}
