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
use crate::review::decision::{Exempted, Mode, Protocol, Violation};
use crate::review::view::{ObjectView, object_hash};
use crate::review::{decode, strict};

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

/// As `cluster`, by the policies and by `candidates`. Webhooks are not asked.
pub fn judge(revision: &Revision, candidates: &[Policy], cluster: &str, subject: &Subject) -> Judged {
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
    // No ticket is used up here, and which are is not known. Ceilings are of a night, and not of what is configured.
    let appeal = break_glass.appeal(&review, subject.body.as_bytes(), now, |_| Remembered::Unknown);
    let glass = appeal.as_ref().map(|appeal| Glass { break_glass, appeal });
    let occasion = Occasion { glass, ..Occasion::of(revision, cluster, &review, now) };
    let object = (review.protocol == Protocol::AdmissionReview).then(|| ObjectView::of(&review, &document).encode());
    let policies = revision.policies.iter().map(|policy| (policy, false));
    for (policy, by_candidate) in policies.chain(candidates.iter().map(|policy| (policy, true))) {
        let Some(opinion) = opinion(policy, occasion, &review, object.as_deref()) else { continue };
        let (verdict, name) = (opinion.verdict, &policy.name);
        let (kind, errors) = match by_candidate {
            true => ("candidate", &mut judged.silent_errors),
            false => ("policy", &mut judged.errors),
        };
        errors.extend(verdict.error.map(|error| format!("{kind} {name} could not judge: {error}")));
        let found = |violation| Found { policy: name.clone(), by_candidate, violation };
        judged.violations.extend(verdict.violations.into_iter().map(found));
    }
    judged
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

// === impl Found ===

impl Found {
    /// Whether it counts where violations from that mode on are failures.
    pub fn reaches(&self, fail_on: Mode) -> bool {
        !self.by_candidate && self.violation.exempted.is_none() && self.violation.mode >= fail_on
    }

    /// What comes of it: a mode, or why nothing does.
    pub fn force(&self) -> &'static str {
        match &self.violation.exempted {
            _ if self.by_candidate => "candidate",
            Some(exempted) => exempted.word(),
            None => self.violation.mode.as_str(),
        }
    }
}
