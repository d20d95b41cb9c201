//! Parses the command line, runs, gives the exit code.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use rehearsal::cli::Cli;
use rehearsal::commands::bouncer::accept_single_dash;

/// A review is a hundred short-lived allocations, made on one thread and often freed on another.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    rehearsal::commands::run(&Cli::parse_from(accept_single_dash(std::env::args_os())))
}
