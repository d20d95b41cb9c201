//! The policies as a person writes them.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::rego::input::Form;
use crate::policy::settings::{Dialect, OnError, Requirement, Speaks};
use crate::review::decision::{Mode, Operation};
use crate::review::image::Role;

use super::super::form::{Name, Text, Written};

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// In messages, figures and the history: letters, digits, `.`, `_`, `-`. No two policies share one.
    #[schemars(required)]
    pub name: Option<Written<Name>>,
    /// Record a violation, also warn the client, or reject.
    #[serde(default)]
    pub mode: Mode,
    /// Stages: the first that matches a rule and where a review is of wins over `mode`.
    #[schemars(length(min = 1))]
    pub rollout: Option<Vec<Stage>>,
    /// When it cannot judge and is in `enforce`: fail (the API server's failure policy decides), allow or deny.
    #[serde(default)]
    pub on_error: OnError,
    /// The longest that one call of the webhook takes. The API server's own deadline ends it earlier.
    #[schemars(extend("default" = Written(WEBHOOK_TIMEOUT)))]
    pub timeout: Option<Written<Duration>>,
    /// Rules over images. One of `rules`, `rego`, `gatekeeper` and `webhook` is given.
    #[schemars(length(min = 1))]
    pub rules: Option<Vec<Rule>>,
    /// A policy in Rego.
    pub rego: Option<Rego>,
    /// Templates and constraints of Gatekeeper.
    pub gatekeeper: Option<Gatekeeper>,
    /// A remote webhook.
    pub webhook: Option<Remote>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// In messages, figures and the history: letters, digits, `.`, `_`, `-`. No two rules of a policy share one.
    #[schemars(required)]
    pub id: Option<Written<Name>>,
    /// Wins over the policy's mode and rollout.
    pub mode: Option<Mode>,
    /// Stages of this rule alone, in the place of its policy's.
    #[schemars(length(min = 1))]
    pub rollout: Option<Vec<Stage>>,
    /// An image that matches all given fields violates. One of `deny`, `allow` and `require` is given.
    pub deny: Option<Match>,
    /// An image that does not match all given fields violates.
    pub allow: Option<Match>,
    /// What an image must spell out.
    pub require: Option<OneOrMore<Requirement>>,
    /// Of a violation. May use `{image}`, `{registry}`, `{repository}`, `{tag}`, `{namespace}` and `{container}`.
    pub message: Option<Written<Text>>,
    /// What to do about it: added to a denial.
    pub help: Option<Written<Text>>,
    /// Only in these namespaces (globs).
    pub namespaces: Option<OneOrMore<Written<Text>>>,
    /// Not in these namespaces (globs).
    pub except_namespaces: Option<OneOrMore<Written<Text>>>,
    /// Only in these clusters (globs).
    pub clusters: Option<OneOrMore<Written<Text>>>,
    /// Only for objects of these kinds, such as `Pod`.
    pub kinds: Option<OneOrMore<Written<Text>>>,
    /// Only for these operations.
    pub operations: Option<OneOrMore<Operation>>,
    /// Only for images in these places of a pod. An ImageReview does not say where: it is always in scope.
    pub containers: Option<OneOrMore<Role>>,
    /// Texts that stand for an image to come: in what makes pods they are not judged, on Pods they are. `[auto]` when
    /// absent, as service meshes write.
    pub placeholders: Option<OneOrMore<Written<Text>>>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Only of these rules (globs).
    pub rules: Option<OneOrMore<Written<Text>>>,
    /// Only in these namespaces (globs).
    pub namespaces: Option<OneOrMore<Written<Text>>>,
    /// Only in these clusters (globs).
    pub clusters: Option<OneOrMore<Written<Text>>>,
    /// Only in this part of the namespaces: the same at every request, and all of a smaller part are in a larger one.
    #[serde(default = "all")]
    #[schemars(range(max = 100))]
    pub percent: u64,
    /// With it `percent` takes other namespaces than it does without, or with another.
    pub salt: Option<Written<Text>>,
    /// Record a violation, also warn the client, or reject.
    #[schemars(required)]
    pub mode: Option<Mode>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    /// Host, with its port where it has one (globs).
    pub registry: Option<OneOrMore<Written<Text>>>,
    /// Without registry (globs).
    pub repository: Option<OneOrMore<Written<Text>>>,
    /// `latest` where an image has neither tag nor digest (globs).
    pub tag: Option<OneOrMore<Written<Text>>>,
    /// `registry/repository[:tag][@digest]` (globs).
    pub image: Option<OneOrMore<Written<Text>>>,
    /// Regular expressions, searched for in the text as written and in its full form.
    pub image_matches: Option<OneOrMore<Written<Text>>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rego {
    /// Modules (`.rego`), documents (`.json`, `.yaml`, `.yml`), bundles (`.tar.gz`), and folders of them.
    #[schemars(required, length(min = 1))]
    pub files: Option<Vec<Written<PathBuf>>>,
    /// The rule whose result is the verdict: `data.PACKAGE.RULE`.
    #[schemars(required)]
    pub entrypoint: Option<Written<Text>>,
    /// The grammar of modules: v1, v0 (before OPA 1.0), or whichever a module is in.
    #[serde(default)]
    pub dialect: Dialect,
    /// The document that the policy is given as `input`; absent: the one that its text reads.
    pub input: Option<Form>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gatekeeper {
    /// YAML or JSON files with ConstraintTemplates and constraints, and folders of them.
    #[schemars(required, length(min = 1))]
    pub files: Option<Vec<Written<PathBuf>>>,
    /// Judge an ImageReview too, as the Pod of its images.
    #[serde(default)]
    pub judge_partial: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// Where reviews are posted to.
    #[schemars(required)]
    pub url: Option<Written<Uri>>,
    /// Its protocol. It is not asked about reviews of the other one. An OPA takes both: `url` names its document.
    #[serde(default = "image_review")]
    pub speaks: Speaks,
    /// Present reviews of the other protocol to it in its own: the images of a Pod as an ImageReview, an ImageReview as a
    /// Pod.
    #[serde(default)]
    pub bridge: bool,
    /// PEM file of the CAs that its certificate may come from; absent: the system's.
    pub ca: Option<Written<PathBuf>>,
    /// PEM file: the certificate that it is shown.
    pub client_certificate: Option<Written<PathBuf>>,
    /// PEM file: the key of that certificate.
    pub client_key: Option<Written<PathBuf>>,
    /// A file whose content is sent as `Authorization: Bearer`.
    pub token_file: Option<Written<PathBuf>>,
    /// Calls at once.
    #[serde(default = "webhook_calls")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_in_flight: u64,
    /// What loosens local policies (exemptions, break-glass, `system_max_mode`, ceilings) loosens it too, in `enforce`.
    #[serde(default)]
    pub overridable: bool,
}

/// One value, or a list of them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMore<T> {
    One(T),
    More(#[schemars(length(min = 1))] Vec<T>),
}

/// A backend that is slower would hold a deployment up more than most people wait; the API server's own deadline, 10 s
/// by default and 30 s at most, is left room.
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Percent.
const fn all() -> u64 {
    100
}

const fn image_review() -> Speaks {
    Speaks::ImageReview
}

/// As many as one backend of a small cluster answers at once.
const fn webhook_calls() -> u64 {
    64
}

// === impl OneOrMore ===

impl<T> OneOrMore<T> {
    pub fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::More(more) => more,
        }
    }
}
