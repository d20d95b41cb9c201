//! One subject, judged by every local policy.

use std::time::Duration;

use crate::admission::opinion::{Occasion, Opinion};
use crate::policy::Revision;
use crate::policy::evaluated;
use crate::policy::rego::input::View;
use crate::policy::revision::{Policy, Source};
use crate::review::Review;
use crate::review::clock::Timestamp;
use crate::review::decision::{Mode, Protocol, Violation};
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

/// As `cluster`. Webhooks are not asked.
pub fn judge(revision: &Revision, cluster: &str, subject: &Subject) -> Judged {
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
    let occasion = Occasion::of(revision, cluster, &review, Timestamp::now());
    let object = (review.protocol == Protocol::AdmissionReview).then(|| ObjectView::of(&review, &document).encode());
    for policy in &revision.policies {
        let Some(opinion) = opinion(policy, occasion, &review, object.as_deref()) else { continue };
        let verdict = opinion.verdict;
        judged.errors.extend(verdict.error.map(|error| format!("policy {} could not judge: {error}", policy.name)));
        let found = |violation| Found { policy: policy.name.clone(), violation };
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
        self.violation.exempted.is_none() && self.violation.mode >= fail_on
    }

    /// What comes of it: a mode, or that it is exempted.
    pub fn force(&self) -> &'static str {
        if self.violation.exempted.is_some() { "exempted" } else { self.violation.mode.as_str() }
    }
}
