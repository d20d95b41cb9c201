//! `rehearsal journal`: look into a journal, or empty one that nobody uses any more.

mod drain;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::logging::LogArgs;
use crate::recorder::inspect::{self, Place};
use crate::recorder::replica;

use super::config::print;

#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// Say what a journal holds: segments, records, times, damage, gaps.
    ///
    /// Takes no lock and changes nothing, also while a process uses the directory: that is said then, and what it says
    /// was so at some moment of the reading. Exit code 3 when a part of it is damaged.
    Inspect {
        /// A data directory, or the journal in one.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Move what an orphaned journal holds into the history: of a replica that does not come back.
    ///
    /// Takes the directory's lock, and stores under that replica's own id. What is in the history already is not counted
    /// twice, so that it can be cut off and begun again. Exit code 1 when something remains, 2 for mistakes in the
    /// configuration, 3 when all is stored and a part was damaged: it is kept aside, and the history has a gap.
    Drain(DrainArgs),
}

#[derive(Debug, Clone, clap::Args)]
pub struct DrainArgs {
    /// The orphan's data directory, or the journal in it.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// YAML file that names the history to move it to. Without one: the defaults, and the environment.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The exit code of a journal of which a part cannot be read.
const DAMAGED: u8 = 3;

/// Runs one of the commands.
pub fn run(command: &JournalCommand, log: LogArgs) -> anyhow::Result<ExitCode> {
    match command {
        JournalCommand::Inspect { dir } => {
            let place = Place::find(dir)?;
            let inspection = inspect::inspect(&place.journal)?;
            print(&show::text(&place, &inspection, &replica::of(&place.data_dir)))?;
            Ok(if inspection.is_damaged() { ExitCode::from(DAMAGED) } else { ExitCode::SUCCESS })
        }
        JournalCommand::Drain(args) => drain::run(args, log),
    }
}
