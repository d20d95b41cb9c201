//! Deletes what is due, every hour, beside everything else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::review::clock::Timestamp;
use crate::store::settings::RetentionSettings;
use crate::store::{StoreError, Swept};

use super::condition::Condition;
use super::history::History;

/// After the start, when the journal has most likely been drained.
const FIRST: Duration = Duration::from_secs(2);
/// At the latest.
const EVERY: Duration = Duration::from_secs(3_600);
/// After one that failed, and after many: what is over is not to be said for long.
const RETRY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// What [`Condition`] is told about.
const ABOUT: &str = "retention";
const ABOUT_SIZE: &str = "retention.max_size";

#[derive(Debug)]
pub struct Retention {
    history: Arc<History>,
    settings: RetentionSettings,
    condition: Arc<Condition>,
    metrics: Metrics,
    /// Failures one after the other.
    failures: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Rows {
    rows: &'static str,
}

#[derive(Debug, Default)]
struct Metrics {
    deleted: Family<Rows, Counter>,
    failures: Counter,
    last: Gauge<f64, AtomicU64>,
    longest: Gauge<f64, AtomicU64>,
    size: Gauge,
    over: Gauge,
}

// === impl Retention ===

impl Retention {
    pub fn new(
        history: &Arc<History>,
        settings: &RetentionSettings,
        condition: &Arc<Condition>,
        registry: &mut Registry,
    ) -> Self {
        Self {
            history: Arc::clone(history),
            settings: settings.clone(),
            condition: Arc::clone(condition),
            metrics: Metrics::register(registry),
            failures: 0,
        }
    }

    pub async fn run(mut self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled_owned(self.sweep_forever()).await;
    }

    async fn sweep_forever(&mut self) {
        let store = self.history.written().await;
        let mut wait = FIRST;
        loop {
            // Replicas that start together do not all ask at once.
            tokio::time::sleep(wait.mul_f64(1.0 - fastrand::f64() / 5.0)).await;
            let (begun, mut swept) = (Instant::now(), Swept::default());
            let done = store.sweep(&self.settings, &mut swept).await;
            self.metrics.count(&swept);
            wait = match done {
                Ok(Some(())) => {
                    self.succeeded(&swept, begun.elapsed());
                    EVERY
                }
                Ok(None) => {
                    self.left_to_another();
                    EVERY
                }
                Err(error) => {
                    self.failed(&error);
                    self.retry()
                }
            };
        }
    }

    /// Twice as long after each failure.
    fn retry(&self) -> Duration {
        let (first, longest) = RETRY;
        first.saturating_mul(2_u32.saturating_pow(self.failures.saturating_sub(1))).min(longest)
    }

    /// From then on that one says how it is with the size: what this one knew is old.
    fn left_to_another(&mut self) {
        debug!("another replica deletes what is due");
        self.failures = 0;
        self.condition.clear(ABOUT);
        self.condition.clear(ABOUT_SIZE);
        self.metrics.over.set(0);
    }

    fn succeeded(&mut self, swept: &Swept, took: Duration) {
        self.failures = 0;
        self.condition.clear(ABOUT);
        self.metrics.swept(swept);
        if !swept.deleted.is_empty() {
            let rows: &BTreeMap<_, _> = &swept.deleted;
            info!(?rows, longest = ?swept.longest, ?took, "deleted what was due of the history");
        }
        if let Some(before) = swept.for_size {
            warn!(%before, size = swept.size, "retention.max_size: plain decisions before {before} went before their time");
        }
        let over = format!(
            "the history takes {} bytes, {} more than retention.max_size, and nothing more may go before its time: give it \
             more, keep notable decisions for a shorter time, or end a hold",
            swept.size, swept.over
        );
        if swept.over == 0 {
            self.condition.clear(ABOUT_SIZE);
        } else {
            warn!("{over}");
            self.condition.fault(ABOUT_SIZE, over);
        }
    }

    fn failed(&mut self, error: &StoreError) {
        self.failures += 1;
        self.metrics.failures.inc();
        // The database may be away for a moment; the drain says so too.
        if self.failures > 1 || !error.passes() {
            warn!("what is due of the history is not deleted, which is tried again: {error}");
            self.condition.fault(ABOUT, format!("what is due of the history is not deleted: {error}"));
        } else {
            debug!("what is due of the history is deleted later: {error}");
        }
    }
}

// === impl Metrics ===

impl Metrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for rows in Swept::KINDS {
            drop(metrics.deleted.get_or_create(&Rows { rows }));
        }
        registry.register(
            "rehearsal_retention_deleted_rows",
            "Rows that this process deleted because they were due, by kind",
            metrics.deleted.clone(),
        );
        registry.register(
            "rehearsal_retention_failures",
            "Passes over what is due that failed; each is tried again",
            metrics.failures.clone(),
        );
        registry.register(
            "rehearsal_retention_last_timestamp_seconds",
            "When this process last deleted all that was due, since the Unix epoch, 0 before",
            metrics.last.clone(),
        );
        registry.register(
            "rehearsal_retention_longest_step_seconds",
            "The longest that a step of deleting held the database against others",
            metrics.longest.clone(),
        );
        registry.register(
            "rehearsal_history_size_bytes",
            "Bytes of the history when this process last deleted what was due",
            metrics.size.clone(),
        );
        registry.register(
            "rehearsal_history_over_bytes",
            "Bytes over retention.max_size that could not be freed then",
            metrics.over.clone(),
        );
        metrics
    }

    fn count(&self, swept: &Swept) {
        for (&rows, &deleted) in &swept.deleted {
            self.deleted.get_or_create(&Rows { rows }).inc_by(deleted);
        }
    }

    fn swept(&self, swept: &Swept) {
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.last.set(Timestamp::now().seconds());
        self.longest.set(swept.longest.as_secs_f64());
        self.size.set(bytes(swept.size));
        self.over.set(bytes(swept.over));
    }
}
