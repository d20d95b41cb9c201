//! Who may look at the report, as a person writes it.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::web::access::settings::{ProxyHeaders, Role, SessionSettings};

use super::super::form::{Moment, PasswordHash, Text, TokenHash, Written};

/// What proves who somebody is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    #[default]
    None,
    Users,
    Proxy,
    Oidc,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportTls {
    /// PEM file: the certificate, then its intermediates. Read again when it changes.
    #[schemars(required)]
    pub certificate: Option<Written<PathBuf>>,
    /// PEM file: the certificate's key. Read again when it changes.
    #[schemars(required)]
    pub key: Option<Written<PathBuf>>,
}

/// Here, or in a file of its own.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ListOrFile<T> {
    List(Vec<T>),
    File(ListFile),
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListFile {
    /// A file that holds the list. Read again when it changes.
    #[schemars(required)]
    pub file: Option<Written<PathBuf>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// What they sign in with.
    #[schemars(required)]
    pub name: Option<Written<Text>>,
    /// Of their password, as `rehearsal user hash` prints it.
    #[schemars(required)]
    pub hash: Option<Written<PasswordHash>>,
    /// Their own, beside those of their groups: `admin`, `auditor` or `viewer`.
    pub role: Option<Role>,
    /// What `roles` and `teams` name.
    pub groups: Option<Vec<Written<Text>>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Roles {
    /// Groups whose members see everything, and who did what with the report.
    pub admin: Vec<Written<Text>>,
    /// Groups whose members see as much.
    pub auditor: Vec<Written<Text>>,
    /// Groups whose members see everything but that.
    pub viewer: Vec<Written<Text>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Team {
    /// What it is called where somebody is told whom to ask.
    #[schemars(required)]
    pub name: Option<Written<Text>>,
    /// Whose members see these namespaces and nothing else.
    #[schemars(required)]
    pub group: Option<Written<Text>>,
    /// Globs. Absent: every one.
    pub clusters: Option<Vec<Written<Text>>>,
    /// Globs.
    #[schemars(required, length(min = 1))]
    pub namespaces: Option<Vec<Written<Text>>>,
    /// Whom to ask for what is theirs: an address, a channel.
    pub contact: Option<Written<Text>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// In the access log.
    #[schemars(required)]
    pub name: Option<Written<Text>>,
    /// Of the token, as `rehearsal user token` prints it.
    #[schemars(required)]
    pub hash: Option<Written<TokenHash>>,
    /// What it sees: `admin`, `auditor`, `viewer`, or, with `team`, `namespace-viewer`.
    #[schemars(required)]
    pub role: Option<Role>,
    /// Only what this team sees, by its name.
    pub team: Option<Written<Text>>,
    /// When it ends: an instant as in RFC 3339, or a day, which it still holds for, in UTC.
    #[schemars(required)]
    pub until: Option<Written<Moment>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Proxy {
    /// Addresses and ranges that it connects from.
    pub from: Vec<Written<IpNet>>,
    /// Those of oauth2-proxy (`X-Forwarded-User`, `-Email`, `-Groups`), or `Remote-User`, `-Email`, `-Groups`.
    pub headers: ProxyHeaders,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Oidc {
    /// As the provider calls itself, where `/.well-known/openid-configuration` is below.
    pub issuer: Option<Written<Text>>,
    /// What the provider knows this report as.
    pub client_id: Option<Written<Text>>,
    /// A file that holds the client's secret; a public client has none.
    pub client_secret_file: Option<Written<PathBuf>>,
    /// Asked for beside `openid`.
    pub scopes: Vec<Written<Text>>,
    /// The claim that people are called by.
    pub name_claim: Written<Text>,
    /// The claim that holds their groups.
    pub groups_claim: Written<Text>,
    /// PEM file of CAs that the provider's certificate may come from, beside the system's.
    pub ca: Option<Written<PathBuf>>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// Without a request for so long, somebody is signed out.
    pub idle: Written<Duration>,
    /// And after so long in any case.
    pub absolute: Written<Duration>,
}

// === impl Oidc ===

impl Default for Oidc {
    fn default() -> Self {
        let text = |text: &str| Written(Text(text.to_owned()));
        Self {
            issuer: None,
            client_id: None,
            client_secret_file: None,
            scopes: ["profile", "email", "groups"].map(text).into(),
            name_claim: text("email"),
            groups_claim: text("groups"),
            ca: None,
        }
    }
}

// === impl Sessions ===

impl Default for Sessions {
    fn default() -> Self {
        let SessionSettings { idle, absolute } = SessionSettings::DEFAULT;
        Self { idle: Written(idle), absolute: Written(absolute) }
    }
}
