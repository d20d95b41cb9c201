//! What the sentence of a decision says of break-glass tickets.

use super::{Sentence, listed, names};
use crate::review::decision::{Decision, Exempted, Mode, PolicyVerdict, Violation};

/// With the tickets that let an allowed review through, if any did, and what it would have been without them.
pub(super) fn broken(sentence: Sentence, decision: &Decision) -> Sentence {
    let tickets = tickets(decision);
    if tickets.is_empty() {
        return sentence;
    }
    let broke = if decision.dry_run { "It would break the glass" } else { "It broke the glass" };
    let them = if tickets.len() == 1 { "it" } else { "them" };
    let sentence = sentence.plain(format!(" {broke}: {}. Without {them}, it would have been ", tickets.join("; ")));
    let let_through = |mode: fn(Mode) -> bool| names(decision, |one| is_broken(one) && mode(one.mode));
    let enforced = let_through(|mode| mode == Mode::Enforce);
    if !enforced.is_empty() {
        return sentence.phrase("denied", "denied").plain(format!(" by {}.", listed(&enforced)));
    }
    let as_well = if decision.would_reject { " as well" } else { "" };
    let warned = let_through(|mode| mode == Mode::Warn);
    let warned = match warned.is_empty() {
        true => String::new(),
        false => format!(", with a warning of {}", listed(&warned)),
    };
    let by = format!(" by {}{as_well}{warned}.", listed(&let_through(|_| true)));
    sentence.phrase("would", "a would-be rejection").plain(by)
}

fn is_broken(violation: &Violation) -> bool {
    violation.exempted.as_ref().is_some_and(|by| by.broken_by().is_some())
}

/// `ticket T, person P` of each once, in the order in which they are met.
fn tickets(decision: &Decision) -> Vec<String> {
    let mut tickets = Vec::new();
    let let_through = decision.verdicts.iter().flat_map(PolicyVerdict::let_through);
    for by in let_through.filter_map(|one| one.exempted.as_ref()) {
        let Exempted::BreakGlass { ticket, person, .. } = by else { continue };
        let told = format!("ticket {ticket}, person {person}");
        if !tickets.contains(&told) {
            tickets.push(told);
        }
    }
    tickets
}
