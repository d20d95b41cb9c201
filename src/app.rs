//! Wires the parts, runs them, and stops them in order.

mod aside;
mod build;
pub mod ceilings;
mod completeness;
mod condition;
mod heart;
mod history;
pub mod last_good;
mod pulse;
pub mod reload;
mod retention;
pub mod revisions;
mod tickets;
mod upkeep;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::admission::gate::Gate;
use crate::admission::sample::Samples;
use crate::admission::service::Settings;
use crate::admission::{self, Service};
use crate::backend;
use crate::config::{Config, ShutdownSettings};
use crate::recorder::replica::ReplicaError;
use crate::recorder::tickets::Tickets;
use crate::recorder::{JournalError, Recorder};
use crate::server::body::Bounds;
use crate::server::callers::{Callers, TokenError};
use crate::server::health::{self, Health};
use crate::server::listener::{ListenError, Listener, Terms};
use crate::server::metrics::Metrics;
use crate::server::settings::{Limits, Timeouts};
use crate::server::tls::{ServerTls, TlsError};
use crate::server::webhook::{self, Webhook};
use crate::store::StoreError;
use crate::watch::Watch;
use crate::web::access::{Access, ClientError};

use self::build::{BuildError, build};
use self::ceilings::Ceilings;
use self::condition::Condition;
use self::heart::Heart;
use self::history::History;
use self::pulse::Pulse;
use self::reload::{Beginning, Reload};
use self::retention::Retention;
use self::revisions::Revisions;
use self::tickets::TicketExchange;
use self::upkeep::Upkeep;

/// A process that listens, ready to run.
#[derive(Debug)]
pub struct App {
    config: Config,
    /// That was read at the start.
    file: Option<PathBuf>,
    service: Service,
    recorder: Recorder,
    history: Arc<History>,
    retention: Retention,
    revisions: Arc<Revisions>,
    tickets: TicketExchange,
    ceilings: Arc<Ceilings>,
    condition: Arc<Condition>,
    upkeep: Upkeep,
    registry: Arc<Mutex<Registry>>,
    pulse: Arc<Pulse>,
    metrics: Arc<Metrics>,
    tls: Option<Arc<ServerTls>>,
    report_tls: Option<Arc<ServerTls>>,
    access: Arc<Access>,
    callers: Arc<Callers>,
    gate: Arc<Gate>,
    webhook: Listener,
    report: Listener,
    admin: Option<Listener>,
}

/// Where it listens; the real ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    pub webhook: SocketAddr,
    pub report: SocketAddr,
    pub admin: Option<SocketAddr>,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("data_dir: {} cannot be made or used: {source}; name a directory that this user may write", .path.display())]
    DataDir { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("report.oidc: {0}")]
    Provider(#[from] ClientError),
    #[error("clusters: {0}")]
    Callers(#[from] TokenError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// What happened to what was recorded when the process stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Records that wait in the journal for the next start.
    pub remaining: u64,
}

/// What of `shutdown.grace` is kept from the drain, a third of it at most: for the last heartbeat and for the end of the
/// store's connections, which a database that hangs would take beyond it.
const FAREWELL: Duration = Duration::from_secs(3);

/// Connections of the report and the admin listener: people and scrapers, a few at a time.
const REPORT_LIMITS: Limits =
    Limits { max_body: 64 * 1024, max_in_flight: 128, max_in_flight_bytes: 1 << 20, connections: 512 };
const REPORT_TIMEOUTS: Timeouts = Timeouts {
    handshake: Duration::from_secs(10),
    header: Duration::from_secs(10),
    body: Duration::from_secs(20),
    idle: Duration::from_secs(120),
    connection_age: Duration::from_secs(3_600),
};

// === impl App ===

impl App {
    /// Loads everything and binds the ports.
    pub async fn start(beginning: Beginning) -> Result<Self, StartError> {
        let (config, file) = (beginning.loaded.config.clone(), beginning.file.clone());
        let watch = Watch::start(beginning.loaded.files.clone());
        private_dir(&config.data_dir)?;
        let mut registry = Registry::default();
        let condition = Arc::new(Condition::default());
        let backend_metrics = backend::metrics::Metrics::register(&mut registry);
        let loaded = build(&config.policies, &config.staging, None, &backend_metrics)?;
        // It takes the lock on the data directory, in which the next line may make certificates.
        let recorder = history::open_journal(&config)?;
        recorder.register_metrics(&mut registry);
        let tls = ServerTls::load(&config.webhook.tls)?.map(Arc::new);
        let report_tls = ServerTls::load(&config.report_tls)?.map(Arc::new);
        let access = Arc::new(Access::new(&config.report.access, &mut registry)?);
        let callers = Arc::new(Callers::load(&config.cluster, &config.clusters)?);
        let limits = &config.webhook.limits;
        let gate = Gate::new(limits.max_in_flight, limits.max_in_flight_bytes);
        gate.register(&mut registry);
        let metrics = Arc::new(Metrics::register(&mut registry));

        let history = History::open(&config, Arc::clone(&condition)).await?;
        let retention = Retention::new(&history, &config.history.retention, &condition, &mut registry);
        completeness::register(&mut registry, &condition, &recorder, history.replica());

        let tickets = Tickets::open(&config.data_dir);
        let settings = Settings {
            warn_wait: config.warn_wait,
            public_url: config.report.public_url.as_ref().map(|url| url.to_string().trim_end_matches('/').to_owned()),
            style: config.answer_style,
            on_failure: config.journal.on_failure,
            samples: Samples::new(config.history.objects),
            tickets: tickets.clone(),
            patience: config.journal.max_wait,
        };
        let counters = Arc::new(admission::metrics::Metrics::register(&mut registry));
        let service = Service::new(loaded, recorder.clone(), counters, settings);
        let ceilings = Ceilings::open(&config.data_dir, &service, &condition, &mut registry);
        let served = [("webhook.tls", &tls), ("report.tls", &report_tls)];
        let served: Vec<_> = served.into_iter().filter_map(|(field, tls)| Some((field, tls.clone()?))).collect();
        let fixed = fixed_files(&config, &served);
        let revisions = Revisions::open(&config.data_dir);
        let noted = (Arc::clone(&revisions), Arc::clone(&access));
        let reload = Reload::begin(beginning, fixed, noted, &service, &condition, backend_metrics, &mut registry).await;
        let mut upkeep = Upkeep::new(watch, served, Arc::clone(&callers), &service, reload, &metrics, &condition);

        upkeep.begin().await;
        let tickets = TicketExchange::new(tickets, &service, &history, &condition).begin().await;
        let webhook = Listener::bind("webhook.listen", config.webhook.listen).await?;
        let report = Listener::bind("report.listen", config.report.listen).await?;
        let admin = match config.admin {
            Some(address) => Some(Listener::bind("admin.listen", address).await?),
            None => None,
        };
        let registry = Arc::new(Mutex::new(registry));
        let pulse = Pulse::begin(&registry);
        Ok(Self {
            config,
            file,
            service,
            recorder,
            history,
            retention,
            revisions,
            tickets,
            ceilings,
            condition,
            upkeep,
            registry,
            pulse,
            metrics,
            tls,
            report_tls,
            access,
            callers,
            gate,
            webhook,
            report,
            admin,
        })
    }

    pub fn addresses(&self) -> Addresses {
        Addresses {
            webhook: self.webhook.address(),
            report: self.report.address(),
            admin: self.admin.as_ref().map(Listener::address),
        }
    }

    /// Runs until `stop` resolves, then stops in order: not ready, no new connections, nothing in flight, all recorded
    /// in the store as far as the grace allows.
    ///
    /// Until then it reads its configuration again whenever a file of it changes, or `reload` says so.
    pub async fn run(self, first_review: String, reload: Arc<Notify>, stop: impl Future<Output = ()>) -> Stopped {
        let (accepting, reporting) = (CancellationToken::new(), CancellationToken::new());
        let (reviews, rest) = (TaskTracker::new(), TaskTracker::new());

        let webhook = webhook::stack(self.webhook_stack());
        let terms = Terms {
            listener: "webhook",
            tls: self.tls.clone(),
            limits: self.config.webhook.limits.clone(),
            timeouts: self.config.webhook.timeouts.clone(),
            metrics: Arc::clone(&self.metrics),
        };
        self.history.drain(&self.recorder, &rest);
        self.recorder.present(self.history.replica(), self.config.served().map(str::to_owned));
        let (report, admin) = self.report_routers(first_review, accepting.clone());
        rest.spawn(Arc::clone(&self.pulse).run(accepting.clone()));
        rest.spawn(self.retention.run(accepting.clone()));
        rest.spawn(self.revisions.run(Arc::clone(&self.history), accepting.clone()));
        rest.spawn(self.tickets.run(reporting.clone()));
        let declared = !self.config.clusters.is_empty();
        let heart = Heart::new(&self.history, &self.recorder, &self.service, &self.condition, declared);
        // Before the first review; side by side, since each may have to wait for the history.
        let (heart, ()) = tokio::join!(heart.begin(), self.ceilings.begin(&self.history));
        rest.spawn(self.ceilings.run(Arc::clone(&self.history), accepting.clone()));
        rest.spawn(self.upkeep.run(reload, reporting.clone()));
        reviews.spawn(self.webhook.serve(webhook, terms, accepting.clone(), reviews.clone()));
        let terms = Terms { tls: self.report_tls, ..report_terms("report", &self.metrics) };
        rest.spawn(self.report.serve(report, terms, reporting.clone(), rest.clone()));
        if let (Some(listener), Some(admin)) = (self.admin, admin) {
            rest.spawn(listener.serve(admin, report_terms("admin", &self.metrics), reporting.clone(), rest.clone()));
        }

        stop.await;
        let ShutdownSettings { delay, grace } = self.config.shutdown;
        self.condition.stop();
        info!("stopping: not ready from now on, still accepting for {} ms", delay.as_millis());
        tokio::time::sleep(delay).await;

        let deadline = Instant::now() + grace;
        accepting.cancel();
        self.recorder.left();
        reviews.close();
        let finished = async {
            reviews.wait().await;
            // Webhooks that nobody waits for may use a third; the rest is the history's.
            self.service.finished(grace / 3).await;
        };
        if tokio::time::timeout_at(deadline, finished).await.is_err() {
            warn!("some reviews were still in flight when shutdown.grace ended");
        }
        let farewell = FAREWELL.min(grace / 3);
        let drained_by = (deadline - farewell).max(deadline.min(Instant::now() + farewell));
        let remaining = self.history.finish(&self.recorder, drained_by).await;
        heart.end(remaining).await;
        self.history.close().await;
        if remaining == 0 {
            info!("stopped: every decision is in the history");
        } else {
            warn!(
                remaining,
                "stopped: {remaining} records remain in the journal; the next start takes them from there"
            );
        }
        reporting.cancel();
        Stopped { remaining }
    }

    fn webhook_stack(&self) -> Arc<Webhook> {
        let limits = &self.config.webhook.limits;
        Arc::new(Webhook {
            service: self.service.clone(),
            gate: Arc::clone(&self.gate),
            bounds: Bounds { max_body: limits.max_body, timeout: self.config.webhook.timeouts.body },
            callers: Arc::clone(&self.callers),
            overload: self.config.overload,
            metrics: Arc::clone(&self.metrics),
        })
    }

    /// The report's router and, where it has a listener of its own, the admin's.
    fn report_routers(&self, first_review: String, stopping: CancellationToken) -> (Router, Option<Router>) {
        let asks = self.config.report.access.asks();
        let health = Health {
            tells_all: self.admin.is_some() || !asks,
            readiness: self.condition.readiness(
                &self.recorder,
                self.history.replica(),
                &self.service,
                self.config.journal.on_failure,
            ),
            registry: Arc::clone(&self.registry),
        };
        let live = self.condition.live(&self.recorder, self.history.replica(), &self.service, first_review);
        let vitals = self.pulse.vitals(&self.config, &self.service, self.file.as_deref());
        let (report, readiness) = (&self.config.report, self.config.readiness);
        let pages =
            |others| self.history.pages(report.clone(), readiness, &self.access, (live, vitals), others, stopping);
        match self.admin {
            Some(_) => (pages(Router::new()), Some(health::router(health))),
            // Figures of all namespaces: for whoever may see everything.
            None if asks => (health::probes(health.clone()).merge(pages(health::metrics(health))), None),
            None => (health::router(health).merge(pages(Router::new())), None),
        }
    }
}

fn private_dir(path: &Path) -> Result<(), StartError> {
    let failed = |source| StartError::DataDir { path: path.to_owned(), source };
    if !path.is_dir() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    }
    Ok(())
}

/// To be watched whatever a changed configuration names.
fn fixed_files(config: &Config, tls: &[(&'static str, Arc<ServerTls>)]) -> Vec<PathBuf> {
    let tokens = config.clusters.iter().filter_map(|cluster| cluster.path_token_file.clone());
    tls.iter().flat_map(|(_, tls)| tls.files()).chain(tokens).collect()
}

fn report_terms(listener: &'static str, metrics: &Arc<Metrics>) -> Terms {
    Terms { listener, tls: None, limits: REPORT_LIMITS, timeouts: REPORT_TIMEOUTS, metrics: Arc::clone(metrics) }
}
