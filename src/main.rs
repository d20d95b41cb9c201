//! Parses the command line, runs, gives the exit code.

use std::process::ExitCode;

use clap::Parser;
use rehearsal::cli::Cli;

fn main() -> ExitCode {
    rehearsal::commands::run(&Cli::parse())
}
