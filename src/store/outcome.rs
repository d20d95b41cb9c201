//! What the policies said of a decision, taken apart: the content that many decisions share, the durations that are its
//! own, and what of it counts for a rule.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::error::StoreError;
use super::name::Name;
use crate::review::decision::{Amendment, Answer, Decision, Exempted, PolicyVerdict, ReviewHash, Verdict, Violation};

/// The verdicts of a decision as rows hold them.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    /// JSON without durations.
    pub verdicts: Arc<str>,
    /// SHA-256 of that.
    pub hash: [u8; 32],
    /// JSON; `None` where no verdict has a duration.
    pub durations: Option<String>,
    /// Something was let through that a rule stands against.
    pub exempted: bool,
}

/// The outcomes of a batch: of those that name an image or a message by their reviews, most decisions of which say the
/// same; the others together, since most decisions say one of few.
#[derive(Debug, Default)]
pub(super) struct Outcomes<'a>(HashMap<Option<ReviewHash>, Vec<(&'a [PolicyVerdict], Outcome)>>);

/// Outcomes that are compared with before another is made.
const COMPARED: usize = 8;

/// A verdict that came after the answer.
#[derive(Debug, Clone)]
pub(super) struct Late {
    pub candidate: bool,
    pub verdict: PolicyVerdict,
}

/// How one rule stands in one decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Violated {
    /// Violated by an image that the request brought.
    pub brought: bool,
    /// Such a violation is why the decision is a denial.
    pub denied: bool,
    /// Such a violation is why it is a would-be rejection.
    pub would_reject: bool,
    /// Violated by an image that was there before.
    pub standing: bool,
}

/// That a policy judged an image in one decision, and which of its rules it found violated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judgement<'a> {
    pub policy: &'a str,
    /// The hash of its text; empty of a webhook.
    pub version: &'a str,
    pub against: BTreeMap<&'a str, Against>,
}

/// How a rule stands against a workload, standing violations included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Against {
    /// With a violation that no exemption lets through: a ticket lets one pod through, and not the next.
    pub open: bool,
    pub exempted: bool,
}

/// What of a decision says which rules and images are to blame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<'a> {
    pub verdicts: &'a [PolicyVerdict],
    pub answer: Answer,
    pub would_reject: bool,
}

/// What let something through: an exemption by its id, or a break-glass ticket by its annotation's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Way<'a> {
    Exemption(&'a str),
    Ticket(&'a str),
}

/// The kinds of ways, as numbers that never change.
pub(super) const EXEMPTION: i64 = 0;
pub(super) const TICKET: i64 = 1;

/// Policy and rule.
pub(super) type RuleName<'a> = (&'a str, &'a str);

// === impl Way ===

impl<'a> Way<'a> {
    pub fn kind(self) -> i64 {
        match self {
            Self::Exemption(_) => EXEMPTION,
            Self::Ticket(_) => TICKET,
        }
    }

    pub fn text(self) -> &'a str {
        match self {
            Self::Exemption(name) | Self::Ticket(name) => name,
        }
    }

    /// As the table of names has it.
    pub fn name(self) -> Name {
        vec![self.kind().into(), self.text().into()]
    }
}

// === impl Outcome ===

impl Outcome {
    pub fn of(verdicts: &[PolicyVerdict]) -> Result<Self, StoreError> {
        let shared: Vec<PolicyVerdict> =
            verdicts.iter().map(|verdict| PolicyVerdict { duration_us: None, ..verdict.clone() }).collect();
        let durations = durations(verdicts)?;
        let verdicts = serde_json::to_string(&shared)?;
        let hash = Sha256::digest(verdicts.as_bytes()).into();
        let exempted = shared.iter().any(PolicyVerdict::has_exempted);
        Ok(Self { verdicts: verdicts.into(), hash, durations, exempted })
    }

    /// The verdicts as they were.
    pub fn join(verdicts: &str, durations: Option<&str>) -> Result<Vec<PolicyVerdict>, StoreError> {
        let mut verdicts: Vec<PolicyVerdict> = serde_json::from_str(verdicts)?;
        if let Some(durations) = durations {
            let durations: Vec<Option<u64>> = serde_json::from_str(durations)?;
            for (verdict, duration) in verdicts.iter_mut().zip(durations) {
                verdict.duration_us = duration;
            }
        }
        Ok(verdicts)
    }
}

// === impl Outcomes ===

impl<'a> Outcomes<'a> {
    /// As [`Outcome::of`], of the verdicts of a decision on that review; it is asked only for what was not said before.
    pub fn of(&mut self, review: ReviewHash, verdicts: &'a [PolicyVerdict]) -> Result<Outcome, StoreError> {
        let is_plain =
            |one: &PolicyVerdict| one.violations.is_empty() && one.standing.is_empty() && one.error.is_none();
        let of_review = if verdicts.iter().all(is_plain) { None } else { Some(review) };
        let known = self.0.entry(of_review).or_default();
        if let Some((_, alike)) = known.iter().find(|(said, _)| is_alike(said, verdicts)) {
            return Ok(Outcome { durations: durations(verdicts)?, ..alike.clone() });
        }
        let outcome = Outcome::of(verdicts)?;
        if known.len() < COMPARED {
            known.push((verdicts, Outcome { durations: None, ..outcome.clone() }));
        }
        Ok(outcome)
    }
}

/// But for their durations.
fn is_alike(some: &[PolicyVerdict], others: &[PolicyVerdict]) -> bool {
    let is_same = |(one, other): (&PolicyVerdict, &PolicyVerdict)| {
        let PolicyVerdict {
            policy,
            version,
            mode,
            held_back,
            verdict,
            violations,
            standing,
            omitted,
            presented,
            error,
            duration_us: _,
        } = one;
        (policy, version, mode, verdict) == (&other.policy, &other.version, &other.mode, &other.verdict)
            && held_back == &other.held_back
            && (violations, standing) == (&other.violations, &other.standing)
            && (omitted, presented, error) == (&other.omitted, &other.presented, &other.error)
    };
    some.len() == others.len() && some.iter().zip(others).all(is_same)
}

/// JSON; `None` where no verdict has one.
fn durations(verdicts: &[PolicyVerdict]) -> Result<Option<String>, StoreError> {
    let durations: Vec<Option<u64>> = verdicts.iter().map(|verdict| verdict.duration_us).collect();
    let any = durations.iter().any(Option::is_some);
    Ok(if any { Some(serde_json::to_string(&durations)?) } else { None })
}

impl From<&Amendment> for Late {
    fn from(amendment: &Amendment) -> Self {
        Self { candidate: amendment.candidate, verdict: amendment.verdict.clone() }
    }
}

impl<'a> From<&'a Decision> for Said<'a> {
    fn from(decision: &'a Decision) -> Self {
        Self { verdicts: &decision.verdicts, answer: decision.answer, would_reject: decision.would_reject }
    }
}

/// Puts a late verdict in the place of the pending one of its policy. False: there is none, so it was done before.
pub(super) fn amend(decision: &mut Decision, Late { candidate, verdict: late }: &Late) -> bool {
    let pending = |verdict: &&mut PolicyVerdict| verdict.policy == late.policy && verdict.verdict == Verdict::Pending;
    let verdicts = if *candidate { &mut decision.candidates } else { &mut decision.verdicts };
    let Some(place) = verdicts.iter_mut().find(pending) else { return false };
    *place = late.clone();
    if !candidate && decision.answer == Answer::Allowed {
        let rejected = rejections(&decision.verdicts, Violation::would_reject).next().is_some();
        decision.would_reject |= rejected;
    }
    true
}

/// Each rule that was violated, standing violations included.
pub(super) fn rules(said: Said<'_>) -> BTreeMap<RuleName<'_>, Violated> {
    let mut rules: BTreeMap<RuleName<'_>, Violated> = BTreeMap::new();
    for verdict in said.verdicts {
        for violation in &verdict.violations {
            let rule = rules.entry((&verdict.policy, &violation.rule)).or_default();
            rule.brought = true;
            let counts = verdict.verdict == Verdict::Deny;
            rule.denied |= counts && said.answer == Answer::Denied && violation.rejects();
            rule.would_reject |= counts && said.would_reject && violation.would_reject();
        }
        for violation in &verdict.standing {
            rules.entry((&verdict.policy, &violation.rule)).or_default().standing = true;
        }
    }
    rules
}

/// Each policy that judged an image, with its version: one that found nothing to judge, or could not, is evidence of nothing.
pub(super) fn judges(verdicts: &[PolicyVerdict]) -> impl Iterator<Item = (&str, &str)> {
    judging(verdicts).map(judge)
}

fn judging(verdicts: &[PolicyVerdict]) -> impl Iterator<Item = &PolicyVerdict> {
    verdicts.iter().filter(|verdict| matches!(verdict.verdict, Verdict::Allow | Verdict::Deny))
}

fn judge(verdict: &PolicyVerdict) -> (&str, &str) {
    (&verdict.policy, verdict.version.as_deref().unwrap_or_default())
}

/// What each of them said.
pub(super) fn judgements(verdicts: &[PolicyVerdict]) -> impl Iterator<Item = Judgement<'_>> {
    judging(verdicts).map(|verdict| {
        let mut against: BTreeMap<&str, Against> = BTreeMap::new();
        for violation in verdict.violations.iter().chain(&verdict.standing) {
            let how = against.entry(&violation.rule).or_default();
            match violation.is_exempted() {
                true => how.exempted = true,
                false => how.open = true,
            }
        }
        let (policy, version) = judge(verdict);
        Judgement { policy, version, against }
    })
}

/// Each way that would let something through, as often as it does. What stands is let through by nobody.
pub(super) fn ways(verdicts: &[PolicyVerdict]) -> impl Iterator<Item = Way<'_>> {
    verdicts.iter().flat_map(|verdict| &verdict.violations).filter_map(|violation| {
        match violation.exempted.as_ref()? {
            Exempted::Exemption { id, .. } => Some(Way::Exemption(id.as_deref()?)),
            Exempted::BreakGlass { ticket, .. } => Some(Way::Ticket(ticket)),
        }
    })
}

/// Each once. A ticket that did not get the review through was not used.
pub(super) fn let_through(said: Said<'_>) -> BTreeSet<Way<'_>> {
    let was_used = |way: &Way<'_>| matches!(way, Way::Exemption(_)) || said.answer == Answer::Allowed;
    ways(said.verdicts).filter(was_used).collect()
}

/// The images, as written, that are to blame: for the denial, and for the would-be rejection.
pub(super) fn blamed(said: Said<'_>) -> (HashSet<&str>, HashSet<&str>) {
    let denied = if said.answer == Answer::Denied {
        rejections(said.verdicts, Violation::rejects).flatten().collect()
    } else {
        HashSet::new()
    };
    let would_reject = if said.would_reject {
        rejections(said.verdicts, Violation::would_reject).flatten().collect()
    } else {
        HashSet::new()
    };
    (denied, would_reject)
}

/// The image of each such violation of each policy that says `deny`.
fn rejections(verdicts: &[PolicyVerdict], acts: fn(&Violation) -> bool) -> impl Iterator<Item = Option<&str>> {
    let denying = verdicts.iter().filter(|verdict| verdict.verdict == Verdict::Deny);
    let violations = denying.flat_map(|verdict| &verdict.violations);
    violations.filter(move |violation| acts(violation)).map(|violation| violation.image.as_deref())
}
