//! `rehearsal generate`.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::config::{self, Config};
use crate::logging::LogArgs;
use crate::recorder::{Recorder, replica};
use crate::store::{Progress, Store, Synthetic};

use super::config::{MISTAKEN, environment};
use super::start_logging;

#[derive(Debug, Clone, clap::Args)]
pub struct GenerateArgs {
    /// How many decisions.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000_000)]
    decisions: u64,
    /// Over how many days before now.
    #[arg(long, value_name = "NUMBER", default_value_t = 90)]
    days: u16,
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
    let loaded = match config::load(args.config.as_deref(), environment()) {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return Ok(ExitCode::from(MISTAKEN));
        }
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
    let wanted = Synthetic { decisions: args.decisions, days: args.days, seed: args.seed };
    let is_shown = std::io::stderr().is_terminal();
    let made = store.generate(wanted, |progress| {
        if is_shown {
            show(progress, args.decisions);
        }
    });
    let made = made.await;
    if is_shown {
        eprintln!();
    }
    made?;
    store.close().await;
    recorder.close(CLOSING).await;
    println!("{} made-up decisions in {}, in {:.1?}", args.decisions, config.store.place(), begun.elapsed());
    Ok(())
}

/// A line on a terminal that is written over.
fn show(progress: Progress, of: u64) {
    let mut terminal = std::io::stderr();
    let said = match progress {
        Progress::Stored(count) => write!(terminal, "\r{count} of {of} stored"),
        Progress::Indexes => write!(terminal, "\nindexes .."),
        Progress::Figures => write!(terminal, "\nfigures .."),
    };
    // A terminal that is gone is no reason to stop.
    let _ = said.and_then(|()| terminal.flush());
}
