//! One subject, judged by every local policy.

use std::time::Duration;

use crate::admission::opinion::{Force, Occasion, Opinion};
use crate::policy::Revision;
use crate::policy::evaluated;
use crate::policy::rego::input::View;
use crate::policy::revision::{Policy, Source};
use crate::policy::rollout::Place as Where;
use crate::review::Review;
use crate::review::clock::Timestamp;
use crate::review::decision::{Mode, PolicyVerdict, Protocol, Violation};
use crate::review::json::Document;
use crate::review::view::{ObjectView, object_hash};
use crate::review::{decode, strict};

use super::subject::{Place, Subject};

#[derive(Debug)]
pub struct Judged {
    pub place: Place,
    pub name: String,
    pub namespace: Option<String>,
    pub violations: Vec<Found>,
    /// Why it, or a policy, could not be judged.
    pub errors: Vec<String>,
}

#[derive(Debug)]
pub struct Found {
    pub policy: String,
    pub violation: Violation,
}

/// A subject that could be read, and what each local policy says of it.
#[derive(Debug)]
pub struct Heard<'a> {
    pub review: &'a Review,
    pub document: &'a Document<'a>,
    pub verdicts: &'a [PolicyVerdict],
}

/// As `cluster`. Webhooks are not asked. `hear` is told of one that could be read.
pub fn judge(revision: &Revision, cluster: &str, subject: &Subject, hear: impl FnOnce(Heard<'_>)) -> Judged {
    let (place, name, namespace) = (subject.place.clone(), subject.name.clone(), subject.namespace.clone());
    let mut judged = Judged { place, name, namespace, violations: Vec::new(), errors: Vec::new() };
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
    let verdicts = verdicts(revision, cluster, &review, &document);
    hear(Heard { review: &review, document: &document, verdicts: &verdicts });
    for verdict in verdicts {
        let policy = verdict.policy;
        judged.errors.extend(verdict.error.map(|error| format!("policy {policy} could not judge: {error}")));
        let found = |violation| Found { policy: policy.clone(), violation };
        judged.violations.extend(verdict.violations.into_iter().map(found));
    }
    judged
}

fn verdicts(revision: &Revision, cluster: &str, review: &Review, document: &Document<'_>) -> Vec<PolicyVerdict> {
    let occasion = Occasion {
        place: Where { cluster, namespace: review.record.namespace.as_deref().unwrap_or_default() },
        workload: &review.record.workload,
        now: Timestamp::now(),
        exemptions: &revision.exemptions,
        force: if review.exempt_from_denial { Force::None } else { Force::Full },
    };
    let has_object = review.protocol == Protocol::AdmissionReview && revision.policies.iter().any(sees_object);
    let object = has_object.then(|| ObjectView::of(review, document).encode());
    let opinions = revision.policies.iter().filter_map(|policy| opinion(policy, occasion, review, object.as_deref()));
    opinions.map(|opinion| opinion.verdict).collect()
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

// === impl Found ===

impl Found {
    /// Whether it counts where violations from that mode on are failures. `None`: none are.
    pub fn reaches(&self, fail_on: Option<Mode>) -> bool {
        self.violation.exempted.is_none() && fail_on.is_some_and(|fail_on| self.violation.mode >= fail_on)
    }

    /// What comes of it: a mode, or that it is exempted.
    pub fn force(&self) -> &'static str {
        if self.violation.exempted.is_some() { "exempted" } else { self.violation.mode.as_str() }
    }
}
