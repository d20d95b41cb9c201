//! One subject, judged by every local policy.

use std::time::Duration;

use crate::admission::opinion::{Glass, Occasion, Opinion};
use crate::policy::Revision;
use crate::policy::break_glass::Remembered;
use crate::policy::evaluated;
use crate::policy::rego::input::View;
use crate::policy::revision::{Policy, Source};
use crate::review::Review;
use crate::review::clock::Timestamp;
use crate::review::decision::{Mode, PolicyVerdict, Protocol, Violation};
use crate::review::json::Document;
use crate::review::view::{ObjectView, object_hash};
use crate::review::{decode, strict};

use super::remembered::Tickets;
use super::subject::{Place, Subject};

#[derive(Debug)]
pub struct Judged {
    pub place: Place,
    pub name: String,
    pub namespace: Option<String>,
    /// Those of candidates come last.
    pub violations: Vec<Found>,
    /// Why it, or a policy, could not be judged.
    pub errors: Vec<String>,
    /// Why a candidate could not.
    pub silent_errors: Vec<String>,
}

#[derive(Debug)]
pub struct Found {
    pub policy: String,
    /// Nothing acts on it.
    pub by_candidate: bool,
    pub violation: Violation,
}

/// A subject that could be read, and what each local policy says of it.
#[derive(Debug)]
pub struct Heard<'a> {
    pub review: &'a Review,
    pub document: &'a Document<'a>,
    pub verdicts: &'a [PolicyVerdict],
}

/// As `cluster`, by the policies and by `candidates`. Webhooks are not asked. `hear` is told of one that could be read.
/// `tickets` are remembered; `None`: which are used up is not known.
pub fn judge(
    revision: &Revision,
    candidates: &[Policy],
    cluster: &str,
    tickets: Option<&Tickets>,
    subject: &Subject,
    hear: impl FnOnce(Heard<'_>),
) -> Judged {
    let (place, name, namespace) = (subject.place.clone(), subject.name.clone(), subject.namespace.clone());
    let (violations, errors, silent_errors) = Default::default();
    let mut judged = Judged { place, name, namespace, violations, errors, silent_errors };
    let document = match strict::parse(subject.body.as_bytes()) {
        Ok(document) => document,
        Err(error) => {
            judged.errors.push(error.to_string());
            return judged;
        }
    };
    let review = match decode::read(&document) {
        Ok(review) => review,
        Err(error) => {
            judged.errors.push(error.to_string());
            return judged;
        }
    };
    let (now, break_glass) = (Timestamp::now(), &revision.break_glass);
    // No ticket is used up here. Ceilings are of a night, and not of what is configured.
    let appeal = break_glass.appeal(&review, subject.body.as_bytes(), now, |ticket| {
        tickets.map_or(Remembered::Unknown, |tickets| tickets.remembered(&review, ticket))
    });
    let appeal = appeal.map(|appeal| if tickets.is_some() { appeal.by_a_controller() } else { appeal });
    let glass = appeal.as_ref().map(|appeal| Glass { break_glass, appeal });
    let occasion = Occasion { glass, ..Occasion::of(revision, cluster, &review, now) };
    let sees_object = revision.policies.iter().chain(candidates).any(sees_object);
    let has_object = review.protocol == Protocol::AdmissionReview && sees_object;
    let object = has_object.then(|| ObjectView::of(&review, &document).encode());
    let verdicts = |policies: &[Policy]| -> Vec<PolicyVerdict> {
        let opinions = policies.iter().filter_map(|policy| opinion(policy, occasion, &review, object.as_deref()));
        opinions.map(|opinion| opinion.verdict).collect()
    };
    let live = verdicts(&revision.policies);
    hear(Heard { review: &review, document: &document, verdicts: &live });
    live.into_iter().for_each(|verdict| judged.add(verdict, false));
    verdicts(candidates).into_iter().for_each(|verdict| judged.add(verdict, true));
    judged
}

/// Of others the view would be made for nothing.
fn sees_object(policy: &Policy) -> bool {
    policy.evaluated().is_some_and(|evaluated| matches!(evaluated.form().view(true), View::Object))
}

/// `None`: of a webhook.
fn opinion<'a>(
    policy: &'a Policy,
    occasion: Occasion<'_>,
    review: &Review,
    object: Option<&str>,
) -> Option<Opinion<'a>> {
    if let Source::Rules(rules) = &policy.source {
        let finding = rules.judge(occasion.place.cluster, review);
        return Some(Opinion::local(policy, rules.version(), &finding, occasion, Duration::ZERO));
    }
    let evaluated = policy.evaluated()?;
    let view = evaluated.form().view(object.is_some());
    let (encoded, hash) = match (view, object) {
        (View::Object, Some(object)) => (object, object_hash(object)),
        _ => (review.view.encoded(), *review.view.hash()),
    };
    let finding = evaluated.judge(&hash, evaluated::Subject { view, encoded });
    Some(Opinion::local(policy, evaluated.version(), &finding, occasion, Duration::ZERO))
}

// === impl Judged ===

impl Judged {
    fn add(&mut self, verdict: PolicyVerdict, by_candidate: bool) {
        let policy = verdict.policy;
        let (kind, errors) = match by_candidate {
            true => ("candidate", &mut self.silent_errors),
            false => ("policy", &mut self.errors),
        };
        errors.extend(verdict.error.map(|error| format!("{kind} {policy} could not judge: {error}")));
        let found = |violation| Found { policy: policy.clone(), by_candidate, violation };
        self.violations.extend(verdict.violations.into_iter().map(found));
    }
}

// === impl Found ===

impl Found {
    /// Whether it counts where violations from that mode on are failures. `None`: none are.
    pub fn reaches(&self, fail_on: Option<Mode>) -> bool {
        let acts = !self.by_candidate && self.violation.exempted.is_none();
        acts && fail_on.is_some_and(|fail_on| self.violation.mode >= fail_on)
    }

    /// What comes of it: a mode, or why nothing does.
    pub fn force(&self) -> &'static str {
        match &self.violation.exempted {
            Some(_) if self.by_candidate => "candidate, exempted",
            None if self.by_candidate => "candidate",
            Some(exempted) => exempted.word(),
            None => self.violation.mode.as_str(),
        }
    }
}
