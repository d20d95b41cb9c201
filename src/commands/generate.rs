//! `rehearsal generate`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::value_parser;

use crate::config::Config;
use crate::logging::LogArgs;
use crate::recorder::{Recorder, replica};
use crate::store::synthetic::Scale;
use crate::store::{Progress, Store, Synthetic};

use super::progress::Line;
use super::{load, start_logging};

#[derive(Debug, Clone, clap::Args)]
pub struct GenerateArgs {
    /// How many decisions.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000_000)]
    decisions: u64,
    /// Over how many days before now.
    #[arg(long, value_name = "NUMBER", default_value_t = 90)]
    days: u16,
    /// How many namespaces each of its three clusters has.
    #[arg(long, value_name = "NUMBER", default_value_t = 60, value_parser = value_parser!(u16).range(1..))]
    namespaces: u16,
    /// The same traffic for the same seed.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// YAML file that names the history to fill. Without one: the defaults, and the environment.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// For the journal's thread: nothing is in it.
const CLOSING: Duration = Duration::from_secs(5);

pub fn run(args: &GenerateArgs, log: LogArgs) -> anyhow::Result<ExitCode> {
    let loaded = match load(args.config.as_deref()) {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    start_logging(log, loaded.config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(fill(args, &loaded.config))?;
    Ok(ExitCode::SUCCESS)
}

async fn fill(args: &GenerateArgs, config: &Config) -> anyhow::Result<()> {
    let begun = Instant::now();
    // Whoever serves from the same directory holds its lock.
    let recorder = Recorder::open(&config.journal)?;
    let replica = replica::of_or_new(&config.data_dir)?;
    let store = Store::open(&config.store, &config.history, replica).await?;
    let scale = Scale::of(args.namespaces.into(), &config.policies);
    let wanted = Synthetic { decisions: args.decisions, days: args.days, seed: args.seed, scale };
    let line = Line::new();
    let made = store.generate(wanted, |progress| line.show(&said(progress, args.decisions))).await;
    line.end();
    made?;
    store.close().await;
    recorder.close(CLOSING).await;
    println!("{} made-up decisions in {}, in {:.1?}", args.decisions, config.store.place(), begun.elapsed());
    Ok(())
}

fn said(progress: Progress, of: u64) -> String {
    match progress {
        Progress::Stored(count) => format!("{count} of {of} stored"),
        Progress::Indexes => "indexes ..".to_owned(),
        Progress::Figures => "figures ..".to_owned(),
    }
}
