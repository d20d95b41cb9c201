//! `rehearsal report`: the printable report as a file, for a mail or a ticket.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use http::Uri;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::ask::Means;
use super::config::{MISTAKEN, environment, print};
use super::{ask, compile, existing};
use crate::config::{self, Loaded};
use crate::policy::Revision;
use crate::review::clock::Timestamp;
use crate::store::Store;
use crate::store::reach::Reach;
use crate::web::export::BadParameter;
use crate::web::printed::file::Form;
use crate::web::printed::{Asking, Ground, Printed};

#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// From then on: RFC 3339, a date (and time) in the report's zone, or how long ago (24h, 30d).
    #[arg(long, value_name = "TIME", default_value = "30d")]
    since: String,
    /// Up to then, which is not in it. Without it: up to now.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Without it all that are declared.
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// In which zone times are written, as Europe/Berlin. Without it: the report's.
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// One file with its style in it, for a mail or for printing; or Markdown, for a ticket.
    #[arg(long, value_enum, default_value_t = Written::Html)]
    format: Written,
    /// Ask the report there, as far as the token reaches. Without it the history of the configuration is read, all of it.
    #[arg(long, value_name = "URL")]
    url: Option<Uri>,
    /// File that holds a token of that report, where it asks who one is (`rehearsal user token` makes one).
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// File of CA certificates in PEM, to be trusted beside the system's.
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,
    /// YAML file that names policies and history. Without one: the defaults, and the environment.
    #[arg(long, short, value_name = "FILE", conflicts_with = "url")]
    config: Option<PathBuf>,
    /// Where it is written to. Without it: standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Written {
    Html,
    Md,
}

/// # Errors
/// The history cannot be read, the report does not answer, or the file not be written.
pub fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let made = runtime.block_on(async {
        match &args.url {
            Some(url) => args.ask(url).await.map(Made::Text),
            None => args.read().await,
        }
    })?;
    match (made, &args.output) {
        (Made::Text(text), None) => print(&text),
        (Made::Text(text), Some(file)) => {
            std::fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        (Made::Mistaken(mistakes), _) => {
            eprintln!("{mistakes}");
            Ok(ExitCode::from(MISTAKEN))
        }
    }
}

enum Made {
    Text(String),
    /// What is wrong with the configuration, or with what was asked for.
    Mistaken(String),
}

// === impl ReportArgs ===

impl ReportArgs {
    /// By the names of the report's address.
    fn given(&self) -> Vec<(String, String)> {
        let given = [
            ("since", Some(&self.since)),
            ("until", self.until.as_ref()),
            ("cluster", self.cluster.as_ref()),
            ("namespace", self.namespace.as_ref()),
            ("tz", self.tz.as_ref()),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.clone()))).collect()
    }

    async fn ask(&self, report: &Uri) -> anyhow::Result<String> {
        let given =
            self.given().into_iter().chain([("format".to_owned(), Form::from(self.format).extension().to_owned())]);
        let given: Vec<String> =
            given.map(|(name, value)| format!("{name}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC))).collect();
        let report = report.to_string();
        let url = format!("{}/api/v1/report/file?{}", report.trim_end_matches('/'), given.join("&"));
        let url: Uri = url.parse().with_context(|| format!("{report} is not the URL of a report"))?;
        let means = Means { token: self.token_file.as_deref(), ca: self.ca.as_deref() };
        let text = ask::text(&url, means).await?;
        text.with_context(|| format!("{report} serves no printable report: an older Rehearsal, or another program"))
    }

    async fn read(&self) -> anyhow::Result<Made> {
        let Loaded { config, .. } = match self.loaded() {
            Ok(loaded) => loaded,
            Err(mistakes) => return Ok(Made::Mistaken(mistakes)),
        };
        existing(&config.store)?;
        let revision = Revision::load(&config.policies, &config.staging)
            .map_err(|_| anyhow::anyhow!("the policies do not load although they were checked"))?;
        let ground =
            Ground { revision: Arc::new(revision), settings: config.readiness, reach: Reach::Everything, person: None };
        let asking = match Asking::given(self.given(), ground, &config.report.time_zone, Timestamp::now()) {
            Ok(asking) => asking,
            Err(BadParameter { parameter, message }) => {
                return Ok(Made::Mistaken(format!("error: --{parameter}: {message}")));
            }
        };
        let store = Store::open_for_reading(&config.store, &config.history).await?;
        let report = Printed::read(&store, &asking, None).await;
        store.close().await;
        let report = report.context("reading the history")?;
        Ok(Made::Text(Form::from(self.format).write(report).context("the report cannot be written")?))
    }

    fn loaded(&self) -> Result<Loaded, String> {
        let file: Option<&Path> = self.config.as_deref();
        config::judging(file, environment(), &compile).map_err(|mistakes| mistakes.to_string())
    }
}

// === impl Written ===

impl From<Written> for Form {
    fn from(written: Written) -> Self {
        match written {
            Written::Html => Self::Html,
            Written::Md => Self::Markdown,
        }
    }
}
