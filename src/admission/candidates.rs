//! Candidates: policies that judge beside those in force, and that nothing acts on.
//!
//! What is known without an evaluation (rules, and what was found in the same view before) is recorded with the decision.
//! The rest is evaluated after the answer, on threads that the policies in force have no need of, and amends the decision
//! as the verdict of a late webhook does. What waits is bounded by its bytes: past that a candidate's verdict is an error.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::policy::revision::{Policy, Source};
use crate::policy::rules::Finding;
use crate::review::Review;
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::comparison::Comparison;
use crate::review::decision::{Amendment, Decision, PolicyVerdict, Record, Verdict};
use crate::review::strict;

use super::evaluation::{Evaluation, Seat, failed};
use super::glass::Shown;
use super::metrics::Metrics;
use super::opinion::{Occasion, Opinion};
use super::secrets::{Secrets, redacted};
use super::service::{Loaded, Shared};
use super::views::{self, Views};

#[derive(Debug)]
pub(super) struct Candidates {
    evaluation: Evaluation,
    /// In KiB.
    room: Arc<Semaphore>,
}

/// For one review, until its candidates have said all.
pub(super) type Room = OwnedSemaphorePermit;

/// What candidates have to say yet of one decision.
#[derive(Debug)]
pub(super) struct Owed {
    room: Room,
    /// Whose places those are.
    pending: Vec<usize>,
    /// What they are compared with.
    live: Vec<PolicyVerdict>,
}

/// A review that has its answer, and its decision.
#[derive(Debug)]
pub(super) struct Reviewed {
    pub loaded: Arc<Loaded>,
    pub review: Review,
    pub body: Bytes,
    /// Whose policies judge it.
    pub cluster: String,
    pub now: Timestamp,
    /// Its tickets, which hold for candidates too, and are not used up by them.
    pub shown: Option<Box<Shown>>,
    pub id: DecisionId,
    pub at: Timestamp,
}

/// The bodies of all reviews that wait: a burst of some thousand Pods.
const ROOM: usize = 32 << 10;

/// What a review takes beside its body, in KiB.
const LEAST: usize = 8;

const NO_ROOM: &str = "too many reviews wait for their candidates already";

// === impl Candidates ===

impl Candidates {
    pub fn new(metrics: &Arc<Metrics>) -> Self {
        let evaluation = Evaluation::of_candidates(Arc::clone(metrics));
        Self { evaluation, room: Arc::new(Semaphore::new(ROOM)) }
    }

    /// What they say at once, in their order. Where one is pending there is room for the review that it waits with.
    pub fn known<'a>(
        &self,
        loaded: &'a Loaded,
        review: &Review,
        body: &Bytes,
        occasion: Occasion<'_>,
        views: Option<&Views>,
    ) -> (Vec<Opinion<'a>>, Option<Room>) {
        let candidates = loaded.revision.candidates.iter().enumerate();
        let mut opinions: Vec<Opinion<'a>> = candidates
            .map(|(at, policy)| {
                let known = self.at_once(loaded, at, review, occasion, views);
                known.unwrap_or_else(|| Opinion::pending(policy, occasion))
            })
            .collect();
        if !opinions.iter().any(is_pending) {
            return (opinions, None);
        }
        let room = u32::try_from(LEAST + body.len() / 1_024).ok();
        let room = room.and_then(|kib| Arc::clone(&self.room).try_acquire_many_owned(kib).ok());
        if room.is_none() {
            for opinion in opinions.iter_mut().filter(|opinion| is_pending(opinion)) {
                *opinion = local(opinion.policy, &failed(NO_ROOM.to_owned()), occasion, Duration::ZERO);
            }
        }
        (opinions, room)
    }

    fn at_once<'a>(
        &self,
        loaded: &'a Loaded,
        at: usize,
        review: &Review,
        occasion: Occasion<'_>,
        views: Option<&Views>,
    ) -> Option<Opinion<'a>> {
        let (policy, begun) = (&loaded.revision.candidates[at], Instant::now());
        if let Source::Rules(rules) = &policy.source {
            return Some(local(policy, &rules.judge(occasion.place.cluster, review), occasion, begun.elapsed()));
        }
        let form = policy.evaluated()?.form();
        let finding = self.evaluation.at_once(loaded, Seat::Candidate(at), &views::hash(form, review, views)?)?;
        let presented = views::presented(form, review).filter(|_| finding.judged);
        Some(local(policy, &finding, occasion, begun.elapsed()).with(&finding.prints, presented))
    }
}

fn is_pending(opinion: &Opinion<'_>) -> bool {
    opinion.verdict.verdict == Verdict::Pending
}

fn local<'a>(policy: &'a Policy, finding: &Finding, occasion: Occasion<'_>, took: Duration) -> Opinion<'a> {
    let version = match (&policy.source, policy.evaluated()) {
        (Source::Rules(rules), _) => rules.version(),
        (_, Some(evaluated)) => evaluated.version(),
        (_, None) => "",
    };
    Opinion::local(policy, version, finding, occasion, took)
}

// === impl Owed ===

impl Owed {
    pub fn of(decision: &Decision, room: Room) -> Self {
        let candidates = decision.candidates.iter().enumerate();
        let pending = candidates.filter(|(_, verdict)| verdict.verdict == Verdict::Pending).map(|(at, _)| at);
        Self { room, pending: pending.collect(), live: decision.verdicts.clone() }
    }
}

/// Has those say it that were pending when the decision was made, and amends it.
pub(super) async fn pay(shared: Arc<Shared>, reviewed: Reviewed, owed: Owed) {
    let Reviewed { loaded, review, body, cluster, now, shown, id, at: decided_at } = &reviewed;
    let document = strict::parse(body).expect("it was read before");
    let policies = || owed.pending.iter().map(|&at| (at, &loaded.revision.candidates[at]));
    let Some(views) = Views::of(review, policies().map(|(_, policy)| policy), &document) else { return };
    let secrets = Secrets::of(review.protocol, body, &document);
    drop(document);
    let glass = shown.as_deref().map(|shown| shown.glass(&loaded.revision));
    let occasion = Occasion { glass, ..Occasion::of(&loaded.revision, cluster, review, *now) };
    let judged = policies().filter_map(|(at, policy)| {
        let (form, begun) = (policy.evaluated()?.form(), Instant::now());
        let judged = shared.candidates.evaluation.judge(loaded, Seat::Candidate(at), views.view(form));
        Some(async move { (policy, form, judged.await, begun.elapsed()) })
    });
    for (policy, form, finding, took) in join_all(judged).await {
        let presented = views::presented(form, review).filter(|_| finding.judged);
        let opinion = local(policy, &finding, occasion, took).with(&finding.prints, presented);
        opinion.print(*id);
        let verdict = match policy.sees_objects() {
            true => redacted(opinion.verdict, || secrets.redaction()),
            false => opinion.verdict,
        };
        let said = [verdict];
        Comparison::between(&owed.live, &said).for_each(|comparison| shared.metrics.compared(&comparison));
        let [verdict] = said;
        shared.recorder.append(Record::Amendment(Amendment {
            decision: *id,
            at: *decided_at,
            candidate: true,
            verdict,
        }));
    }
    drop(owed.room);
}
