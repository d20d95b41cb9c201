//! Commands and flags.

use clap::{Parser, Subcommand};

use crate::commands::bouncer::BouncerArgs;
use crate::commands::ceiling::CeilingCommand;
use crate::commands::certs::CertsArgs;
use crate::commands::check::CheckArgs;
use crate::commands::config::ConfigCommand;
use crate::commands::export::ExportArgs;
use crate::commands::generate::GenerateArgs;
use crate::commands::hold::HoldCommand;
use crate::commands::journal::JournalCommand;
use crate::commands::migrate::MigrateArgs;
use crate::commands::ready::ReadyArgs;
use crate::commands::report::ReportArgs;
use crate::commands::rollout::RolloutCommand;
use crate::commands::serve::ServeArgs;
use crate::commands::user::UserCommand;
use crate::commands::verify::VerifyArgs;
use crate::logging::LogArgs;

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
    /// Look into a journal, or move an orphaned one into the history.
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Keep spans of the history whatever their age.
    #[command(subcommand)]
    Hold(HoldCommand),
    /// Bring the history's schema up to date, and say from which number to which.
    ///
    /// `serve` does the same when it starts. This is for doing it before, and apart: safe beside replicas that run or
    /// start, and when it was cut off, to be run again. Exit code 1 when it cannot be done, 2 for mistakes in the
    /// configuration.
    Migrate(MigrateArgs),
    /// Write decisions to standard output, newest first, as JSON or comma-separated values.
    ///
    /// Reads the history while others use it, holds a page of it at a time, and stops without an error when its reader has
    /// had enough. Exit code 1 when it ends early: what was written is then not whole. 2 for mistakes in the configuration
    /// or in a filter.
    Export(ExportArgs),
    /// Ask a running process whether it is ready, and print what it says: for health checks of containers. With --rule:
    /// whether a rule is ready to be enforced, as the gate of a pull request.
    ///
    /// Exit code 1 when it is not, or when a process does not answer within 5 s. Of a rule, 2 when that is not known: there
    /// are workloads that it has not judged, nobody answers, or the configuration has mistakes.
    Ready(ReadyArgs),
    /// Write the printable report of a period to a file: overview, each rule's readiness and what it judged, exemptions,
    /// break-glass, gaps.
    ///
    /// One file of HTML for a mail, or Markdown for a ticket, with the words and figures of the report's page. Exit code 1
    /// when the history cannot be read or the report does not answer, 2 for mistakes in the configuration or in what is
    /// asked for.
    Report(ReportArgs),
    /// Judge manifests and reviews on a desk, as `serve` would judge them.
    ///
    /// Every kind of local policy, in the mode that it has there; webhooks are not asked. Exit code 1 where a violation
    /// reaches --fail-on, 2 where something could not be judged or read.
    Check(CheckArgs),
    /// Run the suites of a library of Gatekeeper's constraints, as `gator verify` does.
    ///
    /// `data.inventory` and namespaces come from each case's inventory. Exit code 1 when a test fails or cannot be run.
    /// Tests of expansion and of a template's schema are left out, and named.
    Verify(VerifyArgs),
    /// See which rule is in which mode where.
    #[command(subcommand)]
    Rollout(RolloutCommand),
    /// Hold modes back for a time, without a restart: a switch for the night.
    ///
    /// On this machine within a second, with or without a database; wherever the history is shared within five.
    #[command(subcommand)]
    Ceiling(CeilingCommand),
    /// Fill a history with made-up decisions, to see pages and a database at size.
    ///
    /// In the shape of a real fleet's traffic, with all of its figures; only into a history without decisions, and
    /// without a process that serves from it. Cut short, what it made is of no use: delete it.
    Generate(GenerateArgs),
    /// Make what stands for a password or a token in the configuration.
    #[command(subcommand)]
    User(UserCommand),
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
