//! One file a command.

mod ask;
pub mod bouncer;
pub mod ceiling;
pub mod certs;
pub mod check;
pub mod config;
pub mod export;
pub mod generate;
pub mod hold;
pub mod journal;
pub mod migrate;
mod progress;
pub mod ready;
pub mod report;
pub mod rollout;
pub mod serve;
pub mod user;
pub mod verify;

use std::path::Path;
use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::config::{Loaded, LogSettings};
use crate::logging::{self, LogArgs};
use crate::policy::Revision;
use crate::policy::rules::Mistake;
use crate::policy::settings::{PolicySettings, StagingSettings};
use crate::store::settings::StoreSettings;

/// Runs the command that was typed.
pub fn run(cli: &Cli) -> ExitCode {
    let done = match &cli.command {
        Command::Serve(args) => serve::run(args, cli.log),
        Command::Bouncer(args) => bouncer::run(args, cli.log),
        Command::Ceiling(command) => ceiling::run(command, cli.log),
        Command::Certs(args) => certs::run(args).map(|()| ExitCode::SUCCESS),
        Command::Generate(args) => generate::run(args, cli.log),
        Command::Hold(command) => hold::run(command, cli.log),
        Command::Journal(command) => journal::run(command, cli.log),
        Command::Export(args) => export::run(args, cli.log),
        Command::Migrate(args) => migrate::run(args, cli.log),
        Command::Ready(args) => ready::run(args),
        Command::Report(args) => report::run(args),
        Command::User(command) => user::run(command),
        Command::Verify(args) => verify::run(args),
        Command::Check(args) => check::run(args, cli.log),
        Command::Rollout(command) => rollout::run(command, cli.log),
        Command::Config(command) => config::run(command, &compile),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {}", sentence(&error));
        ExitCode::FAILURE
    })
}

/// An error with its causes, except those that it quotes already.
fn sentence(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.as_str() {
        "" => cause,
        _ if said.contains(&cause) => said,
        _ => format!("{said}: {cause}"),
    })
}

/// What `serve` compiles policies with.
fn compile(policies: &[PolicySettings]) -> Vec<(usize, Mistake)> {
    Revision::load(policies, &StagingSettings::default()).err().unwrap_or_default()
}

/// The configuration of a command that runs no policy. Its mistakes are said, and the exit code given.
fn load(file: Option<&Path>) -> Result<Loaded, ExitCode> {
    crate::config::load(file, config::environment()).map_err(|mistakes| {
        eprintln!("{mistakes}");
        ExitCode::from(config::MISTAKEN)
    })
}

/// A new history at a mistyped place would be taken for the right one: an empty hold, or records that nobody finds.
fn existing(store: &StoreSettings) -> anyhow::Result<()> {
    match store.absent() {
        None => Ok(()),
        Some(absent) => anyhow::bail!(
            "there is no history at {}: name the configuration that `rehearsal serve` runs on",
            absent.display()
        ),
    }
}

/// What a person says for others to read in a list, without the spaces around it.
fn one_line(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text {
        "" => Err("say something: whoever reads the list must know".to_owned()),
        _ if text.contains(char::is_control) => Err("write it in one line".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// Flags win over the configuration.
fn start_logging(flags: LogArgs, configured: LogSettings) {
    logging::init(flags.log_format.unwrap_or(configured.format), flags.log_level.unwrap_or(configured.level));
}
