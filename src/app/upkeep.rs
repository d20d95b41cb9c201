//! Keeps certificates, tokens and policies as their files are, without dropping a connection.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::admission::Service;
use crate::review::clock::Timestamp;
use crate::review::said::CertificateEnd;
use crate::server::callers::Callers;
use crate::server::metrics::Metrics;
use crate::server::tls::{Reloaded, ServerTls};
use crate::watch::Watch;

use super::condition::Condition;
use super::reload::{Cause, Reload, about_files};

/// How often a self-made leaf is looked at; it is renewed a month before its end.
const RENEWAL: Duration = Duration::from_secs(12 * 3_600);

/// How often what could not be done is tried again; most that mends it is seen at once.
const RETRY: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Upkeep {
    watch: Watch,
    /// By the field that names its files.
    tls: Vec<(&'static str, Arc<ServerTls>)>,
    callers: Arc<Callers>,
    service: Service,
    reload: Reload,
    metrics: Arc<Metrics>,
    condition: Arc<Condition>,
}

// === impl Upkeep ===

impl Upkeep {
    pub fn new(
        watch: Watch,
        tls: Vec<(&'static str, Arc<ServerTls>)>,
        callers: Arc<Callers>,
        service: &Service,
        reload: Reload,
        metrics: &Arc<Metrics>,
        condition: &Arc<Condition>,
    ) -> Self {
        let (service, metrics, condition) = (service.clone(), Arc::clone(metrics), Arc::clone(condition));
        let upkeep = Self { watch, tls, callers, service, reload, metrics, condition };
        upkeep.tell_ends();
        upkeep
    }

    /// Takes on what changed while the process was starting: it was read before it was watched.
    pub async fn begin(&mut self) {
        self.reload(Cause::Retry).await;
    }

    /// Reads everything again whenever `asked` says so, too.
    pub async fn run(mut self, asked: Arc<Notify>, stop: CancellationToken) {
        let (mut renewal, mut retry) = (patient(RENEWAL), patient(RETRY));
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = self.watch.changed() => {
                    info!(files = ?changed, "files changed");
                    self.reload(Cause::Change).await;
                }
                () = asked.notified() => self.reload(Cause::Signal).await,
                _ = renewal.tick() => self.renew(),
                _ = retry.tick(), if self.reload.is_unfinished() => self.reload(Cause::Retry).await,
            }
        }
    }

    async fn reload(&mut self, cause: Cause) {
        if cause != Cause::Change {
            // Before anything is read: what changed until now is no change any more then.
            self.watch.look().await;
        }
        self.reload_tls();
        self.outcome("clusters", self.callers.reload());
        self.reload.run(cause, &mut self.watch).await;
        for backend in self.service.loaded().backends.iter().flatten() {
            self.outcome(&about_files(backend.name()), backend.reload());
        }
        self.tell_ends();
    }

    fn renew(&self) {
        self.reload_tls();
        self.tell_ends();
    }

    /// Renews a self-made leaf that is due, too.
    fn reload_tls(&self) {
        for (field, tls) in &self.tls {
            let reloaded = tls.reload();
            if matches!(reloaded, Ok(Reloaded::Changed)) {
                info!("{field}: the new files are in use");
            }
            self.outcome(field, reloaded);
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
        // The field of a listener's files begins with its name.
        let listeners = self.tls.iter().map(|(field, tls)| (field.strip_suffix(".tls"), tls));
        let listeners = listeners.flat_map(|(listener, tls)| tls.ends().into_iter().map(move |end| (listener, end)));
        let loaded = self.service.loaded();
        let end = |name: &str, (role, end): (&str, OffsetDateTime)| CertificateEnd {
            end: Timestamp(end.unix_timestamp().saturating_mul(1_000)),
            role: role.to_owned(),
            name: name.to_owned(),
        };
        let backends = loaded.backends.iter().flatten();
        let backends =
            backends.flat_map(|backend| backend.ends().into_iter().map(|of| (None, end(backend.name(), of))));
        let ends: Vec<(Option<&'static str>, CertificateEnd)> = listeners.chain(backends).collect();
        self.condition.ends(ends.iter().map(|(_, end)| end.clone()).collect());
        self.metrics.certificates(ends);
    }
}

/// The first tick is a whole period away.
fn patient(period: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
