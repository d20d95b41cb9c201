//! What each policy said of one review.

use std::time::Duration;

use crate::backend::answer::{BackendAnswer, BackendError};
use crate::policy::revision::{Policy, Source};
use crate::policy::rules::{Finding, RuleViolation};
use crate::review::decision::{Mode, PolicyVerdict, Presented, Verdict, Violation};

/// A policy, its verdict, and what the answer needs of it beyond that.
#[derive(Debug)]
pub struct Opinion<'a> {
    pub policy: &'a Policy,
    pub verdict: PolicyVerdict,
    /// Of a webhook that answered.
    pub answer: Option<BackendAnswer>,
    /// Of a webhook that did not.
    pub error: Option<BackendError>,
    /// What it may do to this request.
    pub force: Force,
    /// Lines that a policy printed.
    pub prints: Vec<String>,
}

/// What comes of an opinion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// What its modes say.
    Full,
    /// Nothing: the policy is local, and the request deletes, or leaves spec as it was.
    None,
}

// === impl Opinion ===

impl<'a> Opinion<'a> {
    /// Of a local policy. Of an exempt request nothing that it found is acted on: a finding is kept as standing.
    pub fn local(policy: &'a Policy, version: &str, finding: &Finding, force: Force, took: Duration) -> Self {
        let settle = |violation: &RuleViolation| settled(violation, policy.mode);
        let mut violations: Vec<Violation> = finding.violations.iter().map(settle).collect();
        let mut standing: Vec<Violation> = finding.standing.iter().map(settle).collect();
        if force == Force::None {
            standing.append(&mut violations);
        }
        let verdict = match finding {
            Finding { error: Some(_), .. } => Verdict::Error,
            Finding { judged: false, .. } => Verdict::None,
            _ if violations.is_empty() => Verdict::Allow,
            _ => Verdict::Deny,
        };
        let verdict = PolicyVerdict {
            version: Some(version.to_owned()),
            violations,
            standing,
            omitted: finding.omitted,
            error: finding.error.clone(),
            ..blank(policy, verdict, Some(took))
        };
        Self { policy, verdict, answer: None, error: None, force, prints: Vec::new() }
    }

    /// With what a policy printed, and what it was shown in place of the review.
    pub fn with(mut self, prints: &[String], presented: Option<Presented>) -> Self {
        self.prints = prints.to_vec();
        self.verdict.presented = presented;
        self
    }

    /// Of a webhook that was asked.
    pub fn remote(policy: &'a Policy, result: Result<BackendAnswer, BackendError>, took: Duration) -> Self {
        let verdict = remote_verdict(policy, &result, took);
        let (answer, error) = match result {
            Ok(answer) => (Some(answer), None),
            Err(error) => (None, Some(error)),
        };
        Self { policy, verdict, answer, error, force: Force::Full, prints: Vec::new() }
    }

    /// Of a webhook that has not answered yet.
    pub fn pending(policy: &'a Policy) -> Self {
        Self::without_words(policy, blank(policy, Verdict::Pending, None))
    }

    /// Of a webhook that was not asked: it speaks the other protocol, and no bridge leads there from this review.
    pub fn not_asked(policy: &'a Policy) -> Self {
        Self::without_words(policy, blank(policy, Verdict::None, Some(Duration::ZERO)))
    }

    fn without_words(policy: &'a Policy, verdict: PolicyVerdict) -> Self {
        Self { policy, verdict, answer: None, error: None, force: Force::Full, prints: Vec::new() }
    }

    /// It could not judge, and is one of those whose errors reach the API server.
    pub fn is_broken(&self) -> bool {
        self.verdict.verdict == Verdict::Error && self.force == Force::Full && self.policy.can_enforce()
    }

    pub fn is_remote(&self) -> bool {
        matches!(self.policy.source, Source::Webhook(_))
    }

    /// What the API server is told of a denial or a failure has words in it that somebody else made of the object.
    pub fn has_foreign_words(&self) -> bool {
        self.policy.sees_objects() && matches!(self.verdict.verdict, Verdict::Deny | Verdict::Error)
    }

    /// It allows, enforces, and answered: its words reach the API server.
    pub fn speaks(&self) -> Option<&BackendAnswer> {
        let allows = self.verdict.verdict == Verdict::Allow && self.policy.mode == Mode::Enforce;
        self.answer.as_ref().filter(|_| allows)
    }

    /// Turns it into an error: what it answered cannot be used.
    pub fn fail(&mut self, why: String) {
        self.verdict.verdict = Verdict::Error;
        self.verdict.error = Some(why.clone());
        self.answer = None;
        self.error = Some(BackendError::Invalid(why));
    }
}

/// The verdict of a webhook that was asked. Its one rule has its own name, but an OPA has rules of its own.
pub fn remote_verdict(policy: &Policy, result: &Result<BackendAnswer, BackendError>, took: Duration) -> PolicyVerdict {
    match result {
        Ok(answer) if answer.allowed => blank(policy, Verdict::Allow, Some(took)),
        Ok(answer) if !answer.violations.is_empty() => PolicyVerdict {
            violations: answer.violations.iter().map(|violation| settled(violation, policy.mode)).collect(),
            omitted: answer.omitted,
            ..blank(policy, Verdict::Deny, Some(took))
        },
        Ok(answer) => {
            let violation = Violation {
                rule: policy.name.clone(),
                mode: policy.mode,
                image: None,
                container: None,
                message: answer.violation_text().to_owned(),
                help: None,
            };
            PolicyVerdict { violations: vec![violation], ..blank(policy, Verdict::Deny, Some(took)) }
        }
        Err(error) => PolicyVerdict { error: Some(error.to_string()), ..blank(policy, Verdict::Error, Some(took)) },
    }
}

fn blank(policy: &Policy, verdict: Verdict, took: Option<Duration>) -> PolicyVerdict {
    PolicyVerdict {
        policy: policy.name.clone(),
        version: None,
        mode: policy.mode,
        verdict,
        violations: Vec::new(),
        standing: Vec::new(),
        omitted: 0,
        presented: None,
        error: None,
        duration_us: took.map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX)),
    }
}

fn settled(violation: &RuleViolation, policy: Mode) -> Violation {
    Violation {
        rule: violation.rule.clone(),
        mode: violation.mode.unwrap_or(policy).min(violation.most),
        image: violation.image.clone(),
        container: violation.container.clone(),
        message: violation.message.clone(),
        help: violation.help.clone(),
    }
}
