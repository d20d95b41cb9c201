//! Parses the command line, runs, gives the exit code.

use std::process::ExitCode;

use clap::Parser;
use rehearsal::cli::Cli;
use rehearsal::commands::bouncer::accept_single_dash;

fn main() -> ExitCode {
    rehearsal::commands::run(&Cli::parse_from(accept_single_dash(std::env::args_os())))
}
