//! The configuration as a person writes it.
//!
//! These types are the only description of its shape: the JSON Schema, the reader, the environment variables and
//! `docs/configuration.md` are made from them; a doc comment here is a description there, a `Default` here a default
//! there.

mod access;
mod break_glass;
mod clusters;
mod exemptions;
mod policies;
mod readiness;
mod store;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use jiff::tz::TimeZone;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::policy::settings::SystemSettings;
use crate::recorder::settings::{Durability, OnFailure};
use crate::review::decision::Mode;
use crate::server::settings::Overload;

use super::form::{CertificateName, HostName, Label, Size, Text, Written};
use super::{LogFormat, LogLevel};

pub use self::access::{Auth, ListOrFile, Oidc, Proxy, ReportTls, Roles, Sessions, Team, Token, User};
pub use self::break_glass::BreakGlass;
pub use self::clusters::Cluster;
pub use self::exemptions::{Exemption, Exemptions};
pub use self::policies::{Gatekeeper, Match, OneOrMore, Policy, Rego, Remote, Rule, Stage, WEBHOOK_TIMEOUT};
pub use self::readiness::Readiness;
pub use self::store::{History, Retention, Store};

/// The cluster that nobody named.
pub const CLUSTER: &str = "default";

/// Configuration of `rehearsal serve`. Relative paths are relative to this file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Rehearsal")]
pub struct Document {
    /// The cluster of reviews whose path names none: a DNS label, any but `undeclared`.
    pub cluster: Written<Label>,
    /// The clusters that send reviews, and what proves it. What comes from others is then answered as ever and recorded
    /// as cluster `undeclared`, outside every figure. Absent: a path is taken at its word.
    #[schemars(with = "Vec<Cluster>", length(min = 1))]
    pub clusters: Option<Vec<Cluster>>,
    /// Where the journal, the SQLite history and the self-made certificates are. Made when absent, for its owner only.
    pub data_dir: Written<PathBuf>,
    /// The listener that the API server sends reviews to.
    pub webhook: Webhook,
    /// The pages and the API over the history.
    pub report: Report,
    /// Health and metrics.
    pub admin: Admin,
    /// The database of the history: `sqlite`, a file in `data_dir`; or a Postgres, which several replicas may share.
    #[schemars(extend("x-fix" = STORE_FIX))]
    pub store: Store,
    /// How decisions reach the disk before they are answered.
    pub journal: Journal,
    /// What is kept of reviews beside the decisions.
    pub history: History,
    /// How long what is kept.
    pub retention: Retention,
    /// When a rule is called ready to be enforced in a namespace.
    pub readiness: Readiness,
    /// When there are more reviews than `webhook.limits` admit and nothing loaded can enforce: allow and count them
    /// as unjudged, or refuse them with a 503. Where something can enforce it is always a 503.
    pub overload: Overload,
    /// The longest that an answer waits for the verdict of a webhook in mode `warn`.
    pub warn_wait: Written<Duration>,
    /// What happens on SIGTERM.
    pub shutdown: Shutdown,
    /// What goes to standard error.
    pub log: Log,
    /// What judges. Absent: one policy `images` in `audit` with the rule `no-latest`; `[]`: none.
    #[schemars(with = "Vec<Policy>", extend("x-fix" = POLICIES_FIX))]
    pub policies: Option<Vec<Policy>>,
    /// Files with policies that are judged beside these and never acted on: what they say is only compared.
    #[schemars(with = "Vec<Written<PathBuf>>")]
    pub candidates: Option<Vec<Written<PathBuf>>>,
    /// What is let through for a time although it violates a rule: a list, or the files that hold lists.
    #[schemars(with = "Exemptions", extend("x-fix" = EXEMPTIONS_FIX))]
    pub exemptions: Option<Exemptions>,
    /// What a ticket in an annotation lets through in an emergency, and for how long: an entry, or a list of them.
    #[schemars(extend("x-fix" = BREAK_GLASS_FIX))]
    pub break_glass: Option<OneOrMore<BreakGlass>>,
    /// Where a cluster is repaired from (globs). The one that Rehearsal itself runs in is always added.
    pub system_namespaces: Vec<Written<Text>>,
    /// The heaviest mode of local policies in `system_namespaces`.
    pub system_max_mode: Mode,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Webhook {
    /// Address and port. Off loopback it needs `tls`, and `tls.client_ca` or `unauthenticated: true`.
    pub listen: Written<SocketAddr>,
    /// `off` (or `false`) for plain HTTP, on loopback only; absent: a self-made certificate, on loopback only.
    #[schemars(with = "Tls", extend("x-fix" = TLS_FIX))]
    pub tls: Option<Tls>,
    /// Accept reviews from anyone who reaches an address off loopback, without `tls.client_ca`.
    pub unauthenticated: bool,
    /// More than this is refused.
    pub limits: Limits,
    /// Longer than this is cut off.
    pub timeouts: Timeouts,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Tls {
    Off(Off),
    Keys(TlsKeys),
}

/// `off`, or `false`, which is what YAML 1.1 makes of it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Off {
    #[serde(rename = "off", alias = "false")]
    Off,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsKeys {
    /// PEM file: the certificate, then its intermediates. Read again when it changes.
    pub certificate: Option<Written<PathBuf>>,
    /// PEM file: the certificate's key. Read again when it changes.
    pub key: Option<Written<PathBuf>>,
    /// PEM file of CAs: a client certificate that one of them signed is then required.
    pub client_ca: Option<Written<PathBuf>>,
    /// A certificate from a CA that is made and kept in `data_dir`: for one process on one machine.
    pub self_made: Option<SelfMade>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SelfMade {
    /// DNS names and addresses that the certificate is for, beside `localhost`, `127.0.0.1` and `::1`.
    #[schemars(required, length(min = 1))]
    pub names: Option<Vec<Written<CertificateName>>>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The body of one request.
    pub max_body: Written<Size>,
    /// Reviews at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_in_flight: u64,
    /// The bodies of all reviews at once.
    pub max_in_flight_bytes: Written<Size>,
    /// Connections at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// The TLS handshake.
    pub handshake: Written<Duration>,
    /// From a request's first byte to the end of its header.
    pub header: Written<Duration>,
    /// From there to the end of its body.
    pub body: Written<Duration>,
    /// Between requests on one connection.
    pub idle: Written<Duration>,
    /// A connection is asked to close after this, give or take 10 %, so that load spreads over replicas.
    pub connection_age: Written<Duration>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Report {
    /// Address and port. Off loopback it needs `auth`, or `insecure: true`.
    pub listen: Written<SocketAddr>,
    /// Absent: plain HTTP.
    pub tls: Option<ReportTls>,
    /// Answer anyone who reaches an address off loopback, or take passwords there without TLS.
    pub insecure: bool,
    /// What proves who somebody is: nothing, a password of `users`, the headers of a `proxy`, a provider of OpenID Connect.
    pub auth: Auth,
    /// For times and day borders on pages: a name of the IANA database.
    pub time_zone: Written<TimeZone>,
    /// Where people reach the report: links in messages begin with it.
    pub public_url: Option<Written<Uri>>,
    /// Host names (without port) under which it answers, beside `localhost` and IP addresses.
    pub hosts: Vec<Written<HostName>>,
    /// Whom to ask for rights, where no team is to be asked.
    pub contact: Option<Written<Text>>,
    /// Who signs in with a password: a list, or the file that holds it.
    #[schemars(with = "ListOrFile<User>", extend("x-fix" = LIST_FIX))]
    pub users: Option<ListOrFile<User>>,
    /// What members of a group may see: everything.
    pub roles: Roles,
    /// What members of a group may see: some namespaces. A list, or the file that holds it.
    #[schemars(with = "ListOrFile<Team>", extend("x-fix" = LIST_FIX))]
    pub teams: Option<ListOrFile<Team>>,
    /// What programs show as `Authorization: Bearer`: a list, or the file that holds it.
    #[schemars(with = "ListOrFile<Token>", extend("x-fix" = LIST_FIX))]
    pub tokens: Option<ListOrFile<Token>>,
    /// With `auth: proxy`.
    pub proxy: Proxy,
    /// With `auth: oidc`; needs `public_url`.
    pub oidc: Oidc,
    /// How long somebody stays signed in.
    pub sessions: Sessions,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Moves `/livez`, `/readyz` and `/metrics` from the report's listener to their own: address and port.
    pub listen: Option<Written<SocketAddr>>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Journal {
    /// What an answer waits for: the disk (survives a crash of the machine) or the write (a crash of the process).
    pub durability: Durability,
    /// What may wait on disk for the store: 64MiB or more.
    pub max_size: Written<Size>,
    /// The longest that an answer waits for the disk.
    pub max_wait: Written<Duration>,
    /// An answer that cannot be recorded: goes out and is counted as a gap, or is refused with a 503.
    pub on_failure: OnFailure,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long reviews are still accepted while `/readyz` already says 503.
    pub delay: Written<Duration>,
    /// How long reviews in flight and the store then have.
    pub grace: Written<Duration>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Lines for people or JSON for machines.
    pub format: LogFormat,
    /// The least important that is shown.
    pub level: LogLevel,
}

const TLS_FIX: &str =
    "write off for plain HTTP, or `{certificate: FILE, key: FILE}`, or `{self_made: {names: [NAME, ..]}}`";
const STORE_FIX: &str = "write sqlite, or `{url: postgres://USER@HOST/DATABASE, password_file: FILE}`";
const POLICIES_FIX: &str = "write a list, or [] for no policy, or leave the field out for the built-in one";

const BREAK_GLASS_FIX: &str =
    "write `{annotation: \"*.image-policy.k8s.io/ticket-*\", value: break-glass}`, or a list of such";

const LIST_FIX: &str = "write a list, or `{file: FILE}`";

const EXEMPTIONS_FIX: &str = "write a list of exemptions, or `{files: [exemptions/*.yaml]}`";

const KIB: u64 = 1 << 10;
const MIB: u64 = KIB << 10;
const GIB: u64 = MIB << 10;

const fn secs(secs: u64) -> Written<Duration> {
    Written(Duration::from_secs(secs))
}

const fn loopback(port: u16) -> Written<SocketAddr> {
    Written(SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port))
}

// === impl Document ===

impl Default for Document {
    fn default() -> Self {
        Self {
            cluster: Written(Label(CLUSTER.to_owned())),
            clusters: None,
            data_dir: Written(PathBuf::from("./rehearsal-data")),
            webhook: Webhook::default(),
            report: Report::default(),
            admin: Admin::default(),
            store: Store::default(),
            journal: Journal::default(),
            history: History::default(),
            retention: Retention::default(),
            readiness: Readiness::default(),
            overload: Overload::default(),
            warn_wait: Written(Duration::from_millis(200)),
            shutdown: Shutdown::default(),
            log: Log::default(),
            policies: None,
            candidates: None,
            exemptions: None,
            break_glass: None,
            system_namespaces: SystemSettings::NAMESPACES.map(|name| Written(Text(name.to_owned()))).into(),
            system_max_mode: SystemSettings::default().max_mode,
        }
    }
}

// === impl Webhook ===

impl Default for Webhook {
    fn default() -> Self {
        Self {
            listen: loopback(8443),
            tls: None,
            unauthenticated: false,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
        }
    }
}

// === impl Off ===

impl JsonSchema for Off {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Off".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": ["off", false] })
    }
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            // etcd takes 1.5 MiB by default; the API server takes 3 MiB, sends old and new object, and JSON may be
            // longer than what was sent to it.
            max_body: Written(Size(7 * MIB)),
            max_in_flight: 512,
            max_in_flight_bytes: Written(Size(128 * MIB)),
            connections: 2000,
        }
    }
}

// === impl Timeouts ===

impl Default for Timeouts {
    fn default() -> Self {
        Self { handshake: secs(10), header: secs(10), body: secs(20), idle: secs(120), connection_age: secs(600) }
    }
}

// === impl Report ===

impl Default for Report {
    fn default() -> Self {
        Self {
            listen: loopback(8080),
            tls: None,
            insecure: false,
            auth: Auth::default(),
            time_zone: Written(TimeZone::UTC),
            public_url: None,
            hosts: Vec::new(),
            contact: None,
            users: None,
            roles: Roles::default(),
            teams: None,
            tokens: None,
            proxy: Proxy::default(),
            oidc: Oidc::default(),
            sessions: Sessions::default(),
        }
    }
}

// === impl Journal ===

impl Default for Journal {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            max_size: Written(Size(4 * GIB)),
            max_wait: secs(1),
            on_failure: OnFailure::default(),
        }
    }
}

// === impl Shutdown ===

impl Default for Shutdown {
    fn default() -> Self {
        Self { delay: secs(0), grace: secs(10) }
    }
}
