//! `GET /api/v1/names`: names that hold a text, to make filters of.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::Endpoint;
use super::{Call, json};
use crate::store::read::{Few, Scope};
use crate::web::WebState;
use crate::web::error::ApiError;
use crate::web::query::BadParameter;
use crate::web::sentence;

/// What it takes.
const PARAMETERS: [&str; 3] = ["q", "cluster", "namespace"];

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Names")]
struct NamesShape {
    namespaces: FewShape<NamespaceShape>,
    workloads: FewShape<WorkloadShape>,
    repositories: FewShape<String>,
    images: FewShape<String>,
    users: FewShape<String>,
    rules: FewShape<RuleShape>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Few{T}")]
struct FewShape<T> {
    names: Vec<T>,
    more: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NamespaceName")]
struct NamespaceShape {
    cluster: String,
    namespace: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WorkloadName")]
struct WorkloadShape {
    cluster: String,
    /// `null`: none.
    namespace: Option<String>,
    workload: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RuleName")]
struct RuleShape {
    policy: String,
    rule: String,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<NamesShape>("/api/v1/names", "Names that hold a text, to make filters of.", &PARAMETERS, get(show))
}

async fn show(State(state): State<Arc<WebState>>, call: Call) -> Result<Response, ApiError> {
    let text = |name| call.parameters.text(name).map(str::to_owned);
    let q = text("q").ok_or_else(|| BadParameter::new("q", "it is missing: a part of a name"))?;
    let scope = Scope { cluster: text("cluster"), namespace: text("namespace"), ..Scope::of(call.reach.clone()) };
    let found = state.store.names(&scope, &q).await?;
    Ok(json(&NamesShape {
        namespaces: FewShape::of(found.namespaces, |(cluster, namespace)| NamespaceShape { cluster, namespace }),
        workloads: FewShape::of(found.workloads, |(cluster, namespace, workload)| WorkloadShape {
            cluster,
            namespace: Some(namespace).filter(|namespace| !namespace.is_empty()),
            workload: sentence::workload(&workload),
        }),
        repositories: FewShape::of(found.repositories, |name| name),
        images: FewShape::of(found.images, |name| name),
        users: FewShape::of(found.users, |name| name),
        rules: FewShape::of(found.rules, |(policy, rule)| RuleShape { policy, rule }),
    }))
}

// === impl FewShape ===

impl<T> FewShape<T> {
    fn of<N>(few: Few<N>, shape: impl Fn(N) -> T) -> Self {
        Self { names: few.names.into_iter().map(shape).collect(), more: few.is_more }
    }
}
