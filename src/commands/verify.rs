//! `rehearsal verify`: runs the suites of constraint libraries, as `gator verify` does, with the engine that `serve` has.

mod filter;
mod inventory;
mod outcome;
mod runner;
mod suite;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use self::filter::Filter;
use self::outcome::print;
use self::suite::Suite;

#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// Suites (`apiVersion: test.gatekeeper.sh/v1alpha1`, `kind: Suite`), folders that have some, or FOLDER/... for those in
    /// all folders within.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Only tests and cases whose name matches; TEST//CASE matches both.
    #[arg(long, value_name = "REGEX", default_value = "")]
    pub run: String,
    /// Print every test and case, not only what fails.
    #[arg(long, short)]
    pub verbose: bool,
}

/// Runs them all: exit code 1 when one fails or cannot be run.
pub fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let filter = Filter::parse(&args.run)?;
    let mut suites = Vec::new();
    for path in &args.paths {
        suites.extend(found(path)?);
    }
    let results: Vec<_> = suites.iter().map(|suite| runner::run(suite, &filter)).collect();
    let passed = !results.iter().any(outcome::SuiteResult::is_failure);
    super::config::print(&print(&results, args.verbose))?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The suites that a path names, in the order of their files.
fn found(path: &Path) -> anyhow::Result<Vec<Suite>> {
    let text = path.to_string_lossy();
    if let Some(folder) = text.strip_suffix("/...").or_else(|| (text == "...").then_some(".")) {
        return in_folder(Path::new(folder), true);
    }
    if path.is_dir() {
        return in_folder(path, false);
    }
    Ok(vec![Suite::read(path)?.with_context(|| format!("{} is no Suite of test.gatekeeper.sh", path.display()))?])
}

fn in_folder(folder: &Path, within: bool) -> anyhow::Result<Vec<Suite>> {
    let unreadable = || format!("{} cannot be read", folder.display());
    let entries =
        std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>).with_context(unreadable)?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    let mut suites = Vec::new();
    for path in paths {
        if path.is_dir() {
            if within {
                suites.extend(in_folder(&path, true)?);
            }
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            // Whatever else lies there need not be readable.
            suites.extend(Suite::read(&path).ok().flatten());
        }
    }
    Ok(suites)
}
