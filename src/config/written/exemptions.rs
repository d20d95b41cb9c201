//! The exemptions as a person writes them.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::form::{Moment, Text, Written};
use super::policies::OneOrMore;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Exemptions {
    Inline(Vec<Exemption>),
    Files(ExemptionFiles),
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExemptionFiles {
    /// Files that hold a list of exemptions each; a `*` in the last part of a path stands for any of its files.
    #[schemars(required, length(min = 1))]
    pub files: Option<Vec<Written<PathBuf>>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Exemption {
    /// Of these policies (globs).
    pub policy: Option<OneOrMore<Written<Text>>>,
    /// Of these rules (globs).
    pub rule: Option<OneOrMore<Written<Text>>>,
    /// In these clusters (globs).
    pub clusters: Option<OneOrMore<Written<Text>>>,
    /// In these namespaces (globs). One of `namespaces`, `workloads` and `images` is given.
    pub namespaces: Option<OneOrMore<Written<Text>>>,
    /// Of these workloads: `Kind/name` (globs).
    pub workloads: Option<OneOrMore<Written<Text>>>,
    /// Of these images: `registry/repository[:tag][@digest]` (globs).
    pub images: Option<OneOrMore<Written<Text>>>,
    /// In containers of these names (globs).
    pub containers: Option<OneOrMore<Written<Text>>>,
    /// When it ends: an instant as in RFC 3339, or a day, which it still holds for, in UTC.
    pub until: Option<Written<Moment>>,
    /// It never ends: instead of `until`.
    pub permanent: Option<bool>,
    /// How long before its end each hit is told of it: `14d` where it is absent.
    pub warn_before: Option<Written<Duration>>,
    /// Where it was asked for.
    pub ticket: Option<Written<Text>>,
    /// Who will see to it that it is not needed any more.
    pub owner: Option<Written<Text>>,
    /// Why it is there.
    pub reason: Option<Written<Text>>,
}
