//! The way of a review: decode, policies and webhooks at the same time, settle, record, reply.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::{oneshot, watch};
use tokio_util::task::TaskTracker;

use crate::backend::answer::{BackendAnswer, BackendError};
use crate::backend::{Backend, Question, budget};
use crate::policy::Revision;
use crate::policy::revision::{Policy, Source};
use crate::policy::settings::{AnswerStyle, Speaks};
use crate::recorder::Recorder;
use crate::recorder::settings::OnFailure;
use crate::review::Review;
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decode::decode;
use crate::review::decision::{Amendment, Decision, Mode, Protocol, Record, ReviewRecord};
use crate::review::redact::Redaction;

use super::answer::{self, Addressee};
use super::failure::{self, Failure};
use super::gate::Place;
use super::metrics::Metrics;
use super::opinion::{self, Opinion};
use super::sample::Samples;
use super::settle::{self, Outcome, Settlement, Wording};
use super::Reply;

/// A complete request for a verdict.
#[derive(Debug)]
pub struct Arrival {
    /// Of the path, or the configured one.
    pub cluster: String,
    pub body: Bytes,
    /// The API server's `?timeout=`.
    pub timeout: Option<String>,
    pub traceparent: Option<HeaderValue>,
    /// Given back when the review has its record.
    pub place: Place,
}

/// What a review is judged and answered by. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Service {
    shared: Arc<Shared>,
}

/// How reviews are answered, beside the policies.
#[derive(Debug)]
pub struct Settings {
    pub warn_wait: Duration,
    /// Of the report, without a slash at the end.
    pub public_url: Option<String>,
    pub style: AnswerStyle,
    pub on_failure: OnFailure,
    pub samples: Samples,
}

/// One loaded state: the policies, and the clients of those that are webhooks.
#[derive(Debug)]
pub struct Loaded {
    pub revision: Revision,
    /// In policy order; `None` for a local policy.
    pub backends: Vec<Option<Arc<Backend>>>,
}

#[derive(Debug)]
struct Shared {
    loaded: ArcSwap<Loaded>,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    settings: Settings,
    /// Every review and every webhook call that is under way.
    tasks: TaskTracker,
}

/// One review on its way.
struct Course {
    shared: Arc<Shared>,
    loaded: Arc<Loaded>,
    arrival: Arrival,
    review: Review,
    record: Arc<ReviewRecord>,
    id: DecisionId,
    at: Timestamp,
    begun: Instant,
    /// Secrets of the object, which a webhook's words may repeat; empty when no webhook is asked.
    redaction: Arc<Redaction>,
    /// Says whether the decision was recorded; a late verdict amends only one that was.
    recorded: watch::Sender<Option<bool>>,
}

/// A webhook that is being asked.
type Asked = oneshot::Receiver<(Result<BackendAnswer, BackendError>, Duration)>;

/// Marks that the client left, unless it is told that the reply was handed over.
struct Presence {
    gone: Arc<AtomicBool>,
    replied: bool,
}

// === impl Service ===

impl Service {
    pub fn new(loaded: Loaded, recorder: Recorder, metrics: Arc<Metrics>, settings: Settings) -> Self {
        metrics.loaded(&loaded.revision.id, Timestamp::now());
        let tasks = TaskTracker::new();
        Self { shared: Arc::new(Shared { loaded: ArcSwap::from_pointee(loaded), recorder, metrics, settings, tasks }) }
    }

    pub fn loaded(&self) -> Arc<Loaded> {
        self.shared.loaded.load_full()
    }

    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// A review that is answered `allowed` although nothing judged it.
    pub fn unjudged(&self, cluster: &str) {
        self.shared.recorder.unjudged(cluster);
        self.shared.metrics.unjudged(cluster);
    }

    /// Judges, records and answers. The review runs to its record whether or not the caller stays.
    pub async fn review(&self, arrival: Arrival) -> Reply {
        let mut presence = Presence { gone: Arc::default(), replied: false };
        let (reply, answered) = oneshot::channel();
        let task = run(Arc::clone(&self.shared), arrival, Arc::clone(&presence.gone), reply);
        self.shared.tasks.spawn(task);
        let reply = answered.await.unwrap_or_else(|_| self.refuse(&Failure::Panicked));
        presence.replied = true;
        reply
    }

    /// The reply to a request that no policy answers, counted.
    pub fn refuse(&self, failure: &Failure) -> Reply {
        self.shared.metrics.refused(failure);
        failure.reply()
    }

    /// Resolves when no review and no webhook call is under way any more.
    pub async fn finished(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

async fn run(shared: Arc<Shared>, arrival: Arrival, gone: Arc<AtomicBool>, reply: oneshot::Sender<Reply>) {
    let begun = Instant::now();
    let review = match decode(&arrival.body) {
        Ok(review) => review,
        Err(error) => {
            let failure = Failure::Unreadable(error);
            shared.metrics.refused(&failure);
            reply.send(failure.reply()).ok();
            return;
        }
    };
    let course = Course::begin(shared, arrival, review, begun);
    let (answer, decision) = course.judge().await;
    let answer = course.record(answer, decision, &gone).await;
    // A client that left is noted in the decision already.
    reply.send(answer).ok();
    course.sample();
}

// === impl Course ===

impl Course {
    fn begin(shared: Arc<Shared>, arrival: Arrival, review: Review, begun: Instant) -> Self {
        let loaded = shared.loaded.load_full();
        let asks = loaded.backends.iter().any(Option::is_some);
        let redaction = review.object.as_deref().filter(|_| asks).map(Redaction::of).unwrap_or_default();
        let at = Timestamp::now();
        Self {
            record: Arc::new(review.record.clone()),
            id: DecisionId::at(at),
            at,
            begun,
            redaction: Arc::new(redaction),
            recorded: watch::Sender::new(None),
            shared,
            loaded,
            arrival,
            review,
        }
    }

    async fn judge(&self) -> (Reply, Decision) {
        let policies = &self.loaded.revision.policies;
        let deadline = self.begun + budget::budget(self.arrival.timeout.as_deref(), self.review.protocol);
        let asked: Vec<Option<Asked>> =
            policies.iter().zip(&self.loaded.backends).enumerate().map(|(at, _)| self.ask(at, deadline)).collect();

        let mut opinions = Vec::with_capacity(policies.len());
        for (policy, asked) in policies.iter().zip(asked) {
            opinions.push(match (&policy.source, asked) {
                (Source::Rules(_), _) => self.judge_locally(policy),
                (Source::Webhook(_), None) => Opinion::not_asked(policy),
                (Source::Webhook(_), Some(asked)) => self.wait(policy, asked, deadline).await,
            });
        }
        self.conclude(opinions)
    }

    fn judge_locally<'a>(&self, policy: &'a Policy) -> Opinion<'a> {
        let Source::Rules(rules) = &policy.source else {
            return Opinion::not_asked(policy);
        };
        let begun = Instant::now();
        let finding = rules.judge(&self.arrival.cluster, &self.review);
        Opinion::local(policy, rules.version(), &finding, self.review.exempt_from_denial, begun.elapsed())
    }

    /// Starts the call to the webhook at `at`, if that is one and speaks the protocol of this review.
    fn ask(&self, at: usize, deadline: Instant) -> Option<Asked> {
        let backend = Arc::clone(self.loaded.backends[at].as_ref()?);
        let policy = &self.loaded.revision.policies[at];
        let Source::Webhook(settings) = &policy.source else { return None };
        if !speaks(settings.speaks, self.review.protocol) {
            return None;
        }
        // Nobody waits for an audit webhook: its own time-out is its only bound.
        let budget = match policy.mode {
            Mode::Enforce => deadline.saturating_duration_since(Instant::now()),
            Mode::Audit | Mode::Warn => settings.timeout,
        };
        let question = Question {
            body: self.arrival.body.clone(),
            protocol: self.review.protocol,
            api_version: self.review.api_version,
            uid: self.review.uid.clone(),
            traceparent: self.arrival.traceparent.clone(),
            budget,
        };
        let (answer, asked) = oneshot::channel();
        let amends = self.amends(at);
        self.shared.tasks.spawn(async move {
            let begun = Instant::now();
            let result = backend.ask(question).await;
            if let Err((result, took)) = answer.send((result, begun.elapsed())) {
                amends(result, took).await;
            }
        });
        Some(asked)
    }

    /// What happens with an answer that nobody waits for any more.
    fn amends(
        &self,
        at: usize,
    ) -> impl FnOnce(Result<BackendAnswer, BackendError>, Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>>
    + Send
    + 'static {
        let (shared, loaded) = (Arc::clone(&self.shared), Arc::clone(&self.loaded));
        let redaction = Arc::clone(&self.redaction);
        let mut recorded = self.recorded.subscribe();
        let (decision, decided_at) = (self.id, self.at);
        move |result, took| {
            Box::pin(async move {
                let policy = &loaded.revision.policies[at];
                let mut verdict = opinion::remote_verdict(policy, &result, took);
                redact(&redaction, std::slice::from_mut(&mut verdict));
                if recorded.wait_for(Option::is_some).await.is_ok_and(|recorded| *recorded == Some(true)) {
                    count(&shared.metrics, &verdict);
                    shared.recorder.append(Record::Amendment(Amendment { decision, at: decided_at, verdict }));
                }
            })
        }
    }

    async fn wait<'a>(&self, policy: &'a Policy, mut asked: Asked, deadline: Instant) -> Opinion<'a> {
        let until = match policy.mode {
            Mode::Enforce => deadline,
            Mode::Warn => deadline.min(self.begun + self.shared.settings.warn_wait),
            Mode::Audit => self.begun,
        };
        let in_time = tokio::time::timeout_at(until.into(), &mut asked).await;
        let said = match in_time {
            Ok(said) => said.ok(),
            Err(_) => {
                // Whoever sends after this amends; what was sent before it is taken here.
                asked.close();
                asked.try_recv().ok()
            }
        };
        match said {
            Some((result, took)) => Opinion::remote(policy, result, took),
            None if policy.mode == Mode::Enforce => {
                let waited = self.begun.elapsed();
                Opinion::remote(policy, Err(BackendError::Late(waited)), waited)
            }
            None => Opinion::pending(policy),
        }
    }

    fn conclude(&self, mut opinions: Vec<Opinion<'_>>) -> (Reply, Decision) {
        let settings = &self.shared.settings;
        let link = settings.public_url.as_ref().map(|url| format!("{url}/decisions/{}", self.id));
        let wording = Wording { style: settings.style, decision: self.id, link: link.as_deref() };
        let settlement = settle::settle(&mut opinions, wording);
        let to = Addressee {
            protocol: self.review.protocol,
            api_version: self.review.api_version,
            uid: self.review.uid.as_deref(),
        };
        let reply = answer::reply(to, &settlement, &opinions, wording);
        let decision = self.decision(settlement, opinions);
        (reply, decision)
    }

    fn decision(&self, settlement: Settlement, opinions: Vec<Opinion<'_>>) -> Decision {
        let (code, message) = code_and_message(&settlement.outcome, &opinions);
        let judged_by_webhook = opinions.iter().any(Opinion::is_remote);
        let mut verdicts: Vec<_> = opinions.into_iter().map(|opinion| opinion.verdict).collect();
        redact(&self.redaction, &mut verdicts);
        Decision {
            id: self.id,
            at: self.at,
            cluster: self.arrival.cluster.clone(),
            review: self.record.hash,
            name: self.review.name.clone(),
            user: self.review.user.clone(),
            uid: self.review.uid.clone(),
            dry_run: self.review.dry_run,
            answer: settlement.outcome.answer(),
            code,
            message: message.map(|message| self.redaction.message(&message).into_owned()),
            would_reject: settlement.would_reject,
            verdicts,
            redacted: judged_by_webhook && !self.redaction.is_empty(),
            revision: self.loaded.revision.id.clone(),
            duration_us: u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX),
            notes: settlement.notes,
        }
    }

    /// Recorded before answered. Without a record the answer goes out all the same, or not, by configuration.
    async fn record(&self, reply: Reply, mut decision: Decision, gone: &AtomicBool) -> Reply {
        if gone.load(Ordering::Acquire) {
            decision.notes.push("the client left before the answer".to_owned());
        }
        let metrics = &self.shared.metrics;
        let (answer, took) = (decision.answer, self.begun.elapsed().as_secs_f64());
        for verdict in &decision.verdicts {
            count(metrics, verdict);
        }
        let recorded = self.shared.recorder.record(Arc::clone(&self.record), decision).await;
        self.recorded.send_replace(Some(recorded.is_ok()));
        metrics.reviewed(self.review.protocol, answer, &self.arrival.cluster, self.at, took);
        match (recorded, self.shared.settings.on_failure) {
            (Ok(()), _) | (Err(_), OnFailure::Answer) => reply,
            (Err(error), OnFailure::Refuse) => {
                let message = format!("this decision could not be recorded: {error} (decision {})", self.id);
                failure::failed(http::StatusCode::SERVICE_UNAVAILABLE, &message, None)
            }
        }
    }

    /// After the answer: keeps the object as an example of its kind, where none is kept yet.
    fn sample(&self) {
        let Some(object) = self.shared.settings.samples.take(&self.arrival.cluster, &self.review, self.at) else {
            return;
        };
        let sample = object.of(self.id, self.at, &self.arrival.cluster);
        self.shared.recorder.append(Record::Object(sample));
    }
}

fn speaks(webhook: Speaks, review: Protocol) -> bool {
    match webhook {
        Speaks::ImageReview => review == Protocol::ImageReview,
        Speaks::AdmissionReview => review == Protocol::AdmissionReview,
    }
}

fn redact(redaction: &Redaction, verdicts: &mut [crate::review::decision::PolicyVerdict]) {
    if redaction.is_empty() {
        return;
    }
    for verdict in verdicts {
        for violation in verdict.violations.iter_mut().chain(&mut verdict.standing) {
            violation.message = redaction.message(&violation.message).into_owned();
        }
        verdict.error = verdict.error.take().map(|error| redaction.message(&error).into_owned());
    }
}

fn count(metrics: &Metrics, verdict: &crate::review::decision::PolicyVerdict) {
    for violation in &verdict.violations {
        metrics.violated(&verdict.policy, &violation.rule, violation.mode);
    }
}

fn code_and_message(outcome: &Outcome, opinions: &[Opinion<'_>]) -> (u16, Option<String>) {
    match outcome {
        Outcome::Allowed { .. } => (200, None),
        Outcome::Denied { message } => (403, Some(message.clone())),
        Outcome::Failed { code, message, .. } => (code.as_u16(), Some(message.clone())),
        Outcome::Passed { base } => match &opinions[*base].answer {
            Some(answer) => (answer.code.unwrap_or(403), answer.message.clone()),
            None => (403, None),
        },
    }
}

// === impl Presence ===

impl Drop for Presence {
    fn drop(&mut self) {
        if !self.replied {
            self.gone.store(true, Ordering::Release);
        }
    }
}
