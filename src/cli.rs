//! Commands and flags.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::bouncer::BouncerArgs;
use crate::commands::certs::CertsArgs;
use crate::config::{LogFormat, LogLevel};

/// Rehearses an image policy on live traffic before it can break a deploy.
///
/// Rehearsal stands between kube-apiserver and the webhook that enforces policy. It judges every review with the
/// policies that a team is thinking of enforcing, answers as if they were not there yet, records every decision, and
/// shows what would have been rejected.
///
/// `rehearsal serve` starts it, without any file.
#[derive(Debug, Parser)]
#[command(
    name = "rehearsal",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(flatten)]
    pub log: LogArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// Each wins over `log` of the configuration.
#[derive(Debug, Clone, Copy, Args)]
pub struct LogArgs {
    /// How lines on standard error look.
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// The least important line that is shown.
    #[arg(long, global = true, value_enum, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Receive reviews, judge, forward, answer and remember them.
    ///
    /// Without a configuration: webhook on https://127.0.0.1:8443 with a certificate of its own making, report on
    /// http://127.0.0.1:8080, history in ./rehearsal-data, and one policy in audit that notes images with the tag
    /// latest. Environment variables (REHEARSAL_WEBHOOK_LISTEN, ..) win over the file.
    Serve(ServeArgs),
    /// Check, describe or begin a configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make a CA, a server certificate and a client certificate, and print the caBundle.
    ///
    /// For trying out and for clusters without a PKI of their own: the server certificate is for
    /// `webhook.tls.certificate`, the client's is for the API server's kubeconfig, the CA for `webhook.tls.client_ca`.
    Certs(CertsArgs),
    /// Stand in for kube-image-bouncer: its flags and variables, its endpoints, verdicts and messages.
    ///
    /// History and report work as in `serve`. `--mode audit` or `--mode warn` rehearses instead of enforcing.
    Bouncer(BouncerArgs),
}

#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// YAML file. `rehearsal config example` prints one to begin with.
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

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
