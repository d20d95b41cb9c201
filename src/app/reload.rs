//! A changed configuration: built whole aside and swapped whole, or the old kept with the mistakes said.
//!
//! What was read is in force only where nothing was wrong in it, and what was in force before is until then. Of the fields
//! that a running process cannot take on it is said that they need a restart.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tracing::{debug, info, warn};

use crate::admission::Service;
use crate::admission::service;
use crate::backend;
use crate::config::{Config, ConfigErrors, Loaded};
use crate::policy::settings::{PolicySettings, StagingSettings};
use crate::policy::text;
use crate::watch::Watch;
use crate::web::access::Access;
use crate::web::access::settings::DirectorySettings;

use super::aside::{AsideError, aside};
use super::build::{BuildError, build};
use super::condition::Condition;
use super::last_good::LastGood;
use super::revisions::Revisions;

/// Reads the configuration, as it is now.
pub type Read = Arc<dyn Fn() -> Result<Loaded, ConfigErrors> + Send + Sync>;

/// What a process begins with.
pub struct Beginning {
    /// Where it is read from, where that is a file.
    pub file: Option<PathBuf>,
    pub read: Read,
    pub loaded: Loaded,
    /// Why the policies of `loaded` are not those that are configured.
    pub mistakes: Option<ConfigErrors>,
}

pub struct Reload {
    read: Read,
    /// What the process runs on, but for what judges.
    config: Config,
    /// What loaded last.
    judging: Arc<Judging>,
    /// Of what cannot change while it runs.
    fixed_files: Vec<PathBuf>,
    last_good: LastGood,
    revisions: Arc<Revisions>,
    access: Arc<Access>,
    service: Service,
    condition: Arc<Condition>,
    metrics: Metrics,
    backend_metrics: backend::metrics::Metrics,
    /// Said before.
    warnings: Vec<String>,
    /// Why what is configured is not in force.
    mistakes: Vec<String>,
    /// A start whose policies have mistakes would find what loaded last.
    is_kept: bool,
}

/// Of ten thousand rules it is neither copied nor compared where reviews are answered.
#[derive(Debug, PartialEq)]
struct Judging {
    policies: Vec<PolicySettings>,
    staging: StagingSettings,
}

/// What is in force no longer. It is as large as what took its place, and goes where that was made.
type Past = (Arc<Judging>, Arc<service::Loaded>);

/// Why it is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A file changed.
    Change,
    Signal,
    /// Nobody asked: what is mended is not always seen (a right that is given is no content), and at the start the files
    /// are read before they are watched.
    Retry,
}

/// How many of the mistakes `/readyz` and the pages show; the log has all.
const SHOWN: usize = 20;

/// Files that name files are read again, as often as that; some name others each time.
const ROUNDS: usize = 3;

/// What [`Condition`] is told about.
const ABOUT: &str = "reload";
const ABOUT_RESTART: &str = "restart";
const ABOUT_LAST_GOOD: &str = "last good";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    result: &'static str,
}

#[derive(Debug, Default)]
struct Metrics {
    reloads: Family<Ended, Counter>,
    failed: Gauge,
}

impl fmt::Debug for Beginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Beginning")
            .field("loaded", &self.loaded)
            .field("mistakes", &self.mistakes)
            .finish_non_exhaustive()
    }
}

// === impl Reload ===

impl Reload {
    /// Says what is mistaken, or keeps what has loaded.
    pub async fn begin(
        beginning: Beginning,
        fixed_files: Vec<PathBuf>,
        (revisions, access): (Arc<Revisions>, Arc<Access>),
        service: &Service,
        condition: &Arc<Condition>,
        backend_metrics: backend::metrics::Metrics,
        registry: &mut Registry,
    ) -> Self {
        let Beginning { read, loaded, mistakes, .. } = beginning;
        let mut config = loaded.config;
        let mut reload = Self {
            read,
            last_good: LastGood::of(&config.data_dir),
            judging: Arc::new(Judging::out_of(&mut config)),
            config,
            fixed_files,
            revisions,
            access,
            service: service.clone(),
            condition: Arc::clone(condition),
            metrics: Metrics::register(registry),
            backend_metrics,
            warnings: loaded.warnings,
            mistakes: Vec::new(),
            is_kept: true,
        };
        reload.revisions.note(&service.loaded().revision.id, reload.judging.text());
        match mistakes {
            None => reload.keep_good(None).await,
            Some(mistakes) => {
                warn!("the policies have mistakes: starting on the revision that loaded last");
                reload.say(mistakes.sentences().collect());
            }
        }
        reload
    }

    /// Whether another try may bring more.
    pub fn is_unfinished(&self) -> bool {
        self.has_failed() || !self.is_kept
    }

    fn has_failed(&self) -> bool {
        !self.mistakes.is_empty()
    }

    /// Reads it, and has `watch` watch what it names.
    pub async fn run(&mut self, cause: Cause, watch: &mut Watch) {
        match self.read_and_watch(watch).await {
            Ok(Ok(loaded)) => self.take(loaded, cause).await,
            Ok(Err(errors)) => self.failed(errors.sentences().collect(), cause),
            Err(fault) => self.failed(vec![own_fault(&fault)], cause),
        }
    }

    async fn read_and_watch(&self, watch: &mut Watch) -> Result<Result<Loaded, ConfigErrors>, AsideError> {
        let mut round = 1;
        loop {
            let read = Arc::clone(&self.read);
            let read = aside(move || read()).await?;
            let named = match &read {
                Ok(loaded) => &loaded.files,
                Err(errors) => &errors.read.files,
            };
            // What was not watched may have changed since it was read.
            if !watch.set(self.files(named)).await || round == ROUNDS {
                return Ok(read);
            }
            round += 1;
        }
    }

    /// Those that are named, and those that are in use.
    fn files(&self, named: &[PathBuf]) -> Vec<PathBuf> {
        let loaded = self.service.loaded();
        let of_backends = loaded.backends.iter().flatten().flat_map(|backend| backend.files());
        let mut files = named.to_vec();
        for file in self.fixed_files.iter().map(PathBuf::as_path).chain(of_backends) {
            if !files.iter().any(|known| known == file) {
                files.push(file.to_owned());
            }
        }
        files
    }

    async fn take(&mut self, read: Loaded, cause: Cause) {
        for warning in read.warnings.iter().filter(|warning| !self.warnings.contains(warning)) {
            warn!("{warning}");
        }
        self.warnings = read.warnings;
        self.say_what_needs_a_restart(&read.config);
        let directory = read.config.report.access.directory.clone();
        let (mut config, held, metrics) = (read.config, self.service.loaded(), self.backend_metrics.clone());
        let (before, revisions) = (Arc::clone(&self.judging), Arc::clone(&self.revisions));
        let built = aside(move || {
            let judging = Judging::out_of(&mut config);
            if judging == *before {
                return Ok(None);
            }
            let built = build(&judging.policies, &judging.staging, Some(&held), &metrics)?;
            // Before a review is judged by it.
            revisions.note(&built.revision.id, judging.text());
            Ok::<_, BuildError>(Some((built, Arc::new(judging))))
        });
        match built.await {
            Ok(Ok(None)) => {
                if self.take_directory(directory) {
                    self.mended();
                    self.metrics.count("changed");
                } else {
                    self.unchanged(cause);
                }
                self.keep_good(None).await;
            }
            Ok(Ok(Some((loaded, judging)))) => {
                self.take_directory(directory);
                let past = self.swap(loaded, judging);
                self.keep_good(Some(past)).await;
            }
            Ok(Err(error)) => self.failed(vec![error.to_string()], cause),
            Err(fault) => self.failed(vec![own_fault(&fault)], cause),
        }
    }

    /// Who may see what, from the next request on. Whether it is another.
    fn take_directory(&mut self, read: DirectorySettings) -> bool {
        let own = &mut self.config.report.access.directory;
        if *own == read {
            return false;
        }
        self.access.replace(&read);
        *own = read;
        info!("reloaded: who may see what of the report is another");
        true
    }

    fn swap(&mut self, loaded: service::Loaded, judging: Arc<Judging>) -> Past {
        let before = self.service.loaded();
        let revision = loaded.revision.id.clone();
        let names: Vec<String> = loaded.backends.iter().flatten().map(|backend| backend.name().to_owned()).collect();
        self.service.swap(loaded);
        for gone in before.backends.iter().flatten().filter(|backend| !names.iter().any(|name| name == backend.name()))
        {
            self.backend_metrics.forget(gone.name());
            self.condition.clear(&about_files(gone.name()));
        }
        self.mended();
        self.metrics.count("changed");
        info!(revision, before = before.revision.id, "reloaded: revision {revision} is in force");
        (std::mem::replace(&mut self.judging, judging), before)
    }

    fn unchanged(&mut self, cause: Cause) {
        let revision = &self.service.loaded().revision.id;
        if self.has_failed() {
            info!(revision, "reloaded: the mistakes are mended, and revision {revision} stays in force");
        } else if cause == Cause::Retry {
            return;
        } else if cause == Cause::Signal {
            info!(revision, "reloaded: no policy is another, revision {revision} stays in force");
        } else {
            debug!(revision, "no policy is another");
        }
        self.mended();
        self.metrics.count("unchanged");
    }

    fn failed(&mut self, mistakes: Vec<String>, cause: Cause) {
        if cause != Cause::Signal && mistakes == self.mistakes {
            return;
        }
        self.metrics.count("failed");
        let (revision, count) = (&self.service.loaded().revision.id, mistakes.len());
        warn!(revision, "not reloaded, revision {revision} stays in force; mistakes: {count}");
        self.say(mistakes);
    }

    fn say(&mut self, mistakes: Vec<String>) {
        for mistake in &mistakes {
            warn!("{mistake}");
        }
        let revision = &self.service.loaded().revision.id;
        let stays = format!("Revision {revision} is in force, and not what is configured: ");
        let mut sentences: Vec<String> = mistakes.iter().take(SHOWN).map(|line| format!("{stays}{line}")).collect();
        if mistakes.len() > SHOWN {
            sentences.push(format!("{stays}{} more mistakes, which the log has", mistakes.len() - SHOWN));
        }
        self.condition.faults(ABOUT, sentences);
        self.metrics.failed.set(1);
        self.mistakes = mistakes;
    }

    /// For a start whose policies have mistakes. Of a webhook's files the content may be another although no policy is.
    async fn keep_good(&mut self, past: Option<Past>) {
        let (judging, last_good) = (Arc::clone(&self.judging), self.last_good.clone());
        let kept = aside(move || {
            let kept = last_good.keep(&judging.policies, &judging.staging);
            drop(past);
            kept
        });
        let kept = match kept.await {
            Ok(kept) => kept.map_err(|error| error.to_string()),
            Err(fault) => Err(fault.to_string()),
        };
        let was_kept = std::mem::replace(&mut self.is_kept, kept.is_ok());
        match kept {
            Ok(()) => self.condition.clear(ABOUT_LAST_GOOD),
            Err(error) => {
                let what = format!("What is in force is not kept for a start whose policies have mistakes: {error}");
                if was_kept {
                    warn!("{what}");
                }
                self.condition.fault(ABOUT_LAST_GOOD, what);
            }
        }
    }

    fn mended(&mut self) {
        self.condition.clear(ABOUT);
        self.metrics.failed.set(0);
        self.mistakes.clear();
    }

    fn say_what_needs_a_restart(&self, read: &Config) {
        let fields = self.config.unlike(read);
        if fields.is_empty() {
            self.condition.clear(ABOUT_RESTART);
            return;
        }
        let fields = fields.join(", ");
        warn!(fields, "changed in the configuration, and needs a restart: {fields}");
        let what = format!("Changed in the configuration, and needs a restart to be in force: {fields}");
        self.condition.fault(ABOUT_RESTART, what);
    }
}

// === impl Judging ===

impl Judging {
    /// Leaves none in `config`.
    fn out_of(config: &mut Config) -> Self {
        Self { policies: std::mem::take(&mut config.policies), staging: std::mem::take(&mut config.staging) }
    }

    /// As pages show it.
    fn text(&self) -> String {
        text::shown(&self.policies, &self.staging)
    }
}

/// What [`Condition`] is told about the files of a policy's webhook.
pub fn about_files(policy: &str) -> String {
    format!("policy {policy}")
}

/// A panic is in the log with its place; what is in force goes on, and so does whoever looks for changes.
fn own_fault(fault: &AsideError) -> String {
    format!("reading it met a fault of its own, please report it: {fault}")
}

impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reload").field("mistakes", &self.mistakes).finish_non_exhaustive()
    }
}

// === impl Metrics ===

impl Metrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for result in ["changed", "unchanged", "failed"] {
            drop(metrics.reloads.get_or_create(&Ended { result }));
        }
        registry.register(
            "rehearsal_reloads",
            "Times that the configuration was read again, by what came of it",
            metrics.reloads.clone(),
        );
        registry.register(
            "rehearsal_reload_failed",
            "1 while the policies in force are not those that are configured, because of mistakes",
            metrics.failed.clone(),
        );
        metrics
    }

    fn count(&self, result: &'static str) {
        self.reloads.get_or_create(&Ended { result }).inc();
    }
}
