//! Break-glass as a person writes it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::form::{Text, Written};
use super::policies::OneOrMore;

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BreakGlass {
    /// The key of the annotation (a glob): `*.image-policy.k8s.io/ticket-*`. A pod's own, or its template's.
    #[schemars(required)]
    pub annotation: Option<Written<Text>>,
    /// The value of the annotation, to the letter.
    #[schemars(required)]
    pub value: Option<Written<Text>>,
    /// Of these policies (globs).
    pub policies: Option<OneOrMore<Written<Text>>>,
    /// Of these rules (globs).
    pub rules: Option<OneOrMore<Written<Text>>>,
    /// In these clusters (globs).
    pub clusters: Option<OneOrMore<Written<Text>>>,
    /// In these namespaces (globs).
    pub namespaces: Option<OneOrMore<Written<Text>>>,
    /// By these users (globs; `**` goes across a `/`): whoever makes or changes the workload itself. Its pods inherit.
    pub users: Option<OneOrMore<Written<Text>>>,
    /// By users in one of these groups (globs), likewise.
    pub groups: Option<OneOrMore<Written<Text>>>,
    /// How long a ticket holds from its first use by a workload: `24h` where it is absent.
    #[serde(rename = "for")]
    pub lasts: Option<Written<Duration>>,
}
