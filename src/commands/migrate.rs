//! `rehearsal migrate`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::logging::LogArgs;
use crate::store::{Migrated, Store};

use super::config::print;
use super::{load, start_logging};

#[derive(Debug, Clone, Args)]
pub struct MigrateArgs {
    /// YAML file that names the history. Without one: the defaults, and the environment.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(args: &MigrateArgs, log: LogArgs) -> anyhow::Result<ExitCode> {
    let loaded = match load(args.config.as_deref()) {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    start_logging(log, loaded.config.log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let migrated = runtime.block_on(Store::migrate(&loaded.config.store))?;
    print(&format!("{}\n", line(&migrated)))
}

fn line(Migrated { place, from, to }: &Migrated) -> String {
    match from {
        None => format!("{place}: schema {to} is made"),
        Some(from) if from == to => format!("{place}: schema {to} is up to date"),
        Some(from) => format!("{place}: the schema was brought from {from} to {to}"),
    }
}
