//! Keeps certificates and tokens as their files are, without dropping a connection.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::backend::Backend;
use crate::server::callers::Callers;
use crate::server::metrics::Metrics;
use crate::server::tls::{Reloaded, ServerTls};
use crate::watch::Watch;

use super::condition::Condition;

/// How often a self-made leaf is looked at; it is renewed a month before its end.
const RENEWAL: Duration = Duration::from_secs(12 * 3_600);

#[derive(Debug)]
pub struct Upkeep {
    watch: Watch,
    tls: Option<Arc<ServerTls>>,
    callers: Arc<Callers>,
    backends: Vec<Arc<Backend>>,
    metrics: Arc<Metrics>,
    condition: Arc<Condition>,
}

// === impl Upkeep ===

impl Upkeep {
    pub fn new(
        watch: Watch,
        tls: Option<Arc<ServerTls>>,
        callers: Arc<Callers>,
        backends: Vec<Arc<Backend>>,
        metrics: &Arc<Metrics>,
        condition: &Arc<Condition>,
    ) -> Self {
        let upkeep =
            Self { watch, tls, callers, backends, metrics: Arc::clone(metrics), condition: Arc::clone(condition) };
        upkeep.tell_ends();
        upkeep
    }

    pub async fn run(mut self, stop: CancellationToken) {
        let mut renewal = interval(RENEWAL);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = self.watch.changed() => self.reload(&changed),
                _ = renewal.tick() => self.renew(),
            }
        }
    }

    fn reload(&self, changed: &[PathBuf]) {
        info!(files = ?changed, "files changed");
        self.reload_tls();
        self.outcome("clusters", self.callers.reload());
        for backend in &self.backends {
            let about = format!("policy {}", backend.name());
            self.outcome(&about, backend.reload());
        }
        self.tell_ends();
    }

    fn renew(&self) {
        self.reload_tls();
        self.tell_ends();
    }

    /// Renews a self-made leaf that is due, too.
    fn reload_tls(&self) {
        if let Some(tls) = &self.tls {
            let reloaded = tls.reload();
            if matches!(reloaded, Ok(Reloaded::Changed)) {
                info!("webhook.tls: the new files are in use");
            }
            self.outcome("webhook.tls", reloaded);
        }
    }

    /// What failed goes on as it was; the log, `/readyz` and every page say so.
    fn outcome<T>(&self, about: &str, reloaded: Result<T, impl std::fmt::Display>) {
        match reloaded {
            Ok(_) => self.condition.clear(about),
            Err(error) => {
                warn!("{about}: the old files stay in use: {error}");
                self.condition.fault(about, format!("{about}: changed files are not in use: {error}"));
            }
        }
    }

    fn tell_ends(&self) {
        let server =
            self.tls.iter().flat_map(|tls| tls.ends()).map(|end| (end.role.to_owned(), end.name, end.not_after));
        let backends = self.backends.iter().flat_map(|backend| {
            backend
                .ends()
                .into_iter()
                .map(|(role, end)| (role.to_owned(), backend.name().to_owned(), end.unix_timestamp()))
        });
        self.metrics.certificates(server.chain(backends));
    }
}
