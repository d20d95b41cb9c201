//! Policies as a person writes them, parsed into types.
//!
//! As JSON they are what a [`revision`](super::text) is kept as: every field, those at their default only where they say
//! something.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::review::clock::Timestamp;
use crate::review::decision::{Mode, Operation};
use crate::review::image::Role;
use crate::review::view::digest_hex;

use super::rego::input::Form;
use super::text::{lines, milliseconds, url};

/// What a policy of any kind does when it cannot judge and is in `enforce`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// The API server gets a failure, so that its own failure policy decides.
    #[default]
    Fail,
    Allow,
    Deny,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicySettings {
    /// `[A-Za-z0-9._-]{1,128}`, unique.
    pub name: String,
    pub mode: Mode,
    /// Wins over `mode` where a stage matches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollout: Vec<StageSettings>,
    pub on_error: OnError,
    #[serde(flatten)]
    pub source: SourceSettings,
}

/// The mode of a part of the rules in a part of the places; an empty list is all of them. Globs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageSettings {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
    /// Of the namespaces, 0 to 100.
    pub percent: u8,
    /// Another one takes other namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    pub mode: Mode,
}

/// What acts on violations after the policies have judged, beside modes and rollouts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StagingSettings {
    #[serde(default)]
    pub system: SystemSettings,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exemptions: Vec<ExemptionSettings>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub break_glass: Vec<BreakGlassSettings>,
    /// Judged beside the policies, and never acted on. Their names are their own among each other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<PolicySettings>,
}

/// What a ticket in an annotation lets through in an emergency; an empty list is anything. Globs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BreakGlassSettings {
    /// Of the annotation's key.
    pub annotation: String,
    /// The annotation's, to the letter.
    pub value: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Of the workload's own review.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// From a workload's first use.
    #[serde(rename = "for_ms", with = "milliseconds")]
    pub lasts: Duration,
}

/// What is let through for a time; an empty list is anything. Globs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExemptionSettings {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Of `Kind/name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// By name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
    /// The instant from which on it no longer applies; `None`: permanent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How long before its end each hit is told of it.
    #[serde(rename = "warn_before_ms", with = "milliseconds")]
    pub warn_before: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Where a cluster is repaired from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SystemSettings {
    /// Globs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Of local policies there.
    pub max_mode: Mode,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceSettings {
    Rules(Vec<RuleSettings>),
    Rego(RegoSettings),
    Gatekeeper(GatekeeperSettings),
    Webhook(WebhookSettings),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleSettings {
    /// `[A-Za-z0-9._-]{1,128}`, unique in its policy.
    pub id: String,
    /// Wins over the policy's mode and rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// In the place of the policy's; where no stage matches it is `mode`, or else the policy's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollout: Vec<StageSettings>,
    #[serde(flatten)]
    pub check: CheckSettings,
    /// May use `{image} {registry} {repository} {tag} {namespace} {container}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What it says of an image that cannot be read, instead of why not. Only the drop-in for kube-image-bouncer has
    /// words of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    #[serde(flatten)]
    pub scope: ScopeSettings,
    /// On Pods only; in other kinds an image of exactly one of these texts is not judged.
    #[serde(default)]
    pub placeholders: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckSettings {
    /// An image that matches all given fields violates.
    Deny(MatchSettings),
    /// An image that does not match violates.
    Allow(MatchSettings),
    /// What must be spelled out.
    Require(Vec<Requirement>),
}

/// Each field a list of which one must match; an empty list is a field that was not given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MatchSettings {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub registry: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repository: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tag: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image: Vec<String>,
    /// Regular expressions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_matches: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Requirement {
    Digest,
    Tag,
}

/// Where a rule holds; an empty list is everywhere. Globs in the first three.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScopeSettings {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub except_namespaces: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Operation>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<Role>,
}

/// Rego, as its files have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegoSettings {
    /// And folders; where they have been read, what they hold is in the next two.
    pub files: Vec<PathBuf>,
    pub modules: Vec<RegoModule>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<DataDocument>,
    /// `data.PACKAGE.RULE`.
    pub entrypoint: String,
    /// Of modules that do not say.
    pub dialect: Dialect,
    /// Of a policy whose text does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Form>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegoModule {
    /// Its name in messages.
    pub file: String,
    #[serde(with = "lines")]
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
}

/// A document under `data`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataDocument {
    /// Its name in messages.
    pub file: String,
    /// The steps from `data` to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<String>,
    pub json: String,
}

/// Templates and constraints of Gatekeeper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GatekeeperSettings {
    /// And folders; where they have been read, what they hold is in the next.
    pub files: Vec<PathBuf>,
    pub manifests: Vec<Manifest>,
    /// Also what an ImageReview tells of a pod.
    pub judge_partial: bool,
}

/// An object of Kubernetes, as a file has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its name in messages.
    pub file: String,
    /// Where it begins.
    pub line: usize,
    pub json: serde_json::Value,
}

/// The grammar of a module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// v1, and v0 where it is none.
    #[default]
    Auto,
    /// Before OPA 1.0: no `if`, no `contains`.
    V0,
    V1,
}

/// A webhook that judges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WebhookSettings {
    /// `http` or `https`.
    #[serde(with = "url")]
    pub url: http::Uri,
    pub speaks: Speaks,
    /// Reviews of the other protocol are presented to it in its own.
    #[serde(default)]
    pub bridge: bool,
    /// At most this for one call.
    #[serde(rename = "timeout_ms", with = "milliseconds")]
    pub timeout: Duration,
    /// PEM; the system's roots when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// PEM chain and key, both or neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_identity: Option<(PathBuf, PathBuf)>,
    /// Sent as `Authorization: Bearer`; re-read when it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    pub max_in_flight: usize,
    /// What loosens local policies holds for it too, while it enforces.
    #[serde(default)]
    pub overridable: bool,
}

/// The protocol of a webhook. Without a bridge it is not asked about reviews of the other one: its verdict on those is
/// `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Speaks {
    ImageReview,
    AdmissionReview,
    /// The data API of an OPA, which takes reviews of both.
    Opa,
}

/// How the text of a denial by local policies is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AnswerStyle {
    /// Every violation, `policy/rule: text`, joined by `; `, with help and a link to the decision.
    #[default]
    Prefixed,
    /// The text of the first violation (of the first image, by the first rule) and nothing else, as kube-image-bouncer
    /// answers.
    Bare,
}

impl SourceSettings {
    /// Nothing of ours loosens a webhook unless it says so.
    pub fn may_be_loosened(&self) -> bool {
        match self {
            Self::Rules(_) | Self::Rego(_) | Self::Gatekeeper(_) => true,
            Self::Webhook(webhook) => webhook.overridable,
        }
    }
}

impl BreakGlassSettings {
    /// Long enough for the night, and short enough that somebody looks at it the day after.
    pub const LASTS: Duration = Duration::from_secs(86_400);
}

impl ExemptionSettings {
    /// Long enough for a team to plan what comes in the place of an exemption.
    pub const WARN_BEFORE: Duration = Duration::from_secs(14 * 86_400);

    /// One without an end ends last.
    pub fn ends_after(&self, other: &Self) -> bool {
        match (self.until, other.until) {
            (Some(own), Some(other)) => own > other,
            (None, Some(_)) => true,
            (_, None) => false,
        }
    }

    /// After what it takes in, and its ticket: 12 hexadecimal digits. Histories and addresses hold it: with another way to
    /// write what is hashed comes another format.
    pub fn id(&self) -> String {
        const FORMAT: u8 = 1;
        // Whoever gives an exemption another field says here whether it makes another exemption.
        let Self {
            policies,
            rules,
            clusters,
            namespaces,
            workloads,
            images,
            containers,
            ticket,
            until: _,
            warn_before: _,
            owner: _,
            reason: _,
        } = self;
        let takes_in = (FORMAT, policies, rules, clusters, namespaces, workloads, images, containers, ticket);
        digest_hex(&serde_json::to_vec(&takes_in).expect("lists of text are JSON"), 12)
    }
}

impl Default for ExemptionSettings {
    fn default() -> Self {
        Self {
            policies: Vec::new(),
            rules: Vec::new(),
            clusters: Vec::new(),
            namespaces: Vec::new(),
            workloads: Vec::new(),
            images: Vec::new(),
            containers: Vec::new(),
            until: None,
            warn_before: Self::WARN_BEFORE,
            ticket: None,
            owner: None,
            reason: None,
        }
    }
}

impl SystemSettings {
    /// Where Kubernetes has what keeps a cluster running.
    pub const NAMESPACES: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];
}

impl Default for SystemSettings {
    fn default() -> Self {
        Self { namespaces: Self::NAMESPACES.map(str::to_owned).into(), max_mode: Mode::Warn }
    }
}

/// What service meshes write where their image will stand.
pub fn default_placeholders() -> Vec<String> {
    vec!["auto".to_owned()]
}

/// What judges where no policies are configured: `images` in `audit`, with the one rule that nearly everyone wants.
pub fn built_in() -> Vec<PolicySettings> {
    let no_latest = RuleSettings {
        id: "no-latest".to_owned(),
        mode: None,
        rollout: Vec::new(),
        check: CheckSettings::Deny(MatchSettings { tag: vec!["latest".to_owned()], ..MatchSettings::default() }),
        message: Some("{image} uses the tag latest".to_owned()),
        unreadable: None,
        help: Some("Pin a version or a digest, so that the same name is the same image tomorrow".to_owned()),
        scope: ScopeSettings::default(),
        placeholders: default_placeholders(),
    };
    vec![PolicySettings {
        name: "images".to_owned(),
        mode: Mode::Audit,
        rollout: Vec::new(),
        on_error: OnError::default(),
        source: SourceSettings::Rules(vec![no_latest]),
    }]
}
