//! `rehearsal check`: judges files before they meet a cluster, with the engine, the modes and the words of `serve`.

mod judged;
mod report;
mod subject;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::config::{self, Config};
use crate::policy::Revision;
use crate::review::decision::Mode;

use self::judged::{Judged, judge};
use self::report::Format;
use self::subject::Subject;
use super::config::{MISTAKEN, environment};

#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Manifests, ImageReviews or AdmissionReviews, in YAML or JSON, of any number of objects; `-` for standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The configuration of `rehearsal serve`. Without one: the built-in policy.
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Of objects that name none.
    #[arg(long, short, value_name = "NAME", default_value = "default")]
    pub namespace: String,
    /// As which they are judged. Without it: the configuration's own.
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// The lightest mode of a violation that makes the exit code 1.
    #[arg(long, value_enum, default_value_t = Reach::Enforce)]
    pub fail_on: Reach,
    /// Judge by candidates too, and mark what they say: it is no failure.
    #[arg(long)]
    pub candidates: bool,
}

/// A mode, as a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reach {
    Audit,
    Warn,
    Enforce,
}

/// Exit code 1 where a violation reaches `--fail-on`, 2 where something could not be judged.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let config = match config::check(args.config.as_deref(), environment(), &super::compile) {
        Ok(loaded) => loaded.config,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return Ok(ExitCode::from(MISTAKEN));
        }
    };
    let subjects = match subject::read(&args.files, &args.namespace) {
        Ok(subjects) => subjects,
        Err(unreadable) => {
            eprintln!("error: {unreadable}");
            return Ok(ExitCode::from(MISTAKEN));
        }
    };
    let judged = all(&config, args, &subjects);
    super::config::print(&report::write(args.format, &judged, args.fail_on.into()))?;
    Ok(ExitCode::from(code(&judged, args.fail_on.into())))
}

fn all(config: &Config, args: &CheckArgs, subjects: &[Subject]) -> Vec<Judged> {
    let revision = Revision::load(&config.policies, &config.staging).expect("a configuration without mistakes");
    let candidates = if args.candidates { revision.candidates.as_slice() } else { &[] };
    let cluster = args.cluster.as_deref().unwrap_or(&config.cluster);
    subjects.iter().map(|subject| judge(&revision, candidates, cluster, subject)).collect()
}

fn code(judged: &[Judged], fail_on: Mode) -> u8 {
    if judged.iter().any(|one| !one.errors.is_empty()) {
        return MISTAKEN;
    }
    let reached = judged.iter().flat_map(|one| &one.violations).any(|found| found.reaches(fail_on));
    u8::from(reached)
}

// === impl Reach ===

impl From<Reach> for Mode {
    fn from(reach: Reach) -> Self {
        match reach {
            Reach::Audit => Self::Audit,
            Reach::Warn => Self::Warn,
            Reach::Enforce => Self::Enforce,
        }
    }
}
