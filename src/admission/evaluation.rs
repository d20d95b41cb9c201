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

/// How long what nobody waits for waits for a thread.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an evaluation must have had of the limit to itself before it is the policy's fault that it was not done: many that
/// begin at once wait for threads.
const OWN: Duration = Duration::from_millis(50);

/// A view of one review, encoded once for all policies that are given it.
#[derive(Debug, Clone)]
pub struct Encoded {
    pub view: View,
    pub text: Arc<str>,
    pub hash: [u8; 32],
}

/// One of the policies that are loaded, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seat {
    Live(usize),
    Candidate(usize),
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
    /// For a thread alone, where the wait for it is no part of [`LIMIT`].
    patience: Option<Duration>,
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
        Self::with(cores().max(2), None, metrics)
    }

    /// Threads that take nothing from those of the policies in force: few, and nobody waits for what they do.
    pub fn of_candidates(metrics: Arc<Metrics>) -> Self {
        Self::with((cores() / 4).max(1), Some(PATIENCE), metrics)
    }

    fn with(threads: usize, patience: Option<Duration>, metrics: Arc<Metrics>) -> Self {
        let permits = Arc::new(Semaphore::new(threads));
        Self { shared: Arc::new(Shared { threads, permits, patience, overrun: AtomicUsize::new(0), metrics }) }
    }

    /// What the policy finds in a view.
    pub async fn judge(&self, loaded: &Arc<Loaded>, seat: Seat, view: &Encoded) -> Arc<Finding> {
        if let Some(known) = self.at_once(loaded, seat, &view.hash) {
            return known;
        }
        let finding = match self.evaluate(loaded, seat, view).await {
            Ok(finding) => finding,
            Err(why) => return Arc::new(failed(why)),
        };
        let policy = loaded.policy(seat);
        if finding.overran {
            self.shared.metrics.overran(seat, &policy.name);
        }
        if loaded.suspension(seat).heard(finding.overran) {
            self.shared.metrics.suspended(seat, &policy.name);
            tracing::warn!(
                policy = policy.name,
                "{} {} is suspended for {} s, {}: every review of that time has the verdict error",
                seat.kind(),
                policy.name,
                Suspension::LENGTH.as_secs(),
                Suspension::WHY
            );
        }
        finding
    }

    /// What needs no evaluation: what it found in the view of that hash before, or why none is begun.
    pub fn at_once(&self, loaded: &Loaded, seat: Seat, view: &[u8; 32]) -> Option<Arc<Finding>> {
        let Some(evaluated) = loaded.policy(seat).evaluated() else { return Some(Arc::default()) };
        if let Some(known) = evaluated.recall(view) {
            return Some(known);
        }
        let suspended = loaded.suspension(seat).left().map(|left| {
            let left = left.as_millis();
            Arc::new(failed(format!("it is suspended for {left} ms more, {}", Suspension::WHY)))
        });
        suspended.or_else(|| {
            let Shared { threads, overrun, .. } = &*self.shared;
            let are_busy = overrun.load(Ordering::Acquire) >= *threads;
            are_busy.then(|| Arc::new(failed(format!("all {threads} threads are busy with evaluations that overran"))))
        })
    }

    /// # Errors
    /// Why it was not evaluated, which says nothing of the policy.
    async fn evaluate(&self, loaded: &Arc<Loaded>, seat: Seat, view: &Encoded) -> Result<Arc<Finding>, String> {
        let Shared { permits, patience, .. } = &*self.shared;
        let begun = Instant::now();
        let wait = patience.unwrap_or(LIMIT);
        let Ok(Ok(permit)) = timeout_at(begun + wait, Arc::clone(permits).acquire_owned()).await else {
            return Err(format!("no thread was free within {} ms", wait.as_millis()));
        };
        let started = Instant::now();
        let deadline = patience.map_or(begun, |_| started) + LIMIT;
        let run = Arc::new(Run { shared: Arc::clone(&self.shared), state: AtomicU8::new(RUNNING) });
        let (theirs, loaded, view) = (OnThread(Arc::clone(&run)), Arc::clone(loaded), view.clone());
        let work = tokio::task::spawn_blocking(move || {
            let evaluated = loaded.policy(seat).evaluated();
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
                unfinished(deadline - started).map(Arc::new)
            }
        }
    }
}

/// Of an evaluation that had so much of the limit to itself, and was not done.
///
/// # Errors
/// That is no fault of its policy's.
fn unfinished(own: Duration) -> Result<Finding, String> {
    let limit = LIMIT.as_millis();
    if own < OWN {
        let waited = LIMIT.saturating_sub(own).as_millis();
        return Err(format!("it was not done within {limit} ms, of which it waited {waited} ms for a thread"));
    }
    Ok(Finding { overran: true, ..failed(format!("it took more than {limit} ms")) })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

// === impl Seat ===

impl Seat {
    /// For a person.
    fn kind(self) -> &'static str {
        match self {
            Self::Live(_) => "policy",
            Self::Candidate(_) => "candidate",
        }
    }
}

pub(super) fn failed(error: String) -> Finding {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Three such, of a burst of pods that nobody saw before, suspended their policy.
    #[test]
    fn what_waited_for_a_thread_is_no_overrun_of_its_policy() {
        let waited = unfinished(Duration::from_millis(30)).expect_err("it waited");
        assert_eq!(waited, "it was not done within 100 ms, of which it waited 70 ms for a thread");
        let overran = unfinished(Duration::from_millis(99)).expect("it had its time");
        assert!(overran.overran);
        assert_eq!(overran.error.as_deref(), Some("it took more than 100 ms"));
    }
}
