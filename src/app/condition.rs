//! How the process is: for `/readyz`, and for what every page says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::admission::Service;
use crate::policy::revision::{Policy, Source};
use crate::recorder::Recorder;
use crate::recorder::settings::OnFailure;
use crate::server::health::Readiness;
use crate::web::{Live, LoadedPolicy, LoadedRule};

#[derive(Debug, Default)]
pub struct Condition {
    stopping: AtomicBool,
    /// What does not work now, by what it is about.
    faults: Mutex<BTreeMap<String, String>>,
}

// === impl Condition ===

impl Condition {
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Says what is wrong with `about`, until it is cleared.
    pub fn fault(&self, about: &str, what: String) {
        self.lock().insert(about.to_owned(), what);
    }

    pub fn clear(&self, about: &str) {
        self.lock().remove(about);
    }

    pub fn readiness(
        self: &Arc<Self>,
        recorder: &Recorder,
        on_failure: OnFailure,
    ) -> Arc<dyn Fn() -> Readiness + Send + Sync> {
        let (condition, recorder) = (Arc::clone(self), recorder.clone());
        Arc::new(move || {
            let failed = recorder.status().failed.filter(|_| on_failure == OnFailure::Refuse);
            let reason = if condition.stopping.load(Ordering::Acquire) {
                Some("it is stopping".to_owned())
            } else {
                failed.map(|why| format!("decisions cannot be recorded, and journal.on_failure is refuse: {why}"))
            };
            Readiness { ready: reason.is_none(), reason, degraded: condition.degraded(&recorder) }
        })
    }

    /// What pages say of the running process.
    pub fn live(
        self: &Arc<Self>,
        recorder: &Recorder,
        service: &Service,
        first_review: String,
    ) -> Arc<dyn Fn() -> Live + Send + Sync> {
        let (condition, recorder, service) = (Arc::clone(self), recorder.clone(), service.clone());
        Arc::new(move || {
            let (status, loaded) = (recorder.status(), service.loaded());
            Live {
                complete_until: status.drained_until,
                gaps: status.ended_gaps.into_iter().chain(status.open_gap).collect(),
                degraded: condition.degraded(&recorder),
                policies: loaded.revision.policies.iter().map(policy).collect(),
                revision: loaded.revision.id.clone(),
                first_review: first_review.clone(),
            }
        })
    }

    fn degraded(&self, recorder: &Recorder) -> Vec<String> {
        let journal = recorder.status().failed.map(|why| format!("decisions cannot be recorded: {why}"));
        journal.into_iter().chain(self.lock().values().cloned()).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.faults.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn policy(policy: &Policy) -> LoadedPolicy {
    let rules = match &policy.source {
        Source::Rules(rules) => rules
            .rules()
            .map(|(id, mode)| LoadedRule { id: id.to_owned(), mode: mode.unwrap_or(policy.mode) })
            .collect(),
        Source::Webhook(_) => Vec::new(),
    };
    LoadedPolicy { name: policy.name.clone(), mode: policy.mode, rules }
}
