//! Where policies that may take long are evaluated: on threads of their own, and never longer than a review waits.
//!
//! An evaluation is bounded by its steps. The clock is a backstop: a review waits [`LIMIT`] at most, for a thread and for
//! the evaluation together, and where every thread is busy with one that has taken longer it does not wait at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::policy::evaluated::Subject;
use crate::policy::rego::input::View;
use crate::policy::rules::Finding;

use super::metrics::Metrics;
use super::service::Loaded;
use super::suspension::Suspension;

/// A tenth of what the shortest deadline of an API server leaves.
pub const LIMIT: Duration = Duration::from_millis(100);

/// A view of one review, encoded once for all policies that are given it.
#[derive(Debug, Clone)]
pub struct Encoded {
    pub view: View,
    pub text: Arc<str>,
    pub hash: [u8; 32],
}

/// The threads. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Evaluation {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    threads: usize,
    permits: Arc<Semaphore>,
    /// Threads whose review has stopped waiting.
    overrun: AtomicUsize,
    metrics: Arc<Metrics>,
}

/// One evaluation, as its thread and its review see it: the one that comes second sees what the other did.
#[derive(Debug)]
struct Run {
    shared: Arc<Shared>,
    state: AtomicU8,
}

/// The thread's hold on it: it is done also where it panics.
#[derive(Debug)]
struct OnThread(Arc<Run>);

const RUNNING: u8 = 0;
const DONE: u8 = 1;
const LEFT: u8 = 2;

// === impl Evaluation ===

impl Evaluation {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let threads = std::thread::available_parallelism().map_or(2, usize::from).max(2);
        let permits = Arc::new(Semaphore::new(threads));
        Self { shared: Arc::new(Shared { threads, permits, overrun: AtomicUsize::new(0), metrics }) }
    }

    /// What the policy at `at` finds in a view.
    pub async fn judge(&self, loaded: &Arc<Loaded>, at: usize, view: &Encoded) -> Arc<Finding> {
        let policy = &loaded.revision.policies[at];
        let Some(evaluated) = policy.evaluated() else { return Arc::new(Finding::default()) };
        if let Some(known) = evaluated.recall(&view.hash) {
            return known;
        }
        let suspension = &loaded.suspensions[at];
        if let Some(left) = suspension.left() {
            return Arc::new(failed(format!("it is suspended for {} ms more, {}", left.as_millis(), Suspension::WHY)));
        }
        let finding = match self.evaluate(loaded, at, view).await {
            Ok(finding) => finding,
            Err(why) => return Arc::new(failed(why)),
        };
        if finding.overran {
            self.shared.metrics.overran(&policy.name);
        }
        if suspension.heard(finding.overran) {
            self.shared.metrics.suspended(&policy.name);
            tracing::warn!(
                policy = policy.name,
                "policy {} is suspended for {} s, {}: every review of that time has the verdict error",
                policy.name,
                Suspension::LENGTH.as_secs(),
                Suspension::WHY
            );
        }
        finding
    }

    /// # Errors
    /// Why it was not evaluated, which says nothing of the policy.
    async fn evaluate(&self, loaded: &Arc<Loaded>, at: usize, view: &Encoded) -> Result<Arc<Finding>, String> {
        let Shared { threads, permits, overrun, .. } = &*self.shared;
        if overrun.load(Ordering::Acquire) >= *threads {
            return Err(format!("all {threads} threads are busy with evaluations that overran"));
        }
        let deadline = Instant::now() + LIMIT;
        let Ok(Ok(permit)) = timeout_at(deadline, Arc::clone(permits).acquire_owned()).await else {
            return Err(format!("no thread was free within {} ms", LIMIT.as_millis()));
        };
        let run = Arc::new(Run { shared: Arc::clone(&self.shared), state: AtomicU8::new(RUNNING) });
        let (theirs, loaded, view) = (OnThread(Arc::clone(&run)), Arc::clone(loaded), view.clone());
        let work = tokio::task::spawn_blocking(move || {
            let evaluated = loaded.revision.policies[at].evaluated();
            let subject = Subject { view: view.view, encoded: &view.text };
            let finding = evaluated.map(|policy| policy.judge(&view.hash, subject)).unwrap_or_default();
            drop((theirs, permit));
            finding
        });
        match timeout_at(deadline, work).await {
            Ok(Ok(finding)) => Ok(finding),
            Ok(Err(error)) => Err(format!("its evaluation ended without a verdict: {error}")),
            Err(_) => {
                run.left();
                let overrun = format!("it took more than {} ms", LIMIT.as_millis());
                Ok(Arc::new(Finding { overran: true, ..failed(overrun) }))
            }
        }
    }
}

fn failed(error: String) -> Finding {
    Finding { error: Some(error), ..Finding::default() }
}

// === impl Run ===

impl Run {
    fn left(&self) {
        // Before the state says so, or the thread could take away what was not added yet.
        self.shared.overrun.fetch_add(1, Ordering::AcqRel);
        if self.state.swap(LEFT, Ordering::AcqRel) == DONE {
            self.shared.overrun.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

// === impl OnThread ===

impl Drop for OnThread {
    fn drop(&mut self) {
        let Run { shared, state } = &*self.0;
        if state.swap(DONE, Ordering::AcqRel) == LEFT {
            shared.overrun.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
