//! What all policies said becomes one answer: denial beats failure beats allow.

use http::{HeaderValue, StatusCode};

use crate::backend::answer::{BackendAnswer, BackendError};
use crate::policy::settings::{AnswerStyle, OnError};
use crate::review::clock::DecisionId;
use crate::review::decision::{Answer, Exempted, Mode, PolicyVerdict, Verdict, Violation};

use super::failure;
use super::opinion::Opinion;
use super::warning::printable;

/// The answer, before it is written in the protocol of its review.
#[derive(Debug)]
pub struct Settlement {
    pub outcome: Outcome,
    pub would_reject: bool,
    pub notes: Vec<String>,
}

#[derive(Debug)]
pub enum Outcome {
    /// With the words of the enforcing webhook at `base`, if one answered.
    Allowed {
        base: Option<usize>,
    },
    /// One webhook denies in the review's protocol and nothing else does: its answer passes whole.
    Passed {
        base: usize,
    },
    Denied {
        message: String,
    },
    Failed {
        code: StatusCode,
        message: String,
        retry_after: Option<HeaderValue>,
    },
}

/// What the texts of an answer depend on, beside the policies.
#[derive(Debug, Clone, Copy)]
pub struct Wording<'a> {
    pub style: AnswerStyle,
    pub decision: DecisionId,
    /// To the decision's page.
    pub link: Option<&'a str>,
}

/// Settles what `opinions` (in policy order) say.
pub fn settle(opinions: &mut [Opinion<'_>], wording: Wording<'_>) -> Settlement {
    refuse_second_patches(opinions);
    let outcome = outcome(opinions, wording);
    let would_reject = matches!(outcome, Outcome::Allowed { .. }) && opinions.iter().any(would_have_rejected);
    tell_without_tickets(opinions, outcome.answer());
    let notes = dropped_patches(opinions, &outcome).into_iter().chain(refusals(opinions.iter())).collect();
    Settlement { outcome, would_reject, notes }
}

/// Says in each violation that a ticket let through what the answer would have been. Denial beats all else.
fn tell_without_tickets(opinions: &mut [Opinion<'_>], answer: Answer) {
    let is_denial = |violation: &Violation| violation.mode == Mode::Enforce;
    let mut denying = opinions.iter().map(|opinion| &opinion.verdict).filter(|one| one.verdict == Verdict::Deny);
    let denied = denying.any(|verdict| verdict.let_through().any(is_denial));
    let answer = if denied { Answer::Denied } else { answer };
    for violation in opinions.iter_mut().flat_map(|opinion| &mut opinion.verdict.violations) {
        if let Some(Exempted::BreakGlass { without, .. }) = &mut violation.exempted {
            *without = answer;
        }
    }
}

/// Why tickets did not let it through, a sentence each.
fn refusals<'a>(opinions: impl Iterator<Item = &'a Opinion<'a>>) -> Vec<String> {
    let mut told = Vec::new();
    for refusal in opinions.flat_map(|opinion| &opinion.refusals) {
        let text = printable(&refusal.to_string());
        if !told.contains(&text) {
            told.push(text);
        }
    }
    told
}

fn outcome(opinions: &[Opinion<'_>], wording: Wording<'_>) -> Outcome {
    let denying: Vec<usize> = (0..opinions.len()).filter(|&at| denies(&opinions[at])).collect();
    match denying[..] {
        [] => {}
        [only] if let Some(answer) = &opinions[only].answer => return passed(only, answer),
        _ => return Outcome::Denied { message: denial(denying.iter().map(|&at| &opinions[at]), wording) },
    }
    if let Some(opinion) = opinions.iter().find(|opinion| fails(opinion)) {
        return failed(opinion, wording.decision);
    }
    let base = opinions
        .iter()
        .position(|opinion| opinion.speaks().is_some_and(|answer| answer.patches))
        .or_else(|| opinions.iter().position(|opinion| opinion.speaks().is_some()));
    Outcome::Allowed { base }
}

/// A webhook's denial: whole, or the text of it.
fn passed(base: usize, answer: &BackendAnswer) -> Outcome {
    match answer.is_whole() {
        true => Outcome::Passed { base },
        false => Outcome::Denied { message: answer.violation_text().to_owned() },
    }
}

/// Two patches cannot both be applied to the object that each of them was made for.
fn refuse_second_patches(opinions: &mut [Opinion<'_>]) {
    let mut first: Option<String> = None;
    for opinion in opinions {
        if !opinion.speaks().is_some_and(|answer| answer.patches) {
            continue;
        }
        match &first {
            None => first = Some(opinion.policy.name.clone()),
            Some(first) => opinion.fail(format!("it answered with a patch, and so did policy {first} before it")),
        }
    }
}

fn denies(opinion: &Opinion<'_>) -> bool {
    match opinion.verdict.verdict {
        Verdict::Deny => opinion.verdict.violations.iter().any(Violation::rejects),
        Verdict::Error => opinion.is_broken() && opinion.policy.on_error == OnError::Deny,
        _ => false,
    }
}

fn fails(opinion: &Opinion<'_>) -> bool {
    opinion.is_broken() && opinion.policy.on_error == OnError::Fail
}

fn would_have_rejected(opinion: &Opinion<'_>) -> bool {
    would_reject(&opinion.verdict)
}

/// Whether a violation in audit or warn mode stands against what was let through.
pub fn would_reject(verdict: &PolicyVerdict) -> bool {
    verdict.verdict == Verdict::Deny && verdict.violations.iter().any(Violation::would_reject)
}

fn failed(opinion: &Opinion<'_>, decision: DecisionId) -> Outcome {
    let cause = opinion.verdict.error.as_deref().unwrap_or("it failed");
    let message = failure::message(&opinion.policy.name, cause, decision);
    match &opinion.error {
        Some(BackendError::Status { status, retry_after, .. }) => {
            Outcome::Failed { code: *status, message, retry_after: retry_after.clone() }
        }
        // Without Retry-After the ImagePolicyWebhook plugin asks once.
        _ => Outcome::Failed { code: StatusCode::SERVICE_UNAVAILABLE, message, retry_after: None },
    }
}

/// Every enforcing violation in policy order, then each rule's help once, tickets that are used up, and the link.
fn denial<'a>(denying: impl Iterator<Item = &'a Opinion<'a>> + Clone, wording: Wording<'_>) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut helps: Vec<&str> = Vec::new();
    let mut omitted = 0;
    for opinion in denying.clone() {
        let policy = &opinion.policy.name;
        if opinion.verdict.verdict == Verdict::Error {
            let cause = opinion.verdict.error.as_deref().unwrap_or("it failed");
            texts.push(failure::message(policy, cause, wording.decision));
        }
        for violation in enforced(&opinion.verdict) {
            let text = text(opinion, violation, wording.style);
            if !texts.contains(&text) {
                texts.push(text);
            }
            helps.extend(violation.help.as_deref().filter(|help| !helps.contains(help)));
        }
        omitted += omitted_denials(&opinion.verdict);
    }
    if wording.style == AnswerStyle::Bare {
        return texts.into_iter().next().unwrap_or_default();
    }
    let mut message = texts.join("; ");
    if omitted > 0 {
        message.push_str(&format!("; and up to {omitted} more"));
    }
    let refusals = refusals(denying);
    for tail in helps.into_iter().chain(refusals.iter().map(String::as_str)).chain(wording.link) {
        message.push_str(if message.ends_with('.') { " " } else { ". " });
        message.push_str(tail);
    }
    message
}

/// How many violations past the cap may be such that reject. Standing ones never do, and come behind all others: where
/// one was kept, only such were left out.
fn omitted_denials(verdict: &PolicyVerdict) -> u32 {
    if verdict.standing.is_empty() { verdict.omitted } else { 0 }
}

fn enforced(verdict: &PolicyVerdict) -> impl Iterator<Item = &Violation> {
    verdict.violations.iter().filter(|violation| violation.rejects())
}

/// A webhook's text stands as it came; ours may hold an image of any characters, and is shown in a terminal.
fn text(opinion: &Opinion<'_>, violation: &Violation, style: AnswerStyle) -> String {
    match style {
        AnswerStyle::Prefixed if !opinion.is_remote() => {
            printable(&format!("{}/{}: {}", opinion.policy.name, violation.rule, violation.message))
        }
        AnswerStyle::Prefixed | AnswerStyle::Bare => violation.message.clone(),
    }
}

fn dropped_patches(opinions: &[Opinion<'_>], outcome: &Outcome) -> Vec<String> {
    let kept = match outcome {
        Outcome::Allowed { base } => *base,
        Outcome::Passed { .. } | Outcome::Denied { .. } | Outcome::Failed { .. } => None,
    };
    opinions
        .iter()
        .enumerate()
        .filter(|(at, opinion)| Some(*at) != kept && opinion.answer.as_ref().is_some_and(|answer| answer.patches))
        .map(|(_, opinion)| format!("the patch of policy {} was dropped", opinion.policy.name))
        .collect()
}

// === impl Outcome ===

impl Outcome {
    pub fn answer(&self) -> Answer {
        match self {
            Self::Allowed { .. } => Answer::Allowed,
            Self::Passed { .. } | Self::Denied { .. } => Answer::Denied,
            Self::Failed { .. } => Answer::Failed,
        }
    }
}

#[cfg(test)]
mod tests;
