//! `rehearsal config`: check, describe or begin a configuration.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;

use crate::app::ceilings;
use crate::config::{self, Compile, Config, Loaded};
use crate::policy::Revision;
use crate::policy::ceiling::Ceiling;
use crate::policy::settings::{PolicySettings, SourceSettings, SystemSettings};
use crate::review::clock::Timestamp;
use crate::server::settings::TlsSettings;
use crate::web::count;

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say everything that is wrong with a configuration, or what it would run.
    ///
    /// Loads all that `serve` would (certificates, keys, policies, the environment), takes no lock and writes nothing.
    /// Exit code 2 when something is wrong.
    Check {
        /// YAML file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the JSON Schema of a configuration, for editors and linters.
    Schema,
    /// Print a commented configuration that works.
    Example,
}

/// The exit code of a configuration with mistakes.
pub const MISTAKEN: u8 = 2;

/// Runs one of the commands. `compile` is what `serve` compiles policies with.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(command: &ConfigCommand, compile: Compile<'_>) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Check { file } => check(file, compile),
        ConfigCommand::Schema => {
            let schema = serde_json::to_string_pretty(&config::schema()).context("writing the schema as JSON")?;
            print(&format!("{schema}\n"))
        }
        ConfigCommand::Example => print(config::EXAMPLE),
    }
}

/// The environment, as far as it is text: a variable that is none cannot be one of ours.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
}

fn check(file: &Path, compile: Compile<'_>) -> anyhow::Result<ExitCode> {
    match config::check(Some(file), environment(), compile) {
        Ok(Loaded { config, warnings, .. }) => {
            for warning in warnings {
                eprintln!("warning: {warning}");
            }
            print(&format!("{}: ok\n{}", file.display(), summary(&config)))
        }
        Err(errors) => {
            eprintln!("{errors}\n{}", count(errors.mistakes.len() as u64, "mistake"));
            Ok(ExitCode::from(MISTAKEN))
        }
    }
}

/// To standard output.
pub(super) fn print(text: &str) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads, such as `head`, has had enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        written => written.map(|()| ExitCode::SUCCESS).context("writing to standard output"),
    }
}

/// What `serve` would run.
fn summary(config: &Config) -> String {
    let (scheme, tls) = match &config.webhook.tls {
        TlsSettings::Off => ("http", "no TLS".to_owned()),
        TlsSettings::Files { certificate, client_ca, .. } => {
            ("https", format!("certificate {}{}", certificate.display(), clients(client_ca.as_deref())))
        }
        TlsSettings::SelfMade { names, client_ca, .. } => {
            ("https", format!("self-made certificate for {}{}", names.join(", "), clients(client_ca.as_deref())))
        }
    };
    let mut rows = vec![
        ("cluster", config.served().collect::<Vec<_>>().join(", ")),
        ("webhook", format!("{scheme}://{}, {tls}", config.webhook.listen)),
        ("report", format!("http://{}", config.report.listen)),
    ];
    rows.extend(config.admin.map(|listen| ("admin", format!("http://{listen}"))));
    rows.push(("history", config.store.place()));
    rows.push(("kept", config::kept(&config.history.retention)));
    rows.extend(config.policies.iter().map(|policy| ("policy", describe(policy))));
    rows.extend(config.staging.candidates.iter().map(|policy| ("compared", describe(policy))));
    rows.extend(capped(config).map(|sentence| ("capped", sentence)));
    rows.extend(in_force(config).into_iter().map(|sentence| ("in force", sentence)));
    if config.policies.is_empty() {
        rows.push(("policy", "none: every review is allowed and recorded".to_owned()));
    }
    let mut text = String::new();
    for (name, value) in rows {
        writeln!(text, "  {name:<9}{value}").expect("a String takes every text");
    }
    text
}

/// Which policies would do more in the system namespaces if they were not held back there.
fn capped(config: &Config) -> Option<String> {
    let revision = Revision::load(&config.policies, &config.staging).ok()?;
    let names: Vec<&str> =
        revision.policies.iter().filter(|policy| policy.is_capped()).map(|policy| policy.name.as_str()).collect();
    let SystemSettings { namespaces, max_mode } = &config.staging.system;
    let is_any = !names.is_empty();
    is_any.then(|| format!("{}: at most {max_mode} in {}", names.join(", "), namespaces.join(", ")))
}

/// Ceilings that the data directory knows of.
fn in_force(config: &Config) -> Vec<String> {
    let told = |ceiling: &Ceiling| ceiling.told_among(config.policies.iter().map(|policy| policy.name.as_str()));
    ceilings::over(&config.data_dir, Vec::new()).in_force(Timestamp::now()).map(told).collect()
}

fn clients(client_ca: Option<&Path>) -> String {
    client_ca.map(|ca| format!(", clients signed by {}", ca.display())).unwrap_or_default()
}

fn paths(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn describe(policy: &PolicySettings) -> String {
    let judges = match &policy.source {
        SourceSettings::Rules(rules) => {
            let rules: Vec<String> = rules
                .iter()
                .map(|rule| match rule.mode {
                    Some(mode) if mode != policy.mode => format!("{} ({mode})", rule.id),
                    _ => rule.id.clone(),
                })
                .zip(rules)
                .map(|(text, rule)| if rule.rollout.is_empty() { text } else { format!("{text} in stages") })
                .collect();
            format!("rules {}", rules.join(", "))
        }
        SourceSettings::Rego(rego) => format!("rego {} of {}", rego.entrypoint, paths(&rego.files)),
        SourceSettings::Gatekeeper(gatekeeper) => format!("gatekeeper {}", paths(&gatekeeper.files)),
        SourceSettings::Webhook(webhook) => format!("webhook {}", webhook.url),
    };
    let stages = if policy.rollout.is_empty() { "" } else { ", in stages" };
    format!("{} ({}{stages}): {judges}", policy.name, policy.mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary_of(yaml: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("r.yaml");
        std::fs::write(&file, yaml).unwrap();
        let config = config::load(Some(&file), std::iter::empty()).unwrap().config;
        summary(&config).replace(&format!("{}/", dir.path().display()), "").lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_summary_says_what_would_run() {
        assert_eq!(
            summary_of(""),
            [
                "  cluster  default",
                "  webhook  https://127.0.0.1:8443, self-made certificate for localhost, 127.0.0.1, ::1",
                "  report   http://127.0.0.1:8080",
                "  history  SQLite in rehearsal-data",
                "  kept     decisions 90d, notable 400d, dry runs 7d, events 730d, figures 730d",
                "  policy   images (audit): rules no-latest",
            ]
        );
        let yaml = "\
webhook: {listen: '0.0.0.0:443', tls: {certificate: a.crt, key: a.key, client_ca: ca.crt}}
admin: {listen: '127.0.0.1:9090'}
store: {url: 'postgres://u@db/d'}
retention: {notable: 500d, max_size: 1GiB}
clusters: [{name: prod, client_subject: CN=a}, {name: edge, path_token_file: edge.token}]
policies:
  - {name: a, rules: [{id: b, require: tag}, {id: c, require: digest, mode: enforce}]}
  - {name: d, mode: warn, webhook: {url: 'https://b/x'}}
";
        assert_eq!(
            summary_of(yaml),
            [
                "  cluster  prod, edge",
                "  webhook  https://0.0.0.0:443, certificate a.crt, clients signed by ca.crt",
                "  report   http://127.0.0.1:8080",
                "  admin    http://127.0.0.1:9090",
                "  history  Postgres, db/d",
                "  kept     decisions 90d, notable 500d, dry runs 7d, events 730d, figures 730d, at most 1GiB",
                "  policy   a (audit): rules b, c (enforce)",
                "  policy   d (warn): webhook https://b/x",
                "  capped   a: at most warn in kube-system, kube-public, kube-node-lease",
            ]
        );
        let lines = summary_of("webhook: {tls: off}\npolicies: []");
        assert_eq!(lines[1], "  webhook  http://127.0.0.1:8443, no TLS");
        assert_eq!(lines.last().unwrap(), "  policy   none: every review is allowed and recorded");
    }
}
