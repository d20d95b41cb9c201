//! What pages say in words before they show a table.

use std::fmt;

use super::filters::{count, group};
use crate::review::decision::{Answer, Decision, PolicyVerdict, Verdict, Violation};
use crate::review::workload::Workload;
use crate::store::read::Figures;

mod glass;

/// A stretch of a sentence, and what it is about, for its colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase {
    pub text: String,
    pub class: &'static str,
}

/// A sentence of phrases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sentence(pub Vec<Phrase>);

/// What became of a decision, as its badge says it. A would-be rejection was let through: it is never called denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Allowed,
    WouldReject,
    Denied,
    Failed,
}

/// The state over a span, of one namespace where these are not counted: "In the last 7 days 14,203 reviews; 212 would have been rejected, by 3 rules, in 5 namespaces."
pub fn state(span: &str, figures: &Figures, rules: u64, namespaces: Option<u64>) -> Sentence {
    let mut sentence = Sentence::default();
    if figures.reviews == 0 {
        return sentence.plain(format!("{span} no reviews."));
    }
    sentence = sentence.plain(format!("{span} ")).plain(count(figures.reviews, "review")).plain("; ");
    sentence = match figures.would_reject {
        0 => sentence.plain("none would have been rejected"),
        would => {
            let sentence = sentence.phrase("would", group(would)).plain(" would have been rejected, by ");
            let sentence = sentence.plain(count(rules, "rule"));
            namespaces.map_or(sentence.clone(), |number| sentence.plain(format!(", in {}", count(number, "namespace"))))
        }
    };
    for (number, class, what) in [(figures.denied, "denied", " denied"), (figures.failed, "failed", " failed")] {
        if number > 0 {
            sentence = sentence.plain("; ").phrase(class, group(number)).plain(what);
        }
    }
    sentence.plain(".")
}

/// The answer given, and the answer it would have been.
pub fn answer(decision: &Decision) -> Sentence {
    let lead = if decision.dry_run { "A dry run, " } else { "" };
    let sentence = Sentence::default().plain(lead);
    match decision.answer {
        Answer::Allowed => allowed(sentence, decision),
        Answer::Denied => denied(sentence, decision),
        Answer::Failed => {
            let sentence = sentence.phrase("failed", cased(lead, "Failed")).plain(format!(" with {}", decision.code));
            sentence.plain(": the cluster's own failure policy decided what became of the request.")
        }
    }
}

fn allowed(sentence: Sentence, decision: &Decision) -> Sentence {
    let lead = sentence.to_string();
    let sentence = sentence.phrase("allowed", cased(&lead, "Allowed"));
    if decision.would_reject {
        let against = names(decision, Violation::would_reject);
        let sentence = sentence.plain(", but it ").phrase("would", "would have been rejected");
        return glass::broken(sentence.plain(format!(" by {}.", listed(&against))), decision);
    }
    let sentence = sentence.plain(".");
    let sentence = match why(decision) {
        Some(why) => sentence.plain(format!(" {why}")),
        None => sentence,
    };
    glass::broken(sentence, decision)
}

/// Why nothing stood against what was allowed. `None`: break-glass tickets are why.
fn why(decision: &Decision) -> Option<String> {
    let said = |verdict| of_verdict(decision, verdict);
    let (pending, errors) = (said(Verdict::Pending), said(Verdict::Error));
    if !pending.is_empty() {
        return Some(format!("{} has not answered yet.", listed(&pending)));
    }
    if !errors.is_empty() {
        return Some(format!("{} could not judge it.", listed(&errors)));
    }
    let verdicts = &decision.verdicts;
    if verdicts.iter().any(|verdict| verdict.let_through().next().is_some()) {
        return None;
    }
    let why = if verdicts.iter().any(PolicyVerdict::has_exempted) {
        "What stands against it is exempted."
    } else if verdicts.iter().any(|verdict| !verdict.standing.is_empty()) {
        "The images it brought are fine; others that were there before would not be (standing violations)."
    } else if verdicts.is_empty() {
        "No policy is loaded that could stand against it."
    } else if verdicts.iter().all(|verdict| verdict.verdict == Verdict::None) {
        "There was nothing in it to judge."
    } else {
        "No policy stood against it."
    };
    Some(why.to_owned())
}

fn denied(sentence: Sentence, decision: &Decision) -> Sentence {
    let lead = sentence.to_string();
    let sentence = sentence.phrase("denied", cased(&lead, "Denied"));
    let by = names(decision, Violation::rejects);
    let sentence = match by.is_empty() {
        true => sentence.plain("."),
        false => sentence.plain(format!(" by {}.", listed(&by))),
    };
    let against = names(decision, Violation::would_reject);
    match against.is_empty() {
        true => sentence,
        false => sentence.plain(format!(" Not yet enforced, but against it as well: {}.", listed(&against))),
    }
}

/// `policy/rule` of such violations, each once, in the policies' order.
fn names(decision: &Decision, of: impl Fn(&Violation) -> bool) -> Vec<String> {
    let mut names = Vec::new();
    for verdict in &decision.verdicts {
        for violation in verdict.violations.iter().filter(|violation| of(violation)) {
            let name = rule_name(verdict, violation);
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

/// What helps, where it is a page of somebody's.
pub fn web(help: &str) -> Option<&str> {
    let is_web = help.starts_with("https://") || help.starts_with("http://");
    (is_web && !help.contains(char::is_whitespace)).then_some(help)
}

/// `policy/rule`.
pub fn rule_name(verdict: &PolicyVerdict, violation: &Violation) -> String {
    format!("{}/{}", verdict.policy, violation.rule)
}

/// `Deployment/shop-web`; on an ImageReview, which names none, `pods running a, b`.
pub fn workload(workload: &Workload) -> String {
    match workload.kind.as_str() {
        "Pods" => format!("pods {}", workload.name),
        kind => format!("{kind}/{}", workload.name),
    }
}

/// What [`workload`] said.
pub fn workload_of(text: &str) -> Option<Workload> {
    let (kind, name) = match text.strip_prefix("pods ") {
        Some(name) => ("Pods", name),
        None => text.split_once('/')?,
    };
    Some(Workload { kind: kind.to_owned(), name: name.to_owned() })
}

fn of_verdict(decision: &Decision, verdict: Verdict) -> Vec<String> {
    let found = decision.verdicts.iter().filter(|policy| policy.verdict == verdict);
    found.map(|policy| policy.policy.clone()).collect()
}

/// `a`, `a and b`, `a, b and c`.
pub fn listed(names: &[String]) -> String {
    match names {
        [] => "a policy".to_owned(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// A word after a lead is in the middle of its sentence.
fn cased(lead: &str, word: &str) -> String {
    if lead.is_empty() { word.to_owned() } else { word.to_lowercase() }
}

// === impl Sentence ===

impl Sentence {
    #[must_use]
    pub fn plain(self, text: impl Into<String>) -> Self {
        self.phrase("", text)
    }

    #[must_use]
    pub fn phrase(mut self, class: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        if !text.is_empty() {
            self.0.push(Phrase { text, class });
        }
        self
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|phrase| f.write_str(&phrase.text))
    }
}

// === impl Fate ===

impl Fate {
    pub fn of(decision: &Decision) -> Self {
        match decision.answer {
            Answer::Allowed if decision.would_reject => Self::WouldReject,
            Answer::Allowed => Self::Allowed,
            Answer::Denied => Self::Denied,
            Answer::Failed => Self::Failed,
        }
    }

    /// What a decision would have been without the ticket that let it through: it let something through that stood against
    /// it.
    pub fn without(answer: Answer) -> Self {
        match answer {
            Answer::Allowed => Self::WouldReject,
            Answer::Denied => Self::Denied,
            Answer::Failed => Self::Failed,
        }
    }

    pub fn class(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::WouldReject => "would",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::WouldReject => "would be rejected",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests;
