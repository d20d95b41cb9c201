//! What each policy said of one review.

use std::time::Duration;

use tracing::debug;

use crate::backend::answer::{BackendAnswer, BackendError};
use crate::policy::break_glass::{Appeal, BreakGlass, Found, Refusal};
use crate::policy::ceiling::{Ceiling, Ceilings};
use crate::policy::exemptions::{Exemptions, Offence};
use crate::policy::revision::{Policy, Revision, Source};
use crate::policy::rollout::Place;
use crate::policy::rules::{Finding, RuleViolation};
use crate::review::Review;
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::{Exempted, Mode, PolicyVerdict, Presented, Verdict, Violation};
use crate::review::held_back::HeldBack;
use crate::review::workload::Workload;

/// A policy, its verdict, and what the answer needs of it beyond that.
#[derive(Debug)]
pub struct Opinion<'a> {
    pub policy: &'a Policy,
    pub verdict: PolicyVerdict,
    /// Of a webhook that answered.
    pub answer: Option<BackendAnswer>,
    /// Of a webhook that did not.
    pub error: Option<BackendError>,
    /// Its errors reach the API server: here one of its rules rejects.
    may_reject: bool,
    /// Lines that a policy printed.
    pub prints: Vec<String>,
    /// What is told of exemptions that end soon, a line each.
    pub endings: Vec<String>,
    /// Of tickets that let nothing through any more.
    pub refusals: Vec<Refusal>,
}

/// What beside its finding decides how a policy's verdict acts on one review.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    pub place: Place<'a>,
    pub workload: &'a Workload,
    pub now: Timestamp,
    pub exemptions: &'a Exemptions,
    /// Where the review shows a ticket.
    pub glass: Option<Glass<'a>>,
    /// `None`: there is none, as a rule.
    pub ceilings: Option<&'a Ceilings>,
    /// Of local policies.
    pub force: Force,
}

/// A ticket that a review shows, and what it may let through.
#[derive(Debug, Clone, Copy)]
pub struct Glass<'a> {
    pub break_glass: &'a BreakGlass,
    pub appeal: &'a Appeal,
}

/// Why a violation is not acted on, or acts all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relief {
    Exempted {
        by: Exempted,
        /// What is told of an exemption that ends soon.
        ending: Option<String>,
    },
    /// By a ticket that does not let it through any more.
    Refused(Refusal),
}

/// How a rejection by a webhook acts on one review: known before it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearing {
    pub mode: Mode,
    /// By what that is lighter than it would have been. In a box, as what follows: few have any.
    pub held_back: Option<Box<HeldBack>>,
    pub relief: Option<Box<Relief>>,
}

/// What comes of an opinion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// What its modes say.
    Full,
    /// Nothing: the policy is local, and the request deletes, or leaves spec as it was.
    None,
}

// === impl Occasion ===

impl<'a> Occasion<'a> {
    /// Without tickets and ceilings.
    pub fn of(revision: &'a Revision, cluster: &'a str, review: &'a Review, now: Timestamp) -> Self {
        Self {
            place: Place { cluster, namespace: review.record.namespace.as_deref().unwrap_or_default() },
            workload: &review.record.workload,
            now,
            exemptions: &revision.exemptions,
            glass: None,
            ceilings: None,
            force: if review.exempt_from_denial { Force::None } else { Force::Full },
        }
    }

    fn ceiling(&self, policy: &Policy) -> Option<&Ceiling> {
        self.ceilings?.over(policy, self.place, self.now)
    }

    /// A policy's own, and what made it lighter.
    pub fn mode(&self, policy: &Policy) -> (Mode, Option<&Ceiling>) {
        let asked = policy.mode_in(self.place);
        match self.ceiling(policy) {
            Some(ceiling) if ceiling.most < asked => (ceiling.most, Some(ceiling)),
            _ => (asked, None),
        }
    }

    fn exempt(&self, policy: &Policy, opinion: &mut Opinion<'_>) {
        for violation in &mut opinion.verdict.violations {
            let offence = Offence {
                policy: &policy.name,
                rule: &violation.rule,
                place: self.place,
                workload: self.workload,
                image: violation.image.as_deref(),
                container: violation.container.as_deref(),
            };
            match self.relief(offence, violation.mode) {
                Some(Relief::Exempted { by, ending }) => {
                    violation.exempted = Some(by);
                    opinion.endings.extend(ending.filter(|ending| !opinion.endings.contains(ending)));
                }
                Some(Relief::Refused(refusal)) if !opinion.refusals.contains(&refusal) => {
                    opinion.refusals.push(refusal);
                }
                Some(Relief::Refused(_)) | None => {}
            }
        }
    }

    /// An exemption costs no ticket.
    fn relief(&self, offence: Offence<'_>, mode: Mode) -> Option<Relief> {
        if let Some(exemption) = self.exemptions.find(offence, self.now) {
            return Some(Relief::Exempted { by: exemption.record(), ending: exemption.ending(self.now) });
        }
        let glass = self.glass?;
        Some(match glass.break_glass.find(offence, mode, glass.appeal, self.now)? {
            Found::LetThrough(by) => Relief::Exempted { by, ending: None },
            Found::Refused(refusal) => Relief::Refused(refusal),
        })
    }

    /// Of a webhook. While it enforces, nothing of ours loosens it unless it says so.
    pub fn bearing(&self, policy: &Policy) -> Bearing {
        let (mode, ceiling) = self.mode(policy);
        let offence = Offence {
            policy: &policy.name,
            rule: &policy.name,
            place: self.place,
            workload: self.workload,
            image: None,
            container: None,
        };
        let may_be_loosened = mode != Mode::Enforce || policy.may_be_loosened();
        let relief = if may_be_loosened { self.relief(offence, mode) } else { None };
        let held_back = ceiling.map(|ceiling| Box::new(ceiling.record()));
        Bearing { mode, held_back, relief: relief.map(Box::new) }
    }
}

// === impl Bearing ===

impl Bearing {
    fn exempted(&self) -> Option<Exempted> {
        match self.relief.as_deref()? {
            Relief::Exempted { by, .. } => Some(by.clone()),
            Relief::Refused(_) => None,
        }
    }
}

// === impl Opinion ===

impl<'a> Opinion<'a> {
    /// Of a local policy. Of an exempt request nothing that it found is acted on: a finding is kept as standing.
    pub fn local(policy: &'a Policy, version: &str, finding: &Finding, occasion: Occasion<'_>, took: Duration) -> Self {
        let Occasion { place, force, .. } = occasion;
        let ceiling = occasion.ceiling(policy);
        let most = ceiling.map_or(Mode::Enforce, |ceiling| ceiling.most);
        let mut heaviest = policy.mode_in(place);
        let mut settle = |violation: &RuleViolation| {
            let mode = policy.mode_of(&violation.rule, place);
            heaviest = heaviest.max(mode.min(violation.most));
            settled(violation, mode.min(most))
        };
        let mut violations: Vec<Violation> = finding.violations.iter().map(&mut settle).collect();
        let mut standing: Vec<Violation> = finding.standing.iter().map(settle).collect();
        if force == Force::None {
            standing.append(&mut violations);
        }
        if finding.error.is_some() {
            // It looks at every rule, and only an error has to know.
            heaviest = heaviest.max(policy.heaviest_in(place));
        }
        let may_reject = finding.error.is_some() && force == Force::Full && heaviest.min(most) == Mode::Enforce;
        let verdict = match finding {
            Finding { error: Some(_), .. } => Verdict::Error,
            Finding { judged: false, .. } => Verdict::None,
            _ if violations.is_empty() => Verdict::Allow,
            _ => Verdict::Deny,
        };
        let verdict = PolicyVerdict {
            version: Some(version.to_owned()),
            held_back: ceiling.filter(|_| heaviest > most).map(Ceiling::record),
            violations,
            standing,
            omitted: finding.omitted,
            error: finding.error.clone(),
            ..blank(policy, policy.mode_in(place).min(most), verdict, Some(took))
        };
        let mut opinion = Self { may_reject, ..Self::of(policy, verdict) };
        if finding.omitted == 0 {
            // One that was left out could be of an image that nothing exempts.
            occasion.exempt(policy, &mut opinion);
        }
        opinion
    }

    /// With what a policy printed, and what it was shown in place of the review.
    pub fn with(mut self, prints: &[String], presented: Option<Presented>) -> Self {
        self.prints = prints.to_vec();
        self.verdict.presented = presented;
        self
    }

    /// Of a webhook that was asked.
    pub fn remote(
        policy: &'a Policy,
        bearing: &Bearing,
        result: Result<BackendAnswer, BackendError>,
        took: Duration,
    ) -> Self {
        let verdict = remote_verdict(policy, bearing, &result, took);
        let (mut endings, mut refusals) = (Vec::new(), Vec::new());
        match bearing.relief.as_deref().filter(|_| verdict.verdict == Verdict::Deny) {
            Some(Relief::Exempted { ending, .. }) => endings.extend(ending.clone()),
            Some(Relief::Refused(refusal)) => refusals.push(refusal.clone()),
            None => {}
        }
        let may_reject = bearing.mode == Mode::Enforce;
        let (answer, error) = match result {
            Ok(answer) => (Some(answer), None),
            Err(error) => (None, Some(error)),
        };
        Self { policy, verdict, answer, error, may_reject, prints: Vec::new(), endings, refusals }
    }

    /// Of one that has not said it yet.
    pub fn pending(policy: &'a Policy, occasion: Occasion<'_>) -> Self {
        Self::without_words(policy, occasion, Verdict::Pending, None)
    }

    /// Of a webhook that was not asked: it speaks the other protocol, and no bridge leads there from this review.
    pub fn not_asked(policy: &'a Policy, occasion: Occasion<'_>) -> Self {
        Self::without_words(policy, occasion, Verdict::None, Some(Duration::ZERO))
    }

    fn without_words(policy: &'a Policy, occasion: Occasion<'_>, verdict: Verdict, took: Option<Duration>) -> Self {
        let (mode, ceiling) = occasion.mode(policy);
        let held_back = ceiling.map(Ceiling::record);
        Self::of(policy, PolicyVerdict { held_back, ..blank(policy, mode, verdict, took) })
    }

    fn of(policy: &'a Policy, verdict: PolicyVerdict) -> Self {
        let (prints, endings, refusals) = (Vec::new(), Vec::new(), Vec::new());
        Self { policy, verdict, answer: None, error: None, may_reject: false, prints, endings, refusals }
    }

    /// To the log of whoever looks for it.
    pub fn print(&self, decision: DecisionId) {
        self.prints.iter().for_each(|line| debug!(%decision, policy = self.policy.name, "{line}"));
    }

    /// It could not judge, and is one of those whose errors reach the API server.
    pub fn is_broken(&self) -> bool {
        self.verdict.verdict == Verdict::Error && self.may_reject
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
        self.enforced().filter(|_| self.verdict.verdict == Verdict::Allow)
    }

    /// The answer of a webhook that enforces here.
    pub fn enforced(&self) -> Option<&BackendAnswer> {
        self.answer.as_ref().filter(|_| self.verdict.mode == Mode::Enforce)
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
pub fn remote_verdict(
    policy: &Policy,
    bearing: &Bearing,
    result: &Result<BackendAnswer, BackendError>,
    took: Duration,
) -> PolicyVerdict {
    let blank = |verdict| PolicyVerdict {
        held_back: bearing.held_back.as_deref().cloned(),
        ..blank(policy, bearing.mode, verdict, Some(took))
    };
    match result {
        Ok(answer) if answer.allowed => blank(Verdict::Allow),
        Ok(answer) if !answer.violations.is_empty() => PolicyVerdict {
            violations: answer.violations.iter().map(|violation| of_opa(violation, bearing)).collect(),
            omitted: answer.omitted,
            ..blank(Verdict::Deny)
        },
        Ok(answer) => {
            let violation = Violation {
                rule: policy.name.clone(),
                mode: bearing.mode,
                image: None,
                container: None,
                message: answer.violation_text().to_owned(),
                help: None,
                exempted: bearing.exempted(),
            };
            PolicyVerdict { violations: vec![violation], ..blank(Verdict::Deny) }
        }
        Err(error) => PolicyVerdict { error: Some(error.to_string()), ..blank(Verdict::Error) },
    }
}

fn blank(policy: &Policy, mode: Mode, verdict: Verdict, took: Option<Duration>) -> PolicyVerdict {
    PolicyVerdict {
        policy: policy.name.clone(),
        version: None,
        mode,
        held_back: None,
        verdict,
        violations: Vec::new(),
        standing: Vec::new(),
        omitted: 0,
        presented: None,
        error: None,
        duration_us: took.map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX)),
    }
}

/// `mode` is its rule's here.
fn settled(violation: &RuleViolation, mode: Mode) -> Violation {
    Violation {
        rule: violation.rule.clone(),
        mode: mode.min(violation.most),
        image: violation.image.clone(),
        container: violation.container.clone(),
        message: violation.message.clone(),
        help: violation.help.clone(),
        exempted: None,
    }
}

/// Of an OPA, whose rules have names of their own.
fn of_opa(violation: &RuleViolation, bearing: &Bearing) -> Violation {
    Violation { exempted: bearing.exempted(), ..settled(violation, bearing.mode) }
}
