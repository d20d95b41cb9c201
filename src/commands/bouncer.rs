//! `rehearsal bouncer`: stands in for kube-image-bouncer.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use clap::builder::{FalseyValueParser, OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Args};

use crate::app::reload::Beginning;
use crate::config::{self, Config, LogLevel, LogSettings};
use crate::logging::LogArgs;
use crate::policy::settings::{
    AnswerStyle, CheckSettings, MatchSettings, OnError, PolicySettings, RuleSettings, ScopeSettings, SourceSettings,
    StagingSettings, SystemSettings,
};
use crate::recorder::settings::{JOURNAL, JournalSettings};
use crate::review::decision::Mode;
use crate::server::settings::{TlsSettings, WebhookListenerSettings};
use crate::store::settings::StoreSettings;
use crate::web::settings::ReportSettings;

use super::serve;

/// What kube-image-bouncer tells the user, word for word.
const LATEST: &str = "Images using latest tag are not allowed";
const NOT_WHITELISTED: &str = "Images from a non whitelisted registry";
const UNREADABLE: &str = "error while parsing image name";

/// The flags and variables of kube-image-bouncer, and below them our own.
#[derive(Debug, Clone, Args)]
pub struct BouncerArgs {
    /// Certificate to use (PEM). Without certificate and key it speaks plain HTTP.
    #[arg(long, short, env = "BOUNCER_CERTIFICATE", value_name = "FILE", requires = "key", value_parser = path())]
    pub cert: Option<PathBuf>,
    /// Key to use (PEM).
    #[arg(long, short, env = "BOUNCER_KEY", value_name = "FILE", requires = "cert", value_parser = path())]
    pub key: Option<PathBuf>,
    /// Port to listen on.
    #[arg(long, short, env = "BOUNCER_PORT", default_value_t = 1323)]
    pub port: u16,
    /// Registries whose images are accepted, as HOST or HOST:PORT, separated by commas. All when absent.
    #[arg(long, env = "BOUNCER_REGISTRY_WHITELIST", value_name = "HOST,..")]
    pub registry_whitelist: Vec<Whitelist>,
    /// Log more.
    #[arg(
        long,
        env = "BOUNCER_DEBUG",
        action = ArgAction::Set,
        value_parser = FalseyValueParser::new(),
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
    )]
    pub debug: bool,
    /// What a violation does: audit records it, warn also tells the client, enforce rejects.
    #[arg(long, default_value = "enforce", value_parser = mode, value_name = "audit|warn|enforce")]
    pub mode: Mode,
    /// Address to listen on. `::` takes IPv6 too.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED), value_name = "ADDR")]
    pub address: IpAddr,
    /// Where the journal and the history are. Made when absent, for its owner only.
    #[arg(long, default_value = "./rehearsal-data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Address and port of the report.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    pub report: SocketAddr,
    /// Let anyone who reaches a report off loopback read it.
    #[arg(long)]
    pub report_insecure: bool,
}

/// Registries, lower-case; none when the text was empty, as an empty variable is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whitelist(Vec<String>);

/// Why a text names no registry.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhitelistError {
    #[error("it names no registry, which would refuse every image; leave it out to accept all registries")]
    Nothing,
    #[error("`{0}` is no registry: write HOST or HOST:PORT, such as registry.example.com or localhost:5000")]
    Host(String),
    #[error("`{0}` would be compared whole, star included, and match nothing: name each registry")]
    Star(String),
    #[error("index.docker.io is read as docker.io: write docker.io")]
    DockerIndex,
}

/// Accepts what Go's `flag` package accepts: `-cert FILE` for `--cert FILE`, as the README of kube-image-bouncer
/// writes it. Give it the whole command line; what stands before the word `bouncer` is left alone.
pub fn accept_single_dash(line: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut is_ours = false;
    line.into_iter()
        .map(|word| {
            if !is_ours {
                is_ours = word == "bouncer";
                return word;
            }
            match word.to_str().and_then(|text| text.strip_prefix('-')).filter(|name| is_long_flag(name)) {
                Some(name) => OsString::from(format!("--{name}")),
                None => word,
            }
        })
        .collect()
}

fn is_long_flag(text: &str) -> bool {
    let name = text.split_once('=').map_or(text, |(name, _)| name);
    ["cert", "key", "port", "registry-whitelist", "debug"].contains(&name)
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// It cannot start.
pub fn run(args: &BouncerArgs, log: LogArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        args.report.ip().to_canonical().is_loopback() || args.report_insecure,
        "--report: {} can be reached from other machines, and nobody is asked who they are: accept that with \
         --report-insecure, or listen on 127.0.0.1",
        args.report
    );
    let mut loaded = config::load(None, std::iter::empty())?;
    loaded.config = args.config(loaded.config);
    loaded.files = args.cert.iter().chain(&args.key).cloned().collect();
    // Flags stay what they are; certificates are read again all the same.
    let same = loaded.clone();
    serve::start(Beginning { file: None, read: Arc::new(move || Ok(same.clone())), loaded, mistakes: None }, log)
}

// === impl BouncerArgs ===

impl BouncerArgs {
    /// `defaults` with what the flags say: one policy that judges as kube-image-bouncer does.
    pub fn config(&self, defaults: Config) -> Config {
        let data_dir = self.data_dir.clone();
        Config {
            webhook: WebhookListenerSettings {
                listen: SocketAddr::new(self.address, self.port),
                tls: self.tls(),
                ..defaults.webhook
            },
            report: ReportSettings { listen: self.report, ..defaults.report },
            store: StoreSettings::Sqlite(data_dir.clone()),
            journal: JournalSettings { dir: data_dir.join(JOURNAL), ..defaults.journal },
            policies: vec![self.policy()],
            staging: self.staging(),
            answer_style: AnswerStyle::Bare,
            log: LogSettings { level: if self.debug { LogLevel::Debug } else { defaults.log.level }, ..defaults.log },
            data_dir,
            ..defaults
        }
    }

    fn tls(&self) -> TlsSettings {
        let given = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        match (given(&self.cert), given(&self.key)) {
            (Some(certificate), Some(key)) => TlsSettings::Files { certificate, key, client_ca: None },
            _ => TlsSettings::Off,
        }
    }

    /// kube-image-bouncer answers the same in every namespace.
    fn staging(&self) -> StagingSettings {
        StagingSettings {
            system: SystemSettings { namespaces: Vec::new(), max_mode: Mode::Enforce },
            ..StagingSettings::default()
        }
    }

    /// In the order in which kube-image-bouncer looks at an image.
    fn policy(&self) -> PolicySettings {
        let anything = MatchSettings { image: vec!["**".to_owned()], ..MatchSettings::default() };
        // Held against the whole reference, so a digest behind the tag makes it another one, as there.
        let latest = MatchSettings { image: vec!["**:latest".to_owned()], ..MatchSettings::default() };
        let mut rules = vec![
            rule("readable", CheckSettings::Allow(anything), UNREADABLE),
            rule("no-latest", CheckSettings::Deny(latest), LATEST),
        ];
        let registry = self.registries();
        if !registry.is_empty() {
            let listed = MatchSettings { registry, ..MatchSettings::default() };
            rules.push(rule("registry-whitelist", CheckSettings::Allow(listed), NOT_WHITELISTED));
        }
        PolicySettings {
            name: "bouncer".to_owned(),
            mode: self.mode,
            rollout: Vec::new(),
            on_error: OnError::Fail,
            source: SourceSettings::Rules(rules),
        }
    }

    fn registries(&self) -> Vec<String> {
        let mut registries: Vec<String> = Vec::new();
        for registry in self.registry_whitelist.iter().flat_map(|list| &list.0) {
            if !registries.contains(registry) {
                registries.push(registry.clone());
            }
        }
        registries
    }
}

fn rule(id: &str, check: CheckSettings, message: &str) -> RuleSettings {
    RuleSettings {
        id: id.to_owned(),
        mode: None,
        rollout: Vec::new(),
        check,
        message: Some(message.to_owned()),
        unreadable: Some(UNREADABLE.to_owned()),
        help: None,
        scope: ScopeSettings::default(),
        placeholders: Vec::new(),
    }
}

/// An empty one, as an empty variable gives it, is let pass: it means that there is none.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

fn mode(text: &str) -> Result<Mode, String> {
    [Mode::Audit, Mode::Warn, Mode::Enforce]
        .into_iter()
        .find(|mode| mode.as_str() == text)
        .ok_or_else(|| "write audit, warn or enforce".to_owned())
}

// === impl Whitelist ===

impl FromStr for Whitelist {
    type Err = WhitelistError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let registries: Vec<String> = entries.map(registry).collect::<Result<_, _>>()?;
        if registries.is_empty() && !text.is_empty() { Err(WhitelistError::Nothing) } else { Ok(Self(registries)) }
    }
}

fn registry(entry: &str) -> Result<String, WhitelistError> {
    let registry = entry.to_ascii_lowercase();
    if registry.contains('*') {
        return Err(WhitelistError::Star(registry));
    }
    if registry.contains('/') || registry.contains(char::is_whitespace) {
        return Err(WhitelistError::Host(registry));
    }
    if registry == "index.docker.io" {
        return Err(WhitelistError::DockerIndex);
    }
    Ok(registry)
}

#[cfg(test)]
mod tests;
