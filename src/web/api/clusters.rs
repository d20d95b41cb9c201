//! `GET /api/v1/clusters`: what is known of each cluster, and how ready each rule is in it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::rules::{CountedShape, NamespacesShape};
use super::shape::{CompletenessShape, GapShape, time};
use super::{Call, json};
use crate::policy::readiness::Asked;
use crate::policy::readiness::tally::Tally;
use crate::review::clock::Timestamp;
use crate::review::decision::Protocol;
use crate::review::said::CertificateEnd;
use crate::store::fleet::Replica;
use crate::web::WebState;
use crate::web::error::ApiError;
use crate::web::fleet::{Cluster, Ending, Fleet, NextEnd};
use crate::web::readiness::Question;

/// What it takes.
const PARAMETERS: [&str; 1] = ["cluster"];

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Clusters")]
struct ClustersShape<'a> {
    #[serde(flatten)]
    counted: CountedShape,
    clusters: Vec<ClusterShape<'a>>,
    rules: Vec<RuleShape<'a>>,
    /// Each once: of one of the clusters, or of every one.
    gaps: Vec<GapShape<'a>>,
    /// `null`: not for whoever asks.
    replicas: Option<Vec<ReplicaShape<'a>>>,
    #[serde(flatten)]
    completeness: CompletenessShape<'a>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Cluster")]
struct ClusterShape<'a> {
    cluster: &'a str,
    last_review_at: Option<String>,
    namespaces: NamespacesShape,
    /// These are `null` for whoever may not see everything.
    replicas: Option<Vec<String>>,
    protocols: Option<&'a [Protocol]>,
    unproven: Option<u64>,
    lag_ms: Option<i64>,
    next_end: Option<NextEndShape<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NextEnd")]
struct NextEndShape<'a> {
    at: String,
    /// `certificate` or `exemption`.
    of: &'static str,
    role: Option<&'a str>,
    /// A certificate's, or an exemption's ticket.
    name: Option<&'a str>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClusterRule")]
struct RuleShape<'a> {
    policy: &'a str,
    rule: &'a str,
    clusters: Vec<InClusterShape<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "InCluster")]
struct InClusterShape<'a> {
    cluster: &'a str,
    namespaces: NamespacesShape,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Replica")]
struct ReplicaShape<'a> {
    replica: String,
    clusters: &'a [String],
    version: &'a str,
    revision: &'a str,
    started_at: String,
    heard_at: String,
    /// `null`: not known, or all where it has stopped.
    stored_until: Option<String>,
    stopped: bool,
    protocols: Vec<Protocol>,
    certificates: Vec<CertificateShape<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Certificate")]
struct CertificateShape<'a> {
    role: &'a str,
    name: &'a str,
    end: String,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<ClustersShape<'static>>(
        "/api/v1/clusters",
        "What is known of each cluster, and how ready each rule is in it.",
        &PARAMETERS,
        get(list),
    )
}

async fn list(State(state): State<Arc<WebState>>, call: Call) -> Result<Response, ApiError> {
    let live = state.live(&call.reach).await?;
    let question = Question::of(&state, &live, &call.parameters, call.now, &call.reach);
    let fleet = Fleet::of(&state.store, &question, &live).await?;
    Ok(json(&ClustersShape {
        counted: CountedShape::of(&question, fleet.overall.evidence.since.map(time)),
        clusters: fleet.clusters.iter().map(|cluster| ClusterShape::of(cluster, call.now)).collect(),
        rules: fleet.overall.rules.iter().map(|(asked, tally)| RuleShape::of(asked, tally, &fleet)).collect(),
        gaps: fleet.gaps.iter().map(GapShape::from).collect(),
        replicas: fleet.replicas.as_ref().map(|replicas| replicas.iter().map(ReplicaShape::of).collect()),
        completeness: CompletenessShape::from(&live.completeness),
    }))
}

// === impl ClusterShape ===

impl<'a> ClusterShape<'a> {
    fn of(cluster: &'a Cluster, now: Timestamp) -> Self {
        let Cluster { name, last_review, namespaces, served, .. } = cluster;
        let served = served.as_ref();
        Self {
            cluster: name,
            last_review_at: last_review.map(time),
            namespaces: NamespacesShape::from(*namespaces),
            replicas: served.map(|served| served.replicas.iter().map(ToString::to_string).collect()),
            protocols: served.map(|served| served.protocols.as_slice()),
            unproven: served.map(|served| served.unproven),
            lag_ms: served.and_then(|served| served.lag(now)),
            next_end: served.and_then(|served| served.next_end.as_ref()).map(NextEndShape::of),
        }
    }
}

// === impl NextEndShape ===

impl<'a> NextEndShape<'a> {
    fn of(NextEnd { at, what }: &'a NextEnd) -> Self {
        let (of, role, name) = match what {
            Ending::Certificate(role, name) => ("certificate", Some(role.as_str()), Some(name.as_str())),
            Ending::Exemption(ticket) => ("exemption", None, ticket.as_deref()),
        };
        Self { at: time(*at), of, role, name }
    }
}

// === impl RuleShape ===

impl<'a> RuleShape<'a> {
    fn of(asked: &'a Asked, tally: &Tally, fleet: &'a Fleet) -> Self {
        let counted = fleet.of_rule(tally);
        let in_cluster = |Cluster { name, .. }: &'a Cluster| InClusterShape {
            cluster: name,
            namespaces: NamespacesShape::from(counted.get(name.as_str()).copied().unwrap_or_default()),
        };
        let clusters = fleet.clusters.iter().map(in_cluster).collect();
        Self { policy: &asked.policy, rule: &asked.rule, clusters }
    }
}

// === impl ReplicaShape ===

impl<'a> ReplicaShape<'a> {
    fn of(replica: &'a Replica) -> Self {
        let Replica { standing, started_at, has_stopped, version, revision, said } = replica;
        let certificate =
            |CertificateEnd { end, role, name }: &'a CertificateEnd| CertificateShape { role, name, end: time(*end) };
        Self {
            replica: standing.replica.to_string(),
            clusters: &standing.clusters,
            version,
            revision,
            started_at: time(*started_at),
            heard_at: time(standing.heard_at),
            stored_until: standing.stored_until.filter(|_| !has_stopped).map(time),
            stopped: *has_stopped,
            protocols: replica.protocols(),
            certificates: said.iter().flat_map(|said| &said.certificates).map(certificate).collect(),
        }
    }
}
