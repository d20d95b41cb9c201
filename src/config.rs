//! The configuration: a tree of the parts' own types.
//!
//! A file is read into a [`tree`] that knows where each value was written, the environment is laid over it, the
//! [`reader`] takes it along the [`shape`] of the types in [`written`], and [`meaning`] makes a [`Config`] of that.
//! Every step notes its mistakes and goes on, so that a person sees all of them at once.

mod access;
mod break_glass;
mod candidates;
mod clusters;
mod environment;
mod exemptions;
mod files;
mod form;
mod listed;
mod meaning;
mod mistake;
mod path;
mod policies;
mod reader;
mod readiness;
#[cfg(test)]
mod reference;
mod rollout;
mod shape;
mod sources;
mod staging;
mod store;
#[cfg(test)]
mod tests;
mod tree;
mod written;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::policy::readiness::ReadinessSettings;
use crate::policy::settings::{AnswerStyle, PolicySettings, StagingSettings};
use crate::recorder::settings::JournalSettings;
use crate::server::settings::{ClusterSettings, Overload, TlsSettings, WebhookListenerSettings};
use crate::store::settings::{HistorySettings, StoreSettings};
use crate::web::access::settings::{AccessSettings, Auth, OidcSettings};
use crate::web::settings::ReportSettings;

use self::access::ReadAccess;
use self::candidates::Candidates;
use self::exemptions::ReadExemptions;
use self::files::NamedFile;
use self::form::Form as _;
use self::meaning::Ground;
use self::mistake::Mistakes;
use self::policies::ReadPolicies;
use self::tree::Node;
use self::written::Document;

pub use self::form::is_label;
pub use self::mistake::{ConfigErrors, Mistake, Place, Wrong, suggestion};
pub use self::policies::Compile;
pub use self::shape::schema;
pub use self::sources::{ManifestDocument, documents, manifests};
pub use self::store::kept;

/// What `serve` runs on: complete, absolute or relative to the working directory, every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// For reviews whose path names none. A DNS label.
    pub cluster: String,
    /// Empty: nobody has to prove anything.
    pub clusters: Vec<ClusterSettings>,
    pub data_dir: PathBuf,
    pub webhook: WebhookListenerSettings,
    pub report: ReportSettings,
    pub report_tls: TlsSettings,
    /// `/livez`, `/readyz` and `/metrics` on a listener of their own instead of the report's.
    pub admin: Option<SocketAddr>,
    pub store: StoreSettings,
    pub journal: JournalSettings,
    pub history: HistorySettings,
    pub readiness: ReadinessSettings,
    pub overload: Overload,
    pub warn_wait: Duration,
    pub shutdown: ShutdownSettings,
    pub log: LogSettings,
    pub policies: Vec<PolicySettings>,
    pub staging: StagingSettings,
    /// No field of the file: only the drop-in for kube-image-bouncer speaks otherwise.
    pub answer_style: AnswerStyle,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ShutdownSettings {
    /// How long the listener still accepts after SIGTERM while `/readyz` says 503.
    pub delay: Duration,
    /// How long requests in flight and the drain have after that.
    pub grace: Duration,
}

/// What goes to standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogSettings {
    pub format: LogFormat,
    pub level: LogLevel,
}

#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// The least important that is shown.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// A configuration without mistakes.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub config: Config,
    /// What is allowed but probably not meant, one sentence each.
    pub warnings: Vec<String>,
    /// The configuration's own file and every file that it names, to watch.
    pub files: Vec<PathBuf>,
}

/// A commented file that works, with every field at its default.
pub const EXAMPLE: &str = include_str!("config/example.yaml");

/// As a configuration writes one: `200ms`, `2h`.
///
/// # Errors
/// What is wrong, and what would be right.
pub fn duration(text: &str) -> Result<Duration, Wrong> {
    Duration::read(text)
}

/// The hash of a token, as a configuration writes it.
pub fn token_hash(hash: [u8; 32]) -> String {
    form::TokenHash(hash).write()
}

/// Reads the configuration of `file` (without one: the defaults) with `env` over it. The files that it names are not
/// opened and policies are not compiled: that is [`check`].
///
/// # Errors
/// Every mistake, with its place.
pub fn load(file: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<Loaded, ConfigErrors> {
    Draft::read(file, env).finish()
}

/// As [`load`], and tries all that `serve` would: opens every file that the configuration names, and has `compile`
/// say what is wrong in the policies' own texts. Takes no lock and writes nothing.
///
/// # Errors
/// Every mistake, with its place.
pub fn check(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    compile: Compile<'_>,
) -> Result<Loaded, ConfigErrors> {
    let mut draft = Draft::read(file, env);
    draft.open_files();
    draft.read_access();
    draft.compile(compile)
}

/// As [`check`], for who judges as `serve` does and serves nothing: certificates, keys and tokens, which are mostly not
/// where that is, are not opened.
///
/// # Errors
/// Every mistake, with its place.
pub fn judging(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    compile: Compile<'_>,
) -> Result<Loaded, ConfigErrors> {
    Draft::read(file, env).compile(compile)
}

/// A configuration on its way, with what is known to be wrong in it.
struct Draft {
    file: Option<PathBuf>,
    tree: Node,
    config: Config,
    policies: ReadPolicies,
    candidates: Candidates,
    exemptions: ReadExemptions,
    access: ReadAccess,
    named: Vec<NamedFile>,
    /// Files and folders of policies, of exemptions, of who may look.
    policy_files: Vec<PathBuf>,
    mistakes: Mistakes,
    warnings: Vec<String>,
}

// === impl Config ===

impl Config {
    /// Whether the one cluster has a name of its own.
    pub fn names_cluster(&self) -> bool {
        self.cluster != written::CLUSTER
    }

    /// The clusters that are known to send reviews.
    pub fn served(&self) -> impl Iterator<Item = &str> {
        let alone = self.clusters.is_empty().then_some(self.cluster.as_str());
        self.clusters.iter().map(|cluster| cluster.name.as_str()).chain(alone)
    }

    /// The fields of the document in which `other` wants what a running process cannot take on: all but what judges, and
    /// who may look.
    pub fn unlike(&self, other: &Self) -> Vec<&'static str> {
        // Whole, so that a new field has to be thought of here.
        let Self {
            cluster,
            clusters,
            data_dir,
            webhook,
            report,
            report_tls,
            admin,
            store,
            journal,
            history,
            readiness,
            overload,
            warn_wait,
            shutdown,
            log,
            policies: _,
            staging: _,
            answer_style: _,
        } = self;
        let HistorySettings { objects, max_names, retention } = history;
        let ReportSettings { listen, time_zone, public_url, hosts, access } = report;
        // By TLS it is where `report.tls` or `report.public_url` says so.
        let AccessSettings { auth, sessions, directory: _, is_by_tls: _ } = access;
        let own_auth = unlike_auth(auth, &other.report.access.auth);
        let differing = [
            ("cluster", *cluster != other.cluster),
            ("clusters", *clusters != other.clusters),
            ("data_dir", *data_dir != other.data_dir),
            ("webhook", *webhook != other.webhook),
            ("report.listen", *listen != other.report.listen),
            ("report.time_zone", *time_zone != other.report.time_zone),
            ("report.public_url", *public_url != other.report.public_url),
            ("report.hosts", *hosts != other.report.hosts),
            (own_auth.unwrap_or("report.auth"), own_auth.is_some()),
            ("report.sessions", *sessions != other.report.access.sessions),
            ("report.tls", *report_tls != other.report_tls),
            ("admin", *admin != other.admin),
            ("store", *store != other.store),
            ("journal", *journal != other.journal),
            ("history.objects", *objects != other.history.objects),
            ("history.max_names", *max_names != other.history.max_names),
            ("retention", *retention != other.history.retention),
            ("readiness", *readiness != other.readiness),
            ("overload", *overload != other.overload),
            ("warn_wait", *warn_wait != other.warn_wait),
            ("shutdown", *shutdown != other.shutdown),
            ("log", *log != other.log),
        ];
        differing.into_iter().filter_map(|(field, differs)| differs.then_some(field)).collect()
    }
}

/// The one of `report.auth` and its sections.
fn unlike_auth(one: &Auth, other: &Auth) -> Option<&'static str> {
    match (one, other) {
        (Auth::Proxy(one), Auth::Proxy(other)) => (one != other).then_some("report.proxy"),
        (Auth::Oidc(one), Auth::Oidc(other)) => {
            // It follows from `report.public_url`.
            let redirect_url = one.redirect_url.clone();
            let other = OidcSettings { redirect_url, ..OidcSettings::clone(other) };
            (**one != other).then_some("report.oidc")
        }
        (one, other) => (one != other).then_some("report.auth"),
    }
}

// === impl Draft ===

impl Draft {
    fn read(file: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Self {
        let mut mistakes = Mistakes::default();
        let parsed = match file {
            None => Some(Node::empty(Place::Default)),
            Some(path) => text(path, &mut mistakes).and_then(|text| tree::parse(&text, &mut mistakes)),
        };
        let unreadable = parsed.is_none();
        let mut tree = parsed.unwrap_or_else(|| Node::empty(Place::Default));
        let env: Vec<(String, String)> = env.collect();
        let own_namespace = staging::own_namespace(&env);
        let mut warnings = environment::overlay(&mut tree, env.into_iter(), &mut mistakes);
        let document = reader::read(&tree, shape::shape(), &mut mistakes).unwrap_or_else(|| serde_json::json!({}));
        let document: Document = serde_json::from_value(document)
            .expect("what the reader lets pass is what the types accept, as a test holds");
        // Of a file that cannot be read nothing is known to be missing.
        let mut echoes = Mistakes::default();
        let mut named = Vec::new();
        let mut ground = Ground {
            tree: &tree,
            base: file.and_then(Path::parent).unwrap_or(Path::new("")),
            mistakes: if unreadable { &mut echoes } else { &mut mistakes },
            warnings: &mut warnings,
            files: &mut named,
            own_namespace,
        };
        let (config, policies, candidates, exemptions, access) = meaning::of(document, &mut ground);
        let file = file.map(Path::to_owned);
        let policy_files = Vec::new();
        Self { file, tree, config, policies, candidates, exemptions, access, named, policy_files, mistakes, warnings }
    }

    fn open_files(&mut self) {
        for file in &self.named {
            match file.check() {
                Ok(warning) => self.warnings.extend(warning),
                Err(wrong) => self.mistakes.add(self.tree.place_of(&file.field), &file.field, wrong),
            }
        }
        if self.config.data_dir.exists() && !self.config.data_dir.is_dir() {
            let wrong = Wrong::new(format!("{} is not a folder", self.config.data_dir.display()), "name a folder");
            self.mistakes.add(self.tree.place_of("data_dir"), "data_dir", wrong);
        }
    }

    fn read_access(&mut self) {
        let access = &mut self.config.report.access;
        self.access.read(access, &self.tree, &mut self.mistakes, &mut self.warnings, &mut self.policy_files);
    }

    /// What their files hold; only where there is no mistake, so that each is told once.
    fn read_policies(&mut self) {
        policies::read_files(&mut self.policies, &self.tree, &mut self.mistakes, &mut self.policy_files);
        self.config.policies.clone_from(&self.policies.settings);
        exemptions::read_files(
            &mut self.exemptions,
            &self.config.policies,
            &self.tree,
            &mut self.mistakes,
            &mut self.warnings,
            &mut self.policy_files,
        );
        self.config.staging.exemptions.clone_from(&self.exemptions.settings);
    }

    fn compile(mut self, compile: Compile<'_>) -> Result<Loaded, ConfigErrors> {
        self.read_policies();
        policies::compile(&self.policies, &self.tree, compile, &mut self.mistakes);
        self.read_candidates(compile);
        self.finish()
    }

    fn read_candidates(&mut self, compile: Compile<'_>) {
        self.config.staging.candidates =
            self.candidates.read(&self.tree, compile, &mut self.mistakes, &mut self.warnings, &mut self.policy_files);
    }

    fn finish(self) -> Result<Loaded, ConfigErrors> {
        let mut files: Vec<PathBuf> = self.file.iter().cloned().collect();
        for named in self.named {
            if !files.contains(&named.path) {
                files.push(named.path);
            }
        }
        for path in self.policy_files {
            if !files.contains(&path) {
                files.push(path);
            }
        }
        let loaded = Loaded { config: self.config, warnings: self.warnings, files };
        match self.mistakes.in_order() {
            none if none.is_empty() => Ok(loaded),
            mistakes => Err(ConfigErrors { file: self.file, mistakes, read: Box::new(loaded) }),
        }
    }
}

fn text(path: &Path, mistakes: &mut Mistakes) -> Option<String> {
    let bytes = std::fs::read(path).map_err(|error| {
        let wrong = Wrong::new(
            format!("the file cannot be read: {}", cause(&error)),
            "name a file that is there and that this user may read",
        );
        mistakes.add(&Place::Default, "", wrong);
    });
    String::from_utf8(bytes.ok()?)
        .map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
            let wrong = Wrong::new("this is not UTF-8", "save the file in the encoding UTF-8");
            mistakes.add(&Place::File { line, column }, "", wrong);
        })
        .ok()
}

/// An error of the system without its number, which helps nobody.
fn cause(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
