//! `rehearsal export`: decisions to standard output.

mod progress;

use std::io::{self, BufWriter, ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio::runtime::Runtime;

use crate::config::Config;
use crate::logging::LogArgs;
use crate::review::clock::Timestamp;
use crate::store::Store;
use crate::store::read::{Cursor, Filter};
use crate::web::export::{self, BadParameter, Format};

use self::progress::Progress;
use super::config::MISTAKEN;
use super::{existing, load, start_logging};

#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// One JSON object a line, or comma-separated values with a line of names, safe to open in a spreadsheet.
    #[arg(long, value_enum, default_value_t = Written::Ndjson)]
    format: Written,
    /// YAML file that names the history. Without one: the defaults, and the environment.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// From then on: RFC 3339, a date (and time) in the report's zone, or how long ago (15m, 24h, 7d).
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Up to then, which is not in it. Without it: up to now.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Without it all that are declared.
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// What is in no namespace, as objects of the whole cluster are.
    #[arg(long, conflicts_with = "namespace")]
    cluster_wide: bool,
    /// As lists show it: Deployment/checkout.
    #[arg(long, value_name = "KIND/NAME")]
    workload: Option<String>,
    /// Who made or changed the object.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// With a violation of this policy.
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// With a violation of this rule.
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    /// As written, or with `*` for any run of characters.
    #[arg(long, value_name = "TEXT")]
    image: Option<String>,
    /// REGISTRY/REPOSITORY.
    #[arg(long, value_name = "NAME")]
    repository: Option<String>,
    /// Only those of which the rule, policy or repository is a reason.
    #[arg(long)]
    to_blame: bool,
    /// Of the review.
    #[arg(long, value_name = "UID")]
    uid: Option<String>,
    /// allowed, denied or failed.
    #[arg(long, value_name = "ANSWER")]
    answer: Option<String>,
    /// true: only would-be rejections; false: only others.
    #[arg(long, value_name = "BOOL")]
    would_reject: Option<String>,
    /// true: only dry runs; false: only others.
    #[arg(long, value_name = "BOOL")]
    dry_run: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Written {
    Ndjson,
    Csv,
}

/// Decisions that are held at a time.
const PAGE: u16 = 500;

/// Newest first.
///
/// # Errors
/// The history cannot be read, or standard output not be written: what was written is then not whole.
pub fn run(args: &ExportArgs, log: LogArgs) -> anyhow::Result<ExitCode> {
    let config = match load(args.config.as_deref()) {
        Ok(loaded) => loaded.config,
        Err(code) => return Ok(code),
    };
    start_logging(log, config.log);
    let filter = match args.filter(&config) {
        Ok(filter) => filter,
        Err(mistake) => {
            eprintln!("error: --{}: {}", mistake.parameter.replace('_', "-"), mistake.message);
            return Ok(ExitCode::from(MISTAKEN));
        }
    };
    existing(&config.store)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let store = runtime.block_on(Store::open_for_reading(&config.store, &config.history))?;
    let mut progress = Progress::new();
    let written = write_all(&runtime, &store, &filter, args.format.into(), &mut progress);
    progress.end();
    runtime.block_on(store.close());
    match written {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // Whoever reads, such as `head`, has had enough.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error.context(format!("the export is not whole, it ends after {}", progress.written()))),
    }
}

fn write_all(
    runtime: &Runtime,
    store: &Store,
    filter: &Filter,
    format: Format,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    format.begin(&mut out)?;
    let mut after: Option<Cursor> = None;
    loop {
        let page = runtime.block_on(store.decisions(filter, PAGE, after)).context("reading the history")?;
        for stored in &page.decisions {
            format.write(&mut out, stored)?;
        }
        progress.came(page.decisions.len(), page.next.map(|next| next.at));
        if page.next.is_none() {
            return Ok(out.flush()?);
        }
        after = page.next;
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

// === impl ExportArgs ===

impl ExportArgs {
    fn filter(&self, config: &Config) -> Result<Filter, BadParameter> {
        let given = [
            ("since", self.since.clone()),
            ("until", self.until.clone()),
            ("cluster", self.cluster.clone()),
            ("namespace", self.namespace.clone()),
            ("cluster_wide", self.cluster_wide.then(|| "true".to_owned())),
            ("workload", self.workload.clone()),
            ("user", self.user.clone()),
            ("policy", self.policy.clone()),
            ("rule", self.rule.clone()),
            ("image", self.image.clone()),
            ("repository", self.repository.clone()),
            ("to_blame", self.to_blame.then(|| "true".to_owned())),
            ("uid", self.uid.clone()),
            ("answer", self.answer.clone()),
            ("would_reject", self.would_reject.clone()),
            ("dry_run", self.dry_run.clone()),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let now = Timestamp::now();
        // What comes while it runs is not waited for.
        let until = |filter: Filter| Filter { until: filter.until.or(Some(Timestamp(now.0 + 1))), ..filter };
        export::filter(given.collect(), config.report.time_zone.clone(), now).map(until)
    }
}

// === impl Written ===

impl From<Written> for Format {
    fn from(written: Written) -> Self {
        match written {
            Written::Ndjson => Self::Ndjson,
            Written::Csv => Self::Csv,
        }
    }
}
