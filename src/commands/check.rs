//! `rehearsal check`: judges files before they meet a cluster, with the engine, the modes and the words of `serve`.

mod cluster;
mod columns;
mod input;
mod judged;
mod observed;
mod record;
mod remembered;
mod report;
mod running;
mod subject;
mod told;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::config;
use crate::logging::LogArgs;
use crate::policy::Revision;
use crate::review::clock::Timestamp;
use crate::review::decision::Mode;
use crate::web::count;

use self::input::Cut;
use self::judged::{Judged, judge};
use self::record::Ledger;
use self::remembered::Tickets;
use self::report::Format;
use self::running::{Gathered, Ground};
use super::config::{MISTAKEN, environment};
use super::start_logging;

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
    /// Also store what runs, by the pods and namespaces in the input, as an inventory of the cluster.
    ///
    /// In the history that the configuration names, beside whoever serves from it; never counted as reviews.
    #[arg(long)]
    pub record: bool,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// The lightest mode of a violation that makes the exit code 1; `never`: none does.
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
    Never,
}

/// What was found, and what runs where that was asked for.
struct Checked {
    judged: Vec<Judged>,
    gathered: Gathered,
    cut: Cut,
}

/// Exit code 1 where a violation reaches `--fail-on`, 2 where something could not be judged or recorded.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &CheckArgs, log: LogArgs) -> anyhow::Result<ExitCode> {
    let config = match config::judging(args.config.as_deref(), environment(), &super::compile) {
        Ok(loaded) => loaded.config,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return Ok(ExitCode::from(MISTAKEN));
        }
    };
    let cluster = match cluster::named(args, &config) {
        Ok(cluster) => cluster,
        Err(problem) => return Ok(mistaken(&problem)),
    };
    let revision = Revision::load(&config.policies, &config.staging).expect("a configuration without mistakes");
    if !args.record {
        return match check(args, &cluster, &revision, None) {
            Ok(Checked { judged, cut, .. }) => {
                let code = tell(args, &judged, cut)?;
                let webhooks = running::webhooks(&revision);
                if !webhooks.is_empty() {
                    eprintln!("note: webhooks were not asked: {}", webhooks.join(", "));
                }
                Ok(code)
            }
            Err(unreadable) => Ok(mistaken(&unreadable)),
        };
    }
    start_logging(log, config.log);
    let ledger = Ledger::open(&config, &revision, &cluster);
    let code = check_and_record(args, &cluster, &revision, &ledger);
    if let Ok(ledger) = ledger {
        ledger.close();
    }
    code
}

/// What cannot be recorded is judged all the same.
fn check_and_record(
    args: &CheckArgs,
    cluster: &str,
    revision: &Revision,
    ledger: &anyhow::Result<Ledger>,
) -> anyhow::Result<ExitCode> {
    let tickets = ledger.as_ref().ok().map(Ledger::tickets);
    let Checked { judged, gathered, cut } = match check(args, cluster, revision, tickets) {
        Ok(checked) => checked,
        Err(unreadable) => return Ok(mistaken(&unreadable)),
    };
    let code = tell(args, &judged, cut)?;
    drop(judged);
    if gathered.is_empty() {
        let problem =
            "the input has neither pods nor namespaces: give it the output of `kubectl get ns,pods -A -o json`";
        return Ok(unrecorded(problem));
    }
    let recorded = match ledger {
        Ok(ledger) => ledger.record(Ground { cluster, at: Timestamp::now(), revision }, gathered, cut),
        Err(error) => return Ok(unrecorded(&super::sentence(error))),
    };
    match recorded {
        Ok(told) if args.format == Format::Table => {
            super::config::print(&format!("\n{told}"))?;
        }
        // What a machine reads is left as it is.
        Ok(told) => eprint!("{told}"),
        Err(error) => return Ok(unrecorded(&super::sentence(&error))),
    }
    Ok(code)
}

/// What was found.
fn tell(args: &CheckArgs, judged: &[Judged], cut: Cut) -> anyhow::Result<ExitCode> {
    super::config::print(&report::write(args.format, judged, args.fail_on.mode()))?;
    if let Some(warning) = warning(cut) {
        eprintln!("warning: {warning}");
    }
    Ok(ExitCode::from(code(judged, args.fail_on.mode())))
}

fn unrecorded(problem: &str) -> ExitCode {
    mistaken(&format!("the inventory was not recorded: {problem}"))
}

fn mistaken(problem: &str) -> ExitCode {
    eprintln!("error: {problem}");
    ExitCode::from(MISTAKEN)
}

fn check(args: &CheckArgs, cluster: &str, revision: &Revision, tickets: Option<&Tickets>) -> Result<Checked, String> {
    let candidates = if args.candidates { revision.candidates.as_slice() } else { &[] };
    let (mut judged, mut gathered) = (Vec::new(), Gathered::default());
    let cut = subject::each(&args.files, &args.namespace, |subject| {
        let mut is_heard = false;
        judged.push(judge(revision, candidates, cluster, tickets, subject, |heard| {
            is_heard = true;
            if args.record {
                gathered.add(subject, &heard);
            }
        }));
        if args.record && !is_heard {
            gathered.miss(subject);
        }
    })?;
    Ok(Checked { judged, gathered, cut })
}

fn warning(cut: Cut) -> Option<String> {
    let lacks = cut.missing.map_or_else(|| "more than it has".to_owned(), |missing| count(missing, "object") + " more");
    let said =
        format!("the API server gave only a part of {}, and has {lacks}: ask for all of it", count(cut.lists, "list"));
    (cut.lists > 0).then_some(said)
}

fn code(judged: &[Judged], fail_on: Option<Mode>) -> u8 {
    if judged.iter().any(|one| !one.errors.is_empty()) {
        return MISTAKEN;
    }
    let reached = judged.iter().flat_map(|one| &one.violations).any(|found| found.reaches(fail_on));
    u8::from(reached)
}

// === impl Reach ===

impl Reach {
    fn mode(self) -> Option<Mode> {
        match self {
            Self::Audit => Some(Mode::Audit),
            Self::Warn => Some(Mode::Warn),
            Self::Enforce => Some(Mode::Enforce),
            Self::Never => None,
        }
    }
}
