//! One review on its way: judged by all policies at the same time, settled, recorded, answered.

use std::cell::LazyCell;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::watch;

use crate::backend::answer::{BackendAnswer, BackendError};
use crate::backend::{Backend, Question, budget};
use crate::policy::ceiling::Ceilings;
use crate::policy::revision::{Policy, Source};
use crate::recorder::NotRecorded;
use crate::recorder::settings::OnFailure;
use crate::review::Review;
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::comparison::Comparison;
use crate::review::decision::{Amendment, Answer, Decision, Mode, ObjectSample, PolicyVerdict, Presented, Record};
use crate::review::decode;
use crate::review::json::Document;
use crate::review::strict;

use super::Reply;
use super::answer::{self, Addressee};
use super::asked::{Asked, Said};
use super::bridge;
use super::candidates::{self, Owed, Reviewed, Room};
use super::evaluation::Seat;
use super::failure::{self, Failure};
use super::glass::{self, Holder, Shown};
use super::metrics::Metrics;
use super::opinion::{self, Bearing, Occasion, Opinion};
use super::questions::Questions;
use super::sample;
use super::secrets::{Secrets, redacted};
use super::service::{Arrival, Loaded, Shared};
use super::settle::{self, Outcome, Settlement, Wording};
use super::staying::Staying;
use super::views::{self, Views};

/// One review on its way.
struct Course {
    shared: Arc<Shared>,
    loaded: Arc<Loaded>,
    /// As with `loaded`, it ends with those that it began with.
    ceilings: Option<Arc<Ceilings>>,
    arrival: Arrival,
    review: Review,
    begun: Instant,
    /// When what ends is compared with.
    now: Timestamp,
    /// Of break-glass tickets. Few reviews show any, and a box is smaller.
    shown: Option<Box<Shown>>,
    /// A late verdict amends only a decision that was recorded.
    fate: watch::Sender<Fate>,
}

/// What became of a decision.
#[derive(Debug, Clone)]
enum Fate {
    Open,
    Recorded { id: DecisionId, at: Timestamp, answer: Answer, secrets: Secrets },
    Lost,
}

/// What all policies said, settled.
struct Judgement {
    reply: Reply,
    decision: Decision,
    /// None when no webhook was asked.
    secrets: Secrets,
    /// What candidates have to say yet.
    owed: Option<Owed>,
    /// For webhooks.
    waited: Duration,
}

/// An answer that nobody waits for any more.
struct Late {
    shared: Arc<Shared>,
    loaded: Arc<Loaded>,
    /// Its place in the revision.
    policy: usize,
    presented: Option<Presented>,
    bearing: Bearing,
    /// Where a rejection would use a ticket up.
    holder: Option<Box<Holder>>,
    fate: watch::Receiver<Fate>,
}

/// Takes one review to its record. `gone` says whether its client has left.
pub(super) async fn run(shared: Arc<Shared>, arrival: Arrival, gone: Arc<AtomicBool>) -> Reply {
    let begun = Instant::now();
    let body = arrival.body.clone();
    let read = strict::parse(&body).map_err(decode::DecodeError::from);
    let (review, document) = match read.and_then(|document| Ok((decode::read(&document)?, document))) {
        Ok(read) => read,
        Err(error) => {
            let failure = Failure::Unreadable(error);
            shared.metrics.refused(&failure);
            return failure.reply();
        }
    };
    let course = Course::begin(shared, arrival, review, begun);
    let mut judgement = course.judge(document).await;
    let owed = judgement.owed.take();
    let (id, at) = (judgement.decision.id, judgement.decision.at);
    course.remember(&judgement.decision).await;
    let reply = course.record(judgement, &gone).await;
    course.end(id, at, owed);
    reply
}

// === impl Course ===

impl Course {
    fn begin(shared: Arc<Shared>, arrival: Arrival, review: Review, begun: Instant) -> Self {
        let (loaded, ceilings) = (shared.loaded.load_full(), shared.ceilings.load_full());
        let (now, fate) = (Timestamp::now(), watch::Sender::new(Fate::Open));
        let (break_glass, tickets) = (&loaded.revision.break_glass, &shared.settings.tickets);
        let shown = glass::shown(break_glass, tickets, &arrival.sender, &review, &arrival.body, now);
        Self { begun, now, shown, fate, shared, loaded, ceilings, arrival, review }
    }

    async fn remember(&self, decision: &Decision) {
        if let Some(shown) = &self.shown {
            // What it needs is not to be a part of every review.
            Box::pin(shown.remember(&self.shared, decision, !self.review.exempt_from_denial)).await;
        }
    }

    /// `document` is what the body says.
    async fn judge(&self, document: Document<'_>) -> Judgement {
        let policies = &self.loaded.revision.policies;
        let deadline = self.begun + budget::budget(self.arrival.timeout.as_deref(), self.review.protocol);
        let mut asked = self.ask(&document, deadline);
        let mut waiting = asked.policies();
        // Nobody waits for those that audit: where there are no others, nothing is sent before the answer.
        waiting.sort_by_key(|&at| std::cmp::Reverse(self.mode(at)));
        if waiting.first().is_some_and(|&at| self.mode(at) > Mode::Audit) {
            asked.begin().await;
        }
        let mut opinions: Vec<Opinion<'_>> = (0..policies.len()).map(|at| self.judge_locally(at)).collect();
        let views = Views::of(&self.review, policies, &document);
        // While they are being asked there is time for this.
        let secrets = match waiting.is_empty() && !policies.iter().any(evaluates_objects) {
            true => Secrets::none(),
            false => Secrets::of(self.review.protocol, &self.arrival.body, &document),
        };
        drop(document);
        if let Some(views) = &views {
            self.evaluate(views, &mut opinions).await;
        }
        let known = self.silent(views.as_ref());
        let mut waited = Duration::ZERO;
        // Those that are waited for longest come first: by then the others may have answered too.
        for at in waiting {
            let (policy, mode) = (&policies[at], self.mode(at));
            let turned = Instant::now();
            match mode {
                // Its call is bounded by the same deadline.
                Mode::Enforce => asked.wait(at, None).await,
                Mode::Warn => asked.wait(at, Some(deadline.min(self.begun + self.shared.settings.warn_wait))).await,
                Mode::Audit => {}
            }
            waited += turned.elapsed();
            opinions[at] = match asked.take(at) {
                Some((result, took)) => Opinion::remote(policy, &self.occasion().bearing(policy), result, took),
                None => Opinion::pending(policy, self.occasion()),
            };
            opinions[at].verdict.presented = self.shown(policy);
        }
        Judgement { waited, ..self.conclude(opinions, known, secrets) }
    }

    fn judge_locally(&self, at: usize) -> Opinion<'_> {
        let policy = &self.loaded.revision.policies[at];
        // One that is evaluated elsewhere has its turn yet; a webhook that is not asked has nothing to judge.
        let Source::Rules(rules) = &policy.source else { return Opinion::not_asked(policy, self.occasion()) };
        let begun = Instant::now();
        let finding = rules.judge(self.arrival.sender.judged_as(), &self.review);
        Opinion::local(policy, rules.version(), &finding, self.occasion(), begun.elapsed())
    }

    /// All that are evaluated on threads of their own, at the same time.
    async fn evaluate<'a>(&'a self, views: &Views, opinions: &mut [Opinion<'a>]) {
        let evaluated = self.loaded.revision.policies.iter().enumerate().filter_map(|(at, policy)| {
            let evaluated = policy.evaluated()?;
            let (begun, presented) = (Instant::now(), views::presented(evaluated.form(), &self.review));
            let judged = self.shared.evaluation.judge(&self.loaded, Seat::Live(at), views.view(evaluated.form()));
            Some(judged.map(move |finding| {
                let opinion = Opinion::local(policy, evaluated.version(), &finding, self.occasion(), begun.elapsed());
                (at, opinion, finding, presented)
            }))
        });
        for (at, opinion, finding, presented) in join_all(evaluated).await {
            let judged = presented.filter(|_| finding.judged);
            opinions[at] = opinion.with(&finding.prints, judged);
        }
    }

    /// What candidates say at once. No ceiling is over what nothing acts on.
    fn silent(&self, views: Option<&Views>) -> (Vec<Opinion<'_>>, Option<Room>) {
        let Self { shared, loaded, arrival, review, .. } = self;
        let occasion = Occasion { ceilings: None, ..self.occasion() };
        shared.candidates.known(loaded, review, &arrival.body, occasion, views)
    }

    /// What a webhook that is asked is shown in place of the review.
    fn shown(&self, policy: &Policy) -> Option<Presented> {
        let Source::Webhook(settings) = &policy.source else { return None };
        bridge::shown(settings, self.review.protocol)
    }

    fn occasion(&self) -> Occasion<'_> {
        let revision = &self.loaded.revision;
        Occasion {
            glass: self.shown.as_deref().map(|shown| shown.glass(revision)),
            ceilings: self.ceilings.as_deref(),
            ..Occasion::of(revision, self.arrival.sender.judged_as(), &self.review, self.now)
        }
    }

    /// The mode of the policy at `at` for this review.
    fn mode(&self, at: usize) -> Mode {
        self.occasion().mode(&self.loaded.revision.policies[at]).0
    }

    /// Of all webhooks that this review is for.
    fn ask(
        &self,
        document: &Document<'_>,
        deadline: Instant,
    ) -> Asked<impl Future<Output = Said> + Send + 'static + use<>> {
        let questions = Questions::about(&self.arrival, &self.review, document);
        let policies = 0..self.loaded.revision.policies.len();
        Asked::new(policies.filter_map(|at| Some((at, self.call(at, &questions, deadline)?))))
    }

    /// The call to the webhook at `at`, if that is one and is asked about this review.
    fn call(
        &self,
        at: usize,
        questions: &Questions<'_>,
        deadline: Instant,
    ) -> Option<Staying<impl Future<Output = Said> + Send + 'static + use<>>> {
        let backend = Arc::clone(self.loaded.backends[at].as_ref()?);
        let policy = &self.loaded.revision.policies[at];
        let Source::Webhook(settings) = &policy.source else { return None };
        // Nobody waits for an audit webhook: its own time-out is its only bound.
        let bearing = self.occasion().bearing(policy);
        let budget = match bearing.mode {
            Mode::Enforce => deadline.saturating_duration_since(Instant::now()),
            Mode::Audit | Mode::Warn => settings.timeout,
        };
        let question = questions.to(settings, budget)?;
        let late = Late {
            shared: Arc::clone(&self.shared),
            loaded: Arc::clone(&self.loaded),
            policy: at,
            presented: self.shown(policy),
            holder: self.shown.as_ref().filter(|_| !self.review.dry_run).map(|shown| Box::new(shown.holder.clone())),
            bearing,
            fate: self.fate.subscribe(),
        };
        Some(Staying::new(|left| self.shared.calls.track_future(call(backend, question, late, left))))
    }

    fn conclude(
        &self,
        mut opinions: Vec<Opinion<'_>>,
        (silent, room): (Vec<Opinion<'_>>, Option<Room>),
        secrets: Secrets,
    ) -> Judgement {
        let settings = &self.shared.settings;
        let at = Timestamp::now();
        let id = DecisionId::at(at);
        let link = settings.public_url.as_ref().map(|url| format!("{url}/decisions/{id}"));
        let wording = Wording { style: settings.style, decision: id, link: link.as_deref() };
        let settlement = settle::settle(&mut opinions, wording);
        let to = Addressee {
            protocol: self.review.protocol,
            api_version: self.review.api_version,
            uid: self.review.uid.as_deref(),
        };
        let reply = answer::reply(to, &settlement, &opinions, wording);
        let decision = self.decision((id, at), settlement, opinions, silent, &secrets);
        let owed = room.map(|room| Owed::of(&decision, room));
        Judgement { reply, decision, secrets, owed, waited: Duration::ZERO }
    }

    fn decision(
        &self,
        (id, at): (DecisionId, Timestamp),
        settlement: Settlement,
        opinions: Vec<Opinion<'_>>,
        silent: Vec<Opinion<'_>>,
        secrets: &Secrets,
    ) -> Decision {
        let (code, message) = code_and_message(&settlement.outcome, &opinions);
        opinions.iter().chain(&silent).for_each(|opinion| opinion.print(id));
        // Rules see no more of an object than its images, which the history has anyway.
        let has_foreign_words = opinions.iter().any(Opinion::has_foreign_words);
        let redaction = LazyCell::new(|| secrets.redaction());
        let message = message.map(|message| match has_foreign_words {
            true => redaction.message(&message).into_owned(),
            false => message,
        });
        let kept = |opinion: Opinion<'_>| match opinion.policy.sees_objects() {
            true => redacted(opinion.verdict, || &*redaction),
            false => opinion.verdict,
        };
        Decision {
            id,
            at,
            cluster: self.arrival.sender.cluster.clone(),
            review: self.review.record.hash,
            name: self.review.name.clone(),
            user: self.review.user.clone(),
            uid: self.review.uid.clone(),
            caller: self.arrival.sender.caller.clone(),
            dry_run: self.review.dry_run,
            answer: settlement.outcome.answer(),
            code,
            message,
            would_reject: settlement.would_reject,
            verdicts: opinions.into_iter().map(kept).collect(),
            candidates: silent.into_iter().map(kept).collect(),
            redacted: !secrets.is_empty(),
            revision: self.loaded.revision.id.clone(),
            duration_us: u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX),
            notes: settlement.notes.into_iter().chain(self.arrival.sender.note()).collect(),
        }
    }

    /// Recorded before answered. Without a record the answer goes out all the same, or not, by configuration.
    async fn record(&self, judgement: Judgement, gone: &AtomicBool) -> Reply {
        let Judgement { reply, mut decision, secrets, waited, .. } = judgement;
        if gone.load(Ordering::Acquire) {
            decision.notes.push("the client left before the answer".to_owned());
        }
        let metrics = &self.shared.metrics;
        let (id, at, answer) = (decision.id, decision.at, decision.answer);
        let took = self.begun.elapsed().as_secs_f64();
        for verdict in &decision.verdicts {
            count(metrics, verdict);
        }
        Comparison::of(&decision).for_each(|comparison| metrics.compared(&comparison));
        let recorded = self.shared.recorder.record(Arc::clone(&self.review.record), decision).await;
        let is_kept = matches!(recorded, Ok(()) | Err(NotRecorded::Unsure(_)));
        self.fate.send_replace(if is_kept { Fate::Recorded { id, at, answer, secrets } } else { Fate::Lost });
        self.shared.seen.note(&self.arrival.sender, self.review.protocol);
        metrics.took_of_its_own(self.begun.elapsed().saturating_sub(waited));
        let given = |answer| metrics.reviewed(self.review.protocol, answer, &self.arrival.sender.cluster, at, took);
        match (recorded, self.shared.settings.on_failure) {
            (Ok(()), _) | (Err(_), OnFailure::Answer) => {
                given(answer);
                reply
            }
            (Err(error), OnFailure::Refuse) => {
                given(Answer::Failed);
                let message = format!("this decision could not be recorded: {error} (decision {id})");
                failure::failed(http::StatusCode::SERVICE_UNAVAILABLE, &message, None)
            }
        }
    }

    /// What nobody waits for: an example of its kind of object, where none is kept yet, and what candidates have to say
    /// of a decision that is kept.
    fn end(self, id: DecisionId, at: Timestamp, owed: Option<Owed>) {
        let is_recorded = matches!(*self.fate.borrow(), Fate::Recorded { .. });
        let Self { shared, loaded, arrival, review, now, shown, .. } = self;
        let Arrival { sender, body, place, .. } = arrival;
        if let Some(object) = shared.settings.samples.take(&sender.cluster, &review, at) {
            let (sampled, body, cluster) = (Arc::clone(&shared), body.clone(), sender.cluster.clone());
            let review = review.record.hash;
            shared.reviews.spawn(async move {
                let object = sample::kept(&body[object]);
                sampled.recorder.append(Record::Object(ObjectSample { decision: id, at, cluster, review, object }));
                drop(place);
            });
        }
        if let Some(owed) = owed.filter(|_| is_recorded) {
            let cluster = sender.judged_as().to_owned();
            let reviewed = Reviewed { loaded, review, body, cluster, now, shown, id, at };
            shared.calls.spawn(candidates::pay(Arc::clone(&shared), reviewed, owed));
        }
    }
}

// === impl Late ===

impl Late {
    /// Amends the decision, once it is known to be recorded.
    async fn amend(mut self, result: &Result<BackendAnswer, BackendError>, took: Duration) {
        let policy = &self.loaded.revision.policies[self.policy];
        let mut verdict = opinion::remote_verdict(policy, &self.bearing, result, took);
        verdict.presented = self.presented;
        let fate = self.fate.wait_for(|fate| !matches!(fate, Fate::Open)).await.map(|fate| fate.clone());
        if let Ok(Fate::Recorded { id, at, answer, secrets }) = fate {
            let verdict = redacted(verdict, || secrets.redaction());
            if let Some(holder) = self.holder.filter(|_| answer == Answer::Allowed) {
                holder.used(&self.shared, id, std::slice::from_ref(&verdict));
            }
            count(&self.shared.metrics, &verdict);
            let amendment = Amendment { decision: id, at, candidate: false, verdict };
            self.shared.recorder.append(Record::Amendment(amendment));
        }
    }
}

/// Asks. Where nobody waits for it any more (`left`), what it says amends the decision.
async fn call(backend: Arc<Backend>, question: Question, late: Late, left: Arc<AtomicBool>) -> Said {
    let begun = Instant::now();
    let asked = AssertUnwindSafe(backend.ask(question)).catch_unwind().await;
    let result = asked.unwrap_or_else(|_| {
        Err(BackendError::Invalid("its call was given up by a fault of ours; the log has it".to_owned()))
    });
    let took = begun.elapsed();
    if left.load(Ordering::Acquire) {
        late.amend(&result, took).await;
    }
    (result, took)
}

/// Whether it is given the object here; a webhook is only where it is asked.
fn evaluates_objects(policy: &Policy) -> bool {
    policy.evaluated().is_some() && policy.sees_objects()
}

fn count(metrics: &Metrics, verdict: &PolicyVerdict) {
    for violation in &verdict.violations {
        metrics.violated(&verdict.policy, violation);
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
