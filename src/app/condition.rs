//! How the process is: for `/readyz`, and for what every page says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::admission::Service;
use crate::policy::Revision;
use crate::policy::ceiling::Ceiling;
use crate::policy::revision::{Policy, Source};
use crate::policy::rule::Rule;
use crate::policy::settings::SystemSettings;
use crate::recorder::Recorder;
use crate::recorder::settings::OnFailure;
use crate::review::clock::Timestamp;
use crate::review::said::CertificateEnd;
use crate::server::health::Readiness;
use crate::store::read::Standing;
use crate::web::completeness::Completeness;
use crate::web::{Known, Live, LoadedCandidate, LoadedPolicy, LoadedRule, Mistaken};

#[derive(Debug, Default)]
pub struct Condition {
    stopping: AtomicBool,
    /// What does not work now, by what it is about.
    faults: Mutex<BTreeMap<String, Vec<String>>>,
    /// Why what is configured is not in force.
    mistaken: Mutex<Option<Mistaken>>,
    others: Mutex<Option<Heard>>,
    /// Clusters that nobody serves any more, when the history was last asked.
    silent: AtomicU64,
    /// Of everything that the process listens with or calls with.
    certificates: Mutex<Vec<CertificateEnd>>,
}

/// How the other replicas were when they were last asked.
#[derive(Debug, Clone)]
struct Heard {
    asked_at: Timestamp,
    /// As of when they are judged.
    judged_at: Timestamp,
    others: Vec<Standing>,
}

/// Two heartbeats (ms). When they were not asked for longer, the history was away, and for them too.
const AWAY: i64 = 30_000;

// === impl Condition ===

impl Condition {
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Says what is wrong with `about`, until it is cleared.
    pub fn fault(&self, about: &str, what: String) {
        self.faults(about, vec![what]);
    }

    /// The same of several things, a sentence each.
    pub fn faults(&self, about: &str, what: Vec<String>) {
        hold(&self.faults).insert(about.to_owned(), what);
    }

    pub fn clear(&self, about: &str) {
        hold(&self.faults).remove(about);
    }

    /// That the configuration has mistakes, until it is mended: since the first of them. `at_start`: what loaded last, and not
    /// what was in force before, is in force meanwhile.
    pub fn mistaken(&self, mistakes: Vec<String>, at_start: bool) {
        let mut mistaken = hold(&self.mistaken);
        let (since, at_start) = match &*mistaken {
            Some(known) => (known.since, known.at_start),
            None => (Timestamp::now(), at_start),
        };
        *mistaken = Some(Mistaken { since, at_start, mistakes });
    }

    pub fn mended(&self) {
        hold(&self.mistaken).take();
    }

    /// What the history said of the others when it was asked at `asked_at`. When it has been away, they may not have had
    /// their turn yet: until the next time they are judged as of the last time before.
    pub fn heard(&self, asked_at: Timestamp, others: Vec<Standing>) {
        let mut heard = hold(&self.others);
        let before = heard.as_ref().map(|heard| heard.asked_at);
        let judged_at = before.filter(|before| asked_at.0.saturating_sub(before.0) > AWAY).unwrap_or(asked_at);
        *heard = Some(Heard { asked_at, judged_at, others });
    }

    pub fn heard_silence(&self, clusters: u64) {
        self.silent.store(clusters, Ordering::Release);
    }

    /// In place of what was said of them before.
    pub fn ends(&self, certificates: Vec<CertificateEnd>) {
        *hold(&self.certificates) = certificates;
    }

    pub fn certificates(&self) -> Vec<CertificateEnd> {
        hold(&self.certificates).clone()
    }

    pub fn silent_clusters(&self) -> u64 {
        self.silent.load(Ordering::Acquire)
    }

    /// How far the history is complete, as far as this replica and the others' last heartbeats tell.
    pub fn completeness(&self, recorder: &Recorder, replica: Uuid) -> Completeness {
        self.completeness_with(&standing(recorder, replica))
    }

    /// Others count as silent only if they were when they were asked: while the history cannot be asked, their silence
    /// says nothing about them.
    fn completeness_with(&self, own: &Standing) -> Completeness {
        match hold(&self.others).clone() {
            Some(Heard { judged_at, others, .. }) => Completeness::of(own, others, judged_at),
            None => Completeness::of(own, Vec::new(), own.heard_at),
        }
    }

    pub fn readiness(
        self: &Arc<Self>,
        recorder: &Recorder,
        replica: Uuid,
        service: &Service,
        on_failure: OnFailure,
    ) -> Arc<dyn Fn() -> Readiness + Send + Sync> {
        let (condition, recorder, service) = (Arc::clone(self), recorder.clone(), service.clone());
        Arc::new(move || {
            let failed = recorder.status().failed.filter(|_| on_failure == OnFailure::Refuse);
            let reason = if condition.stopping.load(Ordering::Acquire) {
                Some("it is stopping".to_owned())
            } else {
                failed.map(|why| format!("decisions cannot be recorded, and journal.on_failure is refuse: {why}"))
            };
            let completeness = condition.completeness(&recorder, replica);
            let behind = completeness.behind.iter().map(|behind| behind.sentence(|at| at.to_string()));
            Readiness {
                ready: reason.is_none(),
                reason,
                degraded: condition.degraded(&recorder),
                complete_until: completeness.until.map(|until| until.to_string()),
                behind: behind.collect(),
                ceilings: told(&service),
            }
        })
    }

    /// What pages say of the running process.
    pub fn live(
        self: &Arc<Self>,
        recorder: &Recorder,
        replica: Uuid,
        service: &Service,
        first_review: String,
    ) -> Known<Live> {
        let (condition, recorder, service) = (Arc::clone(self), recorder.clone(), service.clone());
        Arc::new(move || {
            let (status, loaded) = (recorder.status(), service.loaded());
            let (own, ceilings) = (standing(&recorder, replica), in_force(&service));
            let policy = |one| policy(one, &loaded.revision.system, &ceilings);
            Live {
                completeness: condition.completeness_with(&own),
                own,
                gaps: status.ended_gaps.into_iter().chain(status.open_gap).collect(),
                degraded: condition.degraded(&recorder),
                mistaken: hold(&condition.mistaken).clone(),
                policies: loaded.revision.policies.iter().map(policy).collect(),
                candidates: loaded.revision.candidates.iter().map(|one| candidate(one, &loaded.revision)).collect(),
                ceilings,
                revision: loaded.revision.id.clone(),
                loaded: Arc::clone(&loaded.revision),
                first_review: first_review.clone(),
            }
        })
    }

    fn degraded(&self, recorder: &Recorder) -> Vec<String> {
        let journal = recorder.status().failed.map(|why| format!("decisions cannot be recorded: {why}"));
        journal.into_iter().chain(hold(&self.faults).values().flatten().cloned()).collect()
    }
}

/// The lowest first.
fn in_force(service: &Service) -> Vec<Ceiling> {
    let ceilings = service.ceilings();
    ceilings.iter().flat_map(|ceilings| ceilings.in_force(Timestamp::now())).cloned().collect()
}

/// For a person, a line each.
fn told(service: &Service) -> Vec<String> {
    let loaded = service.loaded();
    let told = |ceiling: &Ceiling| ceiling.told_among(loaded.revision.names());
    in_force(service).iter().map(told).collect()
}

/// Of this replica, now.
fn standing(recorder: &Recorder, replica: Uuid) -> Standing {
    let heard_at = Timestamp::now();
    Standing { replica, clusters: recorder.clusters(), heard_at, stored_until: recorder.status().drained_until }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn candidate(candidate: &Policy, revision: &Revision) -> LoadedCandidate {
    let is_live = revision.policies.iter().any(|policy| policy.name == candidate.name);
    LoadedCandidate { name: candidate.name.clone(), beside: is_live.then(|| candidate.name.clone()) }
}

fn policy(policy: &Policy, system: &SystemSettings, ceilings: &[Ceiling]) -> LoadedPolicy {
    let rule = |rule: &Rule| LoadedRule {
        id: rule.id().to_owned(),
        mode: rule.mode().unwrap_or(policy.mode),
        in_stages: rule.has_rollout(),
    };
    let rules = match &policy.source {
        Source::Rules(rules) => rules.rules().iter().map(rule).collect(),
        Source::Gatekeeper(gatekeeper) => gatekeeper
            .rules()
            .map(|rule| LoadedRule { id: rule.rule.clone(), mode: policy.mode.min(rule.most), in_stages: false })
            .collect(),
        // Their rules are what their text makes of each review.
        Source::Rego(_) | Source::Webhook(_) => Vec::new(),
    };
    let SystemSettings { namespaces, max_mode } = system;
    let in_system = policy.is_capped().then(|| format!("at most {max_mode} in {}", namespaces.join(", ")));
    let under = ceilings.iter().filter(|ceiling| ceiling.names(policy) && ceiling.most < policy.heaviest());
    let under = under.map(|Ceiling { most, namespace, ticket, .. }| {
        let place = namespace.as_ref().map(|glob| format!(" in {glob}")).unwrap_or_default();
        format!("at most {most}{place} by the ceiling {ticket}")
    });
    let capped: Vec<String> = in_system.into_iter().chain(under).collect();
    LoadedPolicy {
        name: policy.name.clone(),
        mode: policy.mode,
        in_stages: !policy.rollout.is_empty(),
        capped: (!capped.is_empty()).then(|| capped.join("; ")),
        rules,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(replica: u128, heard_at: i64) -> Standing {
        let heard_at = Timestamp(heard_at);
        Standing { replica: Uuid::from_u128(replica), clusters: Vec::new(), heard_at, stored_until: Some(heard_at) }
    }

    fn behind(condition: &Condition, now: i64) -> Vec<u128> {
        let completeness = condition.completeness_with(&standing(1, now));
        completeness.behind.iter().map(|behind| behind.standing.replica.as_u128()).collect()
    }

    #[test]
    fn nobody_counts_as_gone_before_its_turn_when_the_history_is_back() {
        let condition = Condition::default();
        condition.heard(Timestamp(100_000), vec![standing(2, 90_000)]);
        condition.heard(Timestamp(3_700_000), vec![standing(2, 90_000)]);
        assert!(behind(&condition, 3_700_000).is_empty());
        condition.heard(Timestamp(3_715_000), vec![standing(2, 90_000)]);
        assert_eq!(behind(&condition, 3_715_000), [2], "it had its turn");
    }

    #[test]
    fn who_is_gone_when_this_one_starts_is_named_at_once() {
        let condition = Condition::default();
        condition.heard(Timestamp(100_000), vec![standing(2, 30_000)]);
        assert_eq!(behind(&condition, 100_000), [2]);
    }

    #[test]
    fn nobody_counts_as_gone_because_the_history_cannot_be_asked() {
        let condition = Condition::default();
        condition.heard(Timestamp(100_000), vec![standing(2, 90_000), standing(3, 30_000)]);
        // An hour later, in which the history took and gave nothing.
        assert_eq!(behind(&condition, 3_700_000), [3], "the other was heard of 10 s before it was asked");
        let until = condition.completeness_with(&standing(1, 3_700_000)).until;
        assert_eq!(until, Some(Timestamp(30_000)), "what is not known to be stored is not said to be");
    }
}
